"""What the user wants of a plan, and which wishes no server could meet."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from carferry.errors import InputError
from carferry.form.closest import did_you_mean
from carferry.gpu.loaded.blocks import release_of
from carferry.gpu.memory.calibration import Calibration
from carferry.gpu.packing.online import online_methods
from carferry.gpu.sizing.estimate import Model
from carferry.gpu.vllm.version import LATEST, find_version

DTYPES = ("auto", "bfloat16", "float16", "float32")
"""What ``--dtype`` takes and the plan counts with; vLLM's ``half`` and ``float`` are spellings."""

KV_DTYPES = ("auto", "fp8")
"""What ``--kv-cache-dtype`` takes and the plan counts with."""

LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks that vLLM 0.9 to 0.33 takes for ``--max-lora-rank`` (``config/lora.py``)."""

_LEAST_SHARE = 0.01
_MOST_COUNT = 10_000_000
_COUNTS = (
    "max_model_len", "max_num_seqs", "gpu_count", "nodes", "data_parallel", "loras",
    "speculative_tokens",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Goal:
    """What the user wants; what is None is the plan's to choose.

    Attributes:
        vllm: Version of the serving image.
        max_model_len: Context that must fit, tokens.
        max_num_seqs: Sequences at once.
        dtype: ``bfloat16``, ``float16`` or ``float32``.
        kv_dtype: ``auto`` or ``fp8``.
        gpu_count: GPUs in one pod.
        nodes: Nodes the model may span, as stages of a pipeline.
        utilization: Share of a GPU's total memory vLLM may take, above 0 and at most 1.
        quantization: ``fp8`` to quantize while loading; empty to load as stored.
        concurrency: Requests of that length that must fit at once.
        prices: Price of an hour per GPU name, in any unit; the catalogue's ranks otherwise.
        image_bytes: Size of the model image, to compare with node disks.
        calibrations: What logs of the serving image have corrected.
        data_parallel: Engines in one pod that share the experts, each with GPUs of its own.
        expert_parallel: Whether experts are dealt out whole.
        speculative_tokens: Tokens that the model's own draft layers propose.
        lora_rank: Largest rank of an adapter; None or 0 for no adapters.
        loras: Adapters in one batch.
    """

    vllm: str = LATEST
    max_model_len: int | None = None
    max_num_seqs: int | None = None
    dtype: str | None = None
    kv_dtype: str | None = None
    gpu_count: int | None = None
    nodes: int | None = None
    utilization: float | None = None
    quantization: str = ""
    concurrency: float = 1.0
    prices: Mapping[str, float] | None = None
    image_bytes: int | None = None
    calibrations: tuple[Calibration, ...] = ()
    data_parallel: int | None = None
    expert_parallel: bool | None = None
    speculative_tokens: int | None = None
    lora_rank: int | None = None
    loras: int | None = None

    def check(self, subject: str) -> None:
        """Refuse values that vLLM does not take, whatever the model.

        Raises:
            InputError: Names the option, and those that exist.
        """
        quantizations = online_methods(release_of(find_version(self.vllm)))
        for option, value, known in (
            ("--quantization", self.quantization or None, quantizations),
            ("--dtype", self.dtype, DTYPES),
            ("--kv-cache-dtype", self.kv_dtype, KV_DTYPES),
            ("--lora-rank", self.lora_rank or None, LORA_RANKS),
        ):
            if value is not None and value not in known:
                raise _unknown(subject, option, value, tuple(map(str, known)))
        for option, reason, remedy in self._numbers():
            raise InputError("plan", subject, f"{option} {reason}", remedy)

    def _numbers(self) -> Iterator[tuple[str, str, str]]:
        """Yield (option, what is wrong, what to do) for every number that cannot be meant."""
        for name in _COUNTS:
            count = getattr(self, name)
            if count is not None and not 0 < count <= _MOST_COUNT:
                option = f"--{name.replace('_', '-')}"
                yield option, f"{count} is not 1 to {_MOST_COUNT}", f"lower {option}"
        share = self.utilization
        if share is not None and not _LEAST_SHARE <= share <= 1:
            reason = f"utilization {share} is not a share of {_LEAST_SHARE} to 1"
            yield "--gpu-memory-utilization:", reason, "write 0.9"
        if not (math.isfinite(self.concurrency) and self.concurrency > 0):
            yield "concurrency", f"{self.concurrency} is not a number above 0", "write 1"


def check_goal(model: Model, goal: Goal) -> None:
    """Refuse a goal that no GPU could meet.

    Raises:
        InputError: A longer context than the model has, draft layers that it lacks, or weights
            packed already; else as ``Goal.check``.
    """
    goal.check(model.subject)
    shape, longest = model.shape, model.shape.positions
    if goal.max_model_len is not None and goal.max_model_len > longest and not shape.unknown:
        reason = f"context of {goal.max_model_len} tokens, the model has 1 to {longest}"
        raise InputError("plan", model.subject, reason, "lower --max-model-len")
    if goal.speculative_tokens and not (shape.spare_layers or shape.unknown):
        reason = "--speculative-tokens: the checkpoint has no layers that draft"
        raise InputError("plan", model.subject, reason, "leave --speculative-tokens out")
    packed = shape.quantization
    if goal.quantization and packed and packed.method != goal.quantization:
        reason = f"--quantization {goal.quantization}: the weights are {packed.method} already"
        raise InputError("plan", model.subject, reason, "leave --quantization out")


def effective(model: Model, goal: Goal) -> Goal:
    """Return the goal without what goes without saying: ``auto``, and weights packed already."""
    changes: dict[str, Any] = {}
    if goal.dtype == "auto":
        changes["dtype"] = None
    if goal.quantization and model.shape.quantization:
        changes["quantization"] = ""
    if not goal.lora_rank and goal.loras:
        changes["lora_rank"] = LORA_RANKS[1]
    return replace(goal, **changes) if changes else goal


def _unknown(subject: str, option: str, value: object, known: tuple[str, ...]) -> InputError:
    remedy = did_you_mean(str(value), known, f"known: {', '.join(known)}")
    return InputError("plan", subject, f"{option} {str(value)[:80]!r} is not known", remedy)
