"""A model at one commit: its files, their sizes and what identifies their bytes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from carferry.errors import InvalidReference, SourceChanged

PUBLIC_HUB = "https://huggingface.co"
_ENDPOINT = re.compile(r"(?:https?://[^\s@?#]+)?")
_FORMS = {"sha256": re.compile(r"[0-9a-f]{64}"), "git": re.compile(r"[0-9a-f]{40}")}


class Hasher(Protocol):
    """The part of a hashlib object that is used here."""

    def update(self, data: Any, /) -> None:
        """Feed bytes."""

    def hexdigest(self) -> str:
        """Return the digest of what was fed."""


@dataclass(frozen=True, order=True, slots=True)
class ContentId:
    """What identifies a file's bytes: the LFS sha256, or the git blob id of a small file.

    Attributes:
        kind: ``sha256`` or ``git``.
        hex: Lower-case hex, 64 or 40 digits.
    """

    kind: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> ContentId:
        """Parse ``sha256:<64 hex>`` or ``git:<40 hex>``.

        Raises:
            InvalidReference: Neither.
        """
        kind, _, value = text.partition(":")
        form = _FORMS.get(kind)
        if form is None or not form.fullmatch(value):
            raise InvalidReference("parse content id", ascii(text), "not sha256:... or git:...")
        return cls(kind, value)

    def hasher(self, size_bytes: int) -> Hasher:
        """Return a fresh hash object; over a file of that size its hex digest must be ``hex``.

        Source: git stores a blob as sha1 over ``blob <size>`` NUL and the content.
        """
        if self.kind == "sha256":
            return hashlib.sha256()
        return hashlib.sha1(b"blob %d\0" % size_bytes, usedforsecurity=False)

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
        """Compare a finished hash with the promise.

        Raises:
            SourceChanged: They differ.
        """
        if found_hex != self.content.hex:
            raise SourceChanged(
                "read",
                self.path,
                f"its bytes hash to {found_hex[:12]}..., the snapshot says {self.content}",
                "the file changed or the transfer was corrupted: run again",
            )


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
    """

    repo: str
    commit: str
    files: tuple[SourceFile, ...]
    license: str = ""
    endpoint: str = ""

    @property
    def url(self) -> str:
        """Where people find the repository; empty if it is unknown."""
        return f"{self.endpoint or PUBLIC_HUB}/{self.repo}" if self.repo else ""

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
        return cls(str(data["repo"]), str(data["commit"]), files, str(data["license"]), endpoint)
