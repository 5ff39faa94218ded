"""Fields that a release refuses, or drops without a word."""

from __future__ import annotations

from collections.abc import Iterator

from carferry.lint.document import CompiledPipeline
from carferry.lint.fields import PIPELINE
from carferry.lint.rules import Finding, error, warning
from carferry.lint.shape import Unknown, unknown
from carferry.lint.targets import Backend
from carferry.lint.templates import Json

_LEAVE = "leave it out, or name only later targets"


def check_fields(document: CompiledPipeline, target: Backend) -> Iterator[Finding]:
    """Yield every field that a target does not know, by what becomes of it."""
    pipeline = {k: v for k, v in document.pipeline.items() if k != "deploymentSpec"}
    for found in unknown(pipeline, "PipelineSpec", target, ""):
        yield error("field-refused", found.path, f"{_named(found)}: the upload fails", _LEAVE)
    deployment = document.pipeline.get("deploymentSpec", {})
    for found in unknown(deployment, "Deployment", target, "deploymentSpec"):
        yield error("field-dropped", found.path, f"{_named(found)} and is dropped", _LEAVE)
    for found in unknown(document.platforms, "PlatformSpec", target, ""):
        yield from _platform(found, target)


def _platform(found: Unknown, target: Backend) -> Iterator[Finding]:
    outside = ("PlatformSpec", "Platform", "PlatformDeployment", "PipelineConfig", "Workspace")
    if found.message in (*outside, "WorkspaceClaim"):
        why = f"{_named(found)}: the whole platform document is dropped"
        yield error("platform-dropped", found.path, why, _LEAVE)
    elif target.refuses_executor_fields:
        yield error("field-refused", found.path, f"{_named(found)}: every run fails", _LEAVE)
    elif found.value:  # false, zero and empty are what dropping leaves as well
        yield error("field-dropped", found.path, f"{_named(found)} and is dropped", _LEAVE)


def _named(found: Unknown) -> str:
    part = "its pipeline specification" if found.message in PIPELINE else "its platform part"
    return f"{found.field} is not in {part}"


def check_compiler(document: CompiledPipeline, target: Backend) -> Iterator[Finding]:
    """Yield what a target's compiler refuses, or does otherwise than the document says."""
    for label, executor in document.executors.items():
        for kind in ("resolver", "customJob"):
            if kind in executor:
                why = f"a {kind} runs on Google Cloud only"
                yield error("compile-refused", label, why, "use a container")
    for owner, name, task in document.tasks():
        where = f"{owner}.{name}"
        if "artifactIterator" in task:
            why = "a loop over artifacts is not implemented"
            yield error("compile-refused", where, why, "loop over a list of parameters")
        conditional = task.get("triggerPolicy", {}).get("condition")
        if conditional and "importer" in document.executor(task["componentRef"]["name"]):
            why = "an importer cannot be conditional"
            yield error("compile-refused", where, why, "import outside the condition")
        if not target.knows_final_status and takes_status(task):
            why = "the final status of a task is not supported before 2.14"
            yield error("compile-refused", where, why, "leave PipelineTaskFinalStatus out")
    yield from _workspace(document, target)
    yield from _outputs(document, target)


def takes_status(task: Json) -> bool:
    """Return whether a task takes PipelineTaskFinalStatus, as exit tasks do."""
    given = task.get("inputs", {}).get("parameters", {}).values()
    return any("taskFinalStatus" in source for source in given)


def _workspace(document: CompiledPipeline, target: Backend) -> Iterator[Finding]:
    wanted = "workspace" in document.platform.get("pipelineConfig", {})
    if wanted and target.knows("workspace") and not target.mounts_workspace:
        why = "the workspace is parsed and never mounted"
        remedy = "mount a volume made with CreatePVC instead"
        yield error("workspace-unmounted", "pipelineConfig.workspace", why, remedy)


def _outputs(document: CompiledPipeline, target: Backend) -> Iterator[Finding]:
    if target.joins_artifacts:
        return
    for name, component in document.components.items():
        outputs = component.get("dag", {}).get("outputs", {}).get("artifacts", {})
        for key, output in outputs.items():
            if len(output.get("artifactSelectors", ())) > 1:
                why = "one of several artifacts: fixed in 2.17 only"
                remedy = "hand over a parameter, as the artifact's address"
                yield warning("artifact-oneof", f"{name}.{key}", why, remedy)
