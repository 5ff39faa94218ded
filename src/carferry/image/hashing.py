"""The files of one layer, read through from first byte to last, and their ids computed anew.

Bounded memory whatever a stranger wrote: chunks of 1 MiB, and no more entries than are kept. A
layer that says carferry made it must have carferry's very frame: then no other reader of tar can
see anything else in it. Others are read as container engines read them (oci/headers.py).
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import IO, cast

from carferry.errors import CarferryError, TargetError
from carferry.image.entries import in_model
from carferry.image.layers import ROOT
from carferry.image.unpack import Budget, DamagedLayer, Unpacked, most_unpacked, readable
from carferry.image.whiteouts import is_whiteout
from carferry.io.net.retry import Retry
from carferry.oci import tarball
from carferry.oci.documents import LAYER, LAYER_TYPES, Descriptor
from carferry.oci.headers import Member, path_in_image, read_members
from carferry.registry.blobs import as_file, read_blob
from carferry.registry.target import Target
from carferry.source.snapshot import ContentId

Kinds = Callable[[str], Iterable[str]]
"""Says which kinds of id (``sha256``, ``git``) are wanted of a file, from its path in the model."""

_BUFFER = 1024 * 1024
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
    reading = _Reading(kinds, framed)
    whole = hashlib.sha256()

    def hashed(chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            whole.update(chunk)
            moved(len(chunk))
            yield chunk

    try:
        with closing(read_blob(target, layer.digest, retry, size_bytes=layer.size_bytes)) as blob:
            damage = reading.all(layer, raw_path, hashed(blob))
    except CarferryError as error:
        if error.temporary or not isinstance(error, TargetError):
            raise
        return Hashed(flaw=error.reason)
    if whole.hexdigest() != layer.digest.hex:
        return Hashed((*reading.entries,), "other bytes were sent under its digest")
    if damage:
        return Hashed(flaw=damage)
    is_ours = not framed or reading.frame() == layer.digest.hex
    flaw = "" if is_ours else "around its files it holds something else"
    return Hashed((*reading.entries,), flaw)


class _Reading:
    """One pass over a layer; it also computes what the layer would be with carferry's frame."""

    def __init__(self, kinds: Kinds, framed: bool) -> None:
        self._kinds = kinds
        self._frame = hashlib.sha256() if framed else None
        self.entries: list[Held] = []

    def frame(self) -> str:
        """Return the digest of a layer of the same files in carferry's frame."""
        self._around(lambda: tarball.END)
        return self._frame.hexdigest() if self._frame else ""

    def all(self, layer: Descriptor, raw_path: str, chunks: Iterator[bytes]) -> str:
        """Take a layer to its last byte, and return how it is damaged; empty if it is not."""
        damage = ""
        try:
            if raw_path:
                self._take(raw_path, layer.size_bytes, chunks)
            else:
                self._archive(layer, chunks)
        except DamagedLayer as error:
            damage = error.reason
        for _ in chunks:  # what follows an archive's end belongs to the digest too
            pass
        return damage

    def _archive(self, layer: Descriptor, chunks: Iterator[bytes]) -> None:
        count = names = 0
        with readable(layer):
            file = _plain(layer, chunks)
            for member in read_members(file):
                count += 1
                # Every folder above a path is kept too.
                name = member.info.name
                names += len(name) * (1 + name.count("/")) + len(member.info.linkname)
                if count > _MOST_ENTRIES or names > _MOST_NAMES_BYTES:
                    raise tarfile.ReadError(f"more than {count - 1} entries are not kept")
                self._member(member)
            while file.read(_BUFFER):  # damage of what is packed may lie behind the archive's end
                pass

    def _member(self, member: Member) -> None:
        info = member.info
        if info.isdir():
            self._around(lambda: tarball.directory_header(info.name))
            if _counts(info.name):
                self.entries.append(Held(path_in_image(info.name), is_folder=True))
        elif member.is_file:
            self._around(lambda: tarball.file_header(info.name, info.size))
            self._take(info.name, info.size, iter(lambda: member.read(_BUFFER), b""))
            self._around(lambda: tarball.padding(info.size))
        elif _counts(info.name):
            flaw = "a link or device, not a file, or one with holes"
            self.entries.append(Held(path_in_image(info.name), flaw=flaw))

    def _take(self, name: str, size_bytes: int, chunks: Iterator[bytes]) -> None:
        held = Held(path_in_image(name))
        kinds = self._kinds(held.in_model) if _counts(name) else ()
        hashers = {kind: ContentId(kind, "").hasher(size_bytes) for kind in kinds}
        for chunk in chunks:
            if self._frame:
                self._frame.update(chunk)
            for hasher in hashers.values():
                hasher.update(chunk)
        if _counts(name):
            ids = tuple(ContentId(kind, each.hexdigest()) for kind, each in hashers.items())
            self.entries.append(replace(held, ids=ids))

    def _around(self, piece: Callable[[], bytes]) -> None:
        """Add a piece of the frame; a stranger's name may be none that carferry could write."""
        if self._frame:
            self._frame.update(piece())


def _plain(layer: Descriptor, chunks: Iterator[bytes]) -> IO[bytes]:
    if layer.media_type not in LAYER_TYPES:
        raise TargetError("read layer", layer.digest, f"it is no tar ({layer.media_type})")
    packed = as_file(chunks)
    if layer.media_type == LAYER:
        return packed
    budget = Budget(unpacked_bytes=most_unpacked(layer))
    return cast(IO[bytes], Unpacked(packed, layer, budget))


def _counts(name: str) -> bool:
    """Return whether an entry lies at or under ``/models``, or takes all of it away."""
    path = path_in_image(name)
    takes = "/" not in path and is_whiteout(path)
    return in_model(path) or takes
