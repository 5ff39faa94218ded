"""Why a run failed: one line that names the step, what it said, and what to do.

The v2beta1 API leaves its error fields empty for every failure of a step. The reason stands in
Argo's Workflow, whose node messages hold what the container wrote to /dev/termination-log, what
the kubelet, the scheduler or a quota said; and in the step's log.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from carferry.cluster.kinds import ResourceKind
from carferry.errors import CarferryError, ClusterError
from carferry.pipelines.runs import logs, progress
from carferry.pipelines.runs.logs import Ways
from carferry.pipelines.runs.outline import Path, Step
from carferry.pipelines.runs.workflow import Node, Workflow, step_of, task_path
from carferry.pipelines.server.answers import mapping
from carferry.pipelines.server.requests import json_object

ACTION = "run pipeline"
AGAIN = "submit it again: what is pushed already is not pushed twice"
WORKFLOWS = ResourceKind("argoproj.io", "v1alpha1", "workflows")
_TOO_LARGE = "workflow is longer than maximum allowed size"
# From 3.7 on Argo names the container first.
_EXIT = re.compile(
    r"(?:[\w.-]+: )?(?P<reason>\w+) \(exit code (?P<code>\d+)\)(?:: (?P<said>.*))?", re.DOTALL
)
_HEARSAY = ("child '", "No more retries left", "Max duration limit exceeded", "Stopped with")
_LOST = re.compile(r"low on resource|evicted|preempt|pod deleted|node (?:lost|shutdown)", re.I)
_LONGEST = 800


def workflow(ways: Ways, run_id: str, *, patient: bool = False) -> Workflow:
    """Return Argo's object of a run, from the pipelines API or the cluster; empty if neither.

    Args:
        ways: Sources to try; failed tries are noted there.
        run_id: The server's id of the run.
        patient: Whether the caller will ask again, so that a temporary failure is raised.

    Raises:
        CarferryError: A temporary failure, for a patient caller.
    """
    for read in (_kept, _live):
        try:
            found = Workflow.of(read(ways, run_id))
        except CarferryError as error:
            if patient and error.temporary:
                raise
            ways.tried.append(str(error))
            continue
        if found.name:
            return found
    return Workflow()


def failure(ways: Ways, run: Any, seen: Workflow, steps: Sequence[Step]) -> ClusterError:
    """Return the error for a run that failed, with a note on where to read more."""
    run_id = str(run.run_id)
    if _TOO_LARGE in seen.message:
        return _too_large(run_id, seen.message)
    blamed = _blamed(seen)
    if blamed is None:
        return _unexplained(ways, run, seen, steps)
    said, remedy = _said(ways, run_id, blamed)
    error = ClusterError(ACTION, run_id, f"{_who(blamed, steps)} failed: {said}", remedy)
    if blamed.pod:
        error.add_note(
            f"its log: oc logs --namespace {ways.server.endpoint.namespace}"
            f" --container main {blamed.pod}"
        )
    return error


def cancelled(run: Any, seen: Workflow) -> bool:
    """Return whether a run was stopped by a user; the server reports it as FAILED."""
    states = [str(status.state) for status in run.state_history or []]
    return seen.cancelled or str(run.state) == "CANCELED" or "CANCELING" in states


def _kept(ways: Ways, run_id: str) -> Mapping[str, Any]:
    """Return the Workflow that the API server keeps; it outlives the one in the cluster."""
    found = ways.server.read("/apis/v1beta1/runs/{run}", run=run_id)
    text = mapping(found.get("pipeline_runtime")).get("workflow_manifest")
    return json_object(str(text or ""))


def _live(ways: Ways, run_id: str) -> Mapping[str, Any]:
    if ways.kube is None:
        return {}
    selector = f"pipeline/runid={run_id}"
    namespace = ways.server.endpoint.namespace
    found = ways.kube.list(WORKFLOWS, namespace, labelSelector=selector)
    return found[0] if found else {}


def _blamed(seen: Workflow) -> Node | None:
    """Return the node that failed first; of a step that was tried again, its last try."""
    bad = [node for node in seen.nodes if node.is_bad]
    well = {node.path for node in seen.nodes if node.path and node.phase == "Succeeded"}
    final = [node for node in bad if not well & set(_above(node.path))] or bad
    pods = [node for node in final if node.pod]
    rest = [node for node in final if _is_own(node.message)]
    last = {_without_try(node.path): node for node in sorted(pods or rest, key=_ended)}
    return min(
        last.values(), key=lambda node: (not _is_own(node.message), node.ended), default=None
    )


def _who(node: Node, steps: Sequence[Step]) -> str:
    """Return what a person calls the part of a pipeline that a node belongs to."""
    step = step_of(node, steps)
    return step.name if step else next(reversed(_tasks(node)), "the pipeline")


def _tasks(node: Node) -> list[str]:
    return [name for name in task_path(node) if not name.startswith("executor")]


def _ended(node: Node) -> str:
    return node.ended


def _above(path: Path) -> Iterator[Path]:
    return (path[:n] for n in range(1, len(path)))


def _without_try(path: Path) -> Path:
    return (*path[:-1], path[-1].partition("(")[0]) if path else path


def _is_own(message: str) -> bool:
    return bool(message) and not message.startswith(_HEARSAY)


def _said(ways: Ways, run_id: str, node: Node) -> tuple[str, str]:
    """Return a node's reason and a remedy, empty if the reason holds one."""
    prefix = "the pipeline server's driver: " if node.is_driver else ""
    match = _EXIT.fullmatch(node.message)
    if match is None and _is_own(node.message):
        return prefix + _short(node.message), AGAIN if _LOST.search(node.message) else ""
    if match and match["reason"] == "OOMKilled":
        return f"{prefix}killed, over its memory limit ({node.message})", "raise that limit"
    if match and match["said"]:
        return prefix + _short(logs.telling(match["said"]) or match["said"]), ""
    task = next(reversed(_tasks(node)), "")
    if found := logs.explanation(ways, run_id, task, node.pod):
        return prefix + _short(found), ""
    unread = "; ".join([_killed(match, node.message), *ways.tried])
    return prefix + unread, "" if ways.kube else "give --kubeconfig, to look in the cluster too"


def _killed(match: re.Match[str] | None, message: str) -> str:
    if match and match["code"] in ("137", "143"):
        return f"killed from outside ({message})"
    return message or "no reason given"


def _too_large(run_id: str, message: str) -> ClusterError:
    reason = f"the run's object outgrew what Argo stores: {message}"
    return ClusterError(ACTION, run_id, reason, "lower pack_workers")


def _unexplained(ways: Ways, run: Any, seen: Workflow, steps: Sequence[Step]) -> ClusterError:
    """Return the error if no node gives a reason: the API's message, and what was tried."""
    nodes = seen.nodes or progress.listed(steps, run)
    name = progress.failed(steps, nodes)
    what = f"{name} failed" if name else "failed"
    own = [_short(text) for text in (*_api_errors(run), seen.message) if _is_own(text)]
    if not nodes:
        own.append("its steps cannot be listed: the server shows none")
    why = "; ".join([*own, *ways.tried]) or "the server gives no reason"
    return ClusterError(ACTION, str(run.run_id), f"{what}: {why}", "look at the run's page")


def _api_errors(run: Any) -> Iterator[str]:
    details = run.run_details.task_details if run.run_details else None
    for each in (run, *(details or [])):
        if each.error and each.error.message:
            yield str(each.error.message)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
