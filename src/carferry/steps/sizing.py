"""Step: from wishes and a GPU plan to what a deployment asks for, with the reports that say why."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Protocol

from carferry.errors import DoesNotFit, RightsMissing
from carferry.gpu.report.page import html
from carferry.gpu.report.text import markdown, text
from carferry.gpu.report.words import change
from carferry.gpu.search.plan import GpuPlan
from carferry.io.retry import Retry
from carferry.steps import rights as asking
from carferry.steps.fit import FitSettings, Lists, fit
from carferry.steps.rights import Rights, check_rights

UNCHECKED = "none"
_log = logging.getLogger("carferry")


class Cluster(Lists, asking.Asks, Protocol):
    """The part of a connection to an API server that is used here."""


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
    serve: str = "render",
    auth: bool = False,
    builder: str = "",
    report: str = "",
    chart: str = "",
    connect: Callable[[], Cluster] | None = None,
    retry: Retry | None = None,
    rights: Callable[..., Rights] = check_rights,
) -> Sizing:
    """Decide what a deployment asks for; the reports are written whatever the answer.

    A refusal is also logged in full, since KFP keeps no artifact of a step that failed.
    What the run will need to be allowed is asked first: who may not deploy need not plan.

    Args:
        model: ``org/name`` or a folder.
        settings: GPUs to plan for; ``none`` as the GPU takes the wishes unchecked.
        wishes: What the user pinned.
        serve: ``deploy``, ``render`` or ``no``; with ``no``, no GPU is planned for.
        auth: The endpoint will ask for a token.
        builder: ``job`` where Buildah runs in a Job.
        report: File for the report as Markdown; empty for none.
        chart: File for the report as a page; empty for none.
        connect: Reaches the cluster where something is to be asked there.
        retry: How often what fails for the moment is tried again.
        rights: Finds out whether the account may do what the run will need.

    Raises:
        RightsMissing: The account may not; all of it is in log and report, as YAML.
        DoesNotFit: Nothing fits; names what is missing and the smallest change.
        InputError: As ``fit``.
    """
    try:
        held = rights(
            serve, namespace=settings.namespace, auth=auth, gpu=settings.gpu, builder=builder,
            connect=connect, retry=retry,
        )  # fmt: skip
    except RightsMissing as error:
        _unplanned(report, chart, str(error), f"\n```yaml\n{error.manifest}```\n")
        raise
    if serve == "no" or settings.gpu == UNCHECKED:
        reason = "not served" if serve == "no" else "no GPU was asked about"
        _unplanned(report, chart, reason, held.markdown)
        return replace(wishes, gpu_count=wishes.gpu_count or 1)
    plan = fit(model, _pinned(settings, wishes), connect=connect, retry=retry)
    _write(report, markdown(plan) + held.markdown)
    _write(chart, html(plan))
    return _sized(plan, wishes)


def _pinned(settings: FitSettings, wishes: Sizing) -> FitSettings:
    length = str(wishes.max_model_len or settings.max_model_len)
    count = str(wishes.gpu_count or "")
    return replace(settings, max_model_len=length, gpu_count=count, nodes="1")


def _sized(plan: GpuPlan, wishes: Sizing) -> Sizing:
    chosen, args = plan.chosen, plan.vllm_args
    if chosen is None or args is None:
        # KFP's launcher keeps no artifact of a step that fails: here only the log is read.
        _log.warning("%s", text(plan))
        raise DoesNotFit("fit", plan.model.subject, plan.binding, change(plan))
    tolerations = [rule.taint for rule in chosen.group.tolerations]
    # The deployment renders these two itself, from the count and the length it is given.
    more = replace(args, tensor_parallel_size=None, max_model_len=None).render()
    return Sizing(
        gpu_resource=plan.gpu_resource,
        gpu_count=plan.gpu_count,
        tolerations=wishes.tolerations or (json.dumps(tolerations) if tolerations else ""),
        max_model_len=args.max_model_len or 0,
        vllm_args=" ".join([*more, wishes.vllm_args]).strip(),
        verdict=plan.verdict.value,
    )


def _unplanned(report: str, chart: str, reason: str, more: str) -> None:
    text = f"Not checked: {reason}."
    _write(report, f"# Will it fit\n\n{text}\n{more}")
    _write(chart, f"<!doctype html><title>Will it fit</title><p>{escape(text)}</p>\n")


def _write(path: str, text: str) -> None:
    if path:
        Path(path).write_text(text)
