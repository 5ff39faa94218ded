"""The control group that holds a node, on machines with hierarchies of version 1 or version 2.

Version 1 has a hierarchy for each controller; the node sees its own group as the root of each.
Version 2 has one, in which a group has processes or hands controllers on to groups below it,
never both (Documentation/admin-guide/cgroup-v2.rst, "No Internal Process Constraint"): so the
node's own processes live in a leaf beside the kubelet's.
"""

from __future__ import annotations

import errno
import os
import time
from dataclasses import dataclass
from pathlib import Path

_LEAF = "parts"
_OUTSIDE = "beside-nodes"
_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted hierarchy.

    Attributes:
        folder: Where it is mounted.
        kind: ``cgroup`` or ``cgroup2``.
        options: What mounts it anew in another namespace.
    """

    folder: Path
    kind: str
    options: str

    def make(self, group: str) -> None:
        """Make a node's group, ready to hand its controllers on."""
        made = self.folder / group
        made.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):
            if self.kind == "cgroup" and (made / name).exists():
                (made / name).write_text((self.folder / name).read_text())
        if self.kind == "cgroup2":
            (made / _LEAF).mkdir(exist_ok=True)
            _hand_on(self.folder)

    def enter(self, group: str) -> None:
        """Move this process into a node's group, which a new namespace then takes for the root."""
        _move(os.getpid(), self.folder / group)

    def settle(self, group: str) -> None:
        """Leave the group's own level to the kubelet, once the namespace is made."""
        if self.kind == "cgroup2":
            _move(os.getpid(), self.folder / group / _LEAF)
            _hand_on(self.folder / group)

    def drop(self, group: str) -> None:
        """Remove a node's group with all below it; its processes may still be ending."""
        for root, _, _ in os.walk(self.folder / group, topdown=False):
            _remove(Path(root))


def hierarchies(mounts: str = "/proc/self/mountinfo") -> list[Hierarchy]:
    """Return the hierarchies that a node needs, in the order in which they are mounted.

    A machine that has both versions keeps its controllers in version 1; the other one, which then
    has none, is left out.
    """
    found = [_parse(line) for line in Path(mounts).read_text().splitlines()]
    groups = [each for each in found if each is not None]
    first = [each for each in groups if each.kind == "cgroup"]
    return first or groups


def _parse(line: str) -> Hierarchy | None:
    left, right = line.split(" - ")
    kind, _, options = right.split(" ", 2)
    if kind not in ("cgroup", "cgroup2"):
        return None
    wanted = [each for each in options.split(",") if each not in ("rw", "ro", "relatime")]
    if kind == "cgroup" and wanted[0].startswith("name="):
        wanted.insert(0, "none")
    return Hierarchy(Path(left.split()[4]), kind, "" if kind == "cgroup2" else ",".join(wanted))


def _hand_on(folder: Path) -> None:
    """Give the groups below every controller that this one has.

    Raises:
        OSError: The kernel refuses for another reason than processes in this group.
    """
    words = " ".join(f"+{name}" for name in (folder / "cgroup.controllers").read_text().split())
    control = folder / "cgroup.subtree_control"
    try:
        control.write_text(words)
    except OSError as refused:
        if refused.errno != errno.EBUSY:
            raise
        # In a container the root is a group like any other: its processes must make room.
        _make_room(folder)
        control.write_text(words)


def _make_room(folder: Path) -> None:
    (folder / _OUTSIDE).mkdir(exist_ok=True)
    for pid in (folder / "cgroup.procs").read_text().split():
        try:
            _move(int(pid), folder / _OUTSIDE)
        except ProcessLookupError:
            continue


def _move(pid: int, group: Path) -> None:
    (group / "cgroup.procs").write_text(str(pid))


def _remove(folder: Path) -> None:
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return
