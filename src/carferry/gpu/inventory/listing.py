"""Collections as the API serves them: page by page, and as far as the caller may see them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from carferry.errors import ClusterError

Json = Mapping[str, Any]
List = Callable[[str], Iterable[Json]]
"""Yields the items of a collection; raises ClusterError with the HTTP status."""

PAGE = 500
_MOST_PAGES = 1000
SHARED = ("redhat-ods-applications", "opendatahub")
"""Projects whose profiles every user may read (odh-dashboard, manifests/**/rbac)."""

_REFUSED = (401, 403)


def paged(get: Callable[[str], Json], *, page: int = PAGE) -> List:
    """Turn a GET of one path into a list of all items, page by page.

    Args:
        get: Returns the parsed body of a path; raises ClusterError with the HTTP status.
        page: Items per request.
    """

    def items(path: str) -> Iterator[Json]:
        token = ""
        for _ in range(_MOST_PAGES):
            suffix = f"&continue={quote(token, safe='')}" if token else ""
            body = get(f"{path}?limit={page}{suffix}")
            yield from body.get("items") or ()
            token = str((body.get("metadata") or {}).get("continue") or "")
            if not token:
                return
        raise ClusterError("list", path, f"more than {_MOST_PAGES} pages")

    return items


def permitted(list_: List, path: str, notes: list[str], refused: str) -> list[Json] | None:
    """Return a collection; None, and a note, if it may not be listed."""
    try:
        return list(list_(path))
    except ClusterError as error:
        if error.status not in _REFUSED:
            raise
        notes.append(refused)
        return None


def optional(list_: List, notes: list[str]) -> Callable[[str], list[Json]]:
    """Return a lister for kinds a cluster may not have (404) or not show (403)."""

    def items(path: str) -> list[Json]:
        try:
            return list(list_(path))
        except ClusterError as error:
            if error.status in _REFUSED:
                notes.append(f"no right to list {path.rpartition('/')[2]}")
            elif error.status != 404:
                raise
            return []

    return items


def cluster_or_projects(
    list_: List, namespace: str, notes: list[str]
) -> Callable[[str, str], list[Json]]:
    """Return a lister of a kind in the whole cluster or, if that is refused, in some projects.

    Those are the caller's own and the ones that every user may read.
    """
    own = (namespace, *SHARED)

    def items(api: str, plural: str) -> list[Json]:
        refused: list[str] = []
        found = optional(list_, refused)(f"{api}/{plural}")
        if not refused:
            return found
        for place in own:
            found += optional(list_, refused)(f"{api}/namespaces/{place}/{plural}")
        if len(refused) > len(own):
            notes.append(refused[0])
        return found

    return items
