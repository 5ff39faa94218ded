"""Which files an image's layers hold, and where their bytes lie.

A file in an uncompressed tar, or a raw ModelPack layer, is one range of one blob. A compressed
layer is read through once: its files are hashed on the way, and their first bytes, which are
asked for most, are kept, since reading them again would mean unpacking from the start.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

from carferry.errors import InputError
from carferry.image.compose import CONTENT_KEY, file_ids
from carferry.image.hashing import Bounded
from carferry.image.kinds import is_modelpack
from carferry.image.layers import ROOT
from carferry.image.modelpack import RAW, file_path
from carferry.image.unpack import Budget, readable, unpacked
from carferry.image.whiteouts import is_whiteout
from carferry.oci.documents import LAYER, Descriptor, Document
from carferry.oci.headers import path_in_image, read_headers
from carferry.registry.ranged import Ranged
from carferry.registry.target import Target
from carferry.source.paths import path_bytes
from carferry.source.snapshot import ContentId, SourceFile

UNKNOWN = ContentId("sha256", "")
"""The id of a file that nobody has named one for: whoever needs it reads the file."""
_HEAD_BYTES = 256 * 1024
_ALL_HEADS_BYTES = 64 * 1024 * 1024
_CHUNK = 1024 * 1024
_BUFFER = 64 * 1024
_ENDLESS = 1 << 62


@dataclass(frozen=True, slots=True)
class HeldFile:
    """One file of an image.

    Attributes:
        file: Path below ``/models``, length, and its id: what the image says until its bytes
            have been read, or ``UNKNOWN``.
        layer: The layer that holds it.
        offset: Where it starts, in the layer as unpacked.
        head: Its first bytes, if the layer is compressed.
        is_raw: Whether the layer is the file.
    """

    file: SourceFile
    layer: Descriptor
    offset: int
    head: bytes = b""
    is_raw: bool = False


def held_files(target: Target, manifest: Document) -> dict[str, HeldFile]:
    """Return the files under ``/models`` by path; a later layer covers an earlier one.

    Args:
        target: Where the image is.
        manifest: Of one platform.

    Raises:
        InputError: Something there is no file with a path.
        TargetError: A layer is not what it says, or the registry failed.
    """
    if is_modelpack(manifest):
        return {held.file.path: held for held in map(_raw, manifest.layers)}
    held: dict[str, HeldFile] = {}
    for layer in _model_layers(manifest):
        for found in _files(target, layer):
            held[found.file.path] = found
    return held


def read_unpacked(target: Target, layer: Descriptor, start: int, stop: int) -> Generator[bytes]:
    """Yield part of a compressed layer, unpacked from its first byte.

    Raises:
        TargetError: It is broken, or the registry failed.
    """
    skip, left = start, stop - start
    with unpacked(target, layer, _unlimited()) as raw:
        while skip > 0 and (chunk := raw.read(min(_CHUNK, skip))):
            skip -= len(chunk)
        while left > 0 and (chunk := raw.read(min(_CHUNK, left))):
            left -= len(chunk)
            yield chunk


def _model_layers(manifest: Document) -> tuple[Descriptor, ...]:
    """Return the layers that may hold the model: where some are marked as its, those alone."""
    marked = tuple(layer for layer in manifest.layers if CONTENT_KEY in layer.annotations)
    return marked or manifest.layers


def _raw(layer: Descriptor) -> HeldFile:
    path = file_path(layer)
    if not path or not layer.media_type.endswith(RAW):
        raise InputError(
            "read the model in", layer.digest, "this layer is an archive, or names no path",
            "pack the model anew from its source",
        )  # fmt: skip
    ids = file_ids(layer) or (ContentId("sha256", layer.digest.hex),)
    return HeldFile(SourceFile(path, layer.size_bytes, ids[0]), layer, 0, is_raw=True)


def _files(target: Target, layer: Descriptor) -> list[HeldFile]:
    if layer.media_type == LAYER:
        with readable(layer):
            return _named(layer, list(_ranges(target, layer)))
    with unpacked(target, layer, _unlimited()) as raw:
        found = list(_read_through(layer, io.BufferedReader(raw, _CHUNK)))
        raw.finish()
        return found


def _ranges(target: Target, layer: Descriptor) -> Iterator[HeldFile]:
    file = io.BufferedReader(Ranged(target, layer), _BUFFER)
    for member in read_headers(file):
        if path := _in_model(member):
            yield HeldFile(SourceFile(path, member.size, UNKNOWN), layer, file.tell())


def _named(layer: Descriptor, held: list[HeldFile]) -> list[HeldFile]:
    """Give files the ids that their layer has for them, in path order."""
    ids = file_ids(layer)
    if len(ids) != len(held):
        return held
    held = sorted(held, key=lambda each: path_bytes(each.file.path))
    return [
        replace(each, file=replace(each.file, content=content))
        for each, content in zip(held, ids, strict=True)
    ]


def _read_through(layer: Descriptor, raw: io.BufferedReader) -> Iterator[HeldFile]:
    kept = 0
    with tarfile.open(fileobj=raw, mode="r|", bufsize=_CHUNK, tarinfo=Bounded) as tar:
        for member in tar:
            tar.members.clear()  # type: ignore[attr-defined]  # kept for seeking
            path, content = _in_model(member), tar.extractfile(member)
            if not path or content is None:
                continue
            head = content.read(_HEAD_BYTES)
            hasher = hashlib.sha256(head)
            while chunk := content.read(_CHUNK):
                hasher.update(chunk)
            kept += len(head)
            file = SourceFile(path, member.size, ContentId("sha256", hasher.hexdigest()))
            head = head if kept <= _ALL_HEADS_BYTES else b""
            yield HeldFile(file, layer, member.offset_data, head)


def _in_model(member: tarfile.TarInfo) -> str:
    """Return a file's path in the model; empty for what lies elsewhere, and for folders."""
    name = path_in_image(member.name)
    path = name.removeprefix(f"{ROOT}/")
    if path == name or member.isdir():
        return ""
    if not member.isreg() or is_whiteout(path):
        reason = "it is no plain file in one layer (a link, a device or a deletion)"
        raise InputError("read the model in", ascii(name), reason, "pack the model anew")
    return path


def _unlimited() -> Budget:
    """Return the budget of whoever means to read all of a layer that they named themselves."""
    return Budget(packed_bytes=_ENDLESS, unpacked_bytes=_ENDLESS)
