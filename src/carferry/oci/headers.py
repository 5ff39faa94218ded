"""The one reader of strangers' tars: an entry at a time, within limits, and its content if wanted.

``tarfile`` reads an extended header of whatever length it announces, keeps every member, and
ends without a word at a header that is damaged. The limits here are those of the programs that will
unpack the layer: Go's archive/tar takes extended headers of 1 MiB (maxSpecialFileSize), Linux
takes paths of 4096 bytes (PATH_MAX). Where readers differ, an entry is what Go's archive/tar makes
of it (reader.go: next, mergePAX, readHeader), since container engines unpack with that; global
headers are skipped, as they skip them (containerd pkg/archive, moby pkg/archive).
"""

from __future__ import annotations

import io
import posixpath
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO

from carferry.oci.tarball import BLOCK

_EXTENDED_BYTES = 1024 * 1024
_NAME_BYTES = 4096
_LARGEST = 1 << 62
_CHUNK = 256 * 1024
_RECORD = re.compile(rb"([0-9]{1,7}) ([^=\n]{1,200})=")
_NUMBER = re.compile(r"\+?[0-9]{1,19}")
_LONG = {tarfile.GNUTYPE_LONGNAME: "path", tarfile.GNUTYPE_LONGLINK: "linkpath"}
# GNU sparse maps go on in blocks of their own; these are the flags that say so.
_SPARSE_MORE = (482, 504)
_SPARSE = ("GNU.sparse.map", "GNU.sparse.major")
_SIZES = ("GNU.sparse.realsize", "GNU.sparse.size")
_OCTAL = re.compile(rb"[ \0]*[0-7]*[ \0]*")


@dataclass(slots=True)
class Member:
    """One entry of a tar.

    Attributes:
        info: Its header, corrected by the extended ones before it.
        offset: Where its content starts, in bytes from the archive's start.
        is_sparse: Whether what is stored is not the file's bytes one after the other.
    """

    info: tarfile.TarInfo
    offset: int
    is_sparse: bool
    _archive: _Archive
    _end: int

    @property
    def is_file(self) -> bool:
        """Whether its content is a file's bytes as they are."""
        return self.info.isreg() and not self.is_sparse

    def read(self, size: int) -> bytes:
        """Return the next bytes of the content, empty at its end; in vain after the next entry.

        Raises:
            tarfile.ReadError: The archive ends before.
        """
        size = min(size, self._end - self._archive.at)
        data = self._archive.read(size) if size > 0 else b""
        if size > 0 and not data:
            raise tarfile.ReadError("unexpected end of data")
        return data


def path_in_image(name: str) -> str:
    """Return the path that an entry's name means when it is unpacked, without a leading slash."""
    return posixpath.normpath(f"/{name}").lstrip("/")


def read_members(file: IO[bytes]) -> Iterator[Member]:
    """Yield the entries of a tar; what is not read of their contents is skipped.

    Args:
        file: At the archive's start; one that can seek is not read through.

    Raises:
        tarfile.TarError: Not a tar, cut off, or beyond what any engine unpacks.
    """
    archive = _Archive(file)
    long, local = dict[str, str](), dict[str, str]()
    while block := archive.block():
        entry = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        if not 0 <= entry.size < _LARGEST:
            raise tarfile.ReadError(f"a size of {entry.size}")
        if entry.type in _LONG:
            long[_LONG[entry.type]] = _text(_extended(archive, entry).split(b"\0")[0])
            continue
        if entry.type == tarfile.XHDTYPE:
            local = _records(_extended(archive, entry))
            continue
        if entry.type == tarfile.XGLTYPE:
            archive.skip(_padded(entry.size))
        else:
            entry.name = _plain_name(block, entry)
            _skip_sparse_map(archive, entry, block)
            stored = _apply(entry, local, long)
            start = archive.at
            is_sparse = entry.type == tarfile.GNUTYPE_SPARSE or _is_sparse(local)
            yield Member(entry, start, is_sparse, archive, start + stored)
            archive.skip(start + stored - archive.at)
            archive.pass_by(-stored % BLOCK)
        long, local = {}, {}


class _Archive:
    """A file that is read forwards, and how much of it was."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._can_seek = file.seekable()
        self.at = 0

    def read(self, size: int) -> bytes:
        """Read on, perhaps less; empty at the end."""
        data = self._file.read(size)
        self.at += len(data)
        return data

    def block(self) -> bytes:
        """Return the next header; empty at the archive's end, which is two blocks of zeros."""
        block = self.whole(BLOCK)
        if any(block):
            return block
        if any(self.whole(BLOCK)):
            raise tarfile.ReadError("a block of zeros before its end")
        return b""

    def whole(self, size: int) -> bytes:
        """Read exactly so much, or nothing at the end."""
        data = b""
        while len(data) < size and (more := self.read(size - len(data))):
            data += more
        if data and len(data) < size:
            raise tarfile.ReadError("truncated header")
        return data

    def pass_by(self, size: int) -> None:
        """Pass over bytes that may be missing at the end."""
        while size > 0 and (data := self.read(size)):
            size -= len(data)

    def skip(self, size: int) -> None:
        """Pass over bytes that must be there."""
        if size > 0 and self._can_seek:
            # The last byte is read: beyond the end a seek says nothing.
            self._file.seek(size - 1, io.SEEK_CUR)
            self.at += size - 1
            size = 1
        while size > 0:
            passed = len(self.read(min(size, _CHUNK)))
            if not passed:
                raise tarfile.ReadError("unexpected end of data")
            size -= passed


def _plain_name(block: bytes, entry: tarfile.TarInfo) -> str:
    """Return the name in a header itself.

    Only ustar has a prefix, where GNU has times; ``tarfile`` takes both for a prefix. Go's own
    writer did so too before 1.8, which Go's reader knows by times that are no numbers.
    """
    magic, times = block[257:263], (block[345:357], block[357:369])
    is_old_go = magic == b"ustar " and not all(map(_is_number, times))
    if magic == b"ustar\0" or entry.type == tarfile.GNUTYPE_SPARSE or is_old_go:
        return entry.name
    return _text(block[:100].split(b"\0")[0])


def _is_number(field: bytes) -> bool:
    return not field[0] or field[0] >= 0x80 or bool(_OCTAL.fullmatch(field))


def _is_sparse(local: Mapping[str, str]) -> bool:
    return any(local.get(name) for name in _SPARSE)


def _apply(entry: tarfile.TarInfo, local: Mapping[str, str], long: Mapping[str, str]) -> int:
    """Correct an entry by its extended headers; return the bytes that its content takes.

    GNU's long names win over PAX's records, and an empty value says nothing, as in Go.
    """
    named = local.get("GNU.sparse.name") if _is_sparse(local) else ""
    entry.name = long.get("path") or named or local.get("path") or entry.name
    entry.linkname = long.get("linkpath") or local.get("linkpath") or entry.linkname
    longest = max(len(_bytes(entry.name)), len(_bytes(entry.linkname)))
    if longest > _NAME_BYTES:
        raise tarfile.ReadError(f"a name of {longest} bytes")
    if "\0" in entry.name + entry.linkname:
        raise tarfile.ReadError("a name with a zero byte")
    if entry.type == tarfile.AREGTYPE and entry.name.endswith("/"):
        entry.type = tarfile.DIRTYPE
    entry.uid = _number(local, "uid", entry.uid)
    entry.gid = _number(local, "gid", entry.gid)
    stored = entry.size = _number(local, "size", entry.size)
    for name in _SIZES if _is_sparse(local) else ():
        entry.size = _number(local, name, entry.size)
    # Links and folders have no content, whatever size they state.
    return stored if entry.isreg() or entry.type not in tarfile.SUPPORTED_TYPES else 0


def _number(fields: Mapping[str, str], name: str, default: int) -> int:
    text = fields.get(name)
    if not text:
        return default
    if not _NUMBER.fullmatch(text) or int(text) >= _LARGEST:
        raise tarfile.ReadError(f"a {name} of {text[:20]!a}")
    return int(text)


def _records(data: bytes) -> dict[str, str]:
    """Parse ``length key=value`` records; what no entry here needs is left out."""
    found: dict[str, str] = {}
    at = 0
    while at < len(data) and data[at]:
        record = _RECORD.match(data, at)
        end = at + int(record[1]) if record else 0
        if not record or end <= record.end() or end > len(data) or data[end - 1 : end] != b"\n":
            raise tarfile.ReadError("a malformed extended header")
        found[_text(record[2])] = _text(data[record.end() : end - 1])
        at = end
    return found


def _extended(archive: _Archive, entry: tarfile.TarInfo) -> bytes:
    if entry.size > _EXTENDED_BYTES:
        raise tarfile.ReadError(f"an extended header of {entry.size} bytes")
    data = archive.whole(_padded(entry.size))[: entry.size]
    if len(data) < entry.size:
        raise tarfile.ReadError("truncated header")
    return data


def _skip_sparse_map(archive: _Archive, entry: tarfile.TarInfo, block: bytes) -> None:
    if entry.type != tarfile.GNUTYPE_SPARSE:
        return
    first, later = _SPARSE_MORE
    more = block[first]
    while more:
        more = (archive.whole(BLOCK) or bytes(BLOCK))[later]


def _padded(size: int) -> int:
    return size + -size % BLOCK


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
