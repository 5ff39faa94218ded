"""Running Buildah: the commands that pack one layer, and where they run."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Protocol

from carferry.errors import InputError, ToolFailed
from carferry.image.layers import ROOT, Layer
from carferry.refs import LayoutRef

ACCOUNT = "modelcar-builder"
"""ServiceAccount of a pod that runs Buildah."""
IMAGE = "quay.io/buildah/stable:v1.43.1"
"""Image of such a pod."""


class Security(StrEnum):
    """How Buildah's pod gets the user namespace that it needs.

    Attributes:
        USERNS: The pod has one (OpenShift 4.20, SCC nested-container): root in it has no
            rights on the node.
        SETFCAP: Root with one more capability, admitted by an SCC of ours: older clusters.
    """

    USERNS = "userns"
    SETFCAP = "setfcap"


_GLOB = re.compile(r"([*?\[\]\\])")
_OUTPUT_END = 400

logger = logging.getLogger("carferry")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How Buildah writes one layer; the same for the same layer and the same paths.

    Attributes:
        layer: The layer's name, for people.
        folder: Where the files are, as Buildah sees it.
        image: The one-layer image it writes.
        work: Commands in order.
        clean_up: Follows the work, also if that failed.
    """

    layer: str
    folder: Path
    image: LayoutRef
    work: tuple[tuple[str, ...], ...]
    clean_up: tuple[str, ...]


class Runner(Protocol):
    """Where Buildah runs: beside carferry, or in a pod of its own."""

    def scratch(self, workdir: Path | None) -> AbstractContextManager[Path]:
        """Lend a folder that carferry and Buildah see under the same path."""

    def run(self, recipes: Sequence[Recipe]) -> None:
        """Follow every recipe; all of them in one go, since starting may take long."""


@dataclass(frozen=True, slots=True)
class LocalBuildah:
    """Buildah as a process of this machine.

    Attributes:
        command: Runs one command to its end; None: as a process.
    """

    command: Callable[[Sequence[str]], None] | None = None

    def scratch(self, workdir: Path | None) -> AbstractContextManager[Path]:
        """Lend a new folder in ``workdir``, by default where the system keeps temporary files."""
        return _new_folder(workdir)

    def run(self, recipes: Sequence[Recipe]) -> None:
        """Follow the recipes one after the other, so that storage holds one layer at a time.

        Raises:
            ToolFailed: Not installed, or it failed; with the end of its output.
        """
        command = self.command or run_locally
        for recipe in recipes:
            logger.info("buildah packs %s", recipe.layer)
            try:
                for arguments in recipe.work:
                    command(arguments)
            finally:
                # Cleaning up must not hide why it became necessary.
                with suppress(ToolFailed):
                    command(recipe.clean_up)


def recipe(layer: Layer, folder: Path, layout: LayoutRef) -> Recipe:
    """Return how Buildah writes one layer to a layout.

    Args:
        layer: What to pack.
        folder: Where its files are, as Buildah sees it.
        layout: Where the one-layer image goes, tagged with the layer's content key.
    """
    image = LayoutRef(layout.path, layer.content_key.hex)
    # Of the path too, so that two builds of one model can share Buildah's storage.
    name = f"carferry-{hashlib.sha256(str(image).encode()).hexdigest()[:12]}"
    copy = ("buildah", "copy", "--quiet", "--chown", "0:0", "--chmod", "0644", name)
    by_parent: dict[str, list[str]] = {}
    for file in layer.files:
        parent = str(PurePosixPath(ROOT, file.path).parent)
        by_parent.setdefault(parent, []).append(_GLOB.sub(r"\\\1", str(folder / file.path)))
    work = (
        ("buildah", "from", "--quiet", "--name", name, "scratch"),
        *((*copy, *files, f"/{parent}/") for parent, files in by_parent.items()),
        ("buildah", "commit", "--quiet", "--timestamp", "0", "--format", "oci",
         "--disable-compression", name, str(image)),
    )  # fmt: skip
    return Recipe(layer.name, folder, image, work, ("buildah", "rm", name))


def run_locally(command: Sequence[str]) -> None:
    """Run one command to its end.

    Raises:
        ToolFailed: Not installed, or it failed; with the end of its output.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=_without_logins()
        )
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        raise ToolFailed(
            "run", command[0], "it is not installed" if missing else str(error.strerror),
            "install buildah, or use --engine stream",
        ) from error  # fmt: skip
    if done.returncode:
        words = " ".join((done.stderr or done.stdout).split())[-_OUTPUT_END:]
        raise ToolFailed("run", " ".join(command[:2]), f"exit {done.returncode}: {words}")


def _without_logins() -> dict[str, str]:
    # Packing asks no registry, and Buildah refuses to start if a named login file is absent,
    # as it is in a pod whose optional secret was not mounted.
    logins = {"REGISTRY_AUTH_FILE", "DOCKER_CONFIG"}
    return {name: value for name, value in os.environ.items() if name not in logins}


@contextmanager
def _new_folder(workdir: Path | None) -> Iterator[Path]:
    try:
        made = tempfile.TemporaryDirectory(prefix="carferry-", dir=workdir)
    except OSError as error:
        raise InputError(
            "use --workdir", workdir or tempfile.gettempdir(), error.strerror or str(error),
            "name a folder with room for the model",
        ) from error  # fmt: skip
    with made as folder:
        yield Path(folder)
