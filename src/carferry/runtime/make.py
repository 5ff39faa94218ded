"""Making a runtime image: read the base, fetch wheels, pack, copy, and last of all tag."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from carferry.image.base import Base, check_apart
from carferry.image.compose import Image, index_of
from carferry.io.net.retry import Retry
from carferry.io.show.progress import Progress
from carferry.oci.documents import LAYER, Descriptor, Document, image_size
from carferry.refs import LayoutRef, check_push_digest
from carferry.registry.blobs import put_blob
from carferry.registry.copy import copy_blobs
from carferry.registry.layout import LayoutTarget
from carferry.registry.place import place
from carferry.registry.target import Target
from carferry.runtime.image import compose, pack
from carferry.runtime.interpreter import Interpreter, interpreter_of
from carferry.runtime.library import library
from carferry.runtime.pins import pins
from carferry.runtime.site import site_packages
from carferry.runtime.wheels import Command, download, run_pip

Pip = Callable[[Command], subprocess.CompletedProcess[str]]


@dataclass(frozen=True, slots=True)
class RuntimeBuild:
    """What making a runtime image did.

    Attributes:
        document: What the tag names: a manifest, or an index of several platforms.
        manifests: One for each platform.
        interpreters: Likewise.
        moved_bytes: Blob bytes that crossed, or that a layout got.
    """

    document: Document
    manifests: tuple[Document, ...]
    interpreters: tuple[Interpreter, ...]
    moved_bytes: int

    @property
    def size_bytes(self) -> int:
        """Bytes of all different blobs."""
        return image_size(self.manifests)


def make_runtime(
    target: Target,
    bases: Sequence[Base],
    *,
    python: str = "",
    parallel: int,
    retry: Retry,
    progress: Progress,
    pip: Pip = run_pip,
) -> RuntimeBuild:
    """Put kfp's executor, carferry and its packages on a base of each platform, and tag it.

    Args:
        target: Where the image goes; it names a tag.
        bases: One platform each of a base with Python.
        python: Version of the base's Python; empty if the base says.
        parallel: Blobs copied at once.
        retry: Policy for each blob.
        progress: Receives every blob.
        pip: Runs pip.

    Raises:
        InputError: The base does not suit.
        CarferryError: The package index or the target failed; nothing was tagged.
    """
    check_apart(bases, target.ref)
    interpreters = tuple(retry.call(partial(interpreter_of, base, python)) for base in bases)
    target.check_push()
    copy = partial(copy_blobs, target=target, parallel=parallel, retry=retry, progress=progress)
    with tempfile.TemporaryDirectory(prefix="carferry-") as folder:
        scratch = LayoutTarget(LayoutRef(Path(folder, "layout")))
        images = []
        for base, interpreter in zip(bases, interpreters, strict=True):
            progress.note(f"taking {len(pins())} wheels for {interpreter}")
            with progress.phase("fetching wheels with pip"):
                files = _files(interpreter, Path(folder), pip)
            image = _assemble(base, interpreter, scratch, files)
            images.append((base, image))
        moved = sum(copy(blobs, origin) for blobs, origin in _sources(images, scratch))
    top = _tag(target, images, retry)
    return RuntimeBuild(top, tuple(image.manifest for _, image in images), interpreters, moved)


def _files(interpreter: Interpreter, folder: Path, pip: Pip) -> dict[str, bytes]:
    """Return what goes on the image's ``sys.path``."""
    with tempfile.TemporaryDirectory(dir=folder) as wheels:
        packages = site_packages(download(interpreter, pins(), Path(wheels), pip=pip))
    return packages | library()


def _assemble(
    base: Base, interpreter: Interpreter, scratch: Target, files: Mapping[str, bytes]
) -> Image:
    """Write an image's own layer and config to the scratch layout that they are copied from."""
    data = pack(files)
    image = compose(base, interpreter, Descriptor(LAYER, put_blob(scratch, data), len(data)))
    put_blob(scratch, image.config.data)
    return image


def _sources(
    images: Sequence[tuple[Base, Image]], scratch: Target
) -> Iterator[tuple[Sequence[Descriptor], Target]]:
    """Yield blobs with the place they are in: the base's at its home, our own in the scratch."""
    for base, image in images:
        if base.home is not None:
            yield base.layers, base.home
        yield (image.manifest.layers[-1], image.config.descriptor()), scratch


def _tag(target: Target, images: Sequence[tuple[Base, Image]], retry: Retry) -> Document:
    """Write the documents by digest, and the tag when all of them are there."""
    manifests = [image.manifest for _, image in images]
    top = manifests[0] if len(images) == 1 else index_of(images)
    by_digest = [*manifests, top] if top not in manifests else manifests
    check_push_digest(target.ref, top.digest, action="make")
    for document in by_digest:
        place(target, document, str(document.digest), retry)
    place(target, top, target.ref.push_tag, retry)
    return top
