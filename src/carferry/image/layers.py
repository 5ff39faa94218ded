"""Which files share a layer, and how long each layer is, before a byte is read.

One layer per file of 64 MiB or more, in path order, then one bundle of middling files such as
tokenizers, then one of files under 1 MiB, last. Runtimes key snapshots by the chain of layers
below, so a changed README must not sit under the weights; and configuration, which people edit,
must not drag a tokenizer of many MiB along. At most 100 layers with the base, because container
engines stop at 125 or so.
Source: docs/adr/0008-three-kinds-of-layers.md; the layout rules of OCI image-spec v1.1 layer.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import pairwise

from carferry.errors import InputError
from carferry.io.shell import glob_of, option
from carferry.oci import tarball
from carferry.refs import Digest
from carferry.source.snapshot import SourceFile

LARGE_BYTES = 64 * 1024 * 1024
SMALL_BYTES = 1024 * 1024
MOST_LAYERS = 100
ROOT = "models"
_RAW_VERSION = "raw.1"
_EMPTY_SHOWN = 20


class Format(StrEnum):
    """What kind of image is made.

    ``modelcar`` packs files as tar layers over a base; ``modelpack`` (CNCF model-spec) stores
    each file raw, so that a layer's digest is the file's own sha256.
    """

    MODELCAR = "modelcar"
    MODELPACK = "modelpack"


@dataclass(frozen=True, slots=True)
class Literal:
    """Bytes of a layer that come from no file: headers, padding, the end."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of one source file inside a layer."""

    file: SourceFile


@dataclass(frozen=True)  # no slots: what is derived from thousands of files is kept
class Layer:
    """One uncompressed layer, known to its exact length before it is read.

    Attributes:
        files: What it holds, sorted by path; never empty.
        raw: The one file's own bytes instead of a tar.
    """

    files: tuple[SourceFile, ...]
    raw: bool = False

    @property
    def name(self) -> str:
        """What a person sees: the path, or how many small files."""
        first = self.files[0].path
        return first if len(self.files) == 1 else f"{first} and {len(self.files) - 1} more"

    @property
    def pieces(self) -> Iterator[Literal | Content]:
        """The layer in order: directories, then header, content and padding of each file."""
        if self.raw:
            yield Content(self.files[0])
            return
        yield Literal(b"".join(map(tarball.directory_header, self._directories)))
        for file in self.files:
            yield Literal(tarball.file_header(f"{ROOT}/{file.path}", file.size_bytes))
            yield Content(file)
            yield Literal(tarball.padding(file.size_bytes))
        yield Literal(tarball.END)

    @cached_property
    def size_bytes(self) -> int:
        """Exact length of the layer."""
        return sum(
            len(piece.data) if isinstance(piece, Literal) else piece.file.size_bytes
            for piece in self.pieces
        )

    @cached_property
    def content_key(self) -> Digest:
        """Identity of the layer's bytes, known without reading them.

        A pure function of format version and each file's path, size and content id; two
        layers with one key have one digest. The git blob id of small files is part of it, so
        a changed ``config.json`` can never pass for the old one.
        """
        names = [[file.path, file.size_bytes, str(file.content)] for file in self.files]
        version = _RAW_VERSION if self.raw else tarball.FORMAT_VERSION
        return Digest.of(json.dumps([version, ROOT, names]).encode())

    @property
    def blob_key(self) -> str:
        """Identity of the blob alone: two equal files, stored raw, are one blob of two layers."""
        file = self.files[0]
        if self.raw and file.content.hex:
            return f"{file.content} {file.size_bytes}"
        return str(self.content_key)

    @property
    def is_provable(self) -> bool:
        """Whether its bytes alone prove that they are its files'; entity tags prove nothing."""
        return all(file.content.is_provable for file in self.files)

    @property
    def known_digest(self) -> Digest | None:
        """The digest, if known unread: that of a raw layer whose file has an LFS sha256."""
        content = self.files[0].content
        return Digest(content.hex) if self.raw and content.kind == "sha256" else None

    @property
    def _directories(self) -> list[str]:
        return tarball.parents(f"{ROOT}/{file.path}" for file in self.files)


def arrange(
    files: Sequence[SourceFile],
    *,
    base_layers: int,
    format: Format = Format.MODELCAR,
    large_bytes: int = LARGE_BYTES,
) -> tuple[Layer, ...]:
    """Divide a snapshot's files into layers.

    Args:
        files: Sorted by path.
        base_layers: Layers already below; the sum stays within ``MOST_LAYERS``.
        format: ``modelpack`` gives every file a raw layer of its own.
        large_bytes: From this size on a file has a layer of its own.

    Returns:
        Large files alone (runs of them together if there are too many), middling ones in one
        layer, small ones last.

    Raises:
        InputError: An empty file cannot be a layer of its own.
    """
    if format is Format.MODELPACK:
        _check_not_empty(files)
        return tuple(Layer((file,), raw=True) for file in files)
    large = [file for file in files if file.size_bytes >= large_bytes]
    rest = [file for file in files if file.size_bytes < large_bytes]
    middling = tuple(file for file in rest if file.size_bytes >= SMALL_BYTES)
    small = tuple(file for file in rest if file.size_bytes < SMALL_BYTES)
    bundles = [Layer(bundle) for bundle in (middling, small) if bundle]
    room = max(1, MOST_LAYERS - base_layers - len(bundles))
    return (*(Layer(tuple(group)) for group in _runs(large, room)), *bundles)


def _check_not_empty(files: Sequence[SourceFile]) -> None:
    """Refuse a layer of no bytes: containerd does not pull it, and some registries do not take it.

    Source: containerd core/remotes/handlers.go, fetch (size zero is an invalid argument);
    image-spec v1.1 manifest.md, "Guidance for an Empty Descriptor".
    """
    empty = [file.path for file in files if not file.size_bytes]
    if empty:
        left_out = option("--exclude", ",".join(map(glob_of, empty[:_EMPTY_SHOWN])))
        counted = "1 of its files is" if len(empty) == 1 else f"{len(empty)} of its files are"
        raise InputError(
            "make modelpack with", empty[0],
            f"{counted} empty, and containerd pulls no layer of 0 bytes",
            f"leave them out with {left_out}, or make a modelcar, which can hold them",
        )  # fmt: skip


def _runs(files: Sequence[SourceFile], groups: int) -> list[Sequence[SourceFile]]:
    """Cut a list into at most ``groups`` runs whose lengths differ by one at the most."""
    count = min(groups, len(files))
    cuts = [index * len(files) // count for index in range(count + 1)] if count else [0]
    return [files[start:end] for start, end in pairwise(cuts)]
