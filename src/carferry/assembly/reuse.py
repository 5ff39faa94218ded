"""Which layers the target already holds, read from the annotations of its manifests.

A mapping from content key to digest is only a claim; it is used after HEAD confirms that a
blob of that digest and of the layer's exact length is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from carferry.assembly.plan import Held
from carferry.errors import CarferryError, InvalidReference
from carferry.image.compose import CONTENT_KEY
from carferry.image.layers import Layer
from carferry.oci.documents import Document
from carferry.refs import Digest
from carferry.registry.target import Target

_THREADS = 8


def survey(
    target: Target, layers: Sequence[Layer], references: Iterable[str]
) -> dict[Digest, Held]:
    """Return the layers that are there already, by content key.

    Args:
        target: Where to look.
        layers: Layers the next image needs.
        references: Tags and digests whose manifests may describe them, best first.
    """
    wanted = {layer.content_key: layer for layer in layers}
    # A raw layer needs nobody's word: its digest is the file's own.
    held = _confirmed(target, wanted, {key: layer.known_digest for key, layer in wanted.items()})
    unread = iter(references)
    while held.keys() != wanted.keys() and (reference := next(unread, "")):
        claims = _claims(target, reference)
        held |= _confirmed(
            target, wanted, {key: claims.get(key) for key in wanted.keys() - held.keys()}
        )
    return held


def _confirmed(
    target: Target, wanted: Mapping[Digest, Layer], claims: Mapping[Digest, Digest | None]
) -> dict[Digest, Held]:
    found = {key: digest for key, digest in claims.items() if digest is not None}
    if not found:
        return {}
    with ThreadPoolExecutor(_THREADS) as pool:
        sizes = dict(zip(found, pool.map(target.blob_size, found.values()), strict=True))
    return {
        key: Held(digest, target.ref)
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
