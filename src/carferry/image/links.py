"""Symbolic links of an image, as far as they decide where the entries behind them are unpacked.

containerd unpacks an entry under a link where the link leads (pkg/archive/tar.go, fs.RootPath), so
a file named ``opt/x`` may end in ``/models``. podman 4.3 was tried: with its storage driver vfs it
does so too, with overlay a folder takes the place of a lower layer's link.
"""

from __future__ import annotations

import posixpath

# As many as Linux follows (path_resolution(7)).
_MOST_HOPS = 40
# PATH_MAX; a link may lead to itself with more behind it each time.
_LONGEST = 4096


class Links:
    """Links that were seen so far; one that a later layer takes away is kept."""

    def __init__(self) -> None:
        self._targets: dict[str, str] = {}
        # Of the last entry's folder: a layer lists a folder's entries one after another.
        self._last = ("", "")

    def add(self, path: str, target: str) -> None:
        """Note a link.

        Args:
            path: Without a leading slash.
            target: As the link has it.
        """
        self._targets[path] = target
        self._last = ("", "")

    def resolve(self, path: str) -> str:
        """Return where an entry is unpacked: its folder's links followed, its own name kept."""
        folder, name = posixpath.split(path)
        if folder != self._last[0]:
            self._last = (folder, self._led(folder))
        return posixpath.join(self._last[1], name)

    def _led(self, folder: str) -> str:
        path = f"{folder}/"
        for _ in range(_MOST_HOPS if self._targets else 0):
            link = self._first_link(path)
            if not link or len(path) > _LONGEST:
                break
            rest = path.removeprefix(f"{link}/")
            found = posixpath.join("/", posixpath.dirname(link), self._targets[link], rest)
            path = f"{posixpath.normpath(found).lstrip('/')}/"
        return path.strip("/")

    def _first_link(self, path: str) -> str:
        """Return the topmost folder of a path that is a link; asked for every entry of a base."""
        at = path.find("/")
        while at >= 0:
            if path[:at] in self._targets:
                return path[:at]
            at = path.find("/", at + 1)
        return ""
