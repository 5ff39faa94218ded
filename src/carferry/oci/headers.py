"""Headers of a stranger's tar, one at a time and within limits; no content is kept.

``tarfile`` reads an extended header of whatever length it announces, and keeps every member. The
limits here are those of the programs that will unpack the layer: Go's archive/tar takes extended
headers of 1 MiB (maxSpecialFileSize), Linux takes paths of 4096 bytes (PATH_MAX). Global headers
are skipped, as container engines skip them (containerd pkg/archive, moby pkg/archive).
"""

from __future__ import annotations

import io
import posixpath
import re
import tarfile
from collections.abc import Iterator, Mapping
from typing import IO, Self

from carferry.oci.tarball import BLOCK

_EXTENDED_BYTES = 1024 * 1024
_NAME_BYTES = 4096
_LARGEST = 1 << 62
_CHUNK = 256 * 1024
_RECORD = re.compile(rb"([0-9]{1,7}) ([^=\n]{1,200})=")
_NUMBER = re.compile(r"[0-9]{1,19}")
_LONG = {tarfile.GNUTYPE_LONGNAME: "path", tarfile.GNUTYPE_LONGLINK: "linkpath"}
_LOCAL = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
# GNU sparse maps go on in blocks of their own; these are the flags that say so.
_SPARSE_MORE = (482, 504)
_SIZES = ("GNU.sparse.realsize", "GNU.sparse.size")


class BoundedInfo(tarfile.TarInfo):
    """An entry for ``tarfile`` itself, where contents are wanted too: no header is too long."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Parse a header.

        Raises:
            tarfile.ReadError: It announces an extended header longer than engines take.
        """
        entry = super().frombuf(buf, encoding, errors)
        if entry.type in {*_LONG, *_LOCAL, tarfile.XGLTYPE} and entry.size > _EXTENDED_BYTES:
            raise tarfile.ReadError(f"an extended header of {entry.size} bytes")
        return entry


def path_in_image(name: str) -> str:
    """Return the path that an entry's name means when it is unpacked, without a leading slash."""
    return posixpath.normpath(f"/{name}").lstrip("/")


def read_headers(file: IO[bytes]) -> Iterator[tarfile.TarInfo]:
    """Yield the entries of a tar, their contents skipped: by seeking if the file can.

    Args:
        file: At the archive's start.

    Raises:
        tarfile.TarError: Not a tar, cut off, or beyond what any engine unpacks.
    """
    fields: dict[str, str] = {}
    while block := _whole(file, BLOCK):
        if not any(block):
            return
        entry = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        if not 0 <= entry.size < _LARGEST:
            raise tarfile.ReadError(f"a size of {entry.size}")
        if entry.type in _LONG:
            fields[_LONG[entry.type]] = _text(_extended(file, entry).split(b"\0")[0])
        elif entry.type in _LOCAL:
            fields |= _records(_extended(file, entry))
        elif entry.type == tarfile.XGLTYPE:
            _skip(file, _padded(entry.size))
        else:
            _skip_sparse_map(file, entry, block)
            stored = _apply(entry, fields)
            fields = {}
            yield entry
            _skip(file, _padded(stored))


def _apply(entry: tarfile.TarInfo, fields: Mapping[str, str]) -> int:
    """Correct an entry by its extended headers; return the bytes that its content takes."""
    entry.name = fields.get("GNU.sparse.name", fields.get("path", entry.name))
    entry.linkname = fields.get("linkpath", entry.linkname)
    longest = max(len(_bytes(entry.name)), len(_bytes(entry.linkname)))
    if longest > _NAME_BYTES:
        raise tarfile.ReadError(f"a name of {longest} bytes")
    entry.uid = _number(fields, "uid", entry.uid)
    entry.gid = _number(fields, "gid", entry.gid)
    stored = entry.size = _number(fields, "size", entry.size)
    for name in _SIZES:
        entry.size = _number(fields, name, entry.size)
    # Links and folders have no content, whatever size they state.
    return stored if entry.isreg() or entry.type not in tarfile.SUPPORTED_TYPES else 0


def _number(fields: Mapping[str, str], name: str, default: int) -> int:
    text = fields.get(name)
    if text is None:
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


def _extended(file: IO[bytes], entry: tarfile.TarInfo) -> bytes:
    if entry.size > _EXTENDED_BYTES:
        raise tarfile.ReadError(f"an extended header of {entry.size} bytes")
    return _whole(file, _padded(entry.size))[: entry.size]


def _skip_sparse_map(file: IO[bytes], entry: tarfile.TarInfo, block: bytes) -> None:
    if entry.type != tarfile.GNUTYPE_SPARSE:
        return
    first, later = _SPARSE_MORE
    more = block[first]
    while more:
        more = (_whole(file, BLOCK) or bytes(BLOCK))[later]


def _skip(file: IO[bytes], size: int) -> None:
    if size and file.seekable():
        # The last byte is read: beyond the end a seek says nothing.
        file.seek(size - 1, io.SEEK_CUR)
        size = 1
    while size:
        passed = len(file.read(min(size, _CHUNK)))
        if not passed:
            raise tarfile.ReadError("unexpected end of data")
        size -= passed


def _whole(file: IO[bytes], size: int) -> bytes:
    """Read exactly so much, or nothing at the end."""
    data = b""
    while len(data) < size and (more := file.read(size - len(data))):
        data += more
    if data and len(data) < size:
        raise tarfile.ReadError("truncated header")
    return data


def _padded(size: int) -> int:
    return size + -size % BLOCK


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
