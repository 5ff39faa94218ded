"""What is wanted of a GPU plan: the settings of ``fit``, read and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

from carferry.errors import InputError
from carferry.form.open import read_open_switch, read_share
from carferry.form.parameter import Reader
from carferry.form.readers import (
    read_items,
    read_open_count,
    read_path,
    read_switch,
    read_text,
)
from carferry.gpu.inventory.wanted import parse_gpus
from carferry.gpu.model.config import check_family
from carferry.gpu.search.plan import Goal
from carferry.steps.access import open_access
from carferry.steps.defaults import GO_ON, SERVED, STOP
from carferry.steps.served import check_served, is_image, served_by
from carferry.steps.signature import defaults_of, read_fields


class FitKeywords(TypedDict, total=False):
    """The fields of FitSettings, as keywords of a function."""

    gpus: str
    revision: str
    max_model_len: int
    max_num_seqs: int
    gpu_count: int
    nodes: int
    vllm: str
    quantization: str
    family: str
    namespace: str
    image: str
    include: Sequence[str]
    exclude: Sequence[str]
    allow_no_weights: bool
    plain_http: Sequence[str]
    ca_file: str | Path | None
    dtype: str
    kv_cache_dtype: str
    gpu_memory_utilization: float | None
    data_parallel: int
    expert_parallel: bool | None
    speculative_tokens: int
    lora_rank: int
    max_loras: int
    on_unknown: str


@dataclass(frozen=True, slots=True)
class FitSettings:
    """What the GPU plan is for; empty or 0 is the plan's to choose.

    Attributes:
        gpus: Such as ``L40S x2``; empty reads the cluster.
        revision: Branch, tag or commit of the model, if its name gives none.
        max_model_len: Context that must fit, tokens.
        max_num_seqs: Sequences at once.
        gpu_count: GPUs in one pod.
        nodes: Nodes the model may span, as stages of a pipeline; 1: one alone.
        vllm: Version of vLLM, as in ``0.24.0`` or ``rhoai-3.4``; or the serving image, which says.
        quantization: ``fp8`` to quantize while loading.
        family: ``gqa`` plans an unknown architecture as a plain decoder.
        namespace: Where the model will be served; its quotas count.
        image: The ModelCar, to find nodes that hold it already.
        include: Globs, as for the build.
        exclude: Globs, as for the build.
        allow_no_weights: As for the build.
        plain_http: Registry hosts without TLS, for a model in an image.
        ca_file: PEM certificates to trust, of any server: a file or a folder.
        dtype: ``bfloat16``, ``float16`` or ``float32``.
        kv_cache_dtype: ``fp8``, or ``auto`` for no other than the model's.
        gpu_memory_utilization: Share of a GPU that vLLM may take.
        data_parallel: Engines in one pod, each with GPUs and a cache of its own.
        expert_parallel: True deals experts out whole, False cuts them.
        speculative_tokens: Tokens that the model's own draft layers propose.
        lora_rank: Largest rank of an adapter; 0: none is served.
        max_loras: Adapters in one batch.
        on_unknown: ``stop`` refuses a model that the plan does not know; ``go on`` warns.
    """

    gpus: str = ""
    revision: str = ""
    max_model_len: int = 0
    max_num_seqs: int = 0
    gpu_count: int = 0
    nodes: int = 0
    vllm: str = SERVED
    quantization: str = ""
    family: str = ""
    namespace: str = ""
    image: str = ""
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    allow_no_weights: bool = False
    plain_http: Sequence[str] = ()
    ca_file: str | Path | None = None
    dtype: str = ""
    kv_cache_dtype: str = ""
    gpu_memory_utilization: float | None = None
    data_parallel: int = 0
    expert_parallel: bool | None = None
    speculative_tokens: int = 0
    lora_rank: int = 0
    max_loras: int = 0
    on_unknown: str = GO_ON

    def __post_init__(self) -> None:
        """Read each field, whatever a caller gave for it.

        Raises:
            InputError: Names the field that cannot be meant.
        """
        read_fields(self, _READERS)

    def check(self) -> None:
        """Refuse what no plan could be made for, before a model is opened or a cluster asked.

        Raises:
            InputError: An unknown GPU, vLLM version or family, or what vLLM does not take.
        """
        if self.gpus:
            parse_gpus(self.gpus)
        check_served(self.vllm or SERVED)
        check_family(self.family)
        if (self.on_unknown or GO_ON) not in (GO_ON, STOP):
            raise InputError(
                "read on_unknown", repr(self.on_unknown[:80]), "neither", f"{STOP!r} or {GO_ON!r}"
            )
        # Which vLLM an image holds is read later; what that takes is asked again then.
        release = SERVED if is_image(self.vllm) else self.vllm
        replace(self, vllm=release).goal(0).check("the model")

    def versioned(self) -> tuple[FitSettings, tuple[str, ...]]:
        """Return it with a version of vLLM for the image that it names, and what to know of it."""
        access = open_access(self.plain_http, self.ca_file)
        version, said = served_by(self.vllm or SERVED, access, SERVED)
        return replace(self, vllm=version), (said,) if said else ()

    def goal(self, image_bytes: int) -> Goal:
        """Return it as the search takes it, where None means open."""
        return Goal(
            vllm=self.vllm or SERVED,
            max_model_len=self.max_model_len or None,
            max_num_seqs=self.max_num_seqs or None,
            gpu_count=self.gpu_count or None,
            nodes=self.nodes or None,
            quantization=self.quantization,
            image_bytes=image_bytes,
            dtype=self.dtype or None,
            kv_dtype=self.kv_cache_dtype or None,
            utilization=self.gpu_memory_utilization,
            data_parallel=self.data_parallel or None,
            expert_parallel=self.expert_parallel,
            speculative_tokens=self.speculative_tokens or None,
            lora_rank=self.lora_rank or None,
            loras=self.max_loras or None,
        )


_COUNTS = (
    "max_model_len", "max_num_seqs", "gpu_count", "nodes", "data_parallel", "speculative_tokens",
    "lora_rank", "max_loras",
)  # fmt: skip
_TEXTS = (
    "gpus", "revision", "vllm", "quantization", "family", "namespace", "image", "dtype",
    "kv_cache_dtype", "on_unknown",
)  # fmt: skip
_READERS: Mapping[str, Reader] = {
    **dict.fromkeys(_TEXTS, read_text),
    **dict.fromkeys(_COUNTS, read_open_count),
    **dict.fromkeys(("include", "exclude", "plain_http"), read_items),
    "allow_no_weights": read_switch,
    "expert_parallel": read_open_switch,
    "gpu_memory_utilization": read_share,
    "ca_file": read_path,
}
FIT_DEFAULTS = defaults_of(FitSettings)
