"""The documents that no single result class gives, as TypedDicts.

The tests compare them with what the commands print, key by key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from carferry.endpoint.load import Level
from carferry.endpoint.tested import Expected
from carferry.lint.rules import Finding
from carferry.lint.sizes import Sizes
from carferry.steps.compared import Compared
from carferry.steps.looked import Look
from carferry.steps.results import Planned


class TolerationObject(TypedDict, total=False):
    """One toleration, as a pod has it; what is empty is left out.

    Attributes:
        key: Of the taint.
        operator: Equal or Exists.
        value: Of the taint.
        effect: Of the taint.
        tolerationSeconds: How long it is tolerated.
    """

    key: str
    operator: Literal["Equal", "Exists"]
    value: str
    effect: str
    tolerationSeconds: int


class FitDocument(TypedDict):
    """Whether a model fits, and how.

    Attributes:
        verdict: Of the best choice.
        headline: The answer in one line.
        reasons: What binds, a line each.
        binding: The first of them.
        shortfall_gib: What is missing, GiB; 0 if it fits.
        change: The smallest change that helps, or what to do next.
        gpu: The chosen GPU; empty if nothing fits.
        resources: What a pod asks for: its extended resource and how many.
        nodes: Of one replica; 0 if nothing fits.
        tolerations: Of the nodes' taints.
        profile: The hardware profile; empty: none.
        max_model_len: The longest sequence, tokens; 0 if nothing fits.
        kv_tokens: What the KV cache holds, tokens; 0 if unknown.
        arguments: For vLLM.
        notes: What a reader should know, a line each.
        warning: What the plan does not know of the model or the GPU; empty if it knows them.
    """

    verdict: str
    headline: str
    reasons: list[str]
    binding: str
    shortfall_gib: float
    change: str
    gpu: str
    resources: Mapping[str, str]
    nodes: int
    tolerations: list[TolerationObject]
    profile: str
    max_model_len: int
    kv_tokens: int
    arguments: list[str]
    notes: list[str]
    warning: str


class BothDocument(TypedDict):
    """With IMAGE, and --gpu or --cluster.

    Attributes:
        fit: Whether it fits.
        move: What a build would move.
    """

    fit: FitDocument
    move: Planned


class FitAloneDocument(TypedDict):
    """With --gpu or --cluster.

    Attributes:
        fit: Whether it fits.
        move: Always null.
    """

    fit: FitDocument
    move: None


class MoveDocument(TypedDict):
    """With IMAGE.

    Attributes:
        fit: Always null.
        move: What a build would move.
    """

    fit: None
    move: Planned


class LookDocument(TypedDict):
    """With MODEL alone.

    Attributes:
        look: What the model is, and which common GPUs it fits on.
        fit: Always null.
        move: Always null.
    """

    look: Look
    fit: None
    move: None


class ComparedDocument(TypedDict):
    """With --log.

    Attributes:
        compared: A start of vLLM beside its prediction.
        fit: Always null.
        move: Always null.
    """

    compared: Compared
    fit: None
    move: None


class TestDocument(TypedDict):
    """A model that answered.

    Attributes:
        name: What was tested: namespace/name, or an address.
        url: Where it answered.
        through: What stood between; empty for nothing.
        model: That answered.
        models: All that are served there.
        max_model_len: Of that model, tokens; 0 if the server does not say.
        task: What it was asked to do.
        said: What it answered, in a few words.
        seconds: To the answer.
        levels: Of the load; empty without --load.
        kv_tokens: That vLLM's KV cache holds; 0 if it does not say.
        expected: What the deployment and its plan say.
        failures: Requests of the load that failed.
        notes: What a reader should know, a line each.
    """

    name: str
    url: str
    through: str
    model: str
    models: list[str]
    max_model_len: int
    task: str
    said: str
    seconds: float
    levels: list[Level]
    kv_tokens: int
    expected: Expected
    failures: int
    notes: list[str]


class LintTarget(TypedDict):
    """One release's answer.

    Attributes:
        target: The release.
        sizes: What a run weighs there.
        findings: The rules broken, errors first.
    """

    target: str
    sizes: Sizes
    findings: list[Finding]


class LintReport(TypedDict):
    """One file's answers.

    Attributes:
        file: As it was given.
        clean: Whether no rule is broken; warnings may be.
        targets: One answer for each release.
    """

    file: str
    clean: bool
    targets: list[LintTarget]


class Schedule(TypedDict):
    """A recurring run of a pipeline server.

    Attributes:
        id: The server's id of it.
        name: Its name.
        on: Whether it starts runs.
        cron: When: six fields, seconds first; empty with an interval.
        every_s: Seconds between two starts; 0 with cron.
        model: Its parameter model; empty: none.
        image: Its parameter image.
    """

    id: str
    name: str
    on: bool
    cron: str
    every_s: int
    model: str
    image: str


class LocalRun(TypedDict):
    """What the steps of a local run returned.

    Attributes:
        folder: Of the run.
        steps: The outputs of each step by name, open here since each component has its own
            (docs/reference/components.md); the secret of the plan step is ***.
    """

    folder: str
    steps: Mapping[str, Mapping[str, Any]]
