"""Which file names may enter an image: a model repository is untrusted input.

A name ends up in a tar header that a container runtime unpacks as root, so anything that
could climb out, hide a lower file (whiteouts) or differ between file systems is refused.
Source: OCI image-spec v1.1 layer.md (whiteouts), POSIX NAME_MAX.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from carferry.errors import SourceNotFound, UnsafePath

MOST_FILES = 100_000
"""The hub recommends no more in one repository (docs/hub/storage-limits.md)."""
_LONGEST_PART = 255
_LONGEST_PATH = 1024


def check_count(subject: object, count: int) -> None:
    """Refuse a list that has no end in sight: a bucket's root, a server that makes up pages.

    Args:
        subject: What is listed.
        count: Files found so far.

    Raises:
        SourceNotFound: More than any model has.
    """
    if count > MOST_FILES:
        reason = f"more than {MOST_FILES} files, no model has so many"
        raise SourceNotFound("list", subject, reason, "name the folder of one model")


def check_path(path: str) -> str:
    """Return path if it is a plain relative POSIX path that is safe inside a layer.

    Raises:
        UnsafePath: Says which rule it breaks.
    """
    reason = fault_of(path)
    if reason:
        raise UnsafePath("take file", ascii(path), reason, "exclude it with --exclude")
    return path


def check_paths(paths: Iterable[str]) -> None:
    """Check each path, and that no two would meet in one place when unpacked.

    Raises:
        UnsafePath: A single path is unsafe, two differ only by case or Unicode form, or one
            is a file and another needs a folder of that name.
    """
    seen: dict[str, str] = {}
    files = [check_path(path) for path in paths]
    for path in files:
        first = seen.setdefault(_folded(path), path)
        if first is not path:
            raise _clash(path, first, "the two names meet on case-insensitive file systems")
    for path in files:
        for parent in PurePosixPath(path).parents:
            other = seen.get(_folded(str(parent)))
            if other is not None:
                raise _clash(path, other, "one is a file where the other needs a folder")


def path_bytes(path: str) -> bytes:
    """Return what paths are sorted by; a hub or a disk may send what is no text at all."""
    return path.encode("utf-8", "surrogatepass")


def fault_of(path: str) -> str:
    """Return which rule of ``check_path`` a path breaks; empty if none."""
    parts = path.split("/")
    if not path or path.startswith("/"):
        return "not a relative path"
    if any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in path):
        return "control or invisible characters in the name"
    if "\\" in path or any(part in {"", ".", ".."} for part in parts):
        return "'..', '.', '\\' or an empty part in the path"
    if any(part.startswith(".wh.") for part in parts):
        return "'.wh.' marks a deletion in an OCI layer"
    if len(path.encode()) > _LONGEST_PATH or any(len(p.encode()) > _LONGEST_PART for p in parts):
        return f"longer than {_LONGEST_PART} bytes a part or {_LONGEST_PATH} in all"
    return ""


def _folded(path: str) -> str:
    return unicodedata.normalize("NFKC", path).casefold()


def _clash(path: str, other: str, reason: str) -> UnsafePath:
    return UnsafePath("take files", f"{other!a} and {path!a}", reason, "exclude one with --exclude")
