"""Small files that are blobs of their own: read whole and sent with one request after the POST.

A stream needs a hashing thread and three requests because a large blob's digest is known only
when it has been sent; here it is known before.
"""

from __future__ import annotations

from collections.abc import Callable

from carferry.image.layers import Layer
from carferry.io.parallel import SMALL_BYTES
from carferry.refs import Digest
from carferry.registry.blobs import open_upload
from carferry.registry.target import Target
from carferry.source.source import Source


def is_small_blob(layer: Layer) -> bool:
    """Return whether a layer is one file of at most 1 MiB and nothing else."""
    return layer.raw and layer.size_bytes <= SMALL_BYTES


def send_small_blob(
    layer: Layer, source: Source, target: Target, *, moved: Callable[[int], None]
) -> Digest:
    """Read the layer's file, verify it and write it to the target.

    Args:
        layer: A small blob.
        source: Where its file is read.
        target: Where it goes.
        moved: Called with the length of each chunk.

    Returns:
        The blob's digest.

    Raises:
        SourceChanged: The file's bytes are not what the snapshot promised; nothing was sent.
        TargetError: The target refused or broke off.
    """
    (file,) = layer.files
    hasher, chunks = file.content.hasher(file.size_bytes), []
    for chunk in source.read(file):
        hasher.update(chunk)
        chunks.append(chunk)
        moved(len(chunk))
    file.verify(hasher.hexdigest())
    data = b"".join(chunks)
    digest = Digest.of(data)
    with open_upload(target, len(data)) as upload:
        upload.put(data, digest)
    return digest
