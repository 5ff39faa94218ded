"""What a step says of the image it made."""

from __future__ import annotations

from carferry.assembly.results import BuildResult
from carferry.registry.target import Target
from carferry.steps.access import uri
from carferry.steps.remarks import remarks
from carferry.steps.results import Built


def describe(target: Target, result: BuildResult) -> Built:
    """Return what a build made as plain values."""
    digest = result.document.digest
    return Built(
        target.location(digest),
        uri(target, digest),
        str(digest),
        result.snapshot.commit,
        result.size_bytes,
        result.layers,
        result.moved_bytes,
        result.reused_bytes,
        sum(moved.retries for moved in result.results),
        round(result.seconds, 3),
        result.checked_bytes,
        previous=str(result.previous or ""),
        **remarks(result.selection),
    )
