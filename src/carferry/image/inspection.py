"""Checking an image against the contract without pulling its weights.

Tar headers are read by Range, so a 900 GB image costs a few requests per file.
"""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from carferry.errors import TargetError
from carferry.image.contract import Clause, Entry, check_modelcar, check_modelpack
from carferry.image.layers import ROOT
from carferry.image.modelpack import CONFIG as MODELPACK_CONFIG
from carferry.image.modelpack import file_path
from carferry.oci.documents import LAYER, Descriptor, Document, image_size
from carferry.registry.blobs import blob_file
from carferry.registry.read import read_config, read_image, read_manifests
from carferry.registry.target import Target

# Bases are small; a first layer over this is not searched for a shell.
_BASE_CAP_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Inspection:
    """What an inspection found.

    Attributes:
        document: What the reference names.
        clauses: The contract, clause by clause; of an index, as its first image meets it.
        models: What lies under ``/models``.
        size_bytes: All different blobs.
        layers: Descriptors of the first image's layers, base first.
        annotations: Of the manifest.
    """

    document: Document
    clauses: tuple[Clause, ...]
    models: tuple[Entry, ...]
    size_bytes: int
    layers: tuple[Descriptor, ...]
    annotations: dict[str, str]

    @property
    def ok(self) -> bool:
        """Whether KServe's modelcar mode can serve it."""
        return all(clause.ok for clause in self.clauses)


def inspect(target: Target) -> Inspection:
    """Read an image's documents and tar headers and check them against the contract.

    Raises:
        ManifestMissing: Nothing there.
        TargetError: Unreadable, or not an image.
    """
    top = read_image(target)
    manifests = read_manifests(target, top)
    manifest = manifests[0]
    config = read_config(target, manifest)
    if manifest.config.media_type == MODELPACK_CONFIG:
        models = tuple(_named_files(manifest))
        clauses = check_modelpack(config, manifest.layers, models)
    else:
        entries = [entry for layer in manifest.layers for entry in _entries(target, layer)]
        models = tuple(_under_models(entries))
        clauses = check_modelcar(config, entries, models, manifest.layers)
    return Inspection(
        top, clauses, models, image_size(manifests), manifest.layers, manifest.annotations
    )


def _named_files(manifest: Document) -> Iterator[Entry]:
    """List a ModelPack artifact's files; its raw layers have no modes or owners."""
    for layer in manifest.layers:
        path = file_path(layer)
        if path:
            yield Entry(f"{ROOT}/{path}", layer.size_bytes, 0o644, "file", (0, 0))


def _entries(target: Target, layer: Descriptor) -> Iterator[Entry]:
    """List a layer: by Range if it is a plain tar, else by reading it through."""
    if layer.media_type == LAYER:
        ranged = io.BufferedReader(Ranged(target, layer), 64 * 1024)
        yield from _list(layer, ranged, "r:")
    elif layer.size_bytes <= _BASE_CAP_BYTES:
        with blob_file(target, layer.digest) as raw:
            yield from _list(layer, gzip.GzipFile(fileobj=raw), "r|")  # type: ignore[arg-type]


def _list(layer: Descriptor, raw: IO[bytes], mode: str) -> Iterator[Entry]:
    try:
        with tarfile.open(fileobj=raw, mode=mode) as tar:  # type: ignore[call-overload]
            for member in tar:
                yield _entry(member)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise TargetError("read layer", layer.digest, f"not a readable tar: {error}") from error


def _entry(member: tarfile.TarInfo) -> Entry:
    kind = "directory" if member.isdir() else "file" if member.isreg() else "link"
    return Entry(
        member.name.removeprefix("./").rstrip("/"),
        member.size if member.isreg() else 0,
        stat.S_IMODE(member.mode),
        kind,
        (member.uid, member.gid),
        member.linkname,
    )


def _under_models(entries: list[Entry]) -> Iterator[Entry]:
    """Keep the topmost entry of each path: a later layer covers an earlier one."""
    last = {entry.path: entry for entry in entries}
    for path in sorted(last, key=str.encode):
        if path == ROOT or path.startswith(f"{ROOT}/"):
            yield last[path]


class Ranged(io.RawIOBase):
    """A blob as a seekable file; only what is read is asked for.

    Args:
        target: Where the blob is.
        blob: Its descriptor.
    """

    def __init__(self, target: Target, blob: Descriptor) -> None:
        super().__init__()
        self._target = target
        self._blob = blob
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the offset in bytes at which reading goes on."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._blob.size_bytes}
        self._at = start[whence] + offset
        return self._at

    def tell(self) -> int:
        """Return that offset."""
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer by one request and return how many bytes came."""
        size = min(len(buffer), self._blob.size_bytes - self._at)
        if size <= 0:
            return 0
        data = self._target.read_range(self._blob.digest, self._at, size)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
