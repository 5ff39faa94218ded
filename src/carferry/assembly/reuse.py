"""Which layers exist already, read from the annotations of the manifests that list them.

A mapping from content key to digest is only a claim; it is used after HEAD confirms that a
blob of that digest and of the layer's exact length is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from carferry.assembly import shards
from carferry.assembly.plan import StoredLayer
from carferry.errors import CarferryError, InvalidReference
from carferry.image.compose import CONTENT_KEY
from carferry.image.layers import Layer
from carferry.oci.documents import Document
from carferry.refs import Digest
from carferry.registry.target import Target

_THREADS = 16


def find_stored(
    target: Target, layers: Sequence[Layer], origins: Iterable[Target]
) -> dict[Digest, StoredLayer]:
    """Return the layers that exist already, by content key.

    Args:
        target: Where the image goes.
        layers: Layers that it needs.
        origins: Repositories of the same registry that layers may be mounted from; each is
            asked for what was not found before.
    """
    stored = _survey(target, layers, shards.references(target, target.ref.push_tag))
    for origin in origins:
        wanted = [layer for layer in layers if layer.content_key not in stored]
        references = shards.references(origin, origin.ref.tag or "latest")
        stored |= _survey(origin, wanted, references)
    return stored


def _survey(
    target: Target, layers: Sequence[Layer], references: Iterable[str]
) -> dict[Digest, StoredLayer]:
    """Look for layers in one place; the references are tags and digests, best first."""
    wanted = {layer.content_key: layer for layer in layers}
    # A raw layer is found without any manifest: its digest is the file's own.
    stored = _confirmed(target, wanted, {key: layer.known_digest for key, layer in wanted.items()})
    unread = iter(references)
    while stored.keys() != wanted.keys() and (reference := next(unread, "")):
        claims = _claims(target, reference)
        stored |= _confirmed(
            target, wanted, {key: claims.get(key) for key in wanted.keys() - stored.keys()}
        )
    return stored


def _confirmed(
    target: Target, wanted: Mapping[Digest, Layer], claims: Mapping[Digest, Digest | None]
) -> dict[Digest, StoredLayer]:
    found = {key: digest for key, digest in claims.items() if digest is not None}
    if not found:
        return {}
    with ThreadPoolExecutor(_THREADS) as pool:
        sizes = dict(zip(found, pool.map(target.blob_size, found.values()), strict=True))
    return {
        key: StoredLayer(digest, target.ref)
        for key, digest in found.items()
        if sizes[key] == wanted[key].size_bytes
    }


def _claims(target: Target, reference: str) -> dict[Digest, Digest]:
    """Read one manifest's claims; a manifest of some other tool simply makes none."""
    try:
        document = target.get_manifest(reference)
        if document is not None and document.is_index and document.manifests:
            document = target.get_manifest(str(document.manifests[0].digest))
        return _of_manifest(document) if document is not None else {}
    except InvalidReference:
        return {}
    except CarferryError as error:
        if error.temporary:
            raise
        return {}


def _of_manifest(document: Document) -> dict[Digest, Digest]:
    return {
        Digest.parse(str(layer.annotations[CONTENT_KEY])): layer.digest
        for layer in document.layers
        if CONTENT_KEY in layer.annotations
    }
