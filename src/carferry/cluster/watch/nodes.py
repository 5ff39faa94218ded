"""The cluster's nodes, for pods that have none: read seldom, since they are many and large."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

from carferry.cluster.kinds import Object
from carferry.cluster.watch.allowed import if_allowed
from carferry.cluster.watch.look import condition, is_leaving, is_over, statuses

if TYPE_CHECKING:
    from carferry.cluster.api import Api

KEPT_S = 30.0
"""Seconds for which nodes are not read again: a thousand of them are 10 MB."""

_NODES = "/api/v1/nodes"
_PAGE = 500


class Nodes:
    """The nodes as one wait sees them."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Know nothing yet; ``now`` is in seconds."""
        self._now = now
        self._read_at: float | None = None
        self._kept: tuple[Object, ...] | None = None

    def about(self, api: Api, pods: Iterable[Object]) -> tuple[Object, ...] | None:
        """Return the nodes if a pod has none, or hangs on its own; None if closed or not needed."""
        if not any(map(_asks_for_nodes, pods)):
            return None
        now = self._now()
        if self._read_at is None or now - self._read_at >= KEPT_S:
            found = if_allowed(lambda: list(_pages(api)))
            self._kept, self._read_at = tuple(found) if found else None, now
        return self._kept


def _asks_for_nodes(pod: Object) -> bool:
    if is_leaving(pod) or is_over(pod):
        return False
    is_placed = bool((pod.get("spec") or {}).get("nodeName"))
    return condition(pod, "PodScheduled") == "False" or (is_placed and not statuses(pod))


def _pages(api: Api) -> Iterator[Object]:
    token = ""
    while True:
        more = f"&continue={quote(token)}" if token else ""
        page = api.read(f"{_NODES}?limit={_PAGE}{more}")
        yield from page.get("items", [])
        token = str(page.get("metadata", {}).get("continue", ""))
        if not token:
            return
