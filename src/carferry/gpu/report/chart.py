"""The memory chart: one bar per GPU option, each on the scale of its own GPU.

The frame of a GPU is always as wide, so what is missing shows as a share of it beside any model,
and a bar that passes the frame by far is cut. Words stand above and below a bar, never in it: the
drawing stretches with the screen and the words do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from carferry.gpu.report.rows import amount, slices
from carferry.gpu.search.plan import Option
from carferry.gpu.sizing.estimate import Estimate
from carferry.gpu.units import gib, in_words
from carferry.io.markup import in_html

COLOURS = {
    "weights": "#2f5d8a",
    "other": "#8a8f98",
    "activation": "#c77d1e",
    "adapters": "#7a5ba6",
    "graphs": "#e0b45c",
    "request": "#3c8f63",
    "spare": "#b9dcc6",
}
NAMES = {
    "weights": "weights",
    "other": "driver, libraries, communication",
    "activation": "activations",
    "adapters": "LoRA adapters",
    "graphs": "graphs",
    "request": "KV cache, what must fit",
    "spare": "KV cache, more requests",
}
# Units of the drawing, which is as wide as the screen allows.
WIDTH, HEIGHT, FRAME = 1000, 34, 700
_BAR_TOP, _BAR_HEIGHT = 6, 16
_FRAME_TOP, _FRAME_HEIGHT = 2, 24
_STRIP_TOP, _STRIP_HEIGHT, _STRIP_LEAST = 29, 4, 8


def chart(options: Iterable[tuple[str, Option]]) -> str:
    """Return a bar for every (label, option) with an estimate."""
    return "".join(
        _row(label, option.best) for label, option in options if option.best and slices(option.best)
    )


def _row(label: str, best: Estimate) -> str:
    mood = best.verdict.value
    each = f"{gib(best.total):.1f} GiB each"
    return (
        f'<div class="option"><p><b>{in_html(label)}</b> <span class="word {mood}">{mood}</span> '
        f'<span class="small">{each}; {in_html(_remark(best))}</span></p>'
        f"{_drawing(best)}<p>{''.join(_keys(best))}</p></div>"
    )


def _drawing(best: Estimate) -> str:
    words = ", ".join(f"{part.gib:.1f} GiB {part.label}" for part in slices(best))
    scale = FRAME / gib(best.total)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{in_html(words)} of {gib(best.total):.1f} GiB">'
        f"{''.join(_bars(best, scale))}{_frame(best, scale)}</svg>"
    )


def _bars(best: Estimate, scale: float) -> Iterator[str]:
    start = 0.0
    for part in slices(best):
        end = start + part.gib * scale
        if start >= WIDTH:
            break
        yield (
            f'<rect x="{start:.1f}" y="{_BAR_TOP}" width="{min(end, WIDTH) - start:.1f}" '
            f'height="{_BAR_HEIGHT}" fill="{COLOURS[part.key]}">'
            f"<title>{in_html(f'{part.label}: {part.gib:.2f} GiB')}</title></rect>"
        )
        start = end
    if start > WIDTH:  # three teeth, where the bar is cut
        teeth = f"M970 {_BAR_TOP - 1}l9 6l-9 6l9 6M980 {_BAR_TOP - 1}l9 6l-9 6l9 6"
        yield f'<path d="{teeth}" class="cut"/>'


def _frame(best: Estimate, scale: float) -> str:
    """Draw the GPU as a frame, vLLM's share of it as a line, and what is missing as a strip."""
    share = gib(best.requested) * scale
    frame = (
        f'<rect x="0" y="{_FRAME_TOP}" width="{FRAME}" height="{_FRAME_HEIGHT}" class="capacity"/>'
        f'<line x1="{share:.1f}" x2="{share:.1f}" y1="{_FRAME_TOP}" '
        f'y2="{_FRAME_TOP + _FRAME_HEIGHT}" class="share">'
        f"<title>vLLM takes {gib(best.requested):.1f} GiB</title></line>"
    )
    if not best.shortfall:
        return frame
    width = min(max(gib(best.shortfall) * scale, _STRIP_LEAST), WIDTH - share)
    tip = f"{in_words(best.shortfall)} missing"
    return (
        f'{frame}<rect x="{share:.1f}" y="{_STRIP_TOP}" width="{width:.1f}" '
        f'height="{_STRIP_HEIGHT}" class="missing"><title>{tip}</title></rect>'
    )


def _keys(best: Estimate) -> Iterator[str]:
    for part in slices(best):
        own = part.key == "other" or not best.is_sized
        name = part.label if own else NAMES[part.key]
        yield (
            f'<span class="key"><i style="background:{COLOURS[part.key]}"></i>'
            f"{amount(part.gib)} {in_html(name)}</span> "
        )


def _remark(best: Estimate) -> str:
    if best.shortfall:
        return f"{in_words(best.shortfall)} short"
    if not best.is_sized:
        return "only the weights are known"
    if not best.needed:
        return "no room left" if best.kv <= 0 else "no KV cache"
    return f"{best.concurrency:.1f} x {best.choice.max_model_len} tokens"
