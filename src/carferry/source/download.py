"""Bringing a snapshot to a folder, for the staged path: download, then build, then push.

Files are verified while they are written and appear under their name only when they are right;
a second run keeps what is there and still matches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from carferry.io import files
from carferry.io.progress import Progress
from carferry.io.retry import Retry
from carferry.source.folder import RECORD
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
        parallel: Files written at once.
        retry: Its ``stop`` is set when one file fails for good.
        progress: Told about every chunk.

    Returns:
        Bytes that were fetched; 0 if everything was there already.

    Raises:
        SourceError: A file could not be read, or is not what was promised.
        StorageFull: The disk is full.
    """

    def moved(name: str, size_bytes: int) -> None:
        # An interrupt must not wait for the end of a file of many GiB.
        retry.check()
        progress.advance(name, size_bytes)

    def fetch(file: SourceFile) -> int:
        progress.begin(file.path, file.size_bytes)
        if _matches(folder / file.path, file):
            progress.end(file.path, "kept")
            return 0
        _write(source, file, folder / file.path, moved)
        progress.end(file.path, "move")
        return file.size_bytes

    with ThreadPoolExecutor(max(1, parallel), thread_name_prefix="carferry") as pool:
        try:
            futures = [pool.submit(fetch, file) for file in snapshot.files]
            fetched = sum(future.result() for future in futures)
        except BaseException:
            retry.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    _record(snapshot, folder)
    return fetched


def _matches(path: Path, file: SourceFile) -> bool:
    if not path.is_file() or path.stat().st_size != file.size_bytes:
        return False
    hasher = file.content.hasher(file.size_bytes)
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest() == file.content.hex


def _write(source: Source, file: SourceFile, path: Path, moved: Callable[[str, int], None]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = files.AtomicFile(path.parent)
        try:
            for chunk in _verified(source, file):
                moved(file.path, partial.write(chunk))
            partial.name(path)
        finally:
            partial.drop()
    except OSError as error:
        raise files.failed("write", path, error) from error


def _verified(source: Source, file: SourceFile) -> Iterator[bytes]:
    hasher = file.content.hasher(file.size_bytes)
    for chunk in source.read(file):
        hasher.update(chunk)
        yield chunk
    file.verify(hasher.hexdigest())


def _record(snapshot: Snapshot, folder: Path) -> None:
    place = folder / RECORD
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        files.replace(place, snapshot.to_json().encode())
    except OSError as error:
        raise files.failed("write", place, error) from error
