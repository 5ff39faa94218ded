"""A model at one commit: its files, their sizes and what identifies their bytes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from carferry.errors import InvalidReference, SourceChanged
from carferry.refs import Digest

PUBLIC_HUB = "https://huggingface.co"
_ENDPOINT = re.compile(r"(?:https?://[^\s@?#]+)?")
_HEX64 = re.compile(r"[0-9a-f]{64}")
_FORMS = {"sha256": _HEX64, "git": re.compile(r"[0-9a-f]{40}"), "etag": _HEX64}


class Hasher(Protocol):
    """The part of a hashlib object that is used here."""

    def update(self, data: Any, /) -> None:
        """Feed bytes."""

    def hexdigest(self) -> str:
        """Return the digest of what was fed."""


@dataclass(frozen=True, order=True, slots=True)
class ContentId:
    """What identifies a file's bytes: their sha256, a small file's git blob id, or an entity tag.

    Attributes:
        kind: ``sha256``, ``git`` or ``etag``.
        hex: Lower-case hex, 64 digits or git's 40.
    """

    kind: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> ContentId:
        """Parse ``sha256:<64 hex>``, ``git:<40 hex>`` or ``etag:<64 hex>``.

        Raises:
            InvalidReference: None of them.
        """
        kind, _, value = text.partition(":")
        form = _FORMS.get(kind)
        if form is None or not form.fullmatch(value):
            reason = "not sha256:..., git:... or etag:..."
            raise InvalidReference("parse content id", ascii(text), reason)
        return cls(kind, value)

    @classmethod
    def of_etag(cls, *resource: str) -> ContentId:
        """Return the identity of what a server names by an entity tag.

        Source: RFC 9110, section 8.8.3: a tag tells versions of one resource apart, and says
        nothing of any other; so the resource's name is part of the identity.

        Args:
            resource: Server, place, name and tag.
        """
        return cls("etag", hashlib.sha256(json.dumps(resource).encode()).hexdigest())

    @property
    def is_provable(self) -> bool:
        """Whether the bytes alone prove it; an entity tag is only its server's word."""
        return self.kind != "etag"

    def hasher(self, size_bytes: int) -> Hasher:
        """Return a fresh hash object; over a file of that size its hex digest must be ``hex``.

        For an entity tag it is sha256, which says what the bytes were but not whether they are
        right.
        Source: git stores a blob as sha1 over ``blob <size>`` NUL and the content.
        """
        if self.kind == "git":
            return hashlib.sha1(b"blob %d\0" % size_bytes, usedforsecurity=False)
        return hashlib.sha256()

    def __str__(self) -> str:
        """Return the form that was parsed."""
        return f"{self.kind}:{self.hex}"


@dataclass(frozen=True, order=True, slots=True)
class SourceFile:
    """One file of a snapshot.

    Attributes:
        path: Relative POSIX path, checked safe.
        size_bytes: Exact length.
        content: Identity of the bytes.
    """

    path: str
    size_bytes: int
    content: ContentId

    def verify(self, found_hex: str) -> None:
        """Compare a finished hash with the promise, if there is one.

        Raises:
            SourceChanged: They differ.
        """
        if self.content.is_provable and found_hex != self.content.hex:
            raise SourceChanged(
                "read",
                self.path,
                f"its bytes hash to {found_hex[:12]}..., the snapshot says {self.content}",
                "the file changed or the transfer was corrupted: run again",
            )

    def identified(self, found_hex: str) -> ContentId:
        """Return what a finished hash says the bytes are; sha256 where the promise is a tag.

        Raises:
            SourceChanged: They are not what was promised.
        """
        self.verify(found_hex)
        return self.content if self.content.is_provable else ContentId("sha256", found_hex)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An immutable list of files.

    Attributes:
        repo: ``org/name`` on the hub; empty for a folder of unknown origin.
        commit: 40-hex commit; empty likewise.
        files: Sorted by the bytes of their path.
        license: The hub's licence id ("apache-2.0"); empty if unknown.
        endpoint: Address of the hub it was read from, without login or slash at its end; empty
            for the public one.
        place: URL of where it was read, if that is not the hub: ``s3://bucket/prefix``.
        image: Of the image that it was read from, which its tag may leave; None for other places.
            It is no origin: the image carries on where its model came from.
    """

    repo: str
    commit: str
    files: tuple[SourceFile, ...]
    license: str = ""
    endpoint: str = ""
    place: str = ""
    image: Digest | None = None

    @property
    def url(self) -> str:
        """Where people find it; empty if nobody knows."""
        hub = f"{self.endpoint or PUBLIC_HUB}/{self.repo}" if self.repo else ""
        return self.place or hub

    @property
    def size_bytes(self) -> int:
        """Sum of all file sizes."""
        return sum(file.size_bytes for file in self.files)

    def only(self, paths: Iterable[str]) -> Snapshot:
        """Return the same snapshot with these of its files, in this order."""
        files = {file.path: file for file in self.files}
        return replace(self, files=tuple(files[path] for path in paths))

    def to_json(self) -> str:
        """Return the form ``download`` leaves beside the files it wrote."""
        return json.dumps(
            {
                "repo": self.repo,
                "commit": self.commit,
                "license": self.license,
                **({"endpoint": self.endpoint} if self.endpoint else {}),
                **({"place": self.place} if self.place else {}),
                "files": [[f.path, f.size_bytes, str(f.content)] for f in self.files],
            },
            indent=1,
        )

    @classmethod
    def from_json(cls, text: str) -> Snapshot:
        """Read what ``to_json`` wrote.

        Raises:
            ValueError: Not such a document (also KeyError, TypeError).
        """
        data = json.loads(text)
        files = tuple(
            SourceFile(str(path), int(size), ContentId.parse(content))
            for path, size, content in data["files"]
        )
        if any(file.size_bytes < 0 for file in files):
            raise ValueError("a file has fewer than no bytes")
        endpoint = str(data.get("endpoint", ""))
        if not _ENDPOINT.fullmatch(endpoint):
            raise ValueError("endpoint")
        repo, commit, license = (str(data[key]) for key in ("repo", "commit", "license"))
        return cls(repo, commit, files, license, endpoint, str(data.get("place", "")))
