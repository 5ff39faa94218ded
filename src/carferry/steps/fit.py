"""Step: will it fit; the GPU plan, from a model's config and headers and a cluster's GPUs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, Unpack

from carferry.errors import DoesNotFit, InputError
from carferry.form.open import read_open_switch, read_share
from carferry.form.parameter import Reader
from carferry.form.readers import (
    read_items,
    read_model,
    read_open_count,
    read_path,
    read_switch,
    read_text,
)
from carferry.gpu.inventory.nodes import Inventory
from carferry.gpu.inventory.wanted import parse_gpus
from carferry.gpu.model.config import check_family
from carferry.gpu.search.decide import decide
from carferry.gpu.search.plan import Goal
from carferry.io.net.retry import Retry
from carferry.selection.patterns import Patterns
from carferry.source.pieces import Pieces
from carferry.steps.access import open_access, patience
from carferry.steps.calibrations import calibrations_for, read_calibrations
from carferry.steps.defaults import GO_ON, SERVED, STOP
from carferry.steps.fitted import Fit
from carferry.steps.models import open_model
from carferry.steps.seen import see
from carferry.steps.served import check_served, is_image, served_by
from carferry.steps.signature import defaults_of, read_fields, takes

if TYPE_CHECKING:
    from carferry.cluster.api import Api


class Lists(Protocol):
    """The part of a connection to an API server that is used here."""

    namespace: str

    def read(self, path: str) -> dict[str, Any]:
        """Read a path as it is, query included."""


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


@takes(FitKeywords, FIT_DEFAULTS)
def fit(
    model: str | Path,
    *,
    kubeconfig: str | Path | None = None,
    context: str = "",
    connect: Callable[[], Lists] | None = None,
    retry: Retry | None = None,
    opened: Pieces | None = None,
    calibration: str | Path | None = None,
    **settings: Unpack[FitKeywords],
) -> Fit:
    """Decide whether and how a model runs; reads its config and headers, a few MB at the most.

    Args:
        model: ``org/name[@revision]`` on the hub, a folder as ``./path``, or an image that holds
            it, as ``oci://host/repository:tag``.
        kubeconfig: File with the cluster whose GPUs count if none is named; default the pod's,
            or as for kubectl.
        context: Of the kubeconfig; empty means the current one.
        connect: Reaches the cluster some other way.
        retry: How often what fails for the moment is tried again.
        opened: The same model, if it was opened before: what was read of it is not read again.
        calibration: File that keeps what logs of vLLM have corrected; None, ``none``: nothing.
        **settings: The fields of ``carferry.FitSettings``.

    Returns:
        The verdict, the arithmetic in GiB, the smallest change if it does not fit, and the
        vLLM arguments; a notebook shows it with a chart.

    Raises:
        UnsupportedModel: An unknown architecture or quantization, if ``on_unknown`` is ``stop``.
        IncompleteModel: A file is broken or missing.
        InputError: A config or header that does not add up, or an unknown GPU.
        DoesNotFit: The cluster has no GPU at all.

    Example:
        >>> import carferry
        >>> carferry.fit("./model", gpus="L40S", max_model_len=512).verdict
        'fits'
    """
    how, name = FitSettings(**settings), read_model(model)
    how.check()
    kept = calibrations_for(read_calibrations(calibration), how.vllm or SERVED)
    how, said = how.versioned()
    again = retry or patience()
    pieces = opened or _open(name, how, again)
    wanted = Patterns.parse(how.include, how.exclude, how.allow_no_weights)
    seen = see(pieces, wanted, again)
    reach = connect or partial(reach_cluster, kubeconfig, context, how.ca_file)
    selection = seen.selection
    return Fit(
        decide(
            seen.config(),
            gpus=how.gpus or again.call(lambda: _cluster_gpus(reach(), how)),
            read_range=pieces.read,
            files=seen.sizes,
            headers=seen.headers,
            goal=replace(how.goal(selection.files.size_bytes), calibrations=kept),
            subject=selection.files.repo or name,
            family=how.family,
            arguments=selection.arguments,
            notes=(*selection.notes, *said),
            strict=how.on_unknown == STOP,
        )
    )


def _open(name: str, how: FitSettings, retry: Retry) -> Pieces:
    access = replace(open_access(how.plain_http, how.ca_file), retry=retry)
    return Pieces(open_model(name, how.revision, access))


def reach_cluster(kubeconfig: str | Path | None, context: str, ca_file: str | Path | None) -> Api:
    """Connect to the cluster that a kubeconfig names, or that this pod runs in."""
    # The Kubernetes client costs 0.3 s to import, which a plan for named GPUs should not pay.
    from carferry.cluster import api

    file = read_path("kubeconfig", kubeconfig)
    name, ca = read_text("context", context), read_path("ca_file", ca_file)
    return api.connect(kubeconfig=file, context=name, ca_file=ca)


def _cluster_gpus(api: Lists, settings: FitSettings) -> Inventory:
    namespace = settings.namespace or api.namespace
    image = settings.image.removeprefix("docker://")
    # A plan for named GPUs reads no cluster.
    from carferry.gpu.inventory.listing import paged
    from carferry.gpu.inventory.read import read_inventory

    found = read_inventory(paged(api.read), namespace=namespace, image=image)
    if not found.groups and found.source != "nodes":
        raise DoesNotFit(
            "read the GPUs of", "the cluster", "; ".join(found.notes),
            "grant list on nodes and pods, or name the GPU, as in 'L40S x2'",
        )  # fmt: skip
    return found
