"""What the steps give back: frozen, made of plain values, ready for JSON, pipelines, notebooks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from carferry.io.show.terminal import human_bytes
from carferry.steps.markdown import Column, in_notebook, page, table

_NUMBERS = (
    "size_bytes", "bytes_to_move", "bytes_to_check", "moved_bytes", "reused_bytes",
    "checked_bytes", "retries", "seconds",
)  # fmt: skip

_BELIEVING = "reuse=tag believes the image's own tag"


class Result:
    """What every result can: become plain values, and show itself in a notebook."""

    __slots__ = ()

    @property
    def markdown(self) -> str:
        """The result as Markdown, for reports and notebooks."""
        raise NotImplementedError

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers of a result, for charts over many runs; sizes in bytes."""
        found = {name: getattr(self, name, None) for name in _NUMBERS}
        return {n: float(value) for n, value in found.items() if isinstance(value, int | float)}

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]

    def _repr_markdown_(self) -> str:
        return in_notebook(self.markdown)


@dataclass(frozen=True, slots=True)
class Downloaded(Result):
    """A model in a folder.

    Attributes:
        path: The folder.
        repo: ``org/name``; empty if the source was a folder of unknown origin.
        commit: 40-hex commit; empty likewise.
        files: How many.
        size_bytes: All files together.
        moved_bytes: What was fetched; the rest was there.
        left_out: What stayed out of the choice, with sizes: a line per reason.
        notes: What a server must be told, a line each.
        trust_remote_code: Whether it must be allowed to run code that the model brings.
        place: URL of where it was read, if that is not the hub.
    """

    path: str
    repo: str
    commit: str
    files: int
    size_bytes: int
    moved_bytes: int
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    trust_remote_code: bool = False
    place: str = ""

    @property
    def uri(self) -> str:
        """Where the model came from, as a URL; the folder itself if nobody knows."""
        return self.place or (f"hf://{self.repo}@{self.commit}" if self.repo else self.path)

    @property
    def markdown(self) -> str:
        """The folder, its model and its size."""
        facts = [
            origin_line(self.repo, self.commit),
            f"{self.files} files, {human_bytes(self.size_bytes)}",
            f"{human_bytes(self.moved_bytes)} moved",
            *_remarks(self.notes, self.left_out),
        ]
        return page(self.path, facts)


@dataclass(frozen=True, slots=True)
class PlannedLayer:
    """One layer of a plan.

    Attributes:
        name: A path, or how many small files.
        size_bytes: Length of the layer.
        how: ``reuse``, ``mount``, ``check`` (read back, then reuse, mount or move) or ``move``.
        worker: Who takes it, from 1.
    """

    name: str
    size_bytes: int
    how: str
    worker: int


@dataclass(frozen=True, slots=True)
class Planned(Result):
    """What a build would do.

    Attributes:
        model: The model at one commit, for every step that follows; a folder as it was named.
        image: Where it would go.
        repo: ``org/name``; empty for a folder of unknown origin.
        commit: 40-hex commit; empty likewise.
        files: How many enter the image.
        size_bytes: All model layers together.
        bytes_to_move: Those that are not there yet.
        bytes_to_check: Those said to be there, which are read back and compared first.
        workers: Pods that would share it.
        seconds: Prediction.
        layers: In image order.
        left_out: What stayed out of the choice, with sizes: a line per reason.
        notes: What a server must be told, a line each.
        trust_remote_code: Whether it must be allowed to run code that the model brings.
    """

    model: str
    image: str
    repo: str
    commit: str
    files: int
    size_bytes: int
    bytes_to_move: int
    bytes_to_check: int
    workers: int
    seconds: float
    layers: tuple[PlannedLayer, ...]
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    trust_remote_code: bool = False

    @property
    def shares(self) -> list[str]:
        """``I/N`` of each worker that has something to move, or of the first."""
        busy = sorted({layer.worker for layer in self.layers if layer.how != "reuse"})
        return [f"{worker}/{self.workers}" for worker in busy or [1]]

    @property
    def doubt(self) -> str:
        """What is read back before it is used, and why; empty if nothing is."""
        if not self.bytes_to_check:
            return ""
        return f"{human_bytes(self.bytes_to_check)}, since anybody may have pushed it"

    @property
    def markdown(self) -> str:
        """What moves, what does not, and who takes it."""
        workers = f"{self.workers} worker{'s' if self.workers != 1 else ''}"
        facts = [
            origin_line(self.repo, self.commit),
            f"{self.files} files, {human_bytes(self.size_bytes)} in {len(self.layers)} layers",
            f"To move: {human_bytes(self.bytes_to_move)} by {workers}, about {self.seconds:.0f} s",
            *([f"To read back: {self.doubt}; {_BELIEVING}"] if self.doubt else []),
            *_remarks(self.notes, self.left_out),
        ]
        rows = [
            (layer.name, human_bytes(layer.size_bytes), layer.how, str(layer.worker))
            for layer in self.layers
        ]
        columns = (Column("Layer"), Column("Size", True), Column("How"), Column("Worker", True))
        return page(f"Plan for {self.image}", facts, table(columns, rows))


@dataclass(frozen=True, slots=True)
class Streamed(Result):
    """One worker's share, done.

    Attributes:
        worker: From 1 to ``workers``.
        workers: How many share the plan.
        commit: Of the model.
        layers: In this share.
        moved_bytes: What crossed the network.
        reused_bytes: What did not have to.
        retries: Layers sent again.
        checked_bytes: What of the reused was read back and compared.
    """

    worker: int
    workers: int
    commit: str
    layers: int
    moved_bytes: int
    reused_bytes: int
    retries: int
    checked_bytes: int = 0

    @property
    def markdown(self) -> str:
        """The share and what of it moved."""
        facts = [f"{self.layers} layers", _moved_of(self)]
        return page(f"Worker {self.worker} of {self.workers}", facts)


@dataclass(frozen=True, slots=True)
class Built(Result):
    """A tagged image.

    Attributes:
        reference: ``host/repo@sha256:...`` or ``oci:path:tag``.
        uri: What KServe's ``storageUri`` takes: ``oci://host/repo@sha256:...``; for a layout
            the same as ``reference``.
        digest: Of the manifest or index.
        commit: Of the model; empty if unknown.
        size_bytes: All blobs together.
        layers: Base included.
        moved_bytes: What crossed the network.
        reused_bytes: What did not have to.
        retries: Layers sent again.
        seconds: Wall time.
        checked_bytes: What of the reused was read back and compared.
        left_out: What stayed out of the choice, with sizes: a line per reason.
        notes: What a server must be told, a line each.
        trust_remote_code: Whether it must be allowed to run code that the model brings.
        previous: Digest that the tag named before; empty if nothing, or if it may not be read.
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
    checked_bytes: int = 0
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    trust_remote_code: bool = False
    previous: str = ""

    @property
    def changed(self) -> bool:
        """Whether the tag names another image than before: there is a digest to promote."""
        return self.digest != self.previous

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain values, with ``changed``."""
        return {**asdict(self), "changed": self.changed}

    @property
    def markdown(self) -> str:
        """The image by digest, its size, and what moved."""
        facts = [
            self.digest,
            f"{human_bytes(self.size_bytes)} in {self.layers} layers",
            f"{_moved_of(self)}, {self.seconds:.1f} s",
            *([f"Model: commit {self.commit}"] if self.commit else []),
            *_remarks(self.notes, self.left_out),
        ]
        return page(self.uri, facts)


def origin_line(name: str, commit: str) -> str:
    """Return the line that says of which model a result is."""
    return f"Model: {name or 'a folder'} {commit}".rstrip()


def _remarks(notes: tuple[str, ...], left_out: tuple[str, ...]) -> list[str]:
    return [*notes, *(f"Left out: {line}" for line in left_out)]


def _moved_of(done: Streamed | Built) -> str:
    read = f" ({human_bytes(done.checked_bytes)} read back)" if done.checked_bytes else ""
    moved, reused = human_bytes(done.moved_bytes), human_bytes(done.reused_bytes)
    return f"{moved} moved, {reused} reused{read}, {done.retries} retried"
