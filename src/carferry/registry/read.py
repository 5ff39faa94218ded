"""Reading the documents of an image: the one that a reference names, its manifests, a config."""

from __future__ import annotations

from typing import Any

from carferry.errors import ManifestMissing, TargetError
from carferry.oci.documents import CONFIG, MANIFEST_CAP_BYTES, Document
from carferry.refs import ImageRef, LayoutRef
from carferry.registry.blobs import read_small
from carferry.registry.target import Target

# Official images list 16: eight platforms, and an attestation of each.
_MOST_MANIFESTS = 256
_ALL_MANIFESTS_BYTES = 8 * MANIFEST_CAP_BYTES


def read_image(target: Target) -> Document:
    """Return the manifest or index that the target's reference names.

    Raises:
        ManifestMissing: Nothing there.
    """
    document = target.image()
    if document is None:
        raise ManifestMissing("read", target.ref, absent(target.ref), "check the reference")
    return document


def absent(ref: ImageRef | LayoutRef) -> str:
    """Return why nothing is found at a reference; of a layout, in which folder was looked."""
    if isinstance(ref, ImageRef):
        return "no such image or tag"
    folder = ref.path.absolute()
    return f"no such image or tag in {folder}" if folder.exists() else f"no folder {folder}"


def read_manifests(target: Target, top: Document) -> tuple[Document, ...]:
    """Return the manifests of an index, or the manifest itself.

    Raises:
        ManifestMissing: The index names one that is not there.
        TargetError: The index is empty, or lists more than any image has.
    """
    if not top.is_index:
        return (top,)
    if not 0 < len(top.manifests) <= _MOST_MANIFESTS:
        reason = f"its index lists {len(top.manifests)} manifests, not 1 to {_MOST_MANIFESTS}"
        raise TargetError("read", target.ref, reason)
    found: list[Document] = []
    for descriptor in top.manifests:
        manifest = target.get_manifest(str(descriptor.digest))
        if manifest is None:
            raise ManifestMissing("read", target.ref, f"its index lists {descriptor.digest}")
        found.append(manifest)
        if sum(len(each.data) for each in found) > _ALL_MANIFESTS_BYTES:
            reason = f"its manifests are over {_ALL_MANIFESTS_BYTES} bytes together"
            raise TargetError("read", target.ref, reason)
    return tuple(found)


def read_config(target: Target, manifest: Document) -> dict[str, Any]:
    """Return an image's config; its ``config`` object is there even if it was empty.

    Raises:
        TargetError: Not a config, or other bytes than its digest promises.
    """
    document = Document(CONFIG, read_small(target, manifest.config))
    config = document.json | {"config": document.json.get("config") or {}}
    if not isinstance(config["config"], dict):
        raise TargetError("read config", document.digest, "its settings are not an object")
    return config
