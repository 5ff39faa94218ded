"""One reader of strangers' tars: where readers differ, an entry is what Go's archive/tar sees."""

from __future__ import annotations

import io
import os
import tarfile

import pytest

from carferry.oci.headers import Member, read_members

HIDDEN = "models/config.json"


class Stream(io.BytesIO):
    """A file that is read forwards only."""

    def seekable(self) -> bool:
        return False


def header(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, **fields: bytes) -> bytes:
    """Return a header, some of its bytes replaced (by hexadecimal offset), its checksum right."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.size = kind, size
    block = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
    for at, data in fields.items():
        start = int(at[1:], 16)
        block[start : start + len(data)] = data
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def extended(kind: bytes, body: bytes) -> bytes:
    return header("x", len(body), kind) + body + bytes(-len(body) % 512)


def pax(*texts: str) -> bytes:
    def line(text: str) -> str:
        size = len(text) + 2
        while len(str(size)) + len(text) + 2 != size:
            size += 1
        return f"{size} {text}\n"

    return extended(tarfile.XHDTYPE, "".join(map(line, texts)).encode())


def long(name: str) -> bytes:
    return extended(tarfile.GNUTYPE_LONGNAME, name.encode() + b"\0")


# Sources: go/src/archive/tar/reader.go, next, readHeader, mergePAX, readGNUSparsePAXHeaders.
READ: dict[str, tuple[bytes, str]] = {
    "an empty path": (pax("path=") + header(HIDDEN), HIDDEN),
    "an empty path after another": (pax("path=other", "path=") + header(HIDDEN), HIDDEN),
    "an empty long name": (long("") + header(HIDDEN), HIDDEN),
    "a long name and a path": (long(HIDDEN) + pax("path=other") + header("y"), HIDDEN),
    "two paths": (pax("path=other") + pax("size=0") + header(HIDDEN), HIDDEN),
    "a path before a header for all": (
        pax("path=other") + extended(tarfile.XGLTYPE, b"") + header(HIDDEN), HIDDEN,
    ),
    "a path in a header for all": (
        extended(tarfile.XGLTYPE, b"14 path=other\n") + header(HIDDEN), HIDDEN,
    ),
    "a time for a prefix": (header(HIDDEN, x159=b"12345670123\0"), HIDDEN),
    "no number for a prefix": (header("config.json", x159=b"models"), HIDDEN),
    "a prefix": (header("config.json", x101=b"ustar\x0000", x159=b"models"), HIDDEN),
    "a name of no sparse file": (pax("GNU.sparse.name=other") + header(HIDDEN), HIDDEN),
    "a name of a sparse file": (
        pax("GNU.sparse.major=1", "GNU.sparse.minor=0", f"GNU.sparse.name={HIDDEN}")
        + header("y"), HIDDEN,
    ),
}  # fmt: skip


READ |= {
    "no padding behind the last": (header(HIDDEN, 3) + b"abc", HIDDEN),
    "a length with a sign": (pax("size=+3") + header(HIDDEN) + b"abc", HIDDEN),
}
ENDS = [bytes(1024), bytes(512), b""]
"""Archives end with two blocks of zeros, and need not."""


@pytest.mark.parametrize("end", ENDS, ids=len)
@pytest.mark.parametrize("name", READ)
def test_an_entry_is_what_container_engines_make_of_it(name: str, end: bytes) -> None:
    data, wanted = READ[name]
    data += bytes(-len(data) % 512) if end else b""
    assert [member.info.name for member in read_members(io.BytesIO(data + end))] == [wanted]


def test_an_extended_header_of_solaris_is_none() -> None:
    """Container engines take it for an entry of a kind that they do not unpack."""
    data = extended(tarfile.SOLARIS_XHDTYPE, b"14 path=other\n") + header(HIDDEN)
    assert [member.info.name for member in read_members(io.BytesIO(data))] == ["x", HIDDEN]


DAMAGED: dict[str, bytes] = {
    "a name with a zero byte": pax("path=mod\0els") + header("y"),
    "one block of zeros": header("y") + bytes(512) + header("z"),
    "an extended header cut off": header("x", 2000, tarfile.XHDTYPE) + bytes(512),
    "no content": header("y", 5),
    "a wrong checksum behind a right one": header("y") + b"q" + header("z")[1:],
}


@pytest.mark.parametrize("file", [io.BytesIO, Stream])
@pytest.mark.parametrize("name", DAMAGED)
def test_what_no_engine_unpacks_is_an_error(name: str, file: type[io.BytesIO]) -> None:
    with pytest.raises(tarfile.TarError):
        list(read_members(file(DAMAGED[name])))


@pytest.mark.parametrize("file", [io.BytesIO, Stream])
@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_contents_and_places_are_those_that_tarfile_finds(
    file: type[io.BytesIO], format: int
) -> None:
    """Read whole, in part or not at all: the next entry is where it is."""
    sizes = [0, 1, 511, 512, 513, 5000, 70_000]
    bodies = {f"models/{'d' * 90}/{n}": os.urandom(size) for n, size in enumerate(sizes)}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for name, body in bodies.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
    data = out.getvalue()
    for taken in (0, 100, 1 << 20):
        found = list[tuple[str, int, bytes]]()
        for member in read_members(file(data)):
            found.append((member.info.name, member.offset, whole(member, taken)))
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            wanted = [(m.name, m.offset_data, bodies[m.name][:taken]) for m in archive]
        assert found == wanted


def whole(member: Member, most: int) -> bytes:
    data = b""
    while len(data) < most and (more := member.read(most - len(data))):
        data += more
    return data


def test_a_content_cannot_be_read_beyond_its_end() -> None:
    data = header("a", 3) + b"abc" + bytes(509) + header("b", 1) + b"b" + bytes(511) + bytes(1024)
    first, second = [*read_members(Stream(data))]
    assert (first.read(10), second.read(10)) == (b"", b"")
