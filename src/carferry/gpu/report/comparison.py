"""Several models' plans side by side: a row and a bar for each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from carferry.gpu.report.chart import chart
from carferry.gpu.report.page import STYLE
from carferry.gpu.report.rows import amount, context, place
from carferry.gpu.report.words import BADGES, title
from carferry.gpu.search.plan import GpuPlan, Option
from carferry.gpu.units import gib, in_words
from carferry.io.markup import GROUND, element, in_html

COLUMNS = ("model", "verdict", "on", "GPUs", "context", "at once", "weights GiB", "cost")
_BADGES = {verdict.value: badge for verdict, badge in BADGES.items()}
_MORE = """
.mark{display:inline-block;color:#fff;border-radius:3px;padding:0 8px;font-weight:600}
.mark.fits{background:#237346}.mark.tight{background:#9a6200}
.mark.unchecked{background:#6a4fb3}.mark.no{background:#c0392b}.mark.unknown{background:#59606a}
td:last-child{min-width:0}
"""
_NOTE = (
    "Each bar is one GPU of the option that was chosen, or came closest, on a scale of its own. "
    "The black frame is all of it, the dashed line the share that vLLM takes, and a red strip what "
    "is missing."
)


@dataclass(frozen=True, slots=True)
class Compared:
    """One model's row.

    Attributes:
        model: Its name.
        verdict: ``fits``, ``tight``, ``unchecked``, ``no``, or ``unknown`` without a plan.
        where: GPUs of the chosen option, or of the one that came closest.
        gpus: Of one replica, in all its pods; 0: it fits nowhere.
        context: Longest sequence, tokens; 0: unknown.
        at_once: Sequences of that length that one replica's cache holds; 0: unknown.
        weights_gib: On the fullest GPU; 0: unknown.
        replicas: That serve what is wanted at once; 0: unknown.
        why: Why not; empty if it fits.
        fewer: Another option that holds as many with fewer GPUs, in words; empty if none does.
    """

    model: str
    verdict: str
    where: str
    gpus: int
    context: int
    at_once: float
    weights_gib: float
    replicas: int
    why: str = ""
    fewer: str = ""

    @property
    def cost(self) -> int:
        """GPUs of all replicas; 0: unknown."""
        return self.gpus * self.replicas

    @property
    def cells(self) -> tuple[str, ...]:
        """The row, in the order of COLUMNS."""
        copies = "" if self.replicas == 1 else f", {self.replicas} replicas"
        bill = f"{self.cost} GPU{'' if self.cost == 1 else 's'}{copies}"
        return (
            self.model,
            self.verdict,
            self.where or "-",
            str(self.gpus or "-"),
            str(self.context or "-"),
            f"{self.at_once:.1f}" if self.at_once else "-",
            amount(self.weights_gib) if self.weights_gib else "-",
            bill if self.cost else "-",
        )


def compared(plan: GpuPlan, sequences: int) -> Compared:
    """Return a model's row.

    Args:
        plan: Of its fit.
        sequences: Of the whole context, at once, that all replicas together must hold.
    """
    option, name, verdict = weighed(plan), title(plan), plan.verdict.value
    if option is None or option.best is None:
        return Compared(name, verdict, "", 0, 0, 0.0, 0.0, 0, plan.binding)
    best, is_fit = option.best, plan.is_fit
    length = context(plan, best) if is_fit and best.is_sized else 0
    at_once = best.concurrency if is_fit and best.is_sized and best.needed else 0.0
    why = "" if is_fit else f"{in_words(best.shortfall)} short: {best.binding}"
    return Compared(
        model=name,
        verdict=verdict,
        where=place(option),
        gpus=option.gpu_count * option.pp if is_fit else 0,
        context=length if isinstance(length, int) else best.choice.max_model_len,
        at_once=at_once,
        weights_gib=gib(best.weights) if best.is_weighed else 0.0,
        replicas=_replicas(option, sequences) if is_fit else 0,
        why=why if is_fit or best.shortfall else best.binding,
        fewer=_fewer(plan, option, sequences) if is_fit else "",
    )


def weighed(plan: GpuPlan) -> Option | None:
    """Return the option that a row and a bar are of: the chosen one, else the closest."""
    return plan.chosen or next((option for option in plan.options if option.best), None)


def fragment(
    plans: Sequence[GpuPlan], rows: Sequence[Compared], head: str, facts: Sequence[str]
) -> str:
    """Return table and chart as one element, for a notebook's ``_repr_html_``.

    Args:
        plans: Those that there are, for the bars.
        rows: Of every model.
        head: The title.
        facts: Lines below it.
    """
    body = (
        f"<h1>{in_html(head)}</h1>{''.join(f'<p>{in_html(fact)}</p>' for fact in facts)}"
        f"{_table(rows)}{_bars(plans)}"
    )
    return element("carferry-compare", f"{GROUND};padding:8px 12px", STYLE + _MORE, body)


def _table(rows: Sequence[Compared]) -> str:
    heads = "".join(f"<th>{in_html(name)}</th>" for name in COLUMNS)
    lines = "".join(f"<tr>{''.join(_cells(row))}</tr>" for row in rows)
    return (
        f'<div class="wide"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _cells(row: Compared) -> Iterator[str]:
    """Yield a row's cells, the verdict as a mark in its colour."""
    name, _, *rest = row.cells
    badge = _BADGES.get(row.verdict, row.verdict)
    yield f"<td>{in_html(name)}</td>"
    yield f'<td><span class="mark {in_html(row.verdict)}">{in_html(badge)}</span></td>'
    yield from (f"<td>{in_html(cell)}</td>" for cell in rest)


def _bars(plans: Sequence[GpuPlan]) -> str:
    drawn = [
        (f"{title(plan)}: {place(option)}", option)
        for plan in plans
        if (option := weighed(plan)) is not None
    ]
    bars = chart(drawn)
    head = f'<h2>Memory of one GPU, per model</h2><p class="small">{_NOTE}</p>'
    return f"{head}{bars}" if bars else ""


def _replicas(option: Option, sequences: int) -> int:
    """Return how many replicas hold so many sequences; 0 if nobody knows what one holds."""
    best = option.best
    if best is None or not (best.is_sized and best.needed):
        return 0
    held = min(math.floor(best.concurrency), best.choice.max_num_seqs)
    return math.ceil(sequences / held) if held else 0


def _fewer(plan: GpuPlan, chosen: Option, sequences: int) -> str:
    """Return the option as good as the chosen one that holds the sequences with fewest GPUs."""
    bills = [
        (count * option.gpu_count * option.pp, n, option, count)
        for n, option in enumerate(plan.options)
        if option.verdict is chosen.verdict and (count := _replicas(option, sequences))
    ]
    if not bills:
        return ""
    cost, _, option, count = min(bills)
    own = _replicas(chosen, sequences) * chosen.gpu_count * chosen.pp
    copies = "1 replica" if count == 1 else f"{count} replicas"
    return f"{cost} GPUs do as {copies} on {place(option)}" if cost < own else ""
