"""Mounting blobs from another repository, and saying once that a registry does not."""

from __future__ import annotations

import threading
from collections.abc import Callable

from carferry.refs import Digest, ImageRef, LayoutRef
from carferry.registry.target import Target


class Mounts:
    """Mounts blobs at one target; shared by threads.

    Args:
        target: Where blobs are wanted.
        note: Told once of each place that nothing is mounted from.
    """

    def __init__(self, target: Target, note: Callable[[str], None]) -> None:
        self._target = target
        self._note = note
        self._refused = set[str]()
        self._lock = threading.Lock()

    def mount(self, digest: Digest, origin: ImageRef | LayoutRef) -> bool:
        """Link a blob of another repository or layout; return whether that worked."""
        if not self._target.mounts_from(origin):
            return False
        mounted = self._target.mount(digest, origin)
        if not mounted and not self._target.mounts_from(origin):
            self._refuse(str(origin))
        return mounted

    def _refuse(self, origin: str) -> None:
        with self._lock:
            is_news = origin not in self._refused
            self._refused.add(origin)
        if is_news:
            self._note(f"nothing is mounted from {origin} here: its layers are moved")
