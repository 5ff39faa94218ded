"""The files of one layer, read through from first byte to last, and their ids computed anew.

Bounded memory whatever a stranger wrote: chunks of 1 MiB, and headers that may not say how much
of them is kept. A layer that says carferry made it must have carferry's very frame: then no
other reader of tar can see anything else in it.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import IO, Any, cast

from carferry.errors import CarferryError, TargetError
from carferry.image.layers import ROOT
from carferry.image.unpack import Budget, Unpacked, readable
from carferry.image.whiteouts import is_whiteout
from carferry.io.retry import Retry
from carferry.oci import tarball
from carferry.oci.documents import LAYER, LAYER_TYPES, Descriptor
from carferry.oci.headers import path_in_image
from carferry.registry.blobs import as_file, read_blob
from carferry.registry.target import Target
from carferry.source.snapshot import ContentId

Kinds = Callable[[str], Iterable[str]]
"""Says which kinds of id (``sha256``, ``git``) are wanted of a file, from its path in the model."""

_BUFFER = 1024 * 1024
# Weights shrink by half, texts to a tenth; a layer made of zeros would be read for days.
_FREE_BYTES = 1024 * 1024 * 1024
_MOST_TIMES = 100
_LONGEST_HEADER_BYTES = 64 * 1024
_MOST_ENTRIES = 200_000
_MOST_NAMES_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Held:
    """One entry of a layer at or under ``/models``.

    Attributes:
        path: In the image, without a leading slash.
        ids: What its bytes hash to, of each kind that was wanted.
        flaw: Why it is no file of a model, such as that it is a link; empty if it may be one.
        is_folder: Whether it is a directory.
    """

    path: str
    ids: tuple[ContentId, ...] = ()
    flaw: str = ""
    is_folder: bool = False

    @property
    def in_model(self) -> str:
        """The path in the model."""
        return self.path.removeprefix(f"{ROOT}/")

    @property
    def is_file(self) -> bool:
        """Whether it is a file of the model, and not what hides one."""
        return not (self.is_folder or self.flaw or is_whiteout(self.path))


@dataclass(frozen=True, slots=True)
class Hashed:
    """What a layer holds at or under ``/models``.

    Attributes:
        entries: In the layer's order.
        flaw: What is wrong with the layer as a whole; empty if nothing is.
    """

    entries: tuple[Held, ...] = ()
    flaw: str = ""


def read_ids(
    target: Target,
    layer: Descriptor,
    kinds: Kinds,
    *,
    retry: Retry,
    moved: Callable[[int], None] = lambda _: None,
    raw_path: str = "",
    framed: bool = False,
) -> Hashed:
    """Read a layer through and compute the ids of each of its files.

    Args:
        target: Where it is.
        layer: Its descriptor.
        kinds: Says which ids are wanted.
        retry: Policy for a connection that breaks.
        moved: Called with the length of each chunk.
        raw_path: Path of the one file that the layer is, if it is no archive.
        framed: Whether the layer says that carferry's stream engine made it.

    Raises:
        Unreachable: It broke again and again.
    """
    reading = _Reading(kinds)
    whole = hashlib.sha256()

    def hashed(chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            whole.update(chunk)
            moved(len(chunk))
            yield chunk

    try:
        with closing(read_blob(target, layer.digest, retry)) as blob:
            chunks = hashed(blob)
            if raw_path:
                reading.raw(raw_path, layer.size_bytes, chunks)
            else:
                reading.archive(layer, chunks)
            for _ in chunks:  # what follows an archive's end belongs to the digest too
                pass
    except CarferryError as error:
        if error.temporary or not isinstance(error, TargetError):
            raise
        return Hashed(flaw=error.reason)
    if whole.hexdigest() != layer.digest.hex:
        return Hashed((*reading.entries,), "other bytes were sent under its digest")
    is_ours = reading.frame() == layer.digest.hex
    flaw = "" if is_ours or not framed else "around its files it holds something else"
    return Hashed((*reading.entries,), flaw)


class _Reading:
    """One pass over a layer; it also computes what the layer would be with carferry's frame."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self._frame = hashlib.sha256()
        self.entries: list[Held] = []

    def frame(self) -> str:
        """Return the digest of a layer of the same files in carferry's frame."""
        framed = self._frame.copy()
        framed.update(tarball.END)
        return framed.hexdigest()

    def raw(self, path: str, size_bytes: int, chunks: Iterator[bytes]) -> None:
        """Take a layer that is one file."""
        self._take(path, size_bytes, chunks)

    def archive(self, layer: Descriptor, chunks: Iterator[bytes]) -> None:
        """Take a layer that is a tar.

        Raises:
            TargetError: Not a tar, or not one that can be read in bounded memory.
        """
        with (
            readable(layer),
            tarfile.open(
                fileobj=_plain(layer, chunks), mode="r|", bufsize=_BUFFER, tarinfo=Bounded
            ) as tar,
        ):
            self._members(tar)

    def _members(self, tar: tarfile.TarFile) -> None:
        count = names = 0
        while (member := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined]  # kept for seeking, which no stream can
            count += 1
            names += len(member.name) + len(member.linkname)
            if count > _MOST_ENTRIES or names > _MOST_NAMES_BYTES:
                raise tarfile.ReadError(f"more than {count - 1} entries are not kept")
            self._member(tar, member)

    def _member(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        if member.isdir():
            self._frame.update(tarball.directory_header(member.name))
            if _counts(member.name):
                self.entries.append(Held(path_in_image(member.name), is_folder=True))
        elif member.isreg() and not member.issparse():
            content = cast(IO[bytes], tar.extractfile(member))
            self._frame.update(tarball.file_header(member.name, member.size))
            self._take(member.name, member.size, iter(lambda: content.read(_BUFFER), b""))
            self._frame.update(tarball.padding(member.size))
        elif _counts(member.name):
            self.entries.append(
                Held(path_in_image(member.name), flaw="a link or device, not a file")
            )

    def _take(self, name: str, size_bytes: int, chunks: Iterator[bytes]) -> None:
        held = Held(path_in_image(name))
        kinds = self._kinds(held.in_model) if _counts(name) else ()
        hashers = {kind: ContentId(kind, "").hasher(size_bytes) for kind in kinds}
        for chunk in chunks:
            self._frame.update(chunk)
            for hasher in hashers.values():
                hasher.update(chunk)
        if _counts(name):
            ids = tuple(ContentId(kind, each.hexdigest()) for kind, each in hashers.items())
            self.entries.append(replace(held, ids=ids))


class Bounded(tarfile.TarInfo):
    """A header whose extensions are short: tarfile reads them whole, however long they say."""

    def _proc_member(self, tar: Any) -> Any:
        if not self.isreg() and not self.isdir() and self.size > _LONGEST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        if self.type == tarfile.XGLTYPE:
            # Python applies it to all that follow, Go, and so containerd, to nothing.
            raise tarfile.ReadError("a global header, which readers take differently")
        return super()._proc_member(tar)  # type: ignore[misc]


def _plain(layer: Descriptor, chunks: Iterator[bytes]) -> IO[bytes]:
    if layer.media_type not in LAYER_TYPES:
        raise TargetError("read layer", layer.digest, f"it is no tar ({layer.media_type})")
    packed = as_file(chunks)
    if layer.media_type == LAYER:
        return packed
    most = max(_FREE_BYTES, _MOST_TIMES * layer.size_bytes)
    return cast(IO[bytes], Unpacked(packed, layer, Budget(unpacked_bytes=most)))


def _counts(name: str) -> bool:
    """Return whether an entry lies at or under ``/models``, or takes all of it away."""
    path = path_in_image(name)
    takes = "/" not in path and is_whiteout(path)
    return path == ROOT or path.startswith(f"{ROOT}/") or takes
