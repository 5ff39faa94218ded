"""Writing where the user says: whole or not at all, and through whatever stands there.

A name may lead to more than a file. A link is followed, a device and a pipe are written to, and
what a shell calls ``/dev/stdout`` is the descriptor itself: a rename would put a file in their
place, and whoever reads there would get nothing. Only a file of its own is replaced at one
stroke, by one with the same mode and owner.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import select
import stat
import sys
import time
from pathlib import Path

from carferry.errors import InputError, StorageFull, TargetError
from carferry.io.files import failed

_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/([0-9]{1,6})")
_STREAMS = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_MOST_LINKS = 40
# A folder that takes no new file, or a file that is a mount of its own: written where it is.
_IN_PLACE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.EXDEV}
READER_S = 10.0
"""Seconds that a pipe's reader may take to come."""
READING_S = 60.0
"""Seconds that it may take between two pieces."""


def save(path: Path, data: bytes, *, action: str = "write", reader_s: float = READER_S) -> None:
    """Write a file that the user named.

    Args:
        path: A file, there already or not, a link, a device, a pipe or a descriptor.
        data: All of it.
        action: What the option calls it.
        reader_s: Seconds to wait for the reader of a pipe.

    Raises:
        InputError: A folder, a disk or a socket, a pipe without a reader, or not writable.
        StorageFull: No space left there.
    """
    try:
        _save(path, data, action, reader_s)
    except OSError as error:
        failure = failed(action, path, error)
        if isinstance(failure, StorageFull):
            raise failure from error
        raise InputError(action, path, failure.reason, failure.remedy) from error


def _save(path: Path, data: bytes, action: str, reader_s: float) -> None:
    number = _descriptor(path)
    if number is not None:
        return _to_descriptor(number, data)
    try:
        found = path.stat()
    except FileNotFoundError:
        return _replace(Path(os.path.realpath(path)), data, None)
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFREG:
        return _over(Path(os.path.realpath(path)), data, found)
    if kind == stat.S_IFCHR:
        return _into(path, data, os.O_NOCTTY)
    if kind == stat.S_IFIFO:
        return _through(path, data, action, reader_s)
    reason = {stat.S_IFDIR: "a folder", stat.S_IFBLK: "a disk"}.get(kind, "neither file nor pipe")
    raise InputError(action, path, reason, "name a file, or - for stdout")


def _descriptor(path: Path) -> int | None:
    """Return the number of the open file that a name stands for, links followed; mostly None."""
    here = path.absolute()
    for _ in range(_MOST_LINKS):
        if (name := str(here)) in _STREAMS:
            return _STREAMS[name]
        if found := _DESCRIPTOR.fullmatch(name):
            return int(found[1])
        try:
            here = here.parent / here.readlink()
        except OSError:
            return None
    return None


def _to_descriptor(number: int, data: bytes) -> None:
    """Write behind what this process has printed there already."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    _write(number, data)


def _over(path: Path, data: bytes, found: os.stat_result) -> None:
    """Replace a file; in its place if it has other names, or if its folder does not let us."""
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    if found.st_nlink > 1:
        return _rewrite(path, data)
    try:
        _replace(path, data, found)
    except OSError as error:
        if error.errno not in _IN_PLACE:
            raise
        _rewrite(path, data)


def _replace(path: Path, data: bytes, found: os.stat_result | None) -> None:
    """Write beside the place and rename: what was there is whole until the new file is."""
    part = path.with_name(f".part-{secrets.token_hex(8)}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        try:
            _write(handle, data)
            if found:
                os.fchown(handle, found.st_uid, found.st_gid)
                os.fchmod(handle, stat.S_IMODE(found.st_mode))
        finally:
            os.close(handle)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _rewrite(path: Path, data: bytes) -> None:
    """Write over a file where it is, once there is room for all of it."""
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(handle).st_size
        with contextlib.suppress(AttributeError):  # not on every system
            os.posix_fallocate(handle, 0, max(size, len(data), 1))
        _write(handle, data)
        os.ftruncate(handle, len(data))
    finally:
        os.close(handle)


def _into(path: Path, data: bytes, flags: int = 0) -> None:
    """Write to a device as it is: neither made, nor cut, nor replaced."""
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC | flags)
    try:
        _write(handle, data)
    finally:
        os.close(handle)


def _through(path: Path, data: bytes, action: str, reader_s: float) -> None:
    """Write to a pipe; its reader may come a little later, or never."""
    deadline, handle = time.monotonic() + reader_s, -1
    while handle < 0:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if time.monotonic() >= deadline:
                reason = f"nobody has opened this pipe for reading in {reader_s:.0f} s"
                raise InputError(action, path, reason, "start its reader first") from error
            time.sleep(0.05)
    try:
        _write(handle, data, waiting=TargetError(action, path, "its reader does not read"))
    except BrokenPipeError as error:
        raise TargetError(action, path, "its reader went away") from error
    finally:
        os.close(handle)


def _write(handle: int, data: bytes, *, waiting: TargetError | None = None) -> None:
    """Write all of it; what does not block is waited for."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(handle, view) :]
        except BlockingIOError:
            if not _writable(handle) and waiting:
                raise waiting from None


def _writable(handle: int) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLOUT)
    return bool(poll.poll(READING_S * 1000))
