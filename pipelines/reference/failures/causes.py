"""The causes that a deployment's wait names, as a page."""

# ruff: noqa: E501 - prose and tables

from __future__ import annotations

from pathlib import Path

from carferry.cluster.watch.causes import CAUSES, Cause, Where
from carferry.cluster.watch.server import LOGGED
from carferry.cluster.watch.signal import State
from carferry.pipelines.reference.table import table
from carferry.serve.form import PARAMETERS

PAGE = Path("docs/reference/diagnosis.md")
_CPU, _MEMORY = ({each.name: each.default for each in PARAMETERS}[n] for n in ("cpu", "memory"))

_HEAD = """\
# Why a deployment does not come up

The causes that end the wait for a deployment, with what each means and what to do. Generated from the
rows of `carferry.cluster.watch` and the notes beside them by `python -m carferry.pipelines.reference`.

`carferry deploy` and the pipelines' last step read the InferenceService with its events, the Deployment,
its ReplicaSets, the pods with theirs, the ends of logs, and where a pod has no node the nodes (if the
login may list them). What is sure ends the wait with one line: which object, what is the matter in the
cluster's own words, what to do; the end of the log stands before it. With `--json` the error has the
`cause` by the name below, and the `evidence`; in Python they are attributes of `DeploymentFailed`.
[How so](../adr/0041-when-a-failure-is-sure.md).

- A status is told once, and again after half a minute of silence: `still waiting because ...; for 45 s`.
- What mends by itself, or waits for somebody else, does not fail: a limit of pulls, a pod in a queue
  (Kueue's scheduling gate), a node that an autoscaler brings. The time of the last two is not counted
  if the deadline follows from the image's size; with `--wait-s` it is.
- One or two crashes that no row below knows are borne with: the server may start before KServe has
  linked the model. The third ends the wait (`crash`), with the log's last error.
- Without a right to list events nobody knows of an autoscaler at work: a pod that no node can take is then
  waited for 300 seconds.
- After a change, ready counts once the Deployment is the one that was asked for (arguments, environment,
  resources, images, tolerations) and has been changed; else ten seconds after the change, half a minute where it
  has more than was asked for.
- What the next try may mend (a GPU or a port that is still in use, a model that is not linked yet) ends the wait
  at its third end.
- What the GPU plan had said is told beside causes of memory and GPUs.
- `--rollback` (setting `rollback`) applies again what served before: whole, if it is what was there;
  else the last image that served, which is kept as annotation `carferry/last-good` of the ServingRuntime.
  The failure remains, exit 1.

*Seconds* is how long a sign must last; looks are three seconds apart. A Buildah Job is watched by the
same signs.
"""
_PODS = (
    ("taint", "a node has room, and a taint that is not tolerated; both are named", "--tolerations, written out", "60"),
    ("gpus-too-few", "no node has that many GPUs; counts by node", "--gpu-count", "60"),
    ("no-gpu", "no node offers the resource (`Insufficient nvidia.com/gpu`); what they offer", "--gpu-resource", "60"),
    ("no-node-selected", "no node has the labels", "--node-selector", "60"),
    ("cpu-too-much, memory-too-much", f"no node is that large (`Insufficient cpu`, `Insufficient memory`); the default asks for {_CPU} CPUs and {_MEMORY}", "--cpu, --memory", "60"),
    ("gpus-in-use, nodes-full", "large enough nodes are in use", "stop what holds them", "300"),
    ("no-node", "the nodes may not be read: the scheduler's words", "", "300"),
    ("node-unready", "the node is gone or cordoned", "bring it back", "30 to 60"),
    ("no-scale-up", "the autoscaler says that it brings no node (NotTriggerScaleUp)", "as for the nodes", "10; 300 if they are only in use"),
    ("scaling-up", "an autoscaler brings a node (TriggeredScaleUp; Karpenter: Nominated)", "", "waits"),
    ("queued", "the pod waits for its turn (SchedulingGated)", "", "waits"),
)  # fmt: skip
_ENDS = (
    ("pull-secret-missing", "the registry asks for a login, and the pull secret is not there", "make it, or --pull-secret", "10"),
    ("models-empty", "modelcar-init finds nothing in /models", "build it with carferry", "10"),
    ("out-of-memory", "a container was killed for memory (OOMKilled); its limit", "--memory", "5"),
    ("evicted", "the node put the pod out", "more disk or memory", "10"),
    ("probe", "restarted twice since it does not answer its probe", "see its log", "10"),
    ("start", "it cannot be started, in words that no row knows", "", "20"),
    ("crash", "the third end that no row knows", "see its log", "5"),
    ("stopped", "the InferenceService is stopped", "its annotation", "10"),
)  # fmt: skip
_TITLES = {
    Where.PULL: "Images",
    Where.CREATE: "Containers that do not start",
    Where.LOG: "The server, by its log",
    Where.REFUSED: "Pods that may not be made",
    Where.UNPLACED: "Pods on no node",
    Where.VOLUME: "Volumes and networks",
    Where.SERVICE: "KServe",
}


def page() -> str:
    """Return the page of causes."""
    more = {Where.UNPLACED: _PODS, Where.CREATE: _ENDS}
    parts = [_HEAD]
    for where, title in _TITLES.items():
        known = [_row(row) for row in (*CAUSES, *LOGGED) if row.where is where]
        rows = [(f"`{n.replace(', ', '`, `')}`", m, s, t) for n, m, s, t in more.get(where, ())]
        parts.append(f"\n## {title}\n\n" + table(_COLUMNS, [*known, *rows]))
    return "".join(parts)


_COLUMNS = ("Cause", "It means", "What to do", "Seconds")


def _row(row: Cause) -> tuple[str, str, str, str]:
    waits = "third end" if row.where is Where.LOG else "waits"
    seconds = waits if row.state is State.WAITING else f"{row.grace_s:.0f}"
    remedy = row.remedy.replace("{name}{full}", "NAME").replace("{option}", "the reference")
    for group in ("kind", "name", "length", "argument", "dtype"):
        remedy = remedy.replace(f"{{{group}}}", group.upper())
    return f"`{row.name}`", row.means, remedy, seconds
