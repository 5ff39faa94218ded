"""Step: from wishes and a GPU plan to what a deployment asks for, with the reports that say why."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from carferry.errors import DoesNotFit
from carferry.gpu import GpuPlan
from carferry.gpu.page import html
from carferry.gpu.report import markdown
from carferry.gpu.words import change
from carferry.steps.fit import FitSettings, Lists, fit

UNCHECKED = "none"
_NOT_CHECKED = "# Will it fit\n\nNot checked: {reason}.\n"
# The deployment writes these itself, from the count and the length it is given.
_OWN = ("--tensor-parallel-size=", "--max-model-len=")


@dataclass(frozen=True, slots=True)
class Sizing:
    """What a deployment asks for.

    Attributes:
        gpu_resource: As in ``nvidia.com/gpu``.
        gpu_count: GPUs per replica; as a wish 0 leaves it to the plan.
        tolerations: JSON list; as a wish empty leaves it to the plan.
        max_model_len: Tokens; as a wish 0 leaves it to the plan.
        vllm_args: More vLLM arguments; a wish's come last, where they win.
        verdict: ``fits``, ``tight`` or ``unchecked``.
    """

    gpu_resource: str = "nvidia.com/gpu"
    gpu_count: int = 0
    tolerations: str = ""
    max_model_len: int = 0
    vllm_args: str = ""
    verdict: str = "unchecked"


def size(
    model: str,
    settings: FitSettings,
    wishes: Sizing,
    *,
    revision: str = "",
    serve: bool = True,
    report: str = "",
    chart: str = "",
    connect: Callable[[], Lists] | None = None,
) -> Sizing:
    """Decide what a deployment asks for; the reports are written whatever the answer.

    Args:
        model: ``org/name`` or a folder.
        settings: GPUs to plan for; ``none`` as the GPU takes the wishes unchecked.
        wishes: What the user pinned.
        revision: Branch, tag or commit.
        serve: False where the image is only pushed: then nothing is checked.
        report: File for the report as Markdown; empty for none.
        chart: File for the report as a page; empty for none.
        connect: Reaches the cluster where no GPU is named.

    Raises:
        DoesNotFit: Nothing fits; names what is missing and the smallest change.
        InputError: As ``fit``.
    """
    if not serve or settings.gpu == UNCHECKED:
        text = _NOT_CHECKED.format(reason="no GPU was asked about" if serve else "not served")
        _write(report, text)
        _write(chart, f"<!doctype html><title>Will it fit</title><p>{text[15:].strip()}</p>\n")
        return replace(wishes, gpu_count=wishes.gpu_count or 1)
    plan = fit(model, _pinned(settings, wishes), revision=revision, connect=connect)
    _write(report, markdown(plan))
    _write(chart, html(plan))
    return _sized(plan, wishes)


def _pinned(settings: FitSettings, wishes: Sizing) -> FitSettings:
    length = str(wishes.max_model_len or settings.max_model_len)
    count = str(wishes.gpu_count or "")
    return replace(settings, max_model_len=length, gpu_count=count, nodes="1")


def _sized(plan: GpuPlan, wishes: Sizing) -> Sizing:
    chosen = plan.chosen
    if chosen is None or chosen.best is None:
        raise DoesNotFit("fit", plan.model.subject, plan.binding, change(plan))
    resource, count = next(iter(chosen.resources.items()))
    tolerations = [asdict(rule) for rule in chosen.group.tolerations]
    planned = [text for text in plan.arguments if not text.startswith(_OWN)]
    return Sizing(
        gpu_resource=resource,
        gpu_count=int(count),
        tolerations=wishes.tolerations or (json.dumps(tolerations) if tolerations else ""),
        max_model_len=chosen.best.choice.max_model_len,
        vllm_args=" ".join([*planned, wishes.vllm_args]).strip(),
        verdict=plan.verdict.value,
    )


def _write(path: str, text: str) -> None:
    if path:
        Path(path).write_text(text)
