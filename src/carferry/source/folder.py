"""A model in a local folder.

Files are hashed when the snapshot is taken and again while they are read, so a file that
changes in between is caught. If ``download`` left its record beside the files, the record gives
repository, commit and content ids, and the image comes out as if streamed from the hub; so it
does from a snapshot of Hugging Face's cache.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import NoReturn

from carferry.errors import SourceChanged, SourceError, SourceNotFound, UnsafePath
from carferry.io.show.progress import Progress, Silent
from carferry.source.counting import Moved, reading
from carferry.source.hfcache import check_place
from carferry.source.origin import Origin, origin_of
from carferry.source.paths import path_bytes
from carferry.source.pieces import read_id
from carferry.source.snapshot import ContentId, Snapshot, SourceFile

_CHUNK = 1024 * 1024


class FolderSource:
    """Reads a folder; symbolic links are followed only to files inside it.

    A snapshot of Hugging Face's cache consists of links to the blobs of that cache.

    Args:
        root: The folder.
        threads: Files hashed at once.
        place: URL of the folder, if it has one that others can read.
        progress: Receives what is hashed, if that takes long.
    """

    def __init__(
        self, root: Path, *, threads: int = 4, place: str = "", progress: Progress | None = None
    ) -> None:
        self.root = root
        self._progress = progress or Silent()
        self._place = place
        self._threads = threads

    def __str__(self) -> str:
        """Return the folder's path."""
        return str(self.root)

    @property
    def host(self) -> str:
        """Empty: nobody answers for a disk."""
        return ""

    @property
    def gated(self) -> bool | None:
        """None: it is not on the hub."""
        return None

    def listing(self) -> Snapshot:
        """List every file below the folder without reading any; their content ids are empty.

        Hidden folders are not looked into: they hold histories and caches.

        Raises:
            SourceNotFound: No such folder, or not readable.
        """
        nothing = ContentId("sha256", "")
        paths = sorted(self._walk(), key=path_bytes)
        files = tuple(SourceFile(path, self._length(path), nothing) for path in paths)
        return replace(self._known, files=files)

    def snapshot(self, paths: Sequence[str]) -> Snapshot:
        """Hash these files.

        Raises:
            SourceNotFound: One is not there, or not readable.
            UnsafePath: A link that must not enter an image.
        """
        sizes = list(map(self._size, paths))
        with reading(self._progress, sizes) as moved, ThreadPoolExecutor(self._threads) as pool:
            files = tuple(pool.map(partial(self._hash, moved), paths, sizes))
        # A file that was edited or added is not of that commit, and so neither is the whole.
        proofs = [self._origin.prove(file) for file in files]
        return replace(self._known if all(proofs) else self._unknown, files=files)

    def read(self, file: SourceFile, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the file's bytes from ``start`` to ``stop``, or as many as the snapshot promised.

        Raises:
            SourceChanged: The file is shorter or longer than it was.
            SourceError: It can no longer be read.
        """
        try:
            with (self.root / file.path).open("rb", buffering=0) as handle:
                yield from self._exactly(handle.fileno(), file, start, stop)
        except OSError as error:
            raise SourceError(
                "read", self.root / file.path, error.strerror or str(error)
            ) from error

    def _exactly(
        self, descriptor: int, file: SourceFile, start: int, stop: int | None
    ) -> Iterator[bytes]:
        if os.fstat(descriptor).st_size != file.size_bytes:
            raise self._changed(file)
        os.lseek(descriptor, start, os.SEEK_SET)
        left = (file.size_bytes if stop is None else stop) - start
        while left:
            chunk = os.read(descriptor, min(_CHUNK, left))
            if not chunk:
                raise self._changed(file)
            left -= len(chunk)
            yield chunk

    def _changed(self, file: SourceFile) -> SourceChanged:
        return SourceChanged(
            "read", self.root / file.path, "its size changed while it was read", "run again"
        )

    @cached_property
    def _origin(self) -> Origin:
        try:
            return origin_of(self.root)
        except OSError as error:
            self._unreadable(error)

    def _walk(self) -> list[str]:
        try:
            if not self.root.is_dir():
                raise SourceNotFound(
                    "read",
                    self.root,
                    "no such folder",
                    "for a model on the hub write hf://org/name",
                )
            check_place(self.root)
        except OSError as error:
            self._unreadable(error)
        found: list[str] = []
        for folder, folders, names in os.walk(self.root, onerror=self._unreadable):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            relative = Path(folder).relative_to(self.root)
            found += [(relative / name).as_posix() for name in names]
        return found

    def _unreadable(self, error: OSError) -> NoReturn:
        raise SourceNotFound(
            "read", error.filename, error.strerror or str(error), "check its permissions"
        ) from error

    def _length(self, path: str) -> int:
        """Return a file's length, 0 for what cannot be looked at: nobody may want it."""
        try:
            return (self.root / path).stat().st_size
        except OSError:
            return 0

    def _size(self, path: str) -> int:
        """Return the length of a file that may enter an image and can be read."""
        place = self.root / path
        try:
            target = place.resolve()
            if not target.is_relative_to(self.root.resolve()) and not self._origin.reaches(target):
                raise UnsafePath("take file", path, "a link that leaves the folder", "copy it in")
            status = place.stat()
            if not stat.S_ISREG(status.st_mode):
                raise UnsafePath("take file", path, "not a regular file", "exclude it")
            place.open("rb").close()
            return status.st_size
        except (OSError, RuntimeError) as error:  # pathlib's word for a loop of links
            reason = getattr(error, "strerror", "") or str(error)
            raise SourceNotFound("read", place, reason, self._origin.remedy(place)) from error

    def _hash(self, moved: Moved, path: str, size_bytes: int) -> SourceFile:
        """Hash in the kind that is claimed; a file edited since gets an identity of its own."""
        claimed = self._origin.claim(path, size_bytes)
        file = SourceFile(path, size_bytes, ContentId(claimed.kind if claimed else "sha256", ""))
        return replace(file, content=read_id(self, file, moved))

    @property
    def _known(self) -> Snapshot:
        found = self._origin.snapshot
        return found if found.url else self._unknown

    @property
    def _unknown(self) -> Snapshot:
        return Snapshot("", "", (), place=self._place)
