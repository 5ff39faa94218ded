"""Writing files whole or not at all, and the errors of a disk that refuses.

A long file has no name until it is whole: an unnamed one (open(2), ``O_TMPFILE``) goes away with
its process, whatever ends that. If a file system knows none, a hidden one stands beside the
place and is removed on the way out.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import tempfile
from pathlib import Path

from carferry.errors import StorageFull, TargetError

_DESCRIPTORS = Path("/proc/self/fd")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# Some file systems cannot reserve room; there the disk fills while writing.
_NO_RESERVING = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}


def failed(action: str, place: object, error: OSError) -> TargetError:
    """Return the error for what the system refused."""
    if error.errno in _FULL:
        return StorageFull(
            action, place, "no space left on the device", "free space or choose another"
        )
    return TargetError(action, place, error.strerror or str(error), "check the path")


def replace(path: Path, data: bytes) -> None:
    """Write a small file, readable by all, in place of what is there.

    Raises:
        OSError: Not written; what was there is unchanged.
    """
    file = AtomicFile(path.parent)
    try:
        file.write(data)
        file.name(path)
    finally:
        file.drop()


class AtomicFile:
    """A file being written, visible under its name only when it is whole.

    Args:
        folder: Where it will be; it must exist.
        unnamed: Try to do without a name meanwhile.

    Raises:
        OSError: It cannot be created.
    """

    def __init__(self, folder: Path, *, unnamed: bool = True) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._handle = _open_unnamed(folder) if unnamed else -1
        if self._handle < 0:
            self._handle, name = tempfile.mkstemp(prefix=".part-", dir=folder)
            self._path = Path(name)

    def reserve(self, size_bytes: int) -> None:
        """Ask for room at once, so that a full disk shows before hours of download."""
        if not size_bytes:
            return
        try:
            os.posix_fallocate(self._handle, 0, size_bytes)
        except OSError as error:
            if error.errno not in _NO_RESERVING:
                raise

    def seek(self, offset: int) -> None:
        """Set the offset in bytes at which writing goes on."""
        os.lseek(self._handle, offset, os.SEEK_SET)

    def write(self, data: bytes) -> int:
        """Write all of data and return its length."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._handle, view) :]
        return len(data)

    def name(self, path: Path) -> None:
        """Give the file its place in the same folder, over what is there."""
        os.fchmod(self._handle, 0o644)
        if self._path is None:
            self._path = self._folder / f".part-{secrets.token_hex(8)}"
            _link(self._handle, self._path)
        self._close()
        self._path.replace(path)

    def drop(self) -> None:
        """Forget what was written, unless it has its name; safe to call twice."""
        with contextlib.suppress(OSError):
            self._close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        """Close once: by the second time the number may be another thread's file."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)


def _open_unnamed(folder: Path) -> int:
    """Return a descriptor, or -1 if system or file system have no unnamed files."""
    if not hasattr(os, "O_TMPFILE") or not _DESCRIPTORS.is_dir():
        return -1
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        return -1  # the named file says why, if that fails too


def _link(handle: int, path: Path) -> None:
    """Give an unnamed file its first name."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # With a directory's descriptor Python calls linkat(2), which can follow the link in /proc.
        os.link(f"{_DESCRIPTORS}/{handle}", path.name, dst_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)
