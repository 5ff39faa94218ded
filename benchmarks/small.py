"""Thousands of small files from a hub that is far away: before they were read ahead, and now."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from servers.registry import Registry

from benchmarks import contenders as ways
from benchmarks.builds import measure as measure_field
from benchmarks.contenders import Commands, Contender
from benchmarks.data import Model
from benchmarks.lab import Lab

# The last commit that read one file after the other.
BEFORE = "731cf6b"
LATENCY_S = 0.05
_ROOT = Path(__file__).resolve().parents[1]


def measure(lab: Lab, model: Model) -> None:
    """Build with every answer of hub and CDN late; the registry is as near as ever."""
    lab.hub.tell(latency_s=LATENCY_S)
    measure_field(lab, "small", model, [ways.stream(2), _modelpack(), _before()])
    lab.hub.tell(latency_s=0.0)


def _modelpack() -> Contender:
    def commands(lab: Lab, model: Model, registry: Registry) -> Commands:
        return [ways.carferry_build(model, registry, "--format", "modelpack")]

    # Most of it is the registry's own time for thousands of blobs.
    return Contender("carferry modelpack", commands, once=True)


def _before() -> Contender:
    """Return carferry as it was, with the packages of today; minutes long, so once."""

    def commands(lab: Lab, model: Model, registry: Registry) -> Commands:
        path = f"PYTHONPATH={_sources(lab.data)}{os.pathsep}{_ROOT / 'tests'}"
        return [["env", path, *ways.carferry_build(model, registry, "--parallel", "2")]]

    return Contender(f"carferry {BEFORE}, 2 at once", commands, once=True)


def _sources(data: Path) -> Path:
    """Return the sources of that commit, taken from this clone's history on first use."""
    folder = data / f"carferry-{BEFORE}"
    if not folder.exists():
        unfinished = folder.with_suffix(".part")
        unfinished.mkdir(parents=True, exist_ok=True)
        archive = ["git", "-C", str(_ROOT), "archive", BEFORE, "src", "components", "pipelines"]
        packed = subprocess.run(archive, check=True, stdout=subprocess.PIPE).stdout
        subprocess.run(["tar", "-x", "-C", str(unfinished)], check=True, input=packed)
        unfinished.rename(folder)
    found = [sys.executable, "-c", "import carferry; print(carferry.__file__)"]
    env = {**os.environ, "PYTHONPATH": str(folder / "src")}
    used = subprocess.run(found, check=True, stdout=subprocess.PIPE, text=True, env=env).stdout
    if not used.startswith(str(folder)):
        raise RuntimeError(f"{BEFORE} would not run: {used.strip()} is found first")
    return folder / "src"
