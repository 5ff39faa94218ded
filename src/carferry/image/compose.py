"""From base and model layers to the image's documents: pure functions, the same every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from carferry.errors import InvalidReference
from carferry.image.base import MODELCAR_ENTRYPOINT, Base
from carferry.image.ids import pack_ids, unpack_ids
from carferry.image.layers import ROOT, Layer
from carferry.image.modelpack import compose_modelpack, modelpack_annotations, modelpack_type
from carferry.image.provenance import provenance
from carferry.oci.documents import (
    CONFIG,
    EPOCH,
    INDEX,
    LAYER,
    MANIFEST,
    Descriptor,
    Document,
    canonical,
)
from carferry.refs import Digest
from carferry.source.snapshot import ContentId, Snapshot

USER = "1001"
CONTENT_KEY = "dev.carferry.layer.content"
LAYER_PATH = "dev.carferry.layer.path"
LAYER_SOURCE = "dev.carferry.layer.source-id"
LAYER_SOURCES = "dev.carferry.layer.source-ids"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Image:
    """The documents of one platform's image.

    Attributes:
        config: Image config; stored as a blob.
        manifest: Image manifest.
    """

    config: Document
    manifest: Document


def model_descriptor(layer: Layer, digest: Digest, ids: Sequence[ContentId] = ()) -> Descriptor:
    """Return the descriptor of a stored layer, by which the next build recognises it unread.

    Args:
        layer: What it holds.
        digest: Of its bytes.
        ids: Ids of its files as they were read, where those of the source cannot be computed.
    """
    if layer.raw and not layer.is_provable:
        ids = (ContentId("sha256", digest.hex),)
    annotations = {CONTENT_KEY: str(layer.content_key), **file_annotations(layer, ids)}
    if layer.raw:
        annotations |= modelpack_annotations(layer.files[0].path)
        media_type = modelpack_type(layer.files[0].path)
        return Descriptor(media_type, digest, layer.size_bytes, annotations)
    return Descriptor(LAYER, digest, layer.size_bytes, annotations)


def file_annotations(layer: Layer, ids: Sequence[ContentId] = ()) -> dict[str, str]:
    """Return the ids of a layer's files, by which a reader of the image can check each of them.

    Args:
        layer: What it holds.
        ids: As for ``model_descriptor``.
    """
    every = ids or [file.content for file in layer.files]
    if not all(each.is_provable for each in every):
        raise ValueError(f"{layer.name}: entity tags are no ids that a reader could check")
    if len(layer.files) > 1:
        return {LAYER_SOURCES: pack_ids(every)}
    return {LAYER_PATH: layer.files[0].path, LAYER_SOURCE: str(every[0])}


def file_ids(layer: Descriptor) -> tuple[ContentId, ...]:
    """Return the ids of a layer's files in the order in which it holds them; none if it has none.

    Raises:
        InvalidReference: Its annotations are not what ``file_annotations`` wrote.
    """
    if several := layer.annotations.get(LAYER_SOURCES):
        return unpack_ids(str(several))
    one = layer.annotations.get(LAYER_SOURCE)
    if not one:
        return ()
    content = ContentId.parse(str(one))
    if not content.is_provable:
        raise InvalidReference("read file id", content, "an entity tag, which no bytes prove")
    return (content,)


def compose(base: Base, model: Sequence[Descriptor], snapshot: Snapshot, engine: str) -> Image:
    """Put base and model layers together.

    Args:
        base: One platform of the base.
        model: Uncompressed model layers, so each digest is its own diff id.
        snapshot: Where the model came from; becomes annotations and labels.
        engine: ``stream`` or ``buildah``; part of the image, since their bytes differ.
    """
    facts = provenance(base, snapshot, engine)
    config = Document(CONFIG, canonical(_config(base, model, facts)))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.descriptor().to_json(),
        "layers": [layer.to_json() for layer in (*base.layers, *model)],
        "annotations": facts,
    }
    return Image(config, Document(MANIFEST, canonical(manifest)))


def compose_artifact(model: Sequence[Descriptor], snapshot: Snapshot, engine: str) -> Image:
    """Put raw layers together as a ModelPack artifact; it stands on no base."""
    facts = provenance(None, snapshot, engine)
    return Image(*compose_modelpack(model, snapshot, facts))


def index_of(images: Sequence[tuple[Base, Image]]) -> Document:
    """List one image per platform; all share every model layer."""
    return Document(
        INDEX,
        canonical(
            {
                "schemaVersion": 2,
                "mediaType": INDEX,
                "manifests": [
                    image.manifest.descriptor(base.platform).to_json() for base, image in images
                ],
                "annotations": images[0][1].manifest.annotations,
            }
        ),
    )


def _config(base: Base, model: Sequence[Descriptor], facts: Mapping[str, str]) -> dict[str, Any]:
    history = list(base.config.get("history") or [])
    steps = [
        {
            "created": EPOCH,
            "created_by": f"carferry: /{ROOT}/{layer.annotations.get(LAYER_PATH, '')}",
        }
        for layer in model
    ]
    return {
        "created": EPOCH,
        "architecture": base.platform.architecture,
        "os": base.platform.os,
        **({"variant": base.config["variant"]} if base.config.get("variant") else {}),
        "config": _settings(base, facts),
        "rootfs": {"type": "layers", "diff_ids": [*base.diff_ids, *(str(d.digest) for d in model)]},
        # Partial history would contradict the layers: some bases carry none.
        **({"history": [*history, *steps]} if history or not base.layers else {}),
    }


def _settings(base: Base, facts: Mapping[str, str]) -> dict[str, Any]:
    """Return the container settings; any other entrypoint would swallow the args of KServe."""
    found = base.settings
    keep = found.get("Entrypoint") == MODELCAR_ENTRYPOINT
    labels = {**(found.get("Labels") or {}), **facts}
    return {
        "User": USER,
        "Env": list(found.get("Env") or [_PATH]),
        "WorkingDir": "/",
        "Labels": labels,
        **({"Entrypoint": MODELCAR_ENTRYPOINT} if keep else {}),
    }
