"""Bringing a snapshot to a folder, for the staged path: download, then build, then push.

Files are verified while they are written and appear under their name only when they are right;
a second run keeps what is there and still matches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from carferry.io import files
from carferry.io.net.retry import Retry
from carferry.io.parallel import SMALL_BYTES, advance, run_by_size
from carferry.io.show.progress import Progress
from carferry.source.origin import RECORD
from carferry.source.snapshot import Snapshot, SourceFile
from carferry.source.source import Source

_CHUNK = 1024 * 1024


def download(
    source: Source,
    snapshot: Snapshot,
    folder: Path,
    *,
    parallel: int,
    retry: Retry,
    progress: Progress,
) -> int:
    """Write the snapshot's files below ``folder`` and a record of what they are.

    Args:
        source: Where files are read.
        snapshot: Which files, and what their bytes must be.
        folder: Created if missing; other files in it are left alone.
        parallel: Files written at once; of those up to 1 MiB, 16 if that is more.
        retry: The policy of the source; what stops it also stops writing.
        progress: Receives every chunk.

    Returns:
        Bytes that were fetched; 0 if everything was there already.

    Raises:
        SourceError: A file could not be read, or is not what was promised.
        StorageFull: The disk is full.
    """

    def fetch(file: SourceFile) -> tuple[SourceFile, int]:
        return _fetch(source, file, folder / file.path, retry, progress)

    def small(file: SourceFile) -> bool:
        return file.size_bytes <= SMALL_BYTES

    progress.expect(snapshot.size_bytes, len(snapshot.files))
    with progress.phase("fetching files", source.host):
        done = run_by_size(fetch, snapshot.files, small=small, parallel=parallel, retry=retry)
    _record(replace(snapshot, files=tuple(file for file, _ in done)), folder)
    return sum(fetched for _, fetched in done)


def _fetch(
    source: Source, file: SourceFile, path: Path, retry: Retry, progress: Progress
) -> tuple[SourceFile, int]:
    """Write one file unless it is there; return what it is, and the bytes that were fetched."""
    progress.begin(file.path, file.size_bytes)
    if _matches(path, file):
        progress.end(file.path, "kept")
        progress.expect(-file.size_bytes)
        return file, 0
    found = _write(source, file, path, partial(advance, progress, retry, file.path))
    progress.end(file.path, "move")
    return found, file.size_bytes


def _matches(path: Path, file: SourceFile) -> bool:
    try:
        same = path.is_file() and path.stat().st_size == file.size_bytes
        if not same or not file.content.is_provable:
            return False
        hasher = file.content.hasher(file.size_bytes)
        with path.open("rb") as handle:
            while chunk := handle.read(_CHUNK):
                hasher.update(chunk)
    except OSError as error:
        raise files.failed("read", path, error) from error
    return hasher.hexdigest() == file.content.hex


def _write(
    source: Source, file: SourceFile, path: Path, moved: Callable[[int], None]
) -> SourceFile:
    """Write one file and return it with an identity that its bytes prove."""
    hasher = file.content.hasher(file.size_bytes)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = files.AtomicFile(path.parent)
        try:
            for chunk in source.read(file):
                hasher.update(chunk)
                moved(unfinished.write(chunk))
            content = file.identified(hasher.hexdigest())
            unfinished.name(path)
        finally:
            unfinished.drop()
    except OSError as error:
        raise files.failed("write", path, error) from error
    return replace(file, content=content)


def _record(snapshot: Snapshot, folder: Path) -> None:
    place = folder / RECORD
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        files.replace(place, snapshot.to_json().encode())
    except OSError as error:
        raise files.failed("write", place, error) from error
