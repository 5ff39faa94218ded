"""How long a cold start may take."""

from __future__ import annotations

_BASE_DEADLINE_S = 900
_UNKNOWN_SIZE_DEADLINE_S = 2700
# A cold pull of 140 GB took about 4,600 s in KServe's own measurement
# (docs/samples/storage/oci-image-volume/README.md): about 30 MB/s.
_PULL_BYTES_PER_S = 30_000_000


def deadline_s(size_bytes: int) -> int:
    """Return how long a cold start may take, in seconds, for a model image of that size.

    Args:
        size_bytes: Of the image; 0 if unknown.
    """
    if not size_bytes:
        return _UNKNOWN_SIZE_DEADLINE_S
    return _BASE_DEADLINE_S + -(-size_bytes // _PULL_BYTES_PER_S)
