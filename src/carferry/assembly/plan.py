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
from carferry.source.snapshot import Snapshot

_GIB = 1024**3
# Starting a pod and resolving the plan anew costs about what moving this much does.
WORTH_A_WORKER_BYTES = 2 * _GIB
MOST_WORKERS = 10_000
"""An image has far fewer layers; every worker computes the shares of all."""


class How(StrEnum):
    """How a layer gets to the target."""

    REUSE = "reuse"
    MOUNT = "mount"
    MOVE = "move"


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """A layer that exists already.

    Attributes:
        digest: Its digest, confirmed at its home together with its size.
        home: The repository or layout that holds it.
    """

    digest: Digest
    home: ImageRef | LayoutRef


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """How one layer gets to the target.

    Attributes:
        layer: What it holds.
        how: Reuse in place, mount from another repository, or move.
        stored: Where it is, unless it moves.
    """

    layer: Layer
    how: How = How.MOVE
    stored: StoredLayer | None = None

    @property
    def bytes_to_move(self) -> int:
        """Bytes that cross the network for it."""
        return self.layer.size_bytes if self.how is How.MOVE else 0


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
        parts = [
            self.format.value,
            self.snapshot.repo,
            self.snapshot.commit,
            *(str(layer_plan.layer.content_key) for layer_plan in self.layers),
        ]
        return Digest.of("\n".join(parts).encode())

    @property
    def size_bytes(self) -> int:
        """Length of all model layers together."""
        return sum(layer_plan.layer.size_bytes for layer_plan in self.layers)

    @property
    def bytes_to_move(self) -> int:
        """Length of the layers that move."""
        return sum(layer_plan.bytes_to_move for layer_plan in self.layers)

    def seconds(self, rate: float, *, workers: int = 1, parallel: int = 1) -> float:
        """Predict how long moving takes.

        A blob is uploaded in order by one client, so the largest layer is a floor no number
        of workers lowers.

        Args:
            rate: Bytes per second of one stream.
            workers: How many pods share the plan.
            parallel: Streams in each.
        """
        largest = max((layer_plan.bytes_to_move for layer_plan in self.layers), default=0)
        return max(largest / rate, self.bytes_to_move / (workers * parallel * rate))

    def worth(self, most: int) -> int:
        """Return how many workers are worth their pods: one per 2 GiB to move, at most ``most``."""
        return max(1, min(most, -(-self.bytes_to_move // WORTH_A_WORKER_BYTES)))

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


def make_plan(
    snapshot: Snapshot,
    bases: Sequence[Base],
    layers: Sequence[Layer],
    stored: Mapping[Digest, StoredLayer],
    ref: ImageRef | LayoutRef,
    format: Format = Format.MODELCAR,
) -> Plan:
    """Decide for each layer whether it moves.

    Args:
        snapshot: Files to serve.
        bases: Resolved bases.
        layers: The snapshot's files, arranged.
        stored: Layers that exist already, by content key.
        ref: The target; what is stored elsewhere is mounted.
        format: ModelCar or ModelPack.
    """
    layer_plans = tuple(_layer_plan(layer, stored, ref) for layer in layers)
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


def _layer_plan(
    layer: Layer, stored: Mapping[Digest, StoredLayer], ref: ImageRef | LayoutRef
) -> LayerPlan:
    found = stored.get(layer.content_key)
    if found is None:
        return LayerPlan(layer)
    how = How.REUSE if _is_same_home(found.home, ref) else How.MOUNT
    return LayerPlan(layer, how, found)


def _is_same_home(first: ImageRef | LayoutRef, second: ImageRef | LayoutRef) -> bool:
    if isinstance(first, ImageRef) and isinstance(second, ImageRef):
        return first.name == second.name
    if isinstance(first, LayoutRef) and isinstance(second, LayoutRef):
        return first.path == second.path
    return False


def _largest_first(layer_plan: LayerPlan) -> tuple[int, str]:
    return (-layer_plan.layer.size_bytes, layer_plan.layer.files[0].path)
