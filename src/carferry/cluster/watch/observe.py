"""One look at everything that belongs to what was applied.

An InferenceService's own Ready is not enough: it stays True while the old pod serves and the
new one cannot start, it never mentions the modelcar containers, and what its controller refuses
stands in its events alone. So all of it is read together.

Sources: kserve/kserve v0.20 (inference_service_status.go, pkg/utils/storage.go,
llmisvc/workload_single_node.go), Kubernetes pod lifecycle and Deployment status documentation.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from carferry.cluster.kinds import KINDS, REPLICA_SETS, Object, ResourceKind
from carferry.cluster.kserve import SERVER, made_of
from carferry.cluster.watch.allowed import if_allowed
from carferry.cluster.watch.logs import last_lines, log_tail
from carferry.cluster.watch.look import (
    condition,
    created,
    is_leaving,
    is_ready,
    marks,
    name_of,
    statuses,
)
from carferry.cluster.watch.nodes import Nodes
from carferry.errors import ClusterError

if TYPE_CHECKING:
    from carferry.cluster.api import Api

_KNATIVE = ("Serverless", "Knative")

Logs = Mapping[str, tuple[str, ...]]
"""Of ``pod/container``: the lines that its last run left."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What is watched, and what KServe makes of it.

    Attributes:
        kind: Of InferenceServices or LLMInferenceServices.
        deployment: Name of the Deployment that KServe makes.
        selector: Labels of its pods.
        server: Name of the container that serves.
    """

    kind: ResourceKind
    name: str
    namespace: str
    deployment: str
    selector: str
    server: str

    @classmethod
    def of(
        cls, name: str, namespace: str, kind: ResourceKind = KINDS["InferenceService"]
    ) -> Watched:
        """Return where KServe puts what it makes of an object of that kind."""
        made = made_of(kind, name)
        return cls(kind, name, namespace, made.deployment, made.selector, made.server)


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that was seen at one moment.

    Attributes:
        service: The InferenceService; for a Job the Job.
        deployment: Of the predictor; None with Knative, or before KServe made it.
        sets: The Deployment's ReplicaSets, with Knative those of all revisions; empty if they may
            not be read.
        pods: Of the predictor.
        events: About the service, the newest ReplicaSet and the pods that are not ready.
        is_told: Events may be read; else that there are none proves nothing.
        runtime: The ServingRuntime of this namespace that the service names, once it says that it
            is ready; None if there is none or it may not be read.
        nodes: None: not needed, or they may not be read.
        logs: Ends of the logs of containers that crashed or are not ready.
        server: Name of the container that serves.
        taken: When, in seconds since 1970.
    """

    service: Object
    deployment: Object | None = None
    sets: tuple[Object, ...] = ()
    pods: tuple[Object, ...] = ()
    events: tuple[Object, ...] = ()
    is_told: bool = True
    runtime: Object | None = None
    nodes: tuple[Object, ...] | None = None
    logs: Logs = field(default_factory=dict)
    server: str = SERVER
    taken: float = 0.0

    @property
    def is_knative(self) -> bool:
        """Whether Knative makes the Deployments, one for each revision."""
        return is_knative(self.service)

    @property
    def newest(self) -> Object | None:
        """The ReplicaSet of the newest revision; None if none is known."""
        return _newest(self.sets, self.deployment)

    @property
    def current(self) -> tuple[Object, ...]:
        """The pods of the newest revision that are not on their way out."""
        staying = [pod for pod in self.pods if not is_leaving(pod)]
        if self.newest is None:
            return tuple(staying)
        owner = self.newest["metadata"].get("uid")
        return tuple(pod for pod in staying if owner in _owners(pod))

    def log(self, pod: Object, container: str) -> tuple[str, ...]:
        """Return the end of a container's log; empty if it was not read."""
        return self.logs.get(f"{name_of(pod)}/{container}", ())


def observe(api: Api, watched: Watched, nodes: Nodes | None = None) -> Observation:
    """Read an InferenceService and all that KServe and Kubernetes made of it.

    Args:
        api: The connection.
        watched: What.
        nodes: What this wait keeps of the nodes from look to look.

    Raises:
        ClusterError: There is no such InferenceService, or reading is forbidden.
    """
    name, namespace = watched.name, watched.namespace
    service = api.get(watched.kind, namespace, name)
    if service is None:
        raise ClusterError("wait for", f"{namespace}/{name}", "it was deleted", "apply it again")
    pods = api.list(KINDS["Pod"], namespace, labelSelector=watched.selector)
    deployment = api.get(KINDS["Deployment"], namespace, watched.deployment)
    sets = _sets(api, watched, service, deployment)
    newest = _newest(sets, deployment)
    told = [service, *([newest] if newest else []), *(pod for pod in pods if not is_ready(pod))]
    events = events_about(api, namespace, told)
    return Observation(
        service,
        deployment,
        tuple(sets),
        tuple(pods),
        tuple(events or ()),
        events is not None,
        _runtime(api, service),
        (nodes or Nodes()).about(api, pods),
        read_logs(api, namespace, pods, watched.server),
        watched.server,
        time.time(),
    )


def events_about(api: Api, namespace: str, objects: Iterable[Object]) -> list[Object] | None:
    """Return the events of objects; None if this user may not read them."""

    def ask() -> list[Object]:
        selectors = (f"involvedObject.name={name_of(each)}" for each in objects)
        found = (api.list(KINDS["Event"], namespace, fieldSelector=each) for each in selectors)
        return [event for events in found for event in events]

    return if_allowed(ask)


def is_knative(service: Object) -> bool:
    """Return whether an InferenceService is served by Knative."""
    status = service.get("status") or {}
    asked = marks(service).get("serving.kserve.io/deploymentMode")
    return (status.get("deploymentMode") or asked) in _KNATIVE


def read_logs(api: Api, namespace: str, pods: Iterable[Object], server: str) -> Logs:
    """Read the ends of logs that tell why a container crashed, or what it does so long."""
    logs: dict[str, tuple[str, ...]] = {}
    for pod in (each for each in pods if not is_ready(each) and not is_leaving(each)):
        for each in statuses(pod):
            lines = _log(api, namespace, name_of(pod), each, server)
            if lines:
                logs[f"{name_of(pod)}/{each['name']}"] = tuple(lines)
    return logs


def crash(status: Object) -> Object:
    """Return how a container's last run ended, if it should not have; else nothing."""
    state, before = status.get("state") or {}, status.get("lastState") or {}
    ended: Object = state.get("terminated") or before.get("terminated") or {}
    # Whoever is started anew was to go on, however well it ended; an init container was not.
    again = status.get("restartCount") and not status.get("ready")
    return ended if ended.get("exitCode") or (ended and again) else {}


def _log(api: Api, namespace: str, pod: str, status: Object, server: str) -> list[str]:
    state = status.get("state") or {}
    if crash(status):
        return log_tail(api, namespace, pod, status["name"], state)
    if "running" in state and status["name"] == server:
        return last_lines(api, namespace, pod, server)
    return []


def _sets(api: Api, watched: Watched, service: Object, deployment: Object | None) -> list[Object]:
    if deployment is None and not is_knative(service):
        return []
    labels = (((deployment or {}).get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    asked = {"labelSelector": selector or watched.selector}
    found = if_allowed(lambda: api.list(REPLICA_SETS, watched.namespace, **asked)) or []
    if deployment is None:  # Knative names each revision's Deployment itself
        return found
    owner = deployment["metadata"].get("uid")
    return [each for each in found if owner in _owners(each)]


def _newest(sets: Iterable[Object], deployment: Object | None) -> Object | None:
    # A Deployment takes an old set up again; Knative begins a Deployment for each revision.
    return max(sets, key=created if deployment is None else _revision, default=None)


def _runtime(api: Api, service: Object) -> Object | None:
    """Return what is compared with the Deployment before ready is believed."""
    predictor = (service.get("spec") or {}).get("predictor") or {}
    name = str((predictor.get("model") or {}).get("runtime") or "")
    if not name or condition(service, "Ready") != "True":
        return None
    namespace = str(service["metadata"]["namespace"])
    kind = KINDS["ServingRuntime"]
    found = if_allowed(lambda: [each] if (each := api.get(kind, namespace, name)) else [])
    return found[0] if found else None


def _owners(obj: Object) -> list[str]:
    return [str(each.get("uid")) for each in obj["metadata"].get("ownerReferences") or []]


def _revision(replica_set: Object) -> int:
    marks = replica_set["metadata"].get("annotations") or {}
    text = str(marks.get("deployment.kubernetes.io/revision", ""))
    return int(text) if text.isdigit() else 0
