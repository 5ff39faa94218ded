"""One look at everything that belongs to what was applied.

An InferenceService's own Ready is not enough: it stays True while the old pod serves and the
new one cannot start, it never mentions the modelcar containers, and what its controller refuses
stands in its events alone. So all of it is read together.

Sources: kserve/kserve v0.20 (inference_service_status.go, pkg/utils/storage.go,
llmisvc/workload_single_node.go), Kubernetes pod lifecycle and Deployment status documentation.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from carferry.cluster.kinds import KINDS, REPLICA_SETS, Object, ResourceKind
from carferry.cluster.kserve import SERVER, made_of
from carferry.cluster.watch.logs import last_lines, log_tail
from carferry.cluster.watch.look import condition, is_leaving, is_over, is_ready, name_of, statuses
from carferry.errors import ClusterError

if TYPE_CHECKING:
    from carferry.cluster.api import Api

logger = logging.getLogger("carferry")

_NODES = "/api/v1/nodes"
_NODES_PAGE = 500
_CLOSED = (401, 403, 404)

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
        sets: The Deployment's ReplicaSets; empty if they may not be read.
        pods: Of the predictor.
        events: About all of these.
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
    nodes: tuple[Object, ...] | None = None
    logs: Logs = field(default_factory=dict)
    server: str = SERVER
    taken: float = 0.0

    @property
    def current(self) -> tuple[Object, ...]:
        """The pods of the newest revision that are not on their way out."""
        newest = max(self.sets, key=_revision, default=None)
        staying = [pod for pod in self.pods if not is_leaving(pod)]
        if newest is None:
            return tuple(staying)
        owner = newest["metadata"].get("uid")
        return tuple(pod for pod in staying if owner in _owners(pod))

    def log(self, pod: Object, container: str) -> tuple[str, ...]:
        """Return the end of a container's log; empty if it was not read."""
        return self.logs.get(f"{name_of(pod)}/{container}", ())


def observe(api: Api, watched: Watched) -> Observation:
    """Read an InferenceService and all that KServe and Kubernetes made of it.

    Raises:
        ClusterError: There is no such InferenceService, or reading is forbidden.
    """
    name, namespace = watched.name, watched.namespace
    service = api.get(watched.kind, namespace, name)
    if service is None:
        raise ClusterError("wait for", f"{namespace}/{name}", "it was deleted", "apply it again")
    pods = api.list(KINDS["Pod"], namespace, labelSelector=watched.selector)
    deployment = api.get(KINDS["Deployment"], namespace, watched.deployment)
    sets = _sets(api, namespace, deployment)
    told = [service, *sets, *(pod for pod in pods if not is_ready(pod))]
    return Observation(
        service,
        deployment,
        tuple(sets),
        tuple(pods),
        tuple(event for each in told for event in events_about(api, namespace, each)),
        nodes_for(api, pods),
        read_logs(api, namespace, pods, watched.server),
        watched.server,
        time.time(),
    )


def events_about(api: Api, namespace: str, obj: Object) -> list[Object]:
    """Return the events of an object; none if this user may not read them."""
    selector = f"involvedObject.name={name_of(obj)}"
    return _optional(lambda: api.list(KINDS["Event"], namespace, fieldSelector=selector))


def nodes_for(api: Api, pods: Iterable[Object]) -> tuple[Object, ...] | None:
    """Return the cluster's nodes if a pod has none, or hangs on its own; None if closed."""
    if not any(map(_asks_for_nodes, pods)):
        return None
    return tuple(_optional(lambda: list(_pages(api)))) or None


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


def _sets(api: Api, namespace: str, deployment: Object | None) -> list[Object]:
    if deployment is None:
        return []
    labels = ((deployment.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    found = _optional(lambda: api.list(REPLICA_SETS, namespace, labelSelector=selector))
    owner = deployment["metadata"].get("uid")
    return [each for each in found if owner in _owners(each)]


def _owners(obj: Object) -> list[str]:
    return [str(each.get("uid")) for each in obj["metadata"].get("ownerReferences") or []]


def _revision(replica_set: Object) -> int:
    marks = replica_set["metadata"].get("annotations") or {}
    text = str(marks.get("deployment.kubernetes.io/revision", ""))
    return int(text) if text.isdigit() else 0


def _asks_for_nodes(pod: Object) -> bool:
    if is_leaving(pod) or is_over(pod):
        return False
    is_placed = bool((pod.get("spec") or {}).get("nodeName"))
    return condition(pod, "PodScheduled") == "False" or (is_placed and not statuses(pod))


def _pages(api: Api) -> Iterator[Object]:
    token = ""
    while True:
        page = api.read(f"{_NODES}?limit={_NODES_PAGE}" + (f"&continue={token}" if token else ""))
        yield from page.get("items", [])
        token = str(page.get("metadata", {}).get("continue", ""))
        if not token:
            return


def _optional(ask: Callable[[], list[Object]]) -> list[Object]:
    """Return what was asked for; nothing if this user may not see it.

    A pipeline's ServiceAccount may not read everything unless granted; the pods still say that
    something is wrong, events and nodes only add why.
    """
    try:
        return ask()
    except ClusterError as error:
        if error.status not in _CLOSED:
            raise
        logger.debug("%s", error)
        return []
