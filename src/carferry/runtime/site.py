"""From wheels to the files of one folder of modules, as an installer would lay them.

A wheel is a zip of what belongs on ``sys.path``; what belongs elsewhere (scripts, headers, data)
is not needed by a step and stays out, as do compiled caches. Metadata stays, so that
importlib.metadata and scanners find every package. Source: PEP 427.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from carferry.errors import SourceError, UnsafePath
from carferry.source.paths import check_path, check_paths

_SPREAD = re.compile(r"[^/]+\.data/([^/]+)/(.+)")
_MODULES = {"purelib", "platlib"}
_REMEDY = "do not use this package index"


def site_packages(wheels: Sequence[Path]) -> dict[str, bytes]:
    """Return all files of some wheels by their path on ``sys.path``.

    Raises:
        UnsafePath: A path that must not enter an image, or two wheels disagree about one.
        SourceError: Not a wheel.
    """
    files: dict[str, bytes] = {}
    owners: dict[str, str] = {}
    for wheel in wheels:
        for path, data in _unpack(wheel):
            owner = owners.setdefault(path, wheel.name)
            if files.setdefault(path, data) != data:
                both = f"{owner} and {wheel.name}"
                raise UnsafePath("unpack", both, f"they hold different {path!a}", _REMEDY)
    with _blaming("wheels"):
        check_paths(files)
    return files


def _unpack(wheel: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(wheel) as archive, _blaming(wheel.name):
            for entry in archive.infolist():
                path = "" if entry.is_dir() else _place(entry.filename)
                if path:
                    yield check_path(path), archive.read(entry)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, OSError) as error:
        raise SourceError("unpack", wheel.name, f"not a wheel: {error}", _REMEDY) from error


@contextmanager
def _blaming(subject: str) -> Iterator[None]:
    """Name the wheel and the remedy in the error of an unsafe path."""
    try:
        yield
    except UnsafePath as error:
        raise UnsafePath("unpack", subject, f"{error.subject}: {error.reason}", _REMEDY) from error


def _place(name: str) -> str:
    """Return the path of a wheel's file on ``sys.path``; empty if it does not belong there."""
    if name.endswith(".pyc"):
        return ""
    spread = _SPREAD.fullmatch(name)
    if spread is None:
        return name
    return spread[2] if spread[1] in _MODULES else ""
