"""RESULTS.md from what was measured: tables of medians, and the targets beside what was reached."""

from __future__ import annotations

import os
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.measure import Usage
from benchmarks.targets import verdicts

Rows = Mapping[str, Sequence[Usage]]
Results = Mapping[str, Rows]

_TITLES = {
    "shards": "Hub to registry: 4 shards of 512 MiB and small files",
    "files": "Hub to registry: 300 files of 100 KiB",
    "single": "Hub to registry: one file of 6 GiB",
    "rebuild": "Building again",
    "memory": "Memory: 2 GiB, 4 streams",
    "memory6": "Memory: 6 GiB, 4 streams",
    "disk": "Disk",
    "plan": "Plan of a repository of 405B parameters: 191 shards, 2,000 small files",
    "fanout": "Many workers, each on a link of 8 MB/s: stream and seal of 16 shards of 128 MiB",
    "pulls": "The consumer: into empty storage",
    "small": "Hub to registry: 5,000 files of 4 KiB, every answer of the hub 50 ms late",
}
_TARGETS, _HOW = "What had to be reached", "How to repeat it"
_COLUMNS = (
    "what", "wall s: median (min-max)", "against carferry stream", "CPU s", "registry CPU s",
    "peak RSS MiB", "extra disk GiB", "MB from the hub", "MB to the registry", "runs",
)  # fmt: skip
_COMPARED = {"shards", "files", "single", "small"}


def write(results: Results, scale: float) -> str:
    """Return the report.

    Args:
        results: Group to row to runs.
        scale: Factor on every size; below 1 the report says that it proves nothing.
    """
    parts = ["# How long carferry takes\n", _head(scale), _targets(results)]
    parts += [_section(group, results[group]) for group in _TITLES if group in results]
    return "\n".join([*parts, _how()])


def merge(old: str, new: str) -> str:
    """Return an old report with the sections and verdicts that a new one has measured.

    Args:
        old: A report of whatever was measured before, perhaps on another machine.
        new: A report in which something was not measured.
    """
    kept, fresh = _parts(old), _parts(new)
    where = f"Measured by itself later, on {_machine()}.\n\n"
    for title in set(_TITLES.values()) & set(fresh):
        fresh[title] = f"\n\n{where}{fresh[title].lstrip()}"
    kept[_TARGETS] = _merged_verdicts(kept.get(_TARGETS, fresh[_TARGETS]), fresh[_TARGETS])
    chosen = {
        **fresh,
        **kept,
        **{title: fresh[title] for title in _TITLES.values() if title in fresh},
    }
    order = ["", _TARGETS, *_TITLES.values(), _HOW]
    return "\n## ".join(f"{title}{chosen[title]}" for title in order if title in chosen)


def _parts(report: str) -> dict[str, str]:
    """Return each section's text by its title; the head's title is empty."""
    head, *sections = report.split("\n## ")
    pairs = (section.partition("\n") for section in sections)
    return {"": head} | {title: f"\n{text}" for title, _, text in pairs}


def _merged_verdicts(old: str, new: str) -> str:
    rows = {_figure(line): line for line in old.splitlines() if line.startswith("|")}
    measured = [line for line in new.splitlines() if line.startswith("|")]
    rows |= {_figure(line): line for line in measured if "not measured" not in line}
    return "\n\n" + "\n".join(rows.values()) + "\n"


def _figure(row: str) -> tuple[str, ...]:
    """Return what a row is about: the figure and what it must reach."""
    return tuple(row.split("|")[1:3])


def _head(scale: float) -> str:
    text = (
        f"Measured on one machine that hub, registry and client share: {_machine()}.\n"
        "Registry: Debian's docker-registry, filesystem storage, plain HTTP, emptied before every\n"
        "push. Hub: the test hub in a process of its own, on loopback. Contenders are interleaved\n"
        "round by round, after one round that does not count; every contender stands on the same\n"
        "base image. CPU is user and system of the process tree, its peak memory sampled every\n"
        "0.1 s (or one process's own high-water mark if that is more); extra disk is what its\n"
        "folders and deleted open files took over before, without the registry's copy; MB to the\n"
        "registry is what the registry read.\n"
    )
    trial = f"\n**A trial at {scale:g} of the sizes: it proves that everything runs, no more.**\n"
    return text + (trial if scale != 1 else "")


def _machine() -> str:
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    release = Path("/etc/os-release").read_text()
    system = re.search(r'PRETTY_NAME="(.*)"', release)
    gib = f"{int(memory[1]) / 2**20:.0f} GiB" if memory else "unknown memory"
    name = cpu[1] if cpu else "unknown CPU"
    return f"{os.cpu_count()} cores of {name}, {gib}, {system[1] if system else 'Linux'}"


def _targets(results: Results) -> str:
    lines = [f"## {_TARGETS}\n", "| figure | must reach | measured | reached |"]
    lines += ["|---|---|---|---|"]
    lines += [f"| {' | '.join(verdict)} |" for verdict in verdicts(results)]
    return "\n".join([*lines, ""])


def _section(group: str, rows: Rows) -> str:
    lines = [f"## {_TITLES[group]}\n", f"| {' | '.join(_COLUMNS)} |", "|---" * len(_COLUMNS) + "|"]
    ours = [_median(runs) for name, runs in rows.items() if name.startswith("carferry stream")]
    best = min(ours) if ours and group in _COMPARED else None
    lines += [_row(name, runs, best) for name, runs in rows.items()]
    return "\n".join([*lines, ""])


def _row(name: str, runs: Sequence[Usage], best: float | None) -> str:
    walls = sorted(run.wall_s for run in runs)
    cells = [
        name,
        f"**{_median(runs):.2f}** ({walls[0]:.2f}-{walls[-1]:.2f})",
        f"{_median(runs) / best:.2f}x" if best else "",
        f"{_middle(runs, lambda run: run.cpu_s):.1f}",
        f"{_middle(runs, lambda run: run.notes['registry_cpu_s']):.1f}",
        f"{max(run.rss_bytes for run in runs) / 2**20:.0f}",
        f"{max(run.disk_bytes for run in runs) / 2**30:.2f}",
        f"{_middle(runs, lambda run: run.notes['hub_bytes']) / 1e6:.1f}",
        f"{_middle(runs, lambda run: run.notes['registry_bytes']) / 1e6:.1f}",
        str(len(runs)),
    ]
    return f"| {' | '.join(cells)} |"


def _median(runs: Sequence[Usage]) -> float:
    return _middle(runs, lambda run: run.wall_s)


def _middle(runs: Sequence[Usage], value: Callable[[Usage], float]) -> float:
    return statistics.median(map(value, runs))


def _how() -> str:
    return (
        f"## {_HOW}\n\n"
        "On Debian 12 with buildah, skopeo, podman, docker-registry and containerd, as root (the\n"
        "container tools' own storage and a read-only root ask for it):\n\n"
        "    make bench DATA=folder          # three rounds of everything\n"
        "    make bench DATA=folder ONLY=shards,rebuild ROUNDS=5\n"
        "    make bench DATA=folder SCALE=0.14 ROUNDS=1   # a trial\n"
        "    make bench ONLY=small           # a quarter of an hour, in build/bench\n\n"
        "The folder takes about 40 GiB: models, the other tools' virtual environments, and what\n"
        "the contenders write. CRI-O is not in Debian 12\n"
        "and was not measured; podman and containerd do not pull ModelPack artifacts.\n"
    )
