"""What a command costs: wall, CPU, memory of its process tree, disk it takes meanwhile."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_EVERY_S = 0.1
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_BLOCK = 512


@dataclass(slots=True)
class Usage:
    """What was used.

    Attributes:
        wall_s: Seconds.
        cpu_s: User and system seconds of the process tree.
        rss_bytes: Most memory: of the tree as sampled, or of one process by its own record.
        disk_bytes: Most disk over what was there before, files open but deleted included.
        steps_s: Wall of each command.
        notes: What else was counted.
    """

    wall_s: float = 0.0
    cpu_s: float = 0.0
    rss_bytes: int = 0
    disk_bytes: int = 0
    steps_s: list[float] = field(default_factory=list)
    notes: dict[str, float] = field(default_factory=dict)


class Failed(Exception):
    """A command ended with an error."""


def run(
    commands: Sequence[Sequence[str]],
    *,
    env: Mapping[str, str],
    cwd: Path,
    folders: Sequence[Path] = (),
    at_once: bool = False,
) -> Usage:
    """Run commands one after the other, or all at once, and return what they used together.

    Raises:
        Failed: Names the command and quotes the end of its output.
    """
    usage, before = Usage(), sum(map(_taken, folders))
    for group in [commands] if at_once else [[command] for command in commands]:
        _run_group(group, env, cwd, folders, before, usage)
    return usage


def _run_group(
    commands: Sequence[Sequence[str]],
    env: Mapping[str, str],
    cwd: Path,
    folders: Sequence[Path],
    before: int,
    usage: Usage,
) -> None:
    logs = [cwd / f"output-{len(usage.steps_s)}-{n}.log" for n in range(len(commands))]
    start, children = time.monotonic(), []
    for command, log in zip(commands, logs, strict=True):
        with log.open("wb") as out:
            child = subprocess.Popen(command, env=dict(env), cwd=cwd, stdout=out, stderr=out)
            children.append(child)
    with _sampled([child.pid for child in children], folders, before, usage):
        for child in children:
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            usage.cpu_s += used.ru_utime + used.ru_stime
        usage.steps_s.append(time.monotonic() - start)
    usage.wall_s += usage.steps_s[-1]
    for child, command, log in zip(children, commands, logs, strict=True):
        if child.returncode:
            words = log.read_text(errors="replace")[-1500:]
            raise Failed(f"{' '.join(map(str, command))[:300]}: exit {child.returncode}\n{words}")


@contextlib.contextmanager
def _sampled(
    roots: Sequence[int], folders: Sequence[Path], before: int, usage: Usage
) -> Iterator[None]:
    done = threading.Event()

    def watch() -> None:
        while True:
            tree = descendants(roots)
            usage.rss_bytes = max(usage.rss_bytes, _memory(tree))
            disk = sum(map(_taken, folders)) + sum(map(_deleted, tree)) if folders else 0
            usage.disk_bytes = max(usage.disk_bytes, disk - before)
            if done.wait(_EVERY_S):
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def descendants(roots: Sequence[int]) -> list[int]:
    """Return these processes and everything they have started, as far as it still runs."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], list(roots)
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def process_cpu_s(pid: int) -> float:
    """Return user and system seconds of one process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def process_read_bytes(pid: int) -> int:
    """Return what a process has read by read(2): for a registry, nearly all of it bodies."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("rchar:"))


def _memory(tree: Sequence[int]) -> int:
    """Return the tree's resident bytes, or the highest mark of one process if that is more."""
    together, highest = 0, 0
    for pid in tree:
        with contextlib.suppress(OSError, IndexError, ValueError):
            together += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
            status = Path(f"/proc/{pid}/status").read_text()
            highest = max(highest, int(status.partition("VmHWM:")[2].split()[0]) * 1024)
    return max(together, highest)


def _taken(folder: Path) -> int:
    total, waiting = 0, [str(folder)]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * _BLOCK
    return total


def _deleted(pid: int) -> int:
    """Return the bytes of deleted files that a process still holds open."""
    total = 0
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if str(link.readlink()).endswith("(deleted)"):
                    total += link.stat().st_blocks * _BLOCK
    return total
