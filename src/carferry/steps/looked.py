"""What a look at a model gives: its nature, its sizes, and a row for each common GPU."""

from __future__ import annotations

from dataclasses import dataclass

from carferry.gpu.search.overview import GpuFit
from carferry.io.show.terminal import human_bytes
from carferry.shown import one_line
from carferry.steps.markdown import Column, page, table
from carferry.steps.results import Result

_COLUMNS = (
    Column("GPU"), Column("Memory GiB", True), Column("GPUs", True), Column("Verdict"),
    Column("Context", True), Column("Why not"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Nature:
    """What a model is, as its config and its headers say.

    Attributes:
        architecture: Class that loads it; empty if nobody says.
        parameters: Weights; of an unknown architecture, elements as they are stored.
        dtype: As stored, the one with most bytes first; empty without safetensors.
        quantization: Method, such as ``awq``; empty if there is none.
        context: Longest input, tokens; 0 if nobody says.
    """

    architecture: str
    parameters: int
    dtype: str
    quantization: str
    context: int


@dataclass(frozen=True, slots=True)
class Look(Result):
    """What a model is, and which common GPUs it fits on.

    Attributes:
        model: The model at one commit; a folder as it was named.
        repo: ``org/name``; empty for a folder of unknown origin.
        commit: 40-hex commit; empty likewise.
        nature: Architecture, parameters, dtype and context.
        license: Its licence's id; empty if unknown.
        gated: Whether its owner asks people to accept terms first; None away from the hub.
        files: How many would enter an image.
        size_bytes: Of those.
        listed_files: How many the source lists.
        listed_bytes: Of those.
        layers: How many layers they would be, without the base's.
        vllm: Version the rows are for.
        fits: A row for each common GPU; empty if the plan does not know the model.
        no_fits: Why there is no row; empty if there are.
        left_out: What stayed out of the choice, with sizes: a line per reason.
        notes: What a server must be told, a line each.
        trust_remote_code: Whether it must be allowed to run code that the model brings.
    """

    model: str
    repo: str
    commit: str
    nature: Nature
    license: str
    gated: bool | None
    files: int
    size_bytes: int
    listed_files: int
    listed_bytes: int
    layers: int
    vllm: str
    fits: tuple[GpuFit, ...] = ()
    no_fits: str = ""
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    trust_remote_code: bool = False

    @property
    def facts(self) -> tuple[str, ...]:
        """What it is, in three lines."""
        nature = self.nature
        packed = [nature.quantization] if nature.quantization else []
        context = [f"context {nature.context} tokens"] if nature.context else []
        gated = {True: ["gated"], False: ["not gated"], None: []}[self.gated]
        count = [f"{human_count(nature.parameters)} parameters"] if nature.parameters else []
        dtype = [nature.dtype] if nature.dtype else []
        name = one_line(nature.architecture) or "unknown architecture"
        layers = "layer" if self.layers == 1 else "layers"
        size, listed = human_bytes(self.size_bytes), human_bytes(self.listed_bytes)
        return (
            ", ".join([name, *count, *dtype, *packed, *context]),
            ", ".join([f"licence {one_line(self.license) or 'unknown'}", *gated]),
            f"{self.files} of {self.listed_files} files, {size} of {listed}, "
            f"would be {self.layers} {layers}",
        )

    @property
    def rows(self) -> tuple[tuple[str, ...], ...]:
        """The cells of each row: GPU, GiB of one, how many, verdict, context, why not."""
        return tuple(
            (
                each.gpu, f"{each.memory_gib:.0f}", str(each.count), each.verdict,
                str(each.context or "-"), each.why,
            )
            for each in self.fits
        )  # fmt: skip

    @property
    def markdown(self) -> str:
        """What it is, and the table of GPUs."""
        facts = [*self.facts, *self.notes, *(f"Left out: {line}" for line in self.left_out)]
        tables = [table(_COLUMNS, self.rows)] if self.fits else []
        facts += [f"No table of GPUs: {self.no_fits}"] if self.no_fits else []
        return page(self.model, facts, *tables)


def human_count(count: float) -> str:
    """Return a number of parameters as people say it: ``8.0 B``, ``560 M``."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if count >= size * 0.9995:
            return f"{count / size:.{1 if count < 100 * size else 0}f} {unit}"
    return str(int(count))
