"""The CNCF ModelPack format: each file a raw layer, for native image volumes and artifact mounts.

Source: modelpack/model-spec docs/spec.md, docs/config.md, docs/annotations.md and its
config-schema.json; CRI-O names mounted files by ``org.opencontainers.image.title``.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from carferry.oci.documents import MANIFEST, Descriptor, Document, canonical
from carferry.source.snapshot import Snapshot

ARTIFACT = "application/vnd.cncf.model.manifest.v1+json"
CONFIG = "application/vnd.cncf.model.config.v1+json"
RAW = ".raw"
_WEIGHT = "application/vnd.cncf.model.weight.v1.raw"
_WEIGHT_CONFIG = "application/vnd.cncf.model.weight.config.v1.raw"
_DOC = "application/vnd.cncf.model.doc.v1.raw"
_FILEPATH = "org.cncf.model.filepath"
_UNTESTED = "org.cncf.model.file.mediatype.untested"
_TITLE = "org.opencontainers.image.title"
_WEIGHTS = ("*.safetensors", "*.bin", "*.gguf", "*.pt", "*.pth", "*.onnx")
_DOCS = ("README*", "LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*", "*.md")


def modelpack_type(path: str) -> str:
    """Return the media type of a file's raw layer: weights, their configuration, or a document."""
    name = path.rsplit("/", 1)[-1]
    if any(fnmatchcase(name, glob) for glob in _WEIGHTS):
        return _WEIGHT
    return _DOC if any(fnmatchcase(name, glob) for glob in _DOCS) else _WEIGHT_CONFIG


def modelpack_annotations(path: str) -> dict[str, str]:
    """Return the annotations from which consumers know the file's path.

    The title carries ``models/`` because KServe mounts that sub-path; the spec's own
    annotation is the plain path.
    """
    return {_FILEPATH: path, _TITLE: f"models/{path}", _UNTESTED: "true"}


def file_path(layer: Descriptor) -> str:
    """Return the path a layer is annotated with; empty if it has none."""
    return str(layer.annotations.get(_FILEPATH, ""))


def compose_modelpack(
    layers: Sequence[Descriptor], snapshot: Snapshot, annotations: dict[str, str]
) -> tuple[Document, Document]:
    """Return config and manifest of an artifact that holds these layers.

    Args:
        layers: Raw layers in path order; each digest is its own diff id.
        snapshot: Where the files came from.
        annotations: Of the manifest.
    """
    config = Document(CONFIG, canonical(_config(layers, snapshot)))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": ARTIFACT,
        "config": config.descriptor().to_json(),
        "layers": [layer.to_json() for layer in layers],
        "annotations": annotations,
    }
    return config, Document(MANIFEST, canonical(manifest))


def _config(layers: Sequence[Descriptor], snapshot: Snapshot) -> dict[str, Any]:
    descriptor: dict[str, Any] = {}
    if snapshot.repo:
        descriptor["name"] = snapshot.repo.rpartition("/")[2]
    if snapshot.url:
        descriptor["sourceURL"] = snapshot.url
    if snapshot.commit:
        descriptor["revision"] = snapshot.commit
    safetensors = any(file_path(layer).endswith(".safetensors") for layer in layers)
    return {
        "descriptor": descriptor,
        "config": {"format": "safetensors"} if safetensors else {},
        "modelfs": {"type": "layers", "diffIds": [str(layer.digest) for layer in layers]},
    }
