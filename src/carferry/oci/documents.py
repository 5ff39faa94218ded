"""The OCI documents carferry reads and writes: descriptors, manifests, indexes, configs.

Source: OCI image-spec v1.1 (manifest.md, image-index.md, config.md, annotations.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from carferry.errors import InvalidReference, TargetError
from carferry.io.documents import NotJson, parsed_object
from carferry.refs import Digest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
GZIP_LAYER = f"{LAYER}+gzip"
ZSTD_LAYER = f"{LAYER}+zstd"
LAYER_TYPES = (LAYER, GZIP_LAYER, ZSTD_LAYER)
_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
MANIFEST_TYPES = (MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX)
EMPTY = "application/vnd.oci.empty.v1+json"
EMPTY_DATA = b"{}"
REF_NAME = "org.opencontainers.image.ref.name"
EPOCH = "1970-01-01T00:00:00Z"
MANIFEST_CAP_BYTES = 4 * 1024 * 1024
_LARGEST = 1 << 62
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9]+")


def canonical(document: Mapping[str, Any]) -> bytes:
    """Serialise with sorted keys and no blanks, so that equal documents have equal digests."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


@dataclass(frozen=True, slots=True)
class Platform:
    """Operating system and architecture, as Go names them."""

    architecture: str = "amd64"
    os: str = "linux"

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Parse ``linux/amd64``.

        Raises:
            InvalidReference: Not two lower-case words.
        """
        system, _, architecture = text.strip().partition("/")
        if not _PLATFORM.fullmatch(f"{system}/{architecture}"):
            raise InvalidReference(
                "parse platform", ascii(text), "not system/architecture", "write linux/amd64"
            )
        return cls(architecture, system)

    def __str__(self) -> str:
        """Return the form that was parsed."""
        return f"{self.os}/{self.architecture}"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A typed, sized pointer to content."""

    media_type: str
    digest: Digest
    size_bytes: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    platform: Platform | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Descriptor:
        """Read a descriptor; the rest of its fields are of no use here.

        Raises:
            TargetError: Not a descriptor; what a registry or a disk holds is not trusted.
        """
        try:
            found = data.get("platform")
            return cls(
                str(data["mediaType"]),
                Digest.parse(data["digest"]),
                _size(data["size"]),
                _texts(data.get("annotations") or {}),
                Platform(str(found["architecture"]), str(found["os"])) if found else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise TargetError(
                "read manifest", "", f"malformed descriptor: {_words(error)}"
            ) from error

    def to_json(self) -> dict[str, Any]:
        """Return the OCI form; empty fields are left out."""
        data: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size_bytes,
        }
        if self.annotations:
            data["annotations"] = dict(self.annotations)
        if self.platform:
            data["platform"] = {
                "architecture": self.platform.architecture,
                "os": self.platform.os,
            }
        return data


@dataclass(frozen=True, slots=True)
class Document:
    """Bytes with a media type: a manifest or an index exactly as stored."""

    media_type: str
    data: bytes

    @property
    def digest(self) -> Digest:
        """Digest of the bytes."""
        return Digest.of(self.data)

    @property
    def json(self) -> dict[str, Any]:
        """The parsed document.

        Raises:
            TargetError: Not a JSON object, or larger than any registry takes.
        """
        if len(self.data) > MANIFEST_CAP_BYTES:
            raise TargetError("read manifest", self.digest, f"over {MANIFEST_CAP_BYTES} bytes")
        try:
            return parsed_object(self.data)
        except NotJson as error:
            raise TargetError("read manifest", self.digest, str(error)) from error

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests instead of layers."""
        return self.media_type in {INDEX, DOCKER_INDEX}

    @property
    def layers(self) -> tuple[Descriptor, ...]:
        """Layer descriptors of a manifest, base first, Docker's media types named as OCI's."""
        return tuple(_as_oci(Descriptor.from_json(item)) for item in self._list("layers"))

    @property
    def manifests(self) -> tuple[Descriptor, ...]:
        """Manifest descriptors of an index."""
        return tuple(Descriptor.from_json(item) for item in self._list("manifests"))

    @property
    def config(self) -> Descriptor:
        """Config descriptor of a manifest."""
        try:
            return Descriptor.from_json(self.json["config"])
        except (KeyError, TypeError) as error:
            raise TargetError("read manifest", self.digest, "it has no config") from error

    @property
    def annotations(self) -> dict[str, str]:
        """Annotations of the document itself."""
        found = self.json.get("annotations")
        # Of some other tool's: what is no text says nothing here.
        every = found.items() if isinstance(found, dict) else ()
        return {key: value for key, value in every if isinstance(value, str)}

    def descriptor(self, platform: Platform | None = None) -> Descriptor:
        """Return a descriptor that points here."""
        return Descriptor(self.media_type, self.digest, len(self.data), {}, platform)

    def _list(self, key: str) -> list[Any]:
        try:
            return list(self.json.get(key) or [])
        except TypeError as error:
            raise TargetError("read manifest", self.digest, f"its {key} are malformed") from error


def image_size(manifests: Iterable[Document]) -> int:
    """Return the bytes of all different blobs of an image, given its platforms' manifests."""
    sizes = {d.digest: d.size_bytes for m in manifests for d in (m.config, *m.layers)}
    return sum(sizes.values())


def _words(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error)


def _size(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _LARGEST:
        raise ValueError(f"a size of {str(value)[:40]!a}")
    return value


def _texts(value: Any) -> dict[str, str]:
    texts = dict(value)
    if not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("annotations that are not texts")
    return texts


def _as_oci(layer: Descriptor) -> Descriptor:
    """Rename Docker's media type; its layers are the same bytes as OCI's."""
    if not layer.media_type.startswith(_DOCKER_LAYER):
        return layer
    media_type = layer.media_type.replace(_DOCKER_LAYER, LAYER)
    media_type = media_type.replace(".gzip", "+gzip").replace(".zstd", "+zstd")
    return Descriptor(media_type, layer.digest, layer.size_bytes, layer.annotations)
