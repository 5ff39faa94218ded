"""Pull an image on many nodes: a pod on each, some at once, followed and always removed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from carferry.cluster.kinds import KINDS, Object, Permission
from carferry.errors import CarferryError, ClusterError
from carferry.io.show.amounts import human_bytes, human_seconds
from carferry.warming.pods import LABEL, Sight, pod, sight

if TYPE_CHECKING:
    from carferry.cluster.api import Api

_log = logging.getLogger("carferry")
AT_ONCE = 8
"""Nodes that pull at once: a registry has one line out, and each kubelet pulls by itself."""
_POLL_S = 1.0
_FAILING_S = 60.0
_PODS, _EVENTS = KINDS["Pod"], KINDS["Event"]


@dataclass(frozen=True, slots=True)
class Pulled:
    """What became of an image on one node.

    Attributes:
        node: Its name.
        state: ``pulled``, ``there`` (it was) or ``failed``.
        seconds: The pull took, by the kubelet's word or ours; 0 if it was there.
        size_bytes: Of the image; 0 if the kubelet does not say.
        reason: The kubelet's words, if it failed.
    """

    node: str
    state: str
    seconds: float = 0.0
    size_bytes: int = 0
    reason: str = ""

    def __str__(self) -> str:
        """Return the node and what happened there."""
        if self.state == "there":
            return f"{self.node}: already there"
        if self.state == "failed":
            return f"{self.node}: failed: {self.reason}"
        size = f" ({human_bytes(self.size_bytes)})" if self.size_bytes else ""
        took = human_seconds(self.seconds) if self.seconds >= 10 else f"{self.seconds:.1f} s"
        return f"{self.node}: pulled in {took}{size}"


@dataclass(slots=True)
class _Under:
    """A pull under way."""

    object: Object
    began: float
    failing_since: float | None = None
    said: str = ""
    is_second: bool = False

    @property
    def node(self) -> str:
        return str(self.object["spec"]["nodeName"])

    @property
    def name(self) -> str:
        return str(self.object["metadata"]["name"])


@dataclass(frozen=True, slots=True)
class Warming:
    """How an image is pulled.

    Attributes:
        namespace: Of the pods.
        pull_secret: To pull with; empty for none.
        deadline_s: Seconds for each node.
        at_once: Nodes that pull at once.
        report: Called with each new line.
        clock: Monotonic seconds.
        sleep: Lets seconds pass.
    """

    namespace: str
    pull_secret: str = ""
    deadline_s: float = 2700.0
    at_once: int = AT_ONCE
    report: Callable[[str], None] = _log.info
    clock: Callable[[], float] = field(default=time.monotonic)
    sleep: Callable[[float], None] = field(default=time.sleep)


def pull(api: Api, image: str, nodes: Sequence[str], how: Warming) -> tuple[Pulled, ...]:
    """Pull an image on every node and return what became of it there, in the nodes' order.

    Args:
        api: The connection.
        image: By digest.
        nodes: Names.
        how: Namespace, limits and who is told.

    Raises:
        ClusterError: The API refused; the pods that were made are gone.
        Unreachable: The API server does not answer; they may be left.
    """
    done: dict[str, Pulled] = {}
    waiting, under = list(nodes), list[_Under]()
    try:
        while waiting or under:
            while waiting and len(under) < how.at_once:
                under.append(_begin(api, image, waiting.pop(0), how))
            for each, ended in _looked(api, under, how):
                under.remove(each)
                done[each.node] = ended
                how.report(str(ended))
                _remove(api, how.namespace, each.name)
            if under:
                how.sleep(_POLL_S)
    finally:
        for each in under:
            _remove(api, how.namespace, each.name)
    return tuple(done[node] for node in nodes)


def _begin(api: Api, image: str, node: str, how: Warming) -> _Under:
    """Create a node's pod; one that still runs is another run's, one that has ended is replaced."""
    made = pod(image, node, how.namespace, how.pull_secret)
    _create(api, made, how)
    return _Under(made, how.clock())


def _create(api: Api, made: Object, how: Warming) -> None:
    name = made["metadata"]["name"]
    create = Permission("create", _PODS, how.namespace)
    try:
        api.call(create, method="POST", body=made)
    except ClusterError as error:
        if error.status != 409:
            raise
        found = api.get(_PODS, how.namespace, name)
        if found is None or (found.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            _remove(api, how.namespace, name)
            api.call(create, method="POST", body=made)


def _looked(api: Api, under: list[_Under], how: Warming) -> Iterator[tuple[_Under, Pulled]]:
    if not under:
        return
    found = {
        each["metadata"]["name"]: each
        for each in api.list(_PODS, how.namespace, labelSelector=LABEL)
    }
    for each in [*under]:
        seen = _seen(api, each, found.get(each.name), how)
        if ended := _ended(each, seen, how):
            yield each, ended
        elif seen.reason != each.said:
            each.said = seen.reason
            how.report(f"{each.node}: {seen.reason}")


def _seen(api: Api, under: _Under, found: Object | None, how: Warming) -> Sight:
    if found is None and under.is_second:
        return Sight("failed", "its pod was deleted by somebody else, twice")
    if found is None:  # as another run for the same image does at its end
        under.is_second = True
        _create(api, under.object, how)
        return Sight("waiting", "its pod was deleted by somebody else: made once more")
    if found["metadata"].get("deletionTimestamp"):
        return Sight("waiting", "its pod is on its way out")
    return sight(found, _events(api, how.namespace, found["metadata"].get("uid", "")))


def _ended(under: _Under, seen: Sight, how: Warming) -> Pulled | None:
    now = how.clock()
    lasted = now - under.began
    if seen.state == "failing":
        under.failing_since = now if under.failing_since is None else under.failing_since
        is_over = now - under.failing_since >= _FAILING_S
    else:
        under.failing_since, is_over = None, seen.state == "failed"
    if is_over:
        return Pulled(under.node, "failed", lasted, 0, seen.reason)
    if seen.state in ("pulled", "there"):
        seconds = lasted if seen.seconds is None else seen.seconds
        return Pulled(under.node, seen.state, seconds * (seen.state == "pulled"), seen.size_bytes)
    if lasted > how.deadline_s:
        reason = f"not pulled after {how.deadline_s:.0f} s: {seen.reason}"
        return Pulled(under.node, "failed", lasted, 0, reason)
    return None


def _events(api: Api, namespace: str, uid: str) -> list[Object]:
    """Return the events of one pod, not those of an earlier one of its name; none if refused."""
    try:
        return api.list(_EVENTS, namespace, fieldSelector=f"involvedObject.uid={uid}")
    except ClusterError as error:
        if error.status != 403:
            raise
        return []


def _remove(api: Api, namespace: str, name: str) -> None:
    """Delete a pod; one that cannot be deleted now ends by its own deadline."""
    permission = Permission("delete", _PODS, namespace)
    try:
        api.call(permission, name, method="DELETE", query={"gracePeriodSeconds": "0"})
    except CarferryError as error:
        if getattr(error, "status", 0) != 404:
            _log.warning("pod %s/%s is left: %s", namespace, name, error)
