"""Everything that makes an image of a model on a hub, each as the commands a person would type."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from servers.registry import Registry

from benchmarks.data import Model
from benchmarks.lab import Lab, base_layout, venv

# The versions that are measured; each is installed into a virtual environment of its own.
OLOT, OCI_MODELCAR, MODELCAR_MAKER = "olot==1.2.1", "oci-modelcar==1.3.0", "modelcar-maker==0.8.1"

_DOWNLOAD = (
    "import sys, huggingface_hub as h; h.snapshot_download(sys.argv[1], local_dir=sys.argv[2])"
)
Commands = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Contender:
    """One way from hub to registry.

    Attributes:
        name: Row of the table.
        commands: Returns what is run, one after the other, and prepares what a person would have.
        once: Whether one round is enough: slow, and no target asks for it.
    """

    name: str
    commands: Callable[[Lab, Model, Registry], Commands]
    once: bool = False


def carferry(*words: str) -> list[str]:
    """Return a carferry command line."""
    return [sys.executable, "-m", "carferry", *words]


def carferry_build(model: Model, registry: Registry, *options: str, tag: str = "1") -> list[str]:
    """Return the command that builds a model on the common base."""
    return carferry("build", *arguments(model, registry, tag), "--progress", "none", *options)


def arguments(model: Model, registry: Registry, tag: str = "1") -> list[str]:
    """Return source, destination, base and scheme, as every carferry command takes them."""
    base = f"{registry.host}/base:latest"
    dest = f"docker://{registry.host}/carferry/{model.name}:{tag}"
    return [model.repo, dest, "--base", base, "--plain-http", registry.host]


def stream(parallel: int) -> Contender:
    """Return carferry's own engine with so many layers at once."""

    def commands(lab: Lab, model: Model, registry: Registry) -> Commands:
        return [carferry_build(model, registry, "--parallel", str(parallel))]

    return Contender(f"carferry stream, {parallel} at once", commands)


def packed() -> Contender:
    """Return carferry's Buildah engine."""

    def commands(lab: Lab, model: Model, registry: Registry) -> Commands:
        return [carferry_build(model, registry, "--engine", "buildah", "--workdir", str(lab.work))]

    return Contender("carferry buildah", commands, once=True)


def usual() -> Contender:
    """Return the usual way: download, ``buildah bud`` with one COPY, push (gzips)."""

    def commands(lab: Lab, model: Model, registry: Registry) -> Commands:
        context, image = lab.work / "context", f"{registry.host}/usual/{model.name}:1"
        context.mkdir()
        base = f"FROM {registry.host}/base:latest\n"
        (context / "Containerfile").write_text(base + "COPY models /models\n")
        return [
            download(model, context / "models"),
            ["buildah", "bud", "--quiet", "--tls-verify=false", "--tag", image, str(context)],
            ["buildah", "push", "--quiet", "--tls-verify=false", image],
        ]

    return Contender("usual way", commands)


def olot_skopeo() -> Contender:
    """Return olot's layout with one layer a file, pushed by skopeo without recompressing."""

    def commands(lab: Lab, model: Model, registry: Registry) -> Commands:
        tool, folder, layout = venv(lab.data, OLOT), lab.work / "model", lab.work / "layout"
        shutil.copytree(base_layout(), layout)
        files = [str(folder / path) for path in model.files]
        dest = f"docker://{registry.host}/olot/{model.name}:1"
        return [
            download(model, folder),
            [str(tool / "olot"), "--root-dir", str(folder), str(layout), *files],
            ["skopeo", "copy", "--quiet", "--all", "--preserve-digests",
             "--dest-tls-verify=false", f"oci:{layout}:latest", dest],
        ]  # fmt: skip

    return Contender("olot + skopeo", commands)


def oci_modelcar(workers: int) -> Contender:
    """Return oci-modelcar, which streams by way of a spool folder."""

    def commands(lab: Lab, model: Model, registry: Registry) -> Commands:
        tool, spool = venv(lab.data, OCI_MODELCAR) / "oci-modelcar", lab.work / "spool"
        return [[
            str(tool), "push", "--hf-repo", model.repo, "--registry", registry.host,
            "--target-repo", f"oci-modelcar/{model.name}", "--target-tag", "1",
            "--workers", str(workers), "--spool-dir", str(spool), "--quiet",
        ]]  # fmt: skip

    return Contender(f"oci-modelcar, {workers} workers", commands)


def modelcar_maker() -> Contender:
    """Return modelcar-maker: download, olot, skopeo push."""

    def commands(lab: Lab, model: Model, registry: Registry) -> Commands:
        tool = venv(lab.data, MODELCAR_MAKER) / "modelcar-maker"
        return [[
            str(tool), model.repo, "--registry", registry.host, "--repository", "maker/models",
            "--tag", "1", "--base-image", f"{registry.host}/base:latest", "--quiet",
        ]]  # fmt: skip

    return Contender("modelcar-maker", commands, once=True)


def bare_copy() -> Contender:
    """Return the floor of moving: a bare copy, two connections, no hashing."""

    def commands(lab: Lab, model: Model, registry: Registry) -> Commands:
        record = lab.work / "record.json"
        record.write_text(json.dumps(model.files))
        words = [lab.hub.endpoint, model.repo, registry.host, str(record)]
        return [[sys.executable, "-m", "benchmarks.floors", "copy", *words]]

    return Contender("bare copy", commands)


def one_core() -> Contender:
    """Return the floor of checking: SHA-256 of the bytes on one core."""

    def commands(lab: Lab, model: Model, registry: Registry) -> Commands:
        return [[sys.executable, "-m", "benchmarks.floors", "sha256", str(model.folder)]]

    return Contender("SHA-256 on one core", commands)


def download(model: Model, folder: Path) -> list[str]:
    """Return the command that downloads a model as Hugging Face's own library does."""
    return [sys.executable, "-c", _DOWNLOAD, model.repo, str(folder)]
