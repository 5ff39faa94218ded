"""What a manifest is: an image that runtimes unpack, or one of the many other things stored so.

An artifact says it by ``artifactType`` or by its config's media type, older ones by their layers'.
Sources: OCI image-spec v1.1 manifest.md (artifact usage), media-types.md and layer.md
(non-distributable layers); the projects' own documents for the types they register.
"""

from __future__ import annotations

from collections.abc import Sequence

from carferry.errors import TargetError
from carferry.image.modelpack import CONFIG as MODELPACK_CONFIG
from carferry.oci.documents import (
    CONFIG,
    DOCKER_MANIFEST,
    LAYER_TYPES,
    MANIFEST,
    Descriptor,
    Document,
)

SHARD = "application/vnd.carferry.shard.v1+json"
_CONFIGS = (CONFIG, "application/vnd.docker.container.image.v1+json")
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"
# A platform that no machine has marks what BuildKit attests about the image beside it.
_ATTESTED = "vnd.docker.reference.type"
_KNOWN = (
    (SHARD, "a shard of a carferry build, which carferry seal completes"),
    ("application/vnd.cncf.model.", "a ModelPack artifact"),
    ("application/vnd.dev.cosign.simplesigning.", "a cosign signature"),
    ("application/vnd.dev.sigstore.bundle", "a Sigstore bundle"),
    ("application/vnd.dsse.envelope.", "a cosign attestation"),
    ("application/vnd.in-toto", "an in-toto attestation"),
    ("application/vnd.cncf.notary.signature", "a Notation signature"),
    ("application/vnd.cncf.helm.", "a Helm chart"),
    ("application/vnd.cncf.flux.", "a Flux artifact"),
    ("application/vnd.wasm.", "a WebAssembly component"),
    ("application/wasm", "a WebAssembly module"),
    ("application/vnd.docker.ai.", "a Docker Model Runner artifact"),
    ("application/vnd.ollama.", "an Ollama model"),
    ("application/vnd.kitops.modelkit.", "a KitOps ModelKit"),
    ("application/vnd.docker.plugin.", "a Docker plugin"),
    ("application/vnd.buildkit.cacheconfig.", "a BuildKit cache"),
    ("application/vnd.sylabs.sif.", "a Singularity image"),
    ("application/spdx+json", "an SPDX bill of materials"),
    ("text/spdx", "an SPDX bill of materials"),
    ("application/vnd.cyclonedx", "a CycloneDX bill of materials"),
    ("application/vnd.unknown.", "an ORAS artifact"),
)


def kind_of(manifest: Document) -> str:
    """Say what a manifest is if it is no image; empty for an image that runtimes unpack.

    Raises:
        TargetError: The document cannot be read.
    """
    if manifest.media_type.startswith(_SCHEMA_1) or manifest.json.get("schemaVersion") == 1:
        return "an image in Docker's schema 1, which runtimes no longer take"
    if manifest.media_type not in (MANIFEST, DOCKER_MANIFEST):
        return f"no manifest of an image ({manifest.media_type or 'no media type'})"
    if "manifests" in manifest.json:
        return "a manifest and an index in one, which runtimes refuse (CVE-2021-41190)"
    return _artifact(manifest)


def is_modelpack(manifest: Document) -> bool:
    """Whether it is an artifact whose files KServe can mount."""
    return _config_type(manifest) == MODELPACK_CONFIG


def first_image(manifests: Sequence[Document], listed: Sequence[Descriptor]) -> Document:
    """Return the first manifest of an index that is not an attestation of another.

    Args:
        manifests: As read; never empty.
        listed: The index's own words about each; empty if there is no index.
    """
    return images_of(manifests, listed)[0]


def images_of(manifests: Sequence[Document], listed: Sequence[Descriptor]) -> list[Document]:
    """Return the manifests of an index that are not attestations of others, at least the first.

    Args:
        manifests: As for ``first_image``.
        listed: Likewise.
    """
    if not listed:
        return list(manifests)
    pairs = zip(manifests, listed, strict=True)
    return [m for m, each in pairs if _ATTESTED not in each.annotations] or [manifests[0]]


def layers_flaw(layers: Sequence[Descriptor]) -> str:
    """Return why runtimes could not unpack these layers; empty if they can."""
    for layer in layers:
        media_type = layer.media_type
        if media_type in LAYER_TYPES:
            continue
        if "+encrypted" in media_type:
            why = "is encrypted"
        elif ".foreign." in media_type or ".nondistributable." in media_type:
            why = "is not distributed by registries"
        else:
            why = f"is no tar ({media_type})"
        return f"layer {layer.digest} {why}"
    return ""


def _artifact(manifest: Document) -> str:
    """Name an artifact by what it says of itself, most telling first."""
    config = _config_type(manifest)
    declared = manifest.json.get("artifactType")
    layers = [layer.media_type for layer in manifest.layers]
    is_image = config in _CONFIGS
    types = [declared if isinstance(declared, str) else "", "" if is_image else config, *layers]
    for media_type in types:
        for start, words in _KNOWN:
            if media_type.startswith(start):
                return f"{words} ({media_type})"
    if is_image and not types[0]:
        return ""
    return f"an OCI artifact ({types[0] or config or 'no config'})"


def _config_type(manifest: Document) -> str:
    try:
        return manifest.config.media_type
    except TargetError:
        if "config" in manifest.json:
            raise
        return ""
