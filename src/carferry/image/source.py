"""A model inside an image as a source: it becomes the other format, or gets another base.

The image's own layers stay where they are: the plan finds them by the ids that the image gives
its files. Only what the other format lays out differently is read and written, from registry to
registry.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cached_property

from carferry.errors import InputError, ManifestMissing, SourceError, SourceNotFound, TargetError
from carferry.image.held import UNKNOWN, HeldFile, held_files, read_unpacked
from carferry.image.kinds import first_image, is_modelpack, kind_of
from carferry.image.provenance import read_provenance
from carferry.io.net.retry import Retry
from carferry.io.show.progress import Progress, Silent
from carferry.oci.documents import Document
from carferry.registry.ranged import read_part
from carferry.registry.read import read_image, read_manifests
from carferry.registry.target import Target
from carferry.source.counting import Moved, reading
from carferry.source.paths import path_bytes
from carferry.source.pieces import read_id
from carferry.source.snapshot import Snapshot, SourceFile


class ImageSource:
    """Reads the model in an image, at the digest that its reference names first.

    Args:
        target: Where the image is.
        retry: Policy for broken reads.
        progress: Receives what is read for the ids of files that have none, if that takes long.
    """

    def __init__(
        self, target: Target, *, retry: Retry | None = None, progress: Progress | None = None
    ) -> None:
        self.target = target
        self._progress = progress or Silent()
        self._retry = retry or Retry()

    def __str__(self) -> str:
        """Return the image's reference."""
        return str(self.target.ref)

    @property
    def host(self) -> str:
        """Who answers for the image."""
        return self.target.ref.host

    @property
    def gated(self) -> bool | None:
        """None: it is not on the hub."""
        return None

    @cached_property
    def manifest(self) -> Document:
        """The image's manifest, of an index the first; a ModelCar's platforms share the model.

        Raises:
            SourceNotFound: No such image.
            InputError: It is neither an image nor a ModelPack artifact.
        """
        top = self._top
        manifests = self._retry.call(lambda: read_manifests(self.target, top))
        found = first_image(manifests, top.manifests if top.is_index else ())
        if not is_modelpack(found) and (kind := kind_of(found)):
            raise InputError("read the model in", self, f"it is {kind}", "name a ModelCar")
        return found

    def listing(self) -> Snapshot:
        """List the files under ``/models`` with the ids the image gives them.

        Raises:
            SourceNotFound: No such image.
            InputError: It is no image, or something in it is no file.
            TargetError: The registry failed.
        """
        held = sorted(self._held.values(), key=lambda each: path_bytes(each.file.path))
        return replace(self._origin, files=tuple(each.file for each in held))

    def snapshot(self, paths: Sequence[str]) -> Snapshot:
        """Return these files; one without an id is read and hashed."""
        files = [self._held[path].file for path in paths]
        unknown = [file.size_bytes for file in files if file.content == UNKNOWN]
        with reading(self._progress, unknown) as moved:
            identified = tuple(self._identified(file, moved) for file in files)
        return replace(self._origin, files=identified)

    def read(self, file: SourceFile, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the file's bytes from ``start`` to ``stop`` or its end.

        Raises:
            SourceError: The registry failed more often than the policy allows.
        """
        end = file.size_bytes if stop is None else stop
        try:
            yield from self._read(self._held[file.path], start, end)
        except TargetError as error:
            raise SourceError("read", f"{file.path} of {self}", error.reason) from error

    @cached_property
    def _top(self) -> Document:
        try:
            return self._retry.call(lambda: read_image(self.target))
        except ManifestMissing as error:
            raise SourceNotFound("read", self, error.reason, error.remedy) from error

    @cached_property
    def _held(self) -> dict[str, HeldFile]:
        return self._retry.call(lambda: held_files(self.target, self.manifest))

    @property
    def _origin(self) -> Snapshot:
        said = read_provenance(self.manifest.annotations)
        return replace(said, image=self._top.digest)

    def _read(self, held: HeldFile, start: int, end: int) -> Iterator[bytes]:
        layer, at = held.place.layer, held.place.offset
        if held.place.is_packed and end <= len(held.place.head):
            yield held.place.head[start:end]
        elif not held.place.is_packed:
            yield from read_part(self.target, layer.digest, at + start, at + end, self._retry)
        else:
            with closing(read_unpacked(self.target, layer, at + start, at + end)) as chunks:
                yield from chunks

    def _identified(self, file: SourceFile, moved: Moved) -> SourceFile:
        if file.content != UNKNOWN:
            return file
        return replace(file, content=read_id(self, file, moved))
