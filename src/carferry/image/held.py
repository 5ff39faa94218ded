"""Which files of a model a container would see in an image, and where their bytes lie.

All layers are read, whoever made them: one below those of the model may hold files that are served
too, and one above may cover or take away. Uncompressed ones cost their headers; of compressed ones
files are hashed in passing, since their bytes must be read anyway.
"""

from __future__ import annotations

import posixpath
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from carferry.errors import InputError
from carferry.image.compose import file_ids
from carferry.image.contents import laid
from carferry.image.contract import Entry, Place
from carferry.image.entries import in_model, read_entries
from carferry.image.kinds import is_modelpack, layers_flaw
from carferry.image.layers import ROOT
from carferry.image.links import Links
from carferry.image.modelpack import RAW, file_path
from carferry.image.unpack import ALL_HEADS_BYTES, Budget, NotLookedAt, most_unpacked, unpacked
from carferry.image.whiteouts import Overlay
from carferry.oci.documents import Descriptor, Document
from carferry.registry.target import Target
from carferry.source.paths import path_bytes
from carferry.source.snapshot import ContentId, SourceFile

UNKNOWN = ContentId("sha256", "")
"""The id of a file that nobody has named one for: whoever needs it reads the file."""
_CHUNK = 1024 * 1024
_ENDLESS = 1 << 62
_REMEDY = "pack the model anew from its source"


@dataclass(frozen=True, slots=True)
class HeldFile:
    """One file of an image.

    Attributes:
        file: Path below ``/models``, length, and its id: what the image says until its bytes
            have been read, or ``UNKNOWN``.
        place: Where its bytes lie.
    """

    file: SourceFile
    place: Place


def held_files(target: Target, manifest: Document) -> dict[str, HeldFile]:
    """Return the files under ``/models`` by path, as a container sees them.

    Args:
        target: Where the image is.
        manifest: Of one platform.

    Raises:
        InputError: What a container sees there cannot be told, or is no file.
        TargetError: A layer is not what it says, or the registry failed.
    """
    if is_modelpack(manifest):
        return {held.file.path: held for held in map(_raw, manifest.layers)}
    if flaw := layers_flaw(manifest.layers):
        _refuse(str(target.ref), f"nobody can tell what it shows: {flaw}")
    overlay, links = Overlay[Entry](), Links()
    budget = _budget(manifest.layers)
    for layer in manifest.layers:
        try:
            entries, _ = read_entries(target, layer, budget, links, hashing=True)
        except NotLookedAt as error:
            reason = f"nobody can tell what it holds or hides of the model: {error.reason}"
            _refuse(f"layer {layer.digest}", reason)
        overlay.add(laid(_named(layer, entries)))
    seen = {path: entry for path, entry in overlay.seen.items() if in_model(path)}
    _check_placed(seen)
    files = [_held(entry) for entry in seen.values() if entry.kind != "directory"]
    return {held.file.path: held for held in files}


def read_unpacked(target: Target, layer: Descriptor, start: int, stop: int) -> Generator[bytes]:
    """Yield part of a compressed layer, unpacked from its first byte.

    Raises:
        TargetError: It is broken, or the registry failed.
    """
    skip, left = start, stop - start
    with unpacked(target, layer, _budget([layer])) as raw:
        while skip > 0 and (chunk := raw.read(min(_CHUNK, skip))):
            skip -= len(chunk)
        while left > 0 and (chunk := raw.read(min(_CHUNK, left))):
            left -= len(chunk)
            yield chunk


def _budget(layers: Iterable[Descriptor]) -> Budget:
    """Return what reading an image may cost whoever means to read all of its model.

    However long a layer is, it is read: of a model that another tool packed it holds the weights.
    What a look bounds otherwise (entries, requests, memory) is bounded here alike.
    """
    unpacked_bytes = sum(map(most_unpacked, layers))
    return Budget(_ENDLESS, unpacked_bytes, head_bytes=ALL_HEADS_BYTES)


def _raw(layer: Descriptor) -> HeldFile:
    path = file_path(layer)
    if not path or not layer.media_type.endswith(RAW):
        _refuse(str(layer.digest), "this layer is an archive, or names no path")
    ids = file_ids(layer) or (ContentId("sha256", layer.digest.hex),)
    return HeldFile(SourceFile(path, layer.size_bytes, ids[0]), Place(layer))


def _named(layer: Descriptor, entries: Sequence[Entry]) -> list[Entry]:
    """Give files the ids that their layer has for them, in path order."""
    ids = file_ids(layer)
    files = [entry for entry in entries if in_model(entry.path) and entry.kind == "file"]
    if len(ids) != len(files):
        return [*entries]
    files.sort(key=lambda each: path_bytes(each.path.removeprefix(f"{ROOT}/")))
    named = dict(zip(map(id, files), ids, strict=True))
    return [replace(each, content=each.content or named.get(id(each))) for each in entries]


def _check_placed(seen: dict[str, Entry]) -> None:
    """Refuse what lies below a file: runtimes refuse it, or put it elsewhere."""
    for path in seen:
        folder = posixpath.dirname(path)
        while folder:
            if folder in seen and seen[folder].kind != "directory":
                _refuse(ascii(path), f"it lies in {folder!a}, which is no folder")
            folder = posixpath.dirname(folder)


def _held(entry: Entry) -> HeldFile:
    path = entry.path.removeprefix(f"{ROOT}/")
    if entry.place is None or path == entry.path:
        _refuse(ascii(entry.path), "it is no plain file (a link, a device, or one with holes)")
    return HeldFile(SourceFile(path, entry.size_bytes, entry.content or UNKNOWN), entry.place)


def _refuse(subject: str, reason: str) -> NoReturn:
    raise InputError("read the model in", subject, reason, _REMEDY)
