"""Content ids of many files as one short text: 28 or 44 characters a file, whatever its path.

Each id is its length in one byte, 20 for a git blob id and 32 for a sha256, and its bytes; all of
them together, in path order, are base64 (RFC 4648). Paths and sizes stand in the layer itself.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator

from carferry.errors import InvalidReference
from carferry.source.snapshot import ContentId

_KINDS = {20: "git", 32: "sha256"}


def pack_ids(ids: Iterable[ContentId]) -> str:
    """Return ids as one text, in their order."""
    raw = [bytes.fromhex(each.hex) for each in ids]
    return base64.b64encode(b"".join(bytes([len(each)]) + each for each in raw)).decode()


def unpack_ids(text: str) -> tuple[ContentId, ...]:
    """Return the ids that ``pack_ids`` put together.

    Raises:
        InvalidReference: Not such a text.
    """
    try:
        return tuple(_ids(base64.b64decode(text.encode("ascii"), validate=True)))
    except (binascii.Error, UnicodeError, KeyError) as error:
        reason = "not ids of files, each with its length, as base64"
        raise InvalidReference("read file ids", ascii(text[:40]), reason) from error


def _ids(data: bytes) -> Iterator[ContentId]:
    at = 0
    while at < len(data):
        size = data[at]
        kind, raw = _KINDS[size], data[at + 1 : at + 1 + size]
        if len(raw) != size:
            raise binascii.Error("cut off")
        yield ContentId(kind, raw.hex())
        at += 1 + size
