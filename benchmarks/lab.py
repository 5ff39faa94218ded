"""Environment of the benchmarks: a hub, a registry for each run, the other tools' own venvs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from servers.registry import Registry

from benchmarks import measure
from benchmarks.data import Model

_ROOT = Path(__file__).resolve().parents[1]


@dataclass(slots=True)
class Hub:
    """The hub's process and its orders."""

    endpoint: str
    orders: IO[str]
    answers: IO[str]

    def tell(self, **order: Any) -> int:
        """Give an order; return the file bytes the hub has sent since the last one."""
        self.orders.write(json.dumps(order) + "\n")
        self.orders.flush()
        return int(self.answers.readline())


@dataclass(slots=True)
class Lab:
    """What every measurement needs.

    Attributes:
        data: Folder for models, venvs and everything written on the way.
        hub: Running hub.
        rounds: How often each contender runs.
        scale: Factor on every size, below 1 for a trial.
        results: Group to row to runs.
    """

    data: Path
    hub: Hub
    rounds: int
    scale: float
    results: dict[str, dict[str, list[measure.Usage]]] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        """What contenders may fill; emptied between runs."""
        return self.data / "work"

    def note(self, group: str, row: str, usage: measure.Usage) -> None:
        """Keep one run and show it."""
        self.results.setdefault(group, {}).setdefault(row, []).append(usage)
        print(
            f"{group:<8} {row:<34} {usage.wall_s:8.2f} s {usage.cpu_s:7.2f} cpu "
            f"{usage.rss_bytes >> 20:6} MiB {usage.disk_bytes / 2**30:6.2f} GiB disk",
            flush=True,
        )

    def run(
        self, commands: Sequence[Sequence[str]], registry: Registry, *, at_once: bool = False
    ) -> measure.Usage:
        """Run commands against the hub and a registry; count bytes and the registry's work."""
        pid = registry.pid
        self.hub.tell()
        os.sync()
        cpu, read = measure.process_cpu_s(pid), measure.process_read_bytes(pid)
        usage = measure.run(
            commands,
            env=self.environment(registry),
            cwd=self.work,
            folders=[self.work],
            at_once=at_once,
        )
        usage.notes["hub_bytes"] = self.hub.tell()
        usage.notes["registry_bytes"] = measure.process_read_bytes(pid) - read
        usage.notes["registry_cpu_s"] = measure.process_cpu_s(pid) - cpu
        return usage

    def environment(self, registry: Registry) -> dict[str, str]:
        """Return an environment in which every tool writes below ``work`` and nowhere else."""
        work = self.work
        (work / "home").mkdir(parents=True, exist_ok=True)
        (work / "tmp").mkdir(exist_ok=True)
        storage = f'[storage]\ndriver = "overlay"\ngraphroot = "{work}/store"\n'
        (work / "home/storage.conf").write_text(f'{storage}runroot = "{work}/run"\n')
        insecure = f'[[registry]]\nlocation = "{registry.host}"\ninsecure = true\n'
        settings = work / "home/.config/containers"
        settings.mkdir(parents=True, exist_ok=True)
        (settings / "registries.conf").write_text(insecure)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(work / "home"),
            "TMPDIR": str(work / "tmp"),
            "HF_ENDPOINT": self.hub.endpoint,
            "HF_HOME": str(work / "hf"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "CONTAINERS_STORAGE_CONF": str(work / "home/storage.conf"),
            "PYTHONPATH": f"{_ROOT}:{_ROOT / 'tests'}",
        }

    def clear(self) -> None:
        """Empty the work folder; containers' storage may hold mounts and immutable links."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def registry(self, keep: str = "") -> Iterator[Registry]:
        """Start an empty registry that holds only the base image; drop it unless it has a name.

        Args:
            keep: Name of a registry whose content outlives this use.
        """
        root = self.data / "registries" / (keep or "fresh")
        if not keep:
            shutil.rmtree(root, ignore_errors=True)
        with Registry(root) as registry:
            if not registry.tags("base"):
                self._push_base(registry)
            yield registry
        if not keep:
            shutil.rmtree(root, ignore_errors=True)

    def _push_base(self, registry: Registry) -> None:
        source, target = f"oci:{base_layout()}:latest", f"docker://{registry.host}/base:latest"
        options = ["--quiet", "--dest-tls-verify=false", "--preserve-digests"]
        subprocess.run(["skopeo", "copy", *options, source, target], check=True)


def base_layout() -> Path:
    """Return the layout that PyPI's modelcar-base-image carries; every contender builds on it."""
    import modelcar_base_image

    return Path(modelcar_base_image.__file__).parent / "embedded_oci_layout"


def venv(data: Path, package: str) -> Path:
    """Return the ``bin`` of a virtual environment that holds one tool, made on first use."""
    tool = package.partition("=")[0]
    folder = data / "venvs" / tool
    if not (folder / "bin" / tool).exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        # Without our own path: pip would check the tool against this project's requirements.
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        subprocess.run([str(folder / "bin/pip"), "-q", "install", package], check=True, env=env)
    return folder / "bin"


@contextlib.contextmanager
def hub_of(models: Sequence[Model], *more: str) -> Iterator[Hub]:
    """Start the hub with these models."""
    repos = [*(f"{model.repo}={model.folder}" for model in models), *more]
    options = [word for repo in repos for word in ("--repo", repo)]
    command = [sys.executable, "-m", "benchmarks.hub", *options]
    env = {**os.environ, "PYTHONPATH": f"{_ROOT}:{_ROOT / 'tests'}"}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
    )
    with process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the hub has no pipes")
        try:
            yield Hub(process.stdout.readline().strip(), process.stdin, process.stdout)
        finally:
            process.stdin.close()
