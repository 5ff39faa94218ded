"""What a comparison of models gives: a row for each, and the first of them that fits."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from carferry.errors import DoesNotFit
from carferry.gpu.report import comparison
from carferry.gpu.report.comparison import COLUMNS, Compared
from carferry.steps.fitted import Fit
from carferry.steps.markdown import Column, page, table
from carferry.steps.results import Result

_GOOD = ("fits", "tight", "unchecked")
_UNKNOWN = "unknown"
_WORDS = 4


@dataclass(frozen=True, slots=True, repr=False)
class Comparison(Result):
    """Several models on the same GPUs, in the order in which they were named.

    Attributes:
        found: Each model's name, and its fit or, in words, why there is none.
        sequences: Of the whole context, at once, that ``cost`` is for.
    """

    found: tuple[tuple[str, Fit | str], ...]
    sequences: int = 1

    @property
    def fits(self) -> tuple[Fit, ...]:
        """The fit of each model that could be planned."""
        return tuple(each for _, each in self.found if isinstance(each, Fit))

    @property
    def rows(self) -> tuple[Compared, ...]:
        """A row for each model."""
        unknown = partial(
            Compared, verdict=_UNKNOWN, where="", gpus=0, context=0, at_once=0.0,
            weights_gib=0.0, replicas=0,
        )  # fmt: skip
        return tuple(
            comparison.compared(each.plan, self.sequences)
            if isinstance(each, Fit)
            else unknown(name, why=each)
            for name, each in self.found
        )

    @property
    def choice(self) -> Fit:
        """The first model that fits; if none does the first tight one, or the first unchecked.

        Raises:
            DoesNotFit: None of them does; names the first one's smallest change.
        """
        for verdict in _GOOD:
            for each in self.fits:
                if each.verdict == verdict:
                    return each
        change = self.fits[0].change if self.fits else "name models that can be read"
        names = ", ".join(name for name, _ in self.found)
        raise DoesNotFit("compare", names, "none of them fits here", change)

    @property
    def headline(self) -> str:
        """How many of them fit, in one line."""
        good = sum(row.verdict in _GOOD for row in self.rows)
        return f"{good} of {len(self.found)} models can be served"

    @property
    def facts(self) -> tuple[str, ...]:
        """What the columns mean, and why a model has no fit."""
        many = "one sequence" if self.sequences == 1 else f"{self.sequences} sequences"
        return (
            f"Cost: GPUs of as many replicas as hold {many} of the whole context at once.",
            *(f"{row.model}: {said}" for row in self.rows for said in (row.why, row.fewer) if said),
        )

    @property
    def markdown(self) -> str:
        """The table as Markdown."""
        columns = [Column(name, n > _WORDS - 1) for n, name in enumerate(COLUMNS[:-1])]
        lines = table([*columns, Column(COLUMNS[-1])], [row.cells for row in self.rows])
        return page(self.headline, self.facts, lines)

    def as_json(self) -> dict[str, Any]:
        """Return the rows as plain values."""
        rows = [{**asdict(row), "cost": row.cost} for row in self.rows]
        return {"sequences": self.sequences, "models": rows}

    def __repr__(self) -> str:
        """Return the answer in one line."""
        return f"<Comparison: {self.headline}>"

    def _repr_html_(self) -> str:
        plans = [each.plan for each in self.fits]
        return comparison.fragment(plans, self.rows, self.headline, self.facts)
