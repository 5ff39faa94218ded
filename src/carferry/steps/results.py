"""What the steps give back: frozen, made of plain values, ready for JSON and for a pipeline."""

from __future__ import annotations

from dataclasses import dataclass

from carferry.image.compose import COMMIT, CONTENT_KEY, LAYER_PATH, SOURCE
from carferry.image.inspection import Inspection
from carferry.oci.documents import Descriptor
from carferry.registry.target import Target


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A model in a folder.

    Attributes:
        path: The folder.
        repo: ``org/name``; empty where the source was a folder of unknown origin.
        commit: 40-hex commit; empty likewise.
        files: How many.
        size_bytes: All files together.
        moved_bytes: What was fetched; the rest was there.
    """

    path: str
    repo: str
    commit: str
    files: int
    size_bytes: int
    moved_bytes: int


@dataclass(frozen=True, slots=True)
class PlannedLayer:
    """One layer of a plan.

    Attributes:
        name: A path, or how many small files.
        size_bytes: Length of the layer.
        how: ``reuse``, ``mount`` or ``move``.
        worker: Who takes it, from 1.
    """

    name: str
    size_bytes: int
    how: str
    worker: int


@dataclass(frozen=True, slots=True)
class Planned:
    """What a build would do.

    Attributes:
        dest: Where it would go.
        repo: ``org/name``; empty for a folder of unknown origin.
        commit: 40-hex commit; empty likewise.
        files: How many enter the image.
        size_bytes: All model layers together.
        bytes_to_move: Those that are not there yet.
        workers: Pods that would share it.
        seconds: Prediction.
        layers: In image order.
    """

    dest: str
    repo: str
    commit: str
    files: int
    size_bytes: int
    bytes_to_move: int
    workers: int
    seconds: float
    layers: tuple[PlannedLayer, ...]

    @property
    def shares(self) -> list[str]:
        """``I/N`` of each worker that has something to move; of one where nobody has."""
        busy = sorted({layer.worker for layer in self.layers if layer.how != "reuse"})
        return [f"{worker}/{self.workers}" for worker in busy or [1]]


@dataclass(frozen=True, slots=True)
class Streamed:
    """One worker's share, done.

    Attributes:
        worker: From 1 to ``workers``.
        workers: How many share the plan.
        commit: Of the model.
        layers: In this share.
        moved_bytes: What crossed the network.
        reused_bytes: What did not have to.
        retries: Layers sent again.
    """

    worker: int
    workers: int
    commit: str
    layers: int
    moved_bytes: int
    reused_bytes: int
    retries: int


@dataclass(frozen=True, slots=True)
class Built:
    """A tagged image.

    Attributes:
        reference: ``host/repo@sha256:...`` or ``oci:path:tag``.
        uri: What KServe's ``storageUri`` takes: ``oci://host/repo@sha256:...``; for a layout
            the same as ``reference``.
        digest: Of the manifest or index.
        commit: Of the model; empty where unknown.
        size_bytes: All blobs together.
        layers: Base included.
        moved_bytes: What crossed the network.
        reused_bytes: What did not have to.
        retries: Layers sent again.
        seconds: Wall time.
    """

    reference: str
    uri: str
    digest: str
    commit: str
    size_bytes: int
    layers: int
    moved_bytes: int
    reused_bytes: int
    retries: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Inspected:
    """An image held against the contract.

    Attributes:
        reference: Its immutable reference.
        digest: Of the manifest or index.
        source: ``hf://org/name``; empty where the image does not say.
        commit: Of the model; empty likewise.
        size_bytes: All blobs together.
        layers: What each holds, its size in bytes and its digest, base first.
        files: Path and size in bytes of each file under ``/models``.
        rules: Clause, whether it holds, and the finding.
        ok: Whether every clause holds.
    """

    reference: str
    digest: str
    source: str
    commit: str
    size_bytes: int
    layers: tuple[tuple[str, int, str], ...]
    files: tuple[tuple[str, int], ...]
    rules: tuple[tuple[str, bool, str], ...]
    ok: bool

    @classmethod
    def of(cls, report: Inspection, target: Target) -> Inspected:
        """Flatten a report."""
        return cls(
            target.location(report.document.digest),
            str(report.document.digest),
            report.annotations.get(SOURCE, ""),
            report.annotations.get(COMMIT, ""),
            report.size_bytes,
            tuple((_holds(d), d.size_bytes, str(d.digest)) for d in report.layers),
            tuple((e.path, e.size_bytes) for e in report.models if e.kind == "file"),
            tuple((clause.name, clause.ok, clause.detail) for clause in report.clauses),
            report.ok,
        )


def _holds(layer: Descriptor) -> str:
    """Return what a layer says it holds: a file's path, several files, or what is not ours."""
    several = "several files" if CONTENT_KEY in layer.annotations else "base"
    return layer.annotations.get(LAYER_PATH, several)
