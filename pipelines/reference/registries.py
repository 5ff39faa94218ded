"""The generated table of the page of registries: those of which something special is known."""

from __future__ import annotations

from pathlib import Path

from carferry.pipelines.reference.table import renewed, table
from carferry.registry.quirks import KNOWN, RegistryQuirks

PAGE = Path("docs/reference/registries.md")
_MIB, _GIB = 1024**2, 1024**3
_HEAD = ("Registry", "Told by its host", "Largest layer", "An upload that broke", "Source")


def page(text: str) -> str:
    """Return the page with its table renewed; the rest is written by hand."""
    return renewed(text, "registries", table(_HEAD, map(_row, KNOWN)))


def _row(one: RegistryQuirks) -> tuple[str, ...]:
    hosts = ", ".join(f"`{glob}`" for glob in one.hosts)
    goes_on = "goes on from where it broke" if one.proves_offset else "begins again"
    return one.name, hosts, size(one.largest_blob_bytes), goes_on, one.source


def size(limit_bytes: int) -> str:
    """Return a limit in the largest unit that tells it exactly."""
    if not limit_bytes:
        return "none known"
    unit, name = (_MIB, "MiB") if limit_bytes % _GIB else (_GIB, "GiB")
    return f"{limit_bytes // unit:,} {name}"
