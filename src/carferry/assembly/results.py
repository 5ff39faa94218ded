"""What a build did: to each layer, and in all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from carferry.assembly.plan import How, Plan
from carferry.image.layers import Layer
from carferry.oci.documents import Descriptor, Document
from carferry.refs import Digest
from carferry.selection.selection import Selection
from carferry.source.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class LayerResult:
    """What happened to one layer.

    Attributes:
        layer: The layer.
        descriptor: How the image will refer to it.
        how: What it took.
        retries: Times it had to be sent again.
    """

    layer: Layer
    descriptor: Descriptor
    how: How
    retries: int = 0


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What a build made.

    Attributes:
        document: What the tag names: a manifest or an index.
        snapshot: The model at its commit.
        results: What happened to each model layer.
        size_bytes: All different blobs of the image.
        layers: Layers of one platform, base included.
        seconds: From first request to tag.
        selection: How the model's files were chosen.
        previous: What the tag named before; None if nothing, or if it may not be read.
    """

    document: Document
    snapshot: Snapshot
    results: tuple[LayerResult, ...]
    size_bytes: int
    layers: int
    seconds: float
    selection: Selection
    previous: Digest | None = None

    @property
    def moved_bytes(self) -> int:
        """Model layer bytes that crossed the network."""
        return moved_bytes(self.results)

    @property
    def reused_bytes(self) -> int:
        """Model layer bytes that were there or were mounted."""
        return sum(r.descriptor.size_bytes for r in self.results) - self.moved_bytes

    @property
    def checked_bytes(self) -> int:
        """Those of the reused bytes that were read back first."""
        return checked_bytes(self.results)


def moved_bytes(results: Sequence[LayerResult]) -> int:
    """Return how many layer bytes crossed the network, retries not counted."""
    return sum(r.layer.size_bytes for r in results if r.how is How.MOVE)


def checked_bytes(results: Sequence[LayerResult]) -> int:
    """Return how many layer bytes were read back, and used since they are what was claimed."""
    return sum(r.layer.size_bytes for r in results if r.how is How.CHECK)


def in_image_order(plan: Plan, results: Sequence[LayerResult]) -> list[Descriptor]:
    """Return the layers' descriptors in image order, whatever order they were moved in."""
    found = {result.layer.content_key: result.descriptor for result in results}
    return [found[layer_plan.layer.content_key] for layer_plan in plan.layers]
