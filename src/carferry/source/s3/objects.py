"""What an S3 server says of an object: identity, length, and whether it is at hand."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from carferry.source.snapshot import ContentId

ASKED_BYTES = 8 * 1024 * 1024
"""From this length on an object is asked for its sha256, even if the listing promises none."""
_ARCHIVES = {"GLACIER", "DEEP_ARCHIVE"}
_SHA256_BYTES = 32


@dataclass(frozen=True, slots=True)
class S3Object:
    """One object of the listing.

    Attributes:
        key: Its name in the bucket.
        size_bytes: Exact length.
        etag: Entity tag, without quotes; empty if the server lists none.
        storage_class: As in ``STANDARD``; empty if the server names none.
        has_sha256: The server holds a sha256 of the whole object.
    """

    key: str
    size_bytes: int
    etag: str
    storage_class: str = ""
    has_sha256: bool = False


def read_object(entry: Mapping[str, Any]) -> S3Object:
    """Return an entry of a listing."""
    algorithms = entry.get("ChecksumAlgorithm") or ()
    whole = entry.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"
    return S3Object(
        str(entry["Key"]),
        int(entry["Size"]),
        etag_of(entry),
        str(entry.get("StorageClass", "")),
        "SHA256" in algorithms and whole,
    )


def is_worth_asking(found: S3Object) -> bool:
    """Tell whether asking for an object alone may say more than the listing did."""
    missing = not found.etag or found.storage_class in _ARCHIVES
    return found.has_sha256 or missing or found.size_bytes >= ASKED_BYTES


def is_archived(found: S3Object, answer: Mapping[str, Any]) -> bool:
    """Tell whether an object has to be restored before it can be read."""
    if answer.get("ArchiveStatus"):
        return True
    restored = 'ongoing-request="false"' in str(answer.get("Restore", ""))
    return found.storage_class in _ARCHIVES and not restored


def etag_of(answer: Mapping[str, Any]) -> str:
    """Return an answer's entity tag without quotes; empty if it has none."""
    return str(answer.get("ETag", "")).removeprefix("W/").strip('"')


def sha256_of(text: str) -> ContentId | None:
    """Return a checksum as S3 writes it, base64 of 32 bytes, as an identity."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return ContentId("sha256", data.hex()) if len(data) == _SHA256_BYTES else None
