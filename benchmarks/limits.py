"""What carferry needs at the most: memory, disk, and requests for a plan."""

from __future__ import annotations

from benchmarks import contenders as ways
from benchmarks import hub
from benchmarks.builds import measure
from benchmarks.data import Model
from benchmarks.lab import Lab

# In a mount namespace of its own, with every writable place made read-only, /tmp included.
_READ_ONLY = """\
set -e
mount --make-rprivate /
awk '$2 != "/proc" && $2 !~ "^/(proc|sys|dev/pts)" && $4 ~ "^rw" {print $2}' /proc/self/mounts |
  while read -r place; do mount -o remount,bind,ro "$place" 2>/dev/null || true; done
for place in / /tmp /dev/shm /var/tmp "$HOME"; do
  if touch "$place/.carferry-probe" 2>/dev/null; then echo "$place can be written"; exit 9; fi
done
exec "$@"
"""


def memory(lab: Lab, model: Model, *, group: str) -> None:
    """Four streams of a model; the caller gives one size after the other."""
    measure(lab, group, model, [ways.stream(4)])


def disk(lab: Lab, model: Model) -> None:
    """Build once in a mount namespace in which nothing can be written."""
    lab.clear()
    with lab.registry() as registry:
        build = ways.carferry_build(model, registry, "--parallel", "4")
        command = ["unshare", "--mount", "sh", "-c", _READ_ONLY, "sh", *build]
        lab.note("disk", "read-only root, no /tmp", lab.run([command], registry))
    lab.clear()


def plan(lab: Lab, model: Model) -> None:
    """Plan a repository of 405B parameters that only has metadata."""
    huge = Model("huge", model.folder, {})
    for _ in range(lab.rounds):
        lab.clear()
        with lab.registry() as registry:
            words = ways.arguments(huge, registry)
            usage = lab.run([ways.carferry("plan", *words, "--workers", "8")], registry)
        lab.note("plan", hub.HUGE, usage)
    lab.clear()
