"""The files of an image where they lie: path, length, and any part of their bytes by Range.

For whoever looks into files without reading them through, such as headers of weights.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from carferry.errors import TargetError
from carferry.image.layers import ROOT
from carferry.image.modelpack import CONFIG as MODELPACK_CONFIG
from carferry.image.modelpack import file_path
from carferry.oci.documents import LAYER, Descriptor
from carferry.registry.ranged import Ranged
from carferry.registry.read import read_image, read_manifests
from carferry.registry.target import Target

_BUFFER = 64 * 1024


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a model in an image.

    Attributes:
        path: In the model, without ``models/``.
        size_bytes: Length.
        target: Where the image is.
        layer: The uncompressed layer that holds it.
        offset: Of its first byte in that layer.
    """

    path: str
    size_bytes: int
    target: Target
    layer: Descriptor
    offset: int

    def read_range(self, start: int, size_bytes: int) -> bytes:
        """Return part of the file; shorter only at its end."""
        size = min(size_bytes, self.size_bytes - start)
        return self.target.read_range(self.layer.digest, self.offset + start, size) if size else b""


def stored_files(target: Target) -> dict[str, StoredFile]:
    """Return the files under ``/models`` by path; of an index, those of its first image.

    Compressed layers are left out: no part of one can be asked for. carferry compresses none.

    Raises:
        ManifestMissing: Nothing there.
        TargetError: Unreadable.
    """
    manifest = read_manifests(target, read_image(target))[0]
    if manifest.config.media_type == MODELPACK_CONFIG:
        named = [(file_path(layer), layer) for layer in manifest.layers]
        return {path: StoredFile(path, d.size_bytes, target, d, 0) for path, d in named if path}
    plain = [layer for layer in manifest.layers if layer.media_type == LAYER]
    return {file.path: file for layer in plain for file in _files(target, layer)}


def _files(target: Target, layer: Descriptor) -> Iterator[StoredFile]:
    raw = io.BufferedReader(Ranged(target, layer), _BUFFER)
    try:
        with tarfile.open(fileobj=raw, mode="r:") as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                if member.isreg() and name.startswith(f"{ROOT}/"):
                    path = name.removeprefix(f"{ROOT}/")
                    yield StoredFile(path, member.size, target, layer, member.offset_data)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise TargetError("read layer", layer.digest, f"not a readable tar: {error}") from error
