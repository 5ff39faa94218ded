"""The golden bytes: these headers decide every layer digest, so they may never change."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile

import pytest

from carferry.oci import tarball

# Pinned on 2026-11-23; if one of these changes, FORMAT_VERSION must change with it.
GOLDEN = {
    "short": (
        "models/config.json",
        22,
        512,
        "62a2a73ad328e42e25f1e32dccb317377dc1c45b3949456cfff001d9ac1bb83c",
    ),
    "empty": (
        "models/empty.json",
        0,
        512,
        "3da96f62993f900a04ef0c51c4698cbdec59b6cf98597e472fa8edc2083b97f9",
    ),
    "exactly 100 bytes": (
        "models/" + "x" * 93,
        1,
        512,
        "a936218678009ad195955902dd5fa0a1f07a1e622b4583c6525ff15bea0bee9a",
    ),
    "101 bytes": (
        "models/" + "x" * 94,
        1,
        1536,
        "97bebbc408254a09388e6487c4268fc65a00fe6ef7f74c019c719ae95521516a",
    ),
    "over 512 bytes": (
        "models/" + "/".join(["f" * 80] * 7),
        1,
        2048,
        "22ed44142b1af304b1e3c4880f270e728cf0b6b9915e6502338b420cf490752c",
    ),
    "accent": (
        "models/mod\u00e8le.json",
        1,
        512,
        "2aed9bfd61dc894b26ad0e1d9809e5507f76ae8bee817479b5ece74cff58bb6e",
    ),
    "largest octal size": (
        "models/a.safetensors",
        (8 << 30) - 1,
        512,
        "578dbf46d77230ca5a43110045220d5241eed10049198f7c746b7f21d303676c",
    ),
    "8 GiB": (
        "models/a.safetensors",
        8 << 30,
        512,
        "93e227f9ff915625073279b8c2b5a70a8c3d5bdc2dc698bce2f95e88ca2da88c",
    ),
    "over 8 GiB": (
        "models/a.safetensors",
        900 << 30,
        512,
        "d93345c7ecee7bfbc1a12247eadc74385dba75a22cbce8b453726c90ea324982",
    ),
}


def _read(header: bytes) -> tarfile.TarInfo:
    with tarfile.open(fileobj=io.BytesIO(header + tarball.END)) as tar:
        member = tar.next()
    assert member is not None
    return member


@pytest.mark.parametrize("name", GOLDEN)
def test_a_file_header_is_byte_for_byte_the_pinned_one(name: str) -> None:
    path, size_bytes, length, pinned = GOLDEN[name]
    header = tarball.file_header(path, size_bytes)
    assert (len(header), hashlib.sha256(header).hexdigest()) == (length, pinned)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_file_header_reads_as_what_it_was_made_from(name: str) -> None:
    path, size_bytes, _, _ = GOLDEN[name]
    member = _read(tarball.file_header(path, size_bytes))
    facts = (member.name, member.size, member.mode, member.uid, member.gid, member.mtime)
    assert facts == (path, size_bytes, 0o644, 0, 0, 0)
    assert (member.uname, member.gname, member.isreg()) == ("", "", True)


@pytest.mark.parametrize(
    ("path", "pinned"),
    [
        ("models", "3297047f99e74151ca7ea2cee539924e71bef121bbc9a06004970d2f15450ab1"),
        ("models/1_Pooling", "b9401d45ba0e12cc584066ebe5c749f6623937d46225946449646b2053405d5d"),
        ("models/" + "d" * 120, "38308ec4f638ff56ec1caa2d11441ce2458514f7afa39111917fa4379f55c4d0"),
    ],
)
def test_a_directory_header_is_byte_for_byte_the_pinned_one(path: str, pinned: str) -> None:
    header = tarball.directory_header(path)
    assert hashlib.sha256(header).hexdigest() == pinned
    member = _read(header)
    assert (member.name, member.mode, member.isdir()) == (path, 0o755, True)


def test_sizes_over_8_gib_are_binary_and_not_pax() -> None:
    """Scanners read the size field and skip PAX records; GNU's high bit says base 256."""
    header = tarball.file_header("models/a.safetensors", 900 << 30)
    assert header[124] == 0x80
    assert int.from_bytes(header[125:136], "big") == 900 << 30
    assert header[257:265] == b"ustar  \0"


@pytest.mark.parametrize(("size", "fill"), [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511)])
def test_padding_fills_the_last_block(size: int, fill: int) -> None:
    assert tarball.padding(size) == bytes(fill)


def test_parents_come_once_and_outermost_first() -> None:
    paths = ["models/b/c/x", "models/a.json", "models/b/y", "models/a/z"]
    assert tarball.parents(paths) == ["models", "models/a", "models/b", "models/b/c"]


def test_gnu_tar_lists_the_largest_file_without_reading_it() -> None:
    header = tarball.file_header("models/" + "n" * 200 + ".safetensors", 9 << 30)
    done = subprocess.run(["tar", "-tvf", "-"], input=header, capture_output=True, check=False)
    assert f" {9 << 30} 1970-01-01 00:00 models/{'n' * 200}.safetensors" in done.stdout.decode()
