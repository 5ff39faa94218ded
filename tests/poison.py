"""What somebody who may push once can do: manifests that claim a model's layers for other bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from carferry.assembly.shards import SHARD
from carferry.image.compose import model_descriptor
from carferry.image.layers import Layer, Literal
from carferry.oci.documents import (
    EMPTY,
    EMPTY_DATA,
    INDEX,
    MANIFEST,
    Descriptor,
    Document,
    canonical,
)
from carferry.refs import Digest
from carferry.registry.blobs import put_blob
from carferry.registry.target import Target

EVIL = b"evil"
Twist = Callable[[Layer], bytes]


def other_bytes(layer: Layer) -> bytes:
    """Return a layer of the right length whose last file has other bytes."""
    pieces = list(layer.pieces)
    bodies = [p.data if isinstance(p, Literal) else _filler(p.file.size_bytes) for p in pieces]
    return b"".join(bodies)


def other_frame(layer: Layer, files: dict[str, bytes]) -> bytes:
    """Return a layer whose files are right and whose last header gives them to another user."""
    data = b"".join(
        piece.data if isinstance(piece, Literal) else files[piece.file.path]
        for piece in layer.pieces
    )
    header = data.rindex(b"ustar") - 257
    block = bytearray(data[header : header + 512])
    block[108:115] = b"0001751"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return data[:header] + bytes(block) + data[header + 512 :]


def claim(
    target: Target,
    layers: Iterable[Layer],
    tag: str,
    twist: Twist = other_bytes,
    *,
    index: bool = False,
    annotations: dict[str, str] | None = None,
) -> list[Digest]:
    """Push blobs of the layers' lengths and a manifest that claims they are the layers.

    Args:
        target: Where to.
        layers: Of the honest plan.
        tag: That names the manifest; one like a shard's gets the annotation of a shard.
        twist: Makes the blob of a layer.
        index: Name an index of the manifest instead.
        annotations: More of the manifest's.

    Returns:
        Digests of the blobs.
    """
    found = [_put(target, layer, twist(layer)) for layer in layers]
    document = manifest_of(found, {SHARD: tag, **(annotations or {})})
    put_blob(target, EMPTY_DATA)
    target.put_manifest(document, str(document.digest))
    if index:
        listed: dict[str, Any] = {"schemaVersion": 2, "mediaType": INDEX}
        listed["manifests"] = [document.descriptor().to_json()]
        document = Document(INDEX, canonical(listed))
    target.put_manifest(document, tag)
    return [descriptor.digest for descriptor in found]


def manifest_of(layers: Iterable[Descriptor], annotations: dict[str, str]) -> Document:
    """Return a manifest that lists layers."""
    empty = Descriptor(EMPTY, Digest.of(EMPTY_DATA), len(EMPTY_DATA))
    body = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": empty.to_json(),
        "layers": [layer.to_json() for layer in layers],
        "annotations": annotations,
    }
    return Document(MANIFEST, canonical(body))


def _put(target: Target, layer: Layer, data: bytes) -> Descriptor:
    return replace(model_descriptor(layer, put_blob(target, data)), size_bytes=len(data))


def _filler(size_bytes: int) -> bytes:
    return (EVIL * (size_bytes // len(EVIL) + 1))[:size_bytes]
