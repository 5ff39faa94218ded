"""Step: from wishes and a GPU plan to what a deployment asks for, with the reports that say why."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any, Protocol

from carferry.cluster.tolerations import Toleration
from carferry.errors import RightsMissing
from carferry.io.net.retry import Retry
from carferry.serve.arguments import without
from carferry.serve.platforms import AUTO
from carferry.source.pieces import Pieces
from carferry.steps import rights as asking
from carferry.steps.fit import Lists, fit
from carferry.steps.fit_settings import FitKeywords
from carferry.steps.fitted import Fit
from carferry.steps.rights import NO, UNCHECKED, Rights, check_rights

_log = logging.getLogger("carferry")


class SizingApi(Lists, asking.RightsApi, Protocol):
    """The part of a connection to an API server that is used here."""


@dataclass(frozen=True, slots=True)
class Sizing:
    """What a deployment asks for.

    Attributes:
        gpu_resource: As in ``nvidia.com/gpu``.
        gpu_count: GPUs per pod; as a wish 0 leaves it to the plan.
        nodes: Pods of a replica.
        tolerations: Of the pods; None leaves them to the plan, or to the GPU's own taint.
        max_model_len: Tokens; as a wish 0 leaves it to the plan.
        vllm_args: More vLLM arguments; those of a wish come last and win.
        gpu_plan: The plan in one line, told again if the model does not come up.
    """

    gpu_resource: str = "nvidia.com/gpu"
    gpu_count: int = 0
    nodes: int = 1
    tolerations: tuple[Toleration, ...] | None = None
    max_model_len: int = 0
    vllm_args: tuple[str, ...] = ()
    gpu_plan: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values, for a step that deploys with them."""
        made = {
            "gpu_resource": self.gpu_resource,
            "gpu_count": self.gpu_count,
            "max_model_len": self.max_model_len,
            "vllm_args": list(self.vllm_args),
        }
        if self.nodes > 1:
            made["nodes"] = self.nodes
        if self.gpu_plan:
            made["gpu_plan"] = self.gpu_plan
        if self.tolerations is None:
            return made
        return made | {"tolerations": [each.object for each in self.tolerations]}


def size(
    model: str,
    settings: FitKeywords,
    wishes: Sizing,
    *,
    serve: str = "render",
    auth: bool = False,
    llm: bool = False,
    platform: str = AUTO,
    warms: bool = False,
    builder: str = "",
    report: str = "",
    chart: str = "",
    connect: Callable[[], SizingApi] | None = None,
    retry: Retry | None = None,
    rights: Callable[..., Rights] = check_rights,
    opened: Pieces | None = None,
) -> Sizing:
    """Decide what a deployment asks for; the reports are written whatever the answer.

    A refusal is also logged in full, since KFP keeps no artifact of a step that failed.
    What the run will need to be allowed is asked first: who may not deploy need not plan.

    Args:
        model: ``org/name`` or a folder.
        settings: GPUs to plan for; ``none`` as ``gpus`` takes the wishes unchecked.
        wishes: What the user pinned.
        serve: ``deploy``, ``render`` or ``no``; with ``no``, no GPU is planned for.
        auth: The endpoint will ask for a token.
        llm: It will be an LLMInferenceService.
        platform: As for a deployment.
        warms: Its image will be pulled on the nodes first.
        builder: ``job`` if Buildah runs in a Job.
        report: File for the report as Markdown; empty for none.
        chart: File for the report as a page; empty for none.
        connect: Reaches the cluster, if something is to be asked there.
        retry: How often what fails for the moment is tried again.
        rights: Finds out whether the account may do what the run will need.
        opened: The model, if it was opened before.

    Raises:
        RightsMissing: The account may not; all of it is in log and report, as YAML.
        DoesNotFit: Nothing fits; names what is missing and the smallest change.
        InputError: As ``fit``.
    """
    gpus = settings.get("gpus", "")
    try:
        held = rights(
            serve, namespace=settings.get("namespace", ""), auth=auth, llm=llm, platform=platform,
            warms=warms, gpus=gpus, builder=builder, connect=connect, retry=retry,
        )  # fmt: skip
    except RightsMissing as error:
        unplanned(report, chart, str(error), f"\n```yaml\n{error.manifest}```\n")
        raise
    if serve == NO or gpus == UNCHECKED:
        reason = "not served" if serve == NO else "no GPU was asked about"
        unplanned(report, chart, reason, held.markdown)
        return replace(wishes, gpu_count=wishes.gpu_count or 1)
    wanted = _pinned(settings, wishes)
    found = fit(model, connect=connect, retry=retry, opened=opened, **wanted)
    _write(report, found.markdown + held.markdown)
    _write(chart, found.html)
    return _sized(found, wishes)


def _pinned(settings: FitKeywords, wishes: Sizing) -> FitKeywords:
    length = wishes.max_model_len or settings.get("max_model_len", 0)
    count, nodes = wishes.gpu_count, wishes.nodes
    return {**settings, "max_model_len": length, "gpu_count": count, "nodes": nodes}


def _sized(found: Fit, wishes: Sizing) -> Sizing:
    if not found.ok:
        # KFP's launcher keeps no artifact of a step that fails: here only the log is read.
        _log.warning("%s", found.text)
    elif found.warning:
        _log.warning("%s", found.warning)
    planned = found.deployment
    return Sizing(
        gpu_resource=found.plan.gpu_resource,
        gpu_count=found.plan.gpu_count,
        nodes=planned["nodes"],
        tolerations=wishes.tolerations
        if wishes.tolerations is not None
        else planned["tolerations"],
        max_model_len=planned["max_model_len"],
        vllm_args=(*without(planned["vllm_args"], wishes.vllm_args), *wishes.vllm_args),
        gpu_plan=planned["gpu_plan"],
    )


def unplanned(report: str, chart: str, reason: str, more: str = "") -> None:
    """Write reports that say why there is no plan.

    Args:
        report: File for Markdown; empty for none.
        chart: File for a page; empty for none.
        reason: Why.
        more: Markdown that follows.
    """
    text = f"Not checked: {reason}."
    _write(report, f"# Will it fit\n\n{text}\n{more}")
    _write(chart, f"<!doctype html><title>Will it fit</title><p>{escape(text)}</p>\n")


def _write(path: str, text: str) -> None:
    if path:
        Path(path).write_text(text)
