"""What of a GPU plan stays with the deployment: one line, and what to doubt of it."""

from __future__ import annotations

from collections.abc import Iterator

from carferry.gpu.report import words
from carferry.gpu.search.plan import GpuPlan
from carferry.gpu.search.unchecked import unknown_of
from carferry.gpu.sizing.estimate import Verdict
from carferry.gpu.units import gib
from carferry.gpu.vllm.version import find_version


def line_of(plan: GpuPlan) -> str:
    """Return a plan as one line, with its warnings; empty if nothing fits."""
    said = words.planned(plan)
    return "; ".join((said, *_doubts(plan, said))) if said else ""


def _doubts(plan: GpuPlan, said: str) -> Iterator[str]:
    """Yield what the line does not say yet, and may explain a server that does not start."""
    chosen = plan.chosen
    best, gpu = (chosen.best, chosen.group.gpu) if chosen else (None, None)
    unknown = unknown_of(plan.model, gpu)
    if plan.verdict is Verdict.UNCHECKED or unknown:
        about = unknown or "the plan does not know this model"
        if about not in said:
            yield f"unchecked: {about}"
    elif plan.verdict is Verdict.TIGHT and best:
        yield f"tight: the margin is below the plan's own error of {gib(best.band):.1f} GiB"
    versions = (find_version(plan.goal.vllm).note, *plan.notes)
    yield from dict.fromkeys(
        each for each in versions if each.startswith("planned as vLLM") and each not in said
    )
