"""References, parsed once at the edge: digests, images, models.

Sources: OCI distribution-spec v1.1 (names, tags, digests), Docker's reference grammar
(a first part with a dot, a colon or "localhost" is a host).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from carferry.errors import InputError, InvalidReference

_HEX64 = re.compile(r"[0-9a-f]{64}")
# Before the first slash; what follows the @ of a digest is no host.
_LOGIN = re.compile(r"^([a-z]+://)?[^/@]*:[^/@]*@(?!sha256:)", re.IGNORECASE)
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
)
_PORT = re.compile(r"[^:]:([0-9]+)$")
_PORTS = range(1, 65536)
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
# A path may hold an @; only a whole digest at the end, as ORAS writes it, is one.
_LAYOUT_DIGEST = re.compile(r"@(sha256:[0-9a-f]{64})\Z")
_MODEL_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]{0,254}")


@dataclass(frozen=True, order=True, slots=True)
class Digest:
    """A sha256 content digest; ``str()`` gives ``sha256:<64 hex>``."""

    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Parse ``sha256:<64 lower-case hex>``.

        Raises:
            InvalidReference: Another algorithm or not 64 hex digits.
        """
        algorithm, _, value = text.partition(":")
        if algorithm != "sha256" or not _HEX64.fullmatch(value):
            raise InvalidReference("parse digest", repr(text), "not sha256:<64 hex digits>")
        return cls(value)

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """Return the digest of data."""
        return cls(hashlib.sha256(data).hexdigest())

    def __str__(self) -> str:
        """Return the OCI form."""
        return f"sha256:{self.hex}"


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image in a registry: ``host/repository[:tag][@digest]``."""

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, image: str) -> ImageRef:
        """Parse a full image reference, with or without ``docker://`` or ``oci://`` before it.

        The host is required: a short name means another image on another machine.

        Raises:
            InvalidReference: Names the part that is wrong.
        """
        rest = re.sub(r"^(?:docker|oci)://", "", image)
        rest, at, digest_text = rest.partition("@")
        registry, slash, path = rest.partition("/")
        colon = path.rfind(":")
        repository, tag = (path, None) if colon < 0 else (path[:colon], path[colon + 1 :])
        if not slash or not _is_host(registry):
            raise _bad_image(image, "no registry host before the first '/'")
        if not _is_port(registry):
            raise _bad_image(image, f"the port of {registry} is not 1 to {_PORTS[-1]}")
        if not _REPOSITORY.fullmatch(repository) or len(repository) > 255:
            raise _bad_image(image, f"repository {repository!r} is not lower-case path parts")
        if tag is not None and not _TAG.fullmatch(tag):
            raise _bad_image(image, f"tag {tag!r} is not 1-128 of A-Z a-z 0-9 _ . -")
        return cls(registry, repository, tag, Digest.parse(digest_text) if at else None)

    @property
    def host(self) -> str:
        """Who answers for it."""
        return self.registry

    @property
    def name(self) -> str:
        """``host/repository``, without tag or digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def reference(self) -> str:
        """What to ask the registry for: the digest if there is one, else the tag, else latest."""
        return str(self.digest) if self.digest else self.tag or "latest"

    @property
    def push_tag(self) -> str:
        """The tag that a push moves; empty for a digest, which follows from the content."""
        return self.tag or ("" if self.digest else "latest")

    def at(self, digest: Digest) -> ImageRef:
        """Return the immutable form ``host/repository@digest``."""
        return ImageRef(self.registry, self.repository, None, digest)

    def __str__(self) -> str:
        """Return the reference without a scheme."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}" + (f"@{self.digest}" if self.digest else "")


@dataclass(frozen=True, slots=True)
class LayoutRef:
    """An image in an OCI layout on disk: ``oci:path[:tag][@digest]``."""

    path: Path
    tag: str = "latest"
    digest: Digest | None = None

    @property
    def host(self) -> str:
        """Empty: nobody answers for a disk."""
        return ""

    @property
    def reference(self) -> str:
        """What to ask the layout for: the digest if there is one, else the tag."""
        return str(self.digest) if self.digest else self.tag

    @property
    def push_tag(self) -> str:
        """The tag that a push moves; empty for a digest, which follows from the content."""
        return self.tag

    @classmethod
    def parse(cls, image: str) -> LayoutRef:
        """Parse ``oci:path[:tag][@digest]``; the first colon parts path and tag, as skopeo does.

        Raises:
            InvalidReference: No path, or a tag or digest that no tool would accept.
        """
        rest, digest = image.removeprefix("oci:"), None
        if at := _LAYOUT_DIGEST.search(rest):
            rest, digest = rest[: at.start()], Digest.parse(at[1])
        path, _, tag = rest.partition(":")
        if not path:
            raise InvalidReference("parse image", repr(image), "no path", "write oci:path:tag")
        if "\0" in path:
            raise InvalidReference("parse image", repr(image), "no path holds a zero byte")
        if tag and not _TAG.fullmatch(tag):
            raise InvalidReference("parse image", repr(image), f"tag {tag!r} is malformed")
        return cls(Path(path), tag or ("" if digest else "latest"), digest)

    def at(self, digest: Digest) -> LayoutRef:
        """Return the immutable form ``oci:path@digest``."""
        return LayoutRef(self.path, "", digest)

    def __str__(self) -> str:
        """Return the form that was parsed."""
        tag = f":{self.tag}" if self.tag else ""
        return f"oci:{self.path}{tag}" + (f"@{self.digest}" if self.digest else "")


def parse_image(image: str) -> ImageRef | LayoutRef:
    """Parse a place an image lives: ``[docker://]host/repo:tag`` or ``oci:path:tag``.

    Either may end in ``@sha256:...``. That says what is read, whatever the tag beside it names;
    what is pushed must be that.

    Raises:
        InvalidReference: No known scheme, or a malformed reference behind it.
    """
    if image.startswith("oci:") and not image.startswith("oci://"):
        return LayoutRef.parse(image)
    if _LOGIN.match(image):
        shown = repr(_LOGIN.sub(r"\1***@", image))
        reason, remedy = (
            "a login in an address is seen by everybody",
            "leave it out: podman login HOST",
        )
        raise InvalidReference("parse image", shown, reason, remedy)
    host, slash, _ = image.partition("/")
    if image.startswith(("docker://", "oci://")) or (slash and _is_host(host)):
        return ImageRef.parse(image)
    raise InvalidReference(
        "parse image", repr(image), "no scheme", "write docker://host/repo:tag or oci:path:tag"
    )


def check_push_tag(ref: ImageRef | LayoutRef, *, action: str) -> None:
    """Refuse a reference that no image can be pushed to, because it names a digest and no tag.

    Args:
        ref: Where the image goes.
        action: What was to be done there, for the error.

    Raises:
        InputError: A digest and no tag.
    """
    if not ref.push_tag:
        reason = "a digest cannot be chosen, it follows from the content"
        where = "oci:path:tag" if isinstance(ref, LayoutRef) else "host/repository:tag"
        raise InputError(action, ref, reason, f"write {where}")


def check_push_digest(ref: ImageRef | LayoutRef, digest: Digest, *, action: str) -> None:
    """Refuse to push another image than the one that a reference names by digest.

    Args:
        ref: Where the image goes; without a digest any image may.
        digest: Of the image.
        action: What was to be done there, for the error.

    Raises:
        InputError: Another digest.
    """
    if ref.digest and ref.digest != digest:
        remedy = "leave the digest out, or give what it names"
        raise InputError(action, ref, f"the image is {digest}", remedy)


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model on the hub: ``org/name`` at a branch, tag or commit."""

    repo: str
    revision: str = "main"

    @classmethod
    def parse(cls, model: str, revision: str = "") -> ModelRef:
        """Parse ``hf://org/name[@revision]`` or ``org/name[@revision]``.

        Args:
            model: The text that names it.
            revision: Used if ``model`` carries none.

        Raises:
            InvalidReference: Not one or two hub name parts, or a malformed revision.
        """
        name, _, inline = model.removeprefix("hf://").partition("@")
        parts = name.split("/")
        if len(parts) > 2 or not all(map(_is_model_part, parts)):
            raise InvalidReference(
                "parse model", repr(model), "not org/name[@revision]", "for a folder write ./path"
            )
        wanted = inline or revision or "main"
        if not _REVISION.fullmatch(wanted) or ".." in wanted:
            raise InvalidReference("parse model", repr(model), f"revision {wanted!r} is malformed")
        return cls(name, wanted)

    def __str__(self) -> str:
        """Return ``org/name@revision``."""
        return f"{self.repo}@{self.revision}"


def is_tag(text: str) -> bool:
    """Return whether an image can have this tag."""
    return bool(_TAG.fullmatch(text))


def _is_host(host: str) -> bool:
    return bool(_HOST.fullmatch(host)) and ("." in host or ":" in host or host == "localhost")


def _is_port(host: str) -> bool:
    """Tell whether a host's port, if it names one, is one that a socket can have."""
    port = _PORT.search(host)
    return port is None or int(port[1]) in _PORTS


def _is_model_part(part: str) -> bool:
    return bool(_MODEL_PART.fullmatch(part)) and ".." not in part and "--" not in part


def _bad_image(image: str, reason: str) -> InvalidReference:
    return InvalidReference("parse image", repr(image), reason, "write host/repository:tag")
