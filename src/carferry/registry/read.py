"""Reading the documents of an image: the one that a reference names, its manifests, a config."""

from __future__ import annotations

from typing import Any

from carferry.errors import ManifestMissing, TargetError
from carferry.oci.documents import CONFIG, Document
from carferry.registry.target import Target


def read_image(target: Target) -> Document:
    """Return the manifest or index that the target's reference names.

    Raises:
        ManifestMissing: Nothing there.
    """
    document = target.get_manifest(target.ref.reference)
    if document is None:
        raise ManifestMissing("read", target.ref, "no such image or tag", "check the reference")
    return document


def read_manifests(target: Target, top: Document) -> tuple[Document, ...]:
    """Return the manifests of an index, or the manifest itself.

    Raises:
        ManifestMissing: The index names one that is not there.
    """
    if not top.is_index:
        return (top,)
    found = [(d, target.get_manifest(str(d.digest))) for d in top.manifests]
    for descriptor, manifest in found:
        if manifest is None:
            raise ManifestMissing("read", target.ref, f"its index lists {descriptor.digest}")
    return tuple(manifest for _, manifest in found if manifest is not None)


def read_config(target: Target, manifest: Document) -> dict[str, Any]:
    """Return an image's config; its ``config`` object is there even if it was empty.

    Raises:
        TargetError: Not a config, or other bytes than its digest promises.
    """
    document = Document(CONFIG, b"".join(target.open_blob(manifest.config.digest)))
    if document.digest != manifest.config.digest:
        raise TargetError("read config", manifest.config.digest, f"{target.ref} sent other bytes")
    config = document.json | {"config": document.json.get("config") or {}}
    if not isinstance(config["config"], dict):
        raise TargetError("read config", document.digest, "its settings are not an object")
    return config
