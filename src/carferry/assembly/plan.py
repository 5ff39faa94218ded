"""What will move and what will not, decided before a byte does.

A plan is a pure function of the snapshot's layers, the bases and what the target is known to
hold; workers on different machines compute the same one and take their own share of it.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from carferry.errors import InputError
from carferry.image.base import Base
from carferry.image.layers import Format, Layer
from carferry.refs import Digest, ImageRef, LayoutRef
from carferry.selection.selection import Selection
from carferry.source.snapshot import ContentId, Snapshot

_GIB = 1024**3
# Starting a pod and resolving the plan anew costs about what moving this much does.
WORTH_A_WORKER_BYTES = 2 * _GIB
MOST_WORKERS = 10_000
"""An image has far fewer layers; every worker computes the shares of all."""
# Whoever may push may claim as much as he likes; moving a layer costs no more than reading three.
_MOST_CHECKED = 3


class How(StrEnum):
    """How a layer gets to the target."""

    REUSE = "reuse"
    MOUNT = "mount"
    CHECK = "check"
    MOVE = "move"


@dataclass(frozen=True, slots=True)
class Claim:
    """What is said to hold a layer's bytes: a blob that is there and has the layer's length.

    Attributes:
        digest: Of the blob.
        home: The repository or layout that holds it.
        by: Tag or digest of the manifest that says so; empty if it follows from the file's id.
        believed: Used without being read; any other is read back first.
        ids: Ids of the layer's files, as they were read when it was made.
    """

    digest: Digest
    home: ImageRef | LayoutRef
    by: str = ""
    believed: bool = True
    ids: tuple[ContentId, ...] = ()


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """How one layer gets to the target.

    Attributes:
        layer: What it holds.
        how: Reuse in place, mount from another repository, read back what is said to be it and
            use that if it is, or move.
        claims: Where it is, or is said to be, best first; none if it moves.
    """

    layer: Layer
    how: How = How.MOVE
    claims: tuple[Claim, ...] = ()

    @property
    def bytes_to_move(self) -> int:
        """Bytes that come from the source for it."""
        return self.layer.size_bytes if self.how is How.MOVE else 0

    @property
    def bytes_to_check(self) -> int:
        """Bytes to read back from where it is said to be."""
        return self.layer.size_bytes if self.how is How.CHECK else 0


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a build will do.

    Attributes:
        snapshot: The model at its commit.
        bases: One base per platform, with the same number of layers at the most.
        layers: The model's layers in image order.
        format: ModelCar or ModelPack.
        selection: How its files were chosen.
    """

    snapshot: Snapshot
    bases: tuple[Base, ...]
    layers: tuple[LayerPlan, ...]
    format: Format = Format.MODELCAR
    selection: Selection = field(default_factory=Selection)

    @property
    def layers_key(self) -> Digest:
        """Identity of the model's layers: what workers move, whatever base it will stand on.

        A base without a fixed tag may move between two workers; their layers stay the same.
        """
        return layers_key(self.snapshot, self.format, [each.layer for each in self.layers])

    @property
    def size_bytes(self) -> int:
        """Length of all model layers together."""
        return sum(layer_plan.layer.size_bytes for layer_plan in self.layers)

    @property
    def bytes_to_move(self) -> int:
        """Length of the blobs that move; two layers of one blob move it once."""
        moving = {each.layer.blob_key: each.bytes_to_move for each in self.layers}
        return sum(moving.values())

    @property
    def bytes_to_check(self) -> int:
        """Length of the layers that are read back before they are used."""
        return sum(layer_plan.bytes_to_check for layer_plan in self.layers)

    def seconds(self, rate: float, *, workers: int = 1, parallel: int = 1) -> float:
        """Predict how long moving and reading back take.

        A blob is uploaded in order by one client, so the largest layer is a floor no number
        of workers lowers.

        Args:
            rate: Bytes per second of one stream.
            workers: How many pods share the plan.
            parallel: Streams in each.
        """
        every = [each.bytes_to_move + each.bytes_to_check for each in self.layers]
        return max(max(every, default=0) / rate, sum(every) / (workers * parallel * rate))

    def worth(self, most: int) -> int:
        """Return how many workers are worth their pods, at most ``most``.

        One per 2 GiB to move or to read back.
        """
        size = self.bytes_to_move + self.bytes_to_check
        return max(1, min(most, -(-size // WORTH_A_WORKER_BYTES)))

    def share(self, worker: int, workers: int) -> tuple[LayerPlan, ...]:
        """Return the layers of one worker of ``workers``, from 1, largest first."""
        return self.shares(workers)[worker - 1]

    def shares(self, workers: int) -> tuple[tuple[LayerPlan, ...], ...]:
        """Return every worker's layers, largest first.

        Each layer goes to the worker with the least to do so far; ties go to the lowest
        number, so that every worker computes the same shares.
        """
        loads = [(0, number) for number in range(workers)]
        shares: list[list[LayerPlan]] = [[] for _ in range(workers)]
        for layer_plan in sorted(self.layers, key=_largest_first):
            load, number = heapq.heappop(loads)
            shares[number].append(layer_plan)
            heapq.heappush(loads, (load + layer_plan.layer.size_bytes, number))
        return tuple(map(tuple, shares))


def layers_key(snapshot: Snapshot, format: Format, layers: Sequence[Layer]) -> Digest:
    """Return the identity of a model's layers, as ``Plan.layers_key`` before there is a plan."""
    keys = [str(layer.content_key) for layer in layers]
    return Digest.of("\n".join([format.value, snapshot.repo, snapshot.commit, *keys]).encode())


def make_plan(
    snapshot: Snapshot,
    bases: Sequence[Base],
    layers: Sequence[Layer],
    claims: Mapping[Digest, Sequence[Claim]],
    ref: ImageRef | LayoutRef,
    format: Format = Format.MODELCAR,
) -> Plan:
    """Decide for each layer whether it moves.

    Args:
        snapshot: Files to serve.
        bases: Resolved bases.
        layers: The snapshot's files, arranged.
        claims: Where layers are said to exist already, by content key, best first.
        ref: The target; what is stored elsewhere is mounted.
        format: ModelCar or ModelPack.
    """
    # Layers of one blob have one claim, whichever of them it was made for.
    found = {
        layer.blob_key: claims[layer.content_key] for layer in layers if layer.content_key in claims
    }
    layer_plans = tuple(_layer_plan(layer, found.get(layer.blob_key, ()), ref) for layer in layers)
    return Plan(snapshot, tuple(bases), layer_plans, format)


def check_lengths(plan: Plan, limit_bytes: int, ref: ImageRef | LayoutRef) -> None:
    """Refuse what the target would refuse after hours of sending.

    Args:
        plan: What would be done.
        limit_bytes: Longest blob the target takes; 0 if no limit is known.
        ref: The target.

    Raises:
        InputError: Names the longest layer that would have to move there.
    """
    longest = max(plan.layers, key=lambda layer_plan: layer_plan.bytes_to_move, default=None)
    if limit_bytes and longest and longest.bytes_to_move > limit_bytes:
        raise InputError(
            "push", ref,
            f"layer {longest.layer.name} is {longest.bytes_to_move / _GIB:.1f} GiB, "
            f"this registry takes {limit_bytes / _GIB:.1f} GiB",
            "choose another registry, or a revision with smaller shards",
        )  # fmt: skip


def _layer_plan(layer: Layer, claims: Sequence[Claim], ref: ImageRef | LayoutRef) -> LayerPlan:
    for claim in claims:
        if claim.believed:
            how = How.REUSE if is_same_home(claim.home, ref) else How.MOUNT
            return LayerPlan(layer, how, (claim,))
    # Entity tags cannot be computed from bytes that are read back.
    if claims and layer.is_provable:
        return LayerPlan(layer, How.CHECK, tuple(claims[:_MOST_CHECKED]))
    return LayerPlan(layer)


def is_same_home(first: ImageRef | LayoutRef, second: ImageRef | LayoutRef) -> bool:
    """Return whether two references name one repository, or one layout."""
    if isinstance(first, ImageRef) and isinstance(second, ImageRef):
        return first.name == second.name
    if isinstance(first, LayoutRef) and isinstance(second, LayoutRef):
        return first.path == second.path
    return False


def _largest_first(layer_plan: LayerPlan) -> tuple[int, str]:
    return (-layer_plan.layer.size_bytes, layer_plan.layer.files[0].path)
