"""The report as text for a terminal, as Markdown, and as values for JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from carferry.gpu.report.rows import (
    MOST_ROWS,
    columns,
    context,
    facts,
    place,
    rows,
    ruled_out,
    shown,
    slices,
)
from carferry.gpu.report.words import change, headline, reasons, title
from carferry.gpu.search.notes import is_doubt
from carferry.gpu.search.plan import GpuPlan, Option
from carferry.gpu.sizing.estimate import Estimate
from carferry.gpu.units import gib
from carferry.io.markup import in_markdown
from carferry.shown import printable

_LETTERS = {
    "weights": "W",
    "other": "o",
    "activation": "a",
    "adapters": "l",
    "graphs": "g",
    "request": "K",
    "spare": "k",
}
_COLUMNS_WIDE = 60


def text(plan: GpuPlan) -> str:
    """Return the report for a terminal: the answer, the bars, the arguments."""
    return _ascii("\n".join(map(printable, _text_lines(plan))))


def markdown(plan: GpuPlan) -> str:
    """Return the report as Markdown."""
    return _ascii("\n".join(_markdown_lines(plan)) + "\n")


def summary(plan: GpuPlan) -> dict[str, object]:
    """Return what a later step needs, as JSON-able values."""
    chosen = plan.chosen
    best = chosen.best if chosen else None
    return {
        "verdict": plan.verdict.value,
        "headline": headline(plan),
        "reasons": list(reasons(plan)),
        "binding": plan.binding,
        "shortfall_gib": round(plan.shortfall_gib, 2),
        "change": change(plan),
        "gpu": chosen.group.gpu.name if chosen else "",
        "resources": {plan.gpu_resource: str(plan.gpu_count)} if chosen else {},
        "nodes": chosen.pp if chosen else 0,
        "tolerations": [rule.object for rule in chosen.group.tolerations] if chosen else [],
        "profile": chosen.group.profile if chosen else "",
        "max_model_len": context(plan, best) if best else 0,
        "kv_tokens": int(best.concurrency * best.choice.max_model_len)
        if best and best.is_sized
        else 0,
        "arguments": list(plan.arguments),
        "notes": list(plan.notes),
    }


def _text_lines(plan: GpuPlan) -> Iterator[str]:
    yield title(plan)
    yield f"[{plan.verdict.value}] {headline(plan)}"
    yield from (f"  {line}" for line in reasons(plan))
    yield f"  What to change: {change(plan)}"
    drawn = [option for option in shown(plan, 8) if option.best and slices(option.best)]
    if drawn:
        yield ""
        yield _key(drawn)
    wide = max((len(place(option)) for option in drawn), default=0)
    for option in drawn:
        if option.best:
            yield f"{place(option):<{wide}} {_bar(option.best)} {option.verdict.value}"
    if plan.arguments:
        yield ""
        yield from (f"  {argument}" for argument in plan.arguments)
    yield from (f"{'warning' if is_doubt(note) else 'note'}: {note}" for note in plan.notes)


def _key(drawn: Iterable[Option]) -> str:
    """Return what the letters of the bars stand for; no cache where none is kept."""
    caches = any(option.best and option.best.needed for option in drawn)
    kept = f"K {_held(drawn)}  k more  " if caches else ""
    adapted = any(option.best and option.best.overhead.adapters for option in drawn)
    others = "a activations  l LoRA adapters" if adapted else "a activations"
    return f"W weights  o driver, communication  {others}  g graphs  {kept}| capacity"


def _held(drawn: Iterable[Option]) -> str:
    """Return what the bars keep of the cache before more requests: in most plans one request."""
    single = (o.best.choice.concurrency == 1 and not o.best.by_states for o in drawn if o.best)
    return "one request" if all(single) else "what must fit"


def _bar(best: Estimate) -> str:
    """Draw one GPU as a line of letters; ``|`` marks its capacity."""
    parts = slices(best)
    used = sum(part.gib for part in parts)
    scale = _COLUMNS_WIDE / max(gib(best.total), used)
    letters = "".join(_LETTERS[part.key] * round(part.gib * scale) for part in parts)
    end = round(gib(best.total) * scale)
    padded = letters.ljust(end)
    return f"{padded[:end]}|{padded[end:]}".ljust(_COLUMNS_WIDE + 1)


def _markdown_lines(plan: GpuPlan) -> Iterator[str]:
    yield f"# {in_markdown(title(plan))}"
    yield ""
    answer = " ".join((f"{headline(plan)}.", *reasons(plan)))
    yield f"**{plan.verdict.value}.** {in_markdown(answer)}"
    yield ""
    yield f"**What to change:** {in_markdown(change(plan))}"
    if plan.arguments:
        yield from ("", "## vLLM arguments", "", "```", *map(printable, plan.arguments), "```")
    yield from ("", "## Options", "")
    yield from _rows(columns(plan), rows(plan)[:MOST_ROWS])
    if refused := ruled_out(plan):
        yield from ("", "A rule forbids before any sum:", "")
        yield from (f"- {in_markdown(line)}" for line in refused)
    yield from ("", "## Planned for", "")
    yield from _rows(("what", "value"), facts(plan))
    if plan.notes:
        yield from ("", "## What to know", "", *(f"- {in_markdown(note)}" for note in plan.notes))


def _rows(heads: Iterable[str], cells: Iterable[Iterable[str]]) -> Iterator[str]:
    names = tuple(heads)
    yield f"| {' | '.join(names)} |"
    yield "|" + "---|" * len(names)
    for row in cells:
        yield f"| {' | '.join(in_markdown(cell) for cell in row)} |"


def _ascii(lines: str) -> str:
    return lines.encode("ascii", "backslashreplace").decode("ascii")
