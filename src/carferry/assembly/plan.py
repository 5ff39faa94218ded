"""What will move and what will not, decided before a byte does.

A plan is a pure function of the snapshot's layers, the bases and what the target is known to
hold; workers on different machines compute the same one and take their own share of it.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from carferry.errors import InputError
from carferry.image.base import Base
from carferry.image.layers import Format, Layer
from carferry.refs import Digest, ImageRef, LayoutRef
from carferry.source.snapshot import Snapshot

_GIB = 1024**3
# Starting a pod and resolving the plan anew costs about what moving this much does.
WORTH_A_WORKER_BYTES = 2 * _GIB
MOST_WORKERS = 10_000
"""An image has far fewer layers; every worker computes the bins of all."""


class How(StrEnum):
    """How a layer gets to the target."""

    REUSE = "reuse"
    MOUNT = "mount"
    MOVE = "move"


@dataclass(frozen=True, slots=True)
class Held:
    """A layer known to exist.

    Attributes:
        digest: Its digest, confirmed at its home together with its size.
        home: The repository or layout that holds it.
    """

    digest: Digest
    home: ImageRef | LayoutRef


@dataclass(frozen=True, slots=True)
class Step:
    """One layer of the plan.

    Attributes:
        layer: What it holds.
        how: Reuse in place, mount from a neighbour, or move.
        held: Where it is, unless it moves.
    """

    layer: Layer
    how: How = How.MOVE
    held: Held | None = None

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
        steps: The model's layers in image order.
        form: ModelCar or ModelPack.
    """

    snapshot: Snapshot
    bases: tuple[Base, ...]
    steps: tuple[Step, ...]
    form: Format = Format.MODELCAR

    @property
    def layers_key(self) -> Digest:
        """Identity of the model's layers: what workers move, whatever base it will stand on.

        A base without a fixed tag may move between two workers; their layers stay the same.
        """
        parts = [
            self.form.value,
            self.snapshot.repo,
            self.snapshot.commit,
            *(str(step.layer.content_key) for step in self.steps),
        ]
        return Digest.of("\n".join(parts).encode())

    @property
    def size_bytes(self) -> int:
        """Length of all model layers together."""
        return sum(step.layer.size_bytes for step in self.steps)

    @property
    def bytes_to_move(self) -> int:
        """Length of the layers that move."""
        return sum(step.bytes_to_move for step in self.steps)

    def seconds(self, rate: float, *, workers: int = 1, parallel: int = 1) -> float:
        """Predict how long moving takes.

        A blob is uploaded in order by one client, so the largest layer is a floor no number
        of workers lowers.

        Args:
            rate: Bytes per second of one stream.
            workers: How many pods share the plan.
            parallel: Streams in each.
        """
        largest = max((step.bytes_to_move for step in self.steps), default=0)
        return max(largest / rate, self.bytes_to_move / (workers * parallel * rate))

    def worth(self, most: int) -> int:
        """Return how many workers are worth their pods: one per 2 GiB to move, at most ``most``."""
        return max(1, min(most, -(-self.bytes_to_move // WORTH_A_WORKER_BYTES)))

    def share(self, worker: int, workers: int) -> tuple[Step, ...]:
        """Return the steps of one worker of ``workers``, from 1, largest first."""
        return self.bins(workers)[worker - 1]

    def bins(self, workers: int) -> tuple[tuple[Step, ...], ...]:
        """Return every worker's steps, largest first.

        Each layer goes to the worker with the least to do so far; ties go to the lowest
        number, so that every worker computes the same bins.
        """
        loads = [(0, number) for number in range(workers)]
        mine: list[list[Step]] = [[] for _ in range(workers)]
        for step in sorted(self.steps, key=_largest_first):
            load, number = heapq.heappop(loads)
            mine[number].append(step)
            heapq.heappush(loads, (load + step.layer.size_bytes, number))
        return tuple(map(tuple, mine))


def make_plan(
    snapshot: Snapshot,
    bases: Sequence[Base],
    layers: Sequence[Layer],
    held: Mapping[Digest, Held],
    here: ImageRef | LayoutRef,
    form: Format = Format.MODELCAR,
) -> Plan:
    """Decide for each layer whether it moves.

    Args:
        snapshot: Files to serve.
        bases: Resolved bases.
        layers: The snapshot's files, arranged.
        held: Layers known to exist, by content key.
        here: The target; what is held elsewhere is mounted.
        form: ModelCar or ModelPack.
    """
    steps = tuple(_step(layer, held, here) for layer in layers)
    return Plan(snapshot, tuple(bases), steps, form)


def check_lengths(plan: Plan, limit_bytes: int, here: ImageRef | LayoutRef) -> None:
    """Refuse what the target would refuse after hours of sending.

    Args:
        plan: What would be done.
        limit_bytes: Longest blob the target takes; 0 where no limit is known.
        here: The target.

    Raises:
        InputError: Names the longest layer that would have to move there.
    """
    longest = max(plan.steps, key=lambda step: step.bytes_to_move, default=None)
    if limit_bytes and longest and longest.bytes_to_move > limit_bytes:
        raise InputError(
            "push", here,
            f"layer {longest.layer.name} is {longest.bytes_to_move / _GIB:.1f} GiB, "
            f"this registry takes {limit_bytes / _GIB:.1f} GiB",
            "choose another registry, or a revision with smaller shards",
        )  # fmt: skip


def _step(layer: Layer, held: Mapping[Digest, Held], here: ImageRef | LayoutRef) -> Step:
    found = held.get(layer.content_key)
    if found is None:
        return Step(layer)
    return Step(layer, How.REUSE if _same_home(found.home, here) else How.MOUNT, found)


def _same_home(one: ImageRef | LayoutRef, other: ImageRef | LayoutRef) -> bool:
    if isinstance(one, ImageRef) and isinstance(other, ImageRef):
        return one.name == other.name
    return isinstance(one, LayoutRef) and isinstance(other, LayoutRef) and one.path == other.path


def _largest_first(step: Step) -> tuple[int, str]:
    return (-step.layer.size_bytes, step.layer.files[0].path)
