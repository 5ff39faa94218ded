"""Remove what a deployment made, and nothing else.

An object is ours if its name is one we give and the field manager ``carferry`` has applied it. The
service goes first and everything it stands on stays until it, and its pods, are gone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from carferry.cluster.kinds import KINDS, Object, Permission, ResourceKind
from carferry.cluster.kserve import llm_kind, made_of
from carferry.cluster.owners import applied_by, managers
from carferry.errors import ClusterError, DeadlineExceeded
from carferry.serve.objects import SERVICES
from carferry.serve.rehearsal import title

if TYPE_CHECKING:
    from carferry.cluster.api import Api
    from carferry.cluster.client import Clock

logger = logging.getLogger("carferry")

WAIT_S = 300.0
_POLL_S = 1.0
_FORBIDDEN, _NOT_FOUND = 403, 404
_RUNTIME = "ServingRuntime"
_LINK = "opendatahub.io/connections"
# Kinds and names that a deployment makes: what is served, what it stands on, who may call it.
NAMES = (
    ("InferenceService", "{}"),
    ("LLMInferenceService", "{}"),
    ("ServingRuntime", "{}"),
    ("Secret", "{}-uri"),
    ("Secret", "{}-oci"),
    ("RoleBinding", "{}-view"),
    ("Role", "{}-view-role"),
    ("Secret", "default-name-{}-sa"),
    ("ServiceAccount", "{}-sa"),
)


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed of a deployment.

    Attributes:
        name: Of the deployment.
        namespace: Its project.
        removed: Kind and name of each object that is gone.
        left: Of each that stays, with the reason.
        others: Of those that stay since others made them, as oc takes it: ``Kind/name``.
    """

    name: str
    namespace: str
    removed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def is_served(self) -> bool:
        """Whether the model is served on: what serves it was made by others."""
        return any(each.partition("/")[0] in SERVICES for each in self.others)

    @property
    def lines(self) -> tuple[str, ...]:
        """The same for a person."""
        if not self.removed and not self.left:
            return (f"nothing of {self.namespace}/{self.name} is there",)
        return (
            *(f"removed {each}" for each in self.removed),
            *(f"left    {each}" for each in self.left),
            *([self._remedy] if self.others else []),
        )

    @property
    def _remedy(self) -> str:
        place = f" -n {self.namespace}" if self.namespace else ""
        return f"next    if they are yours: oc delete{place} {' '.join(self.others)}"

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return asdict(self)

    def _repr_markdown_(self) -> str:
        return "".join(f"- {line}\n" for line in self.lines)


@dataclass(frozen=True, slots=True)
class Found:
    """What is there under the names of a deployment.

    Attributes:
        ours: To be removed, the service first.
        left: Of the others kind, name and why they stay.
        others: Those made by others: ``Kind/name``.
    """

    ours: tuple[Object, ...] = ()
    left: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a removal is waited for.

    Attributes:
        clock: Time.
        end: When it is over.
        limit_s: Seconds it has.
        report: Called with what is waited for, when that changes.
    """

    clock: Clock
    end: float
    limit_s: float
    report: Callable[[str], None]
    said: list[str] = field(default_factory=list)

    def until(self, look: Callable[[], str], subject: str) -> None:
        """Look until nothing is left to be seen.

        Raises:
            DeadlineExceeded: Names what is still there.
        """
        while seen := look():
            if seen not in self.said:
                self.said.append(seen)
                self.report(f"waiting: {seen}")
            if self.clock.now() >= self.end:
                raise DeadlineExceeded(
                    "delete", subject, f"after {self.limit_s:.0f} s {seen}", "then delete it again"
                )
            self.clock.sleep(_POLL_S)


def remove(
    api: Api,
    name: str,
    namespace: str,
    *,
    wait_s: float = WAIT_S,
    clock: Clock | None = None,
    report: Callable[[str], None] = logger.info,
) -> Removed:
    """Remove a deployment's objects and wait until they are gone.

    Args:
        api: The connection.
        name: Of the deployment.
        namespace: Its project.
        wait_s: Seconds to wait for the service, its pods and the rest.
        clock: Time; the machine's by default.
        report: Called with what is waited for.

    Raises:
        ClusterError: The API refused.
        DeadlineExceeded: Something is still there; names it, and the finalizers that hold it.
        Unreachable: No answer.
    """
    from carferry.cluster.client import SystemClock

    time = clock or SystemClock()
    patience = Patience(time, time.now() + wait_s, wait_s, report)
    found = find(api, name, namespace)
    subject = f"{namespace}/{name}"
    services = [each for each in found.ours if each["kind"] in SERVICES]
    for group in (services, [each for each in found.ours if each not in services]):
        for each in group:
            _delete(api, each)
        patience.until(lambda group=group: _still(api, group), subject)  # type: ignore[misc]
        if group is services and services:
            patience.until(lambda: _pods(api, services), subject)
    return Removed(name, namespace, tuple(map(title, found.ours)), found.left, found.others)


def find(api: Api, name: str, namespace: str) -> Found:
    """Look for a deployment's objects; nothing is changed.

    Raises:
        ClusterError: The API refused.
        Unreachable: No answer.
    """
    ours: list[Object] = []
    left: list[str] = []
    others: list[str] = []
    llm, is_unread = llm_kind(api), False
    for kind, pattern in NAMES:
        called = pattern.format(name)
        try:
            live = _get(api, llm if kind == _LLM else KINDS[kind], namespace, called)
        except ClusterError as error:
            if error.status != _FORBIDDEN or kind in _NEEDED:
                raise
            left.append(f"{kind} {called}, if it is there: this login may not read it")
            is_unread |= kind == _LLM
            continue
        if live and applied_by(live):
            ours.append({**live, "kind": kind})
        elif live:
            whose = ", ".join(managers(live)) or "somebody else"
            left.append(f"{kind} {called}: made by {whose}, not by carferry")
            others.append(f"{kind}/{called}")
    if is_unread:
        ours = _without_unread(name, ours, left)
    return replace(_without_used(api, namespace, llm, ours, left), others=tuple(others))


_NEEDED = ("InferenceService", "ServingRuntime", "Secret")
_LLM = "LLMInferenceService"


def _without_unread(name: str, ours: list[Object], left: list[str]) -> list[Object]:
    """Keep what an LLMInferenceService stands on that may be there, where no other service is."""
    if any(each["kind"] in SERVICES for each in ours):
        return ours
    kept = [each for each in ours if each["kind"] != _RUNTIME]
    left += (f"{title(each)}: {_LLM} {name} may use it" for each in kept)
    return [each for each in ours if each not in kept]


def _without_used(
    api: Api, namespace: str, llm: ResourceKind | None, ours: list[Object], left: list[str]
) -> Found:
    """Keep what a service stands on that stays: another's, or one of this name but not ours."""
    going = {title(each) for each in ours}
    if not {*SERVICES, _RUNTIME, "Secret"} & {each["kind"] for each in ours}:
        return Found(tuple(ours), tuple(left))
    listed = [
        each | {"kind": "InferenceService"}
        for each in api.list(KINDS["InferenceService"], namespace)
    ]
    listed += _llms(api, namespace, llm)
    staying = [each for each in listed if title(each) not in going]
    users = {need: title(each) for each in staying for need in _stands_on(each)}
    kept = [f"{title(each)}: {users[title(each)]} uses it" for each in ours if title(each) in users]
    return Found(tuple(each for each in ours if title(each) not in users), (*left, *kept))


def _llms(api: Api, namespace: str, kind: ResourceKind | None) -> list[Object]:
    """Return the LLMInferenceServices of a project; none if this login may not list them."""
    try:
        found = api.list(kind, namespace) if kind else []
    except ClusterError as error:
        if error.status != _FORBIDDEN:
            raise
        return []
    return [each | {"kind": _LLM} for each in found]


def _stands_on(service: Object) -> Iterable[str]:
    metadata = service["metadata"]
    model = service.get("spec", {}).get("predictor", {}).get("model") or {}
    name = metadata["name"]
    yield f"{_RUNTIME} {model.get('runtime', '')}"
    yield f"Secret {metadata.get('annotations', {}).get(_LINK, '')}"
    for kind, pattern in NAMES[3:]:
        yield f"{kind} {pattern.format(name)}"


def _get(api: Api, kind: ResourceKind | None, namespace: str, name: str) -> Object | None:
    try:
        return api.get(kind, namespace, name) if kind else None
    except ClusterError as error:
        if error.status != _NOT_FOUND:  # the cluster does not know the kind
            raise
        return None


def _delete(api: Api, obj: Object) -> None:
    """Delete this very object, not another of its name that came after it."""
    metadata = obj["metadata"]
    kind = ResourceKind.of(obj)
    body = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": metadata["uid"]},
        "propagationPolicy": "Background",
    }
    asked = Permission("delete", kind, metadata["namespace"])
    try:
        api.call(asked, metadata["name"], method="DELETE", body=body)
    except ClusterError as error:
        if error.status != _NOT_FOUND:
            raise
    logger.info("deleted %s", title(obj))


def _still(api: Api, group: list[Object]) -> str:
    """Return which of the objects are still there, and what holds them."""
    lines = []
    for each in group:
        metadata = each["metadata"]
        live = _get(api, ResourceKind.of(each), metadata["namespace"], metadata["name"])
        if live and live["metadata"]["uid"] == metadata["uid"]:
            held = ", ".join(live["metadata"].get("finalizers", ()))
            why = f" (held by the finalizer {held})" if held else ""
            lines.append(f"{title(each)} is still there{why}")
    return "; ".join(lines)


def _pods(api: Api, services: list[Object]) -> str:
    """Return which pods of the services are still there: they hold their GPUs."""
    names = [
        pod["metadata"]["name"]
        for each in services
        for pod in api.list(
            KINDS["Pod"], each["metadata"]["namespace"],
            labelSelector=made_of(ResourceKind.of(each), each["metadata"]["name"]).every,
        )
    ]  # fmt: skip
    return f"its pods still hold their GPUs: {', '.join(names)}" if names else ""
