"""Tar bytes that are the same on every machine.

GNU headers, because scanners ignore PAX sizes over 8 GiB; mtime 0, uid and gid 0, no names,
0644 and 0755; every parent directory explicit, because runtimes disagree about implicit ones.
The exact bytes are pinned by golden tests: they decide every layer digest.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from pathlib import PurePosixPath

BLOCK = 512
END = bytes(2 * BLOCK)
FORMAT_VERSION = "tar.1"


def directory_header(path: str) -> bytes:
    """Return the header of a 0755 directory.

    Args:
        path: In-image path without a leading slash.
    """
    info = tarfile.TarInfo(path)
    info.type = tarfile.DIRTYPE
    info.mode = 0o755
    return _bytes(info)


def file_header(path: str, size_bytes: int) -> bytes:
    """Return the header of a 0644 file; 512 bytes, more if the path is over 100 bytes."""
    info = tarfile.TarInfo(path)
    info.size = size_bytes
    info.mode = 0o644
    return _bytes(info)


def padding(size_bytes: int) -> bytes:
    """Return the zeros that fill a file's last block."""
    return bytes(-size_bytes % BLOCK)


def parents(paths: Iterable[str]) -> list[str]:
    """Return every directory above the paths, outermost first, each once, sorted."""
    found = {str(up) for path in paths for up in PurePosixPath(path).parents}
    return sorted(found - {"."}, key=str.encode)


def _bytes(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")
