"""A deployment tried on the server before anything is written: a dry run of all its objects.

What the server would refuse is thereby refused before the first write, all conflicts at once;
what it would change is known field by field; what would change nothing need not be sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from carferry.cluster.kinds import Object
from carferry.errors import ClusterError
from carferry.serve.drift import Change, changes, is_same
from carferry.serve.objects import SERVICES
from carferry.serve.objects.access import owned_by

if TYPE_CHECKING:
    from carferry.cluster.client import Cluster

_LINK = "opendatahub.io/connections"
_CONFLICT = 409


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """One object of a deployment, and what the server would make of it.

    Attributes:
        obj: To be applied.
        live: What is there; None if nothing is.
        planned: What would be there.
        conflict: The server's words, if fields of somebody else would change.
        takes: The server sees a conflict, and nobody loses a value: it is to be forced.
    """

    obj: Object
    live: Object | None
    planned: Object
    conflict: str = ""
    takes: bool = False

    @property
    def title(self) -> str:
        """Kind and name."""
        return title(self.obj)

    @property
    def is_same(self) -> bool:
        """Whether applying it would change nothing."""
        return self.live is not None and is_same(self.live, self.planned)

    @property
    def changes(self) -> tuple[Change, ...]:
        """The fields that would change; of a new object none."""
        return () if self.live is None else changes(self.live, self.planned)

    @property
    def lines(self) -> tuple[str, ...]:
        """What would happen, a line for each field; empty if nothing would."""
        if self.live is None:
            return (f"{self.title}: new",)
        if self.changes:
            return tuple(f"{self.title}: {each}" for each in self.changes)
        return () if self.is_same else (f"{self.title}: same fields, from now on carferry's own",)


def title(obj: Object) -> str:
    """Return an object's kind and name."""
    return f"{obj['kind']} {obj['metadata']['name']}"


def rehearse(
    cluster: Cluster, objects: Sequence[Object], *, force: bool = False
) -> list[Rehearsed]:
    """Let the server check every object, and keep none.

    The objects behind the InferenceService are its own: they go when it goes.

    Args:
        cluster: Where.
        objects: In the order in which they will be applied.
        force: Take over fields that somebody else set.

    Raises:
        ClusterError: The server would refuse one; status 409 if fields of somebody else would
            change, each of which is named with whose it is. A field that is not there is nobody's,
            though the server counts it as theirs who set the list around it.
        Unreachable: No answer.
    """
    held = [cluster.get(each) for each in objects]
    there = {title(each) for each in held if each is not None}
    mine = own(objects, next((live for live in held if live and live["kind"] in SERVICES), None))
    found = [
        _rehearsed(cluster, obj, live, there, force=force)
        for obj, live in zip(mine, held, strict=True)
    ]
    if conflicts := [line for each in found if each.conflict for line in _conflicts(each)]:
        raise ClusterError(
            "deploy",
            _subject(objects),
            "somebody else set what would change: " + "; ".join(conflicts),
            "give those fields up there, or take them over with --force",
            status=_CONFLICT,
        )
    return found


def own(objects: Sequence[Object], service: Object | None) -> list[Object]:
    """Return the objects with those behind the InferenceService as owned by it.

    Args:
        objects: As they were made.
        service: The InferenceService as the server returned it; None before it is there.
    """
    kinds = [each["kind"] for each in objects]
    end = next((n for n, kind in enumerate(kinds, 1) if kind in SERVICES), len(kinds))
    if service is None:
        return [*objects]
    return [*objects[:end], *(owned_by(each, service) for each in objects[end:])]


def _rehearsed(
    cluster: Cluster, obj: Object, live: Object | None, there: set[str], *, force: bool
) -> Rehearsed:
    if not _can_be_tried(obj, there):
        return Rehearsed(obj, live, obj)
    try:
        return Rehearsed(obj, live, _tried(cluster, obj, there, force=force))
    except ClusterError as error:
        if error.status != _CONFLICT or live is None:
            raise
        planned = _tried(cluster, obj, there, force=True)
        made = Rehearsed(obj, live, planned, takes=True)
        if made.changes and all(each.is_free for each in made.changes):
            return made
        return Rehearsed(obj, live, planned, error.reason)


def _tried(cluster: Cluster, obj: Object, there: set[str], *, force: bool) -> Object:
    """Return what the server would make of an object.

    The link to a connection that is not there yet is left out, and put back into the answer:
    admission would miss the Secret, which the dry run before did not keep.
    """
    annotations = dict(obj["metadata"].get("annotations", {}))
    link = annotations.get(_LINK)
    if not link or f"Secret {link}" in there:
        return cluster.apply([obj], dry_run=True, force=force)[0]
    del annotations[_LINK]
    unlinked = obj | {"metadata": obj["metadata"] | {"annotations": annotations}}
    (planned,) = cluster.apply([unlinked], dry_run=True, force=force)
    held = planned["metadata"]
    annotations = held.get("annotations", {}) | {_LINK: link}
    return planned | {"metadata": held | {"annotations": annotations}}


def _can_be_tried(obj: Object, there: set[str]) -> bool:
    """Say whether a dry run means something: of a RoleBinding the server looks up its Role."""
    return obj["kind"] != "RoleBinding" or f"Role {obj['roleRef']['name']}" in there


def _conflicts(each: Rehearsed) -> Iterator[str]:
    theirs = [change for change in each.changes if change.managers]
    yield from (f"{each.title}: {change}" for change in theirs)
    if not theirs:
        yield f"{each.title}: {each.conflict}"


def _subject(objects: Sequence[Object]) -> str:
    metadata = next((each for each in objects if each["kind"] in SERVICES), objects[0])["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata['name']}".lstrip("/")
