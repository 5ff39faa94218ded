"""How a step reaches registries, and how it names what it made there."""

from __future__ import annotations

from pathlib import Path

from carferry.errors import InputError
from carferry.refs import Digest, ImageRef
from carferry.source.patterns import split_list
from carferry.target import Target
from carferry.targets import Access


def open_access(plain_http: str = "", ca_file: str = "") -> Access:
    """Return how registries are reached.

    Raises:
        InputError: No such certificate file.
    """
    path = Path(ca_file) if ca_file else None
    if path is not None and not path.is_file():
        raise InputError("read certificates", path, "no such file", "check --ca")
    return Access(plain_http=split_list(plain_http), ca_file=path)


def uri(target: Target, digest: Digest) -> str:
    """Return what KServe's ``storageUri`` takes; for a layout its own reference."""
    location = target.location(digest)
    return f"oci://{location}" if isinstance(target.ref, ImageRef) else location
