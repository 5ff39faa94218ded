"""What lies in a folder where a file should: a pointer to it, a web page, nothing at all.

Sources: git-lfs ``docs/spec.md`` (pointers are UTF-8, under 1024 bytes, and begin with their
version); xet-core ``pointer_file.rs`` (TOML behind ``# xet version``).
"""

from __future__ import annotations

import re

from carferry.errors import BrokenFile

POINTER_BYTES = range(100, 1024)
"""How long a pointer is: its shortest lines, a sha256 and a size, take 120 bytes."""

_LFS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")
_XET = b"# xet version "
_SIZE = re.compile(rb"(?m)^size ([0-9]{1,20})\r?$")
_PAGES = (b"<!doctype html", b"<html")
_PAGE_BYTES = 256


def check_pointer(path: str, head: bytes) -> None:
    """Refuse a file that only points to its content.

    Args:
        path: In the repository.
        head: Its first bytes; a pointer is there whole.

    Raises:
        BrokenFile: Says what brings the content.
    """
    if head.startswith(_LFS):
        size = _SIZE.search(head)
        real = f" for a file of {int(size[1])} bytes" if size else ""
        raise BrokenFile(
            "check", path, f"a git-lfs pointer{real}, not the file",
            "run git lfs pull in the folder, or choose a revision that holds the file",
        )  # fmt: skip
    if head.startswith(_XET):
        raise BrokenFile(
            "check", path, "a git-xet pointer, not the file",
            "run git xet checkout in the folder, or download the file from the hub",
        )  # fmt: skip


def check_page(path: str, head: bytes) -> None:
    """Refuse a web page: what a download tool keeps when it was sent to a login or an error.

    Raises:
        BrokenFile: It is one.
    """
    if head[:_PAGE_BYTES].lstrip().lower().startswith(_PAGES):
        raise BrokenFile("check", path, "an HTML page, not the file", "download it again")


def check_filled(path: str, size_bytes: int) -> None:
    """Refuse a file of no bytes.

    Raises:
        BrokenFile: It is empty.
    """
    if not size_bytes:
        raise BrokenFile("check", path, "empty", "download it again or report it")
