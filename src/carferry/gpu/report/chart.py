"""The memory chart: one stacked bar per GPU option against the GPU's capacity, as inline SVG."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from carferry.gpu.memory.estimate import Estimate, Verdict
from carferry.gpu.report.words import slices
from carferry.gpu.search.plan import Option
from carferry.gpu.units import gib
from carferry.io.markup import in_html

COLOURS = {
    "weights": "#2f5d8a",
    "other": "#8a8f98",
    "activation": "#c77d1e",
    "graphs": "#e0b45c",
    "request": "#3c8f63",
    "spare": "#b9dcc6",
}
NAMES = {
    "weights": "weights",
    "other": "CUDA and NCCL",
    "activation": "activations",
    "graphs": "CUDA graphs",
    "request": "KV cache for one full request",
    "spare": "KV cache for more requests",
}
_VERDICT = {
    Verdict.FITS: "#1d6b3f",
    Verdict.TIGHT: "#9a5b00",
    Verdict.UNCHECKED: "#3d5a80",
    Verdict.NO: "#a32020",
}
_LEFT, _WIDTH, _ROW, _BAR, _RIGHT = 250, 540, 58, 26, 150


def chart(options: Iterable[tuple[str, Option]]) -> str:
    """Return the SVG of every (label, option) with an estimate, all on one GiB scale."""
    drawn = [(label, option.best) for label, option in options if option.best]
    if not drawn:
        return ""
    largest = max(_extent(best) for _, best in drawn)
    height = _ROW * len(drawn) + 44
    scale = _WIDTH / largest
    rows = "".join(_row(label, best, index, scale) for index, (label, best) in enumerate(drawn))
    return (
        f'<svg viewBox="0 0 {_LEFT + _WIDTH + _RIGHT} {height}" role="img" '
        f'aria-label="Memory of one GPU per option, GiB">'
        f"{_axis(largest, scale, height)}{rows}</svg>"
    )


def legend() -> str:
    """Return the key of the colours."""
    keys = "".join(
        f'<span class="key"><i style="background:{colour}"></i>{in_html(NAMES[key])}</span>'
        for key, colour in COLOURS.items()
    )
    return f'<p class="legend">{keys}<span class="key"><i class="cap"></i>GPU capacity</span></p>'


def _extent(best: Estimate) -> float:
    return max(gib(best.total), sum(part.gib for part in slices(best))) * 1.02


def _row(label: str, best: Estimate, index: int, scale: float) -> str:
    top = 8 + index * _ROW
    used = sum(part.gib for part in slices(best))
    colour = _VERDICT[best.verdict]
    end = _LEFT + max(used, gib(best.total)) * scale + 8
    return (
        f'<g><text x="{_LEFT - 12}" y="{top + 18}" text-anchor="end" class="name">'
        f"{in_html(label)}</text>"
        f"{''.join(_bars(best, top, scale))}{_capacity(best, top, scale)}"
        f'<text x="{end:.1f}" y="{top + 12}" style="fill:{colour}" class="verdict">'
        f"{best.verdict.value.upper()}</text>"
        f'<text x="{end:.1f}" y="{top + 27}" class="small">{in_html(_remark(best))}</text></g>'
    )


def _bars(best: Estimate, top: int, scale: float) -> Iterator[str]:
    position = float(_LEFT)
    for part in slices(best):
        width = part.gib * scale
        tip = in_html(f"{part.label}: {part.gib:.2f} GiB")
        yield (
            f'<rect x="{position:.1f}" y="{top}" width="{max(width, 0.5):.1f}" height="{_BAR}" '
            f'fill="{COLOURS[part.key]}"><title>{tip}</title></rect>'
        )
        if width > 34:
            dark = part.key in ("weights", "request", "activation", "other")
            yield (
                f'<text x="{position + width / 2:.1f}" y="{top + 17}" text-anchor="middle" '
                f'style="fill:{"#fff" if dark else "#222"}" class="part">{part.gib:.1f}</text>'
            )
        position += width


def _capacity(best: Estimate, top: int, scale: float) -> str:
    """Draw the GPU's capacity as a frame and vLLM's share of it as a tick."""
    share = _LEFT + gib(best.requested) * scale
    return (
        f'<rect x="{_LEFT}" y="{top - 3}" width="{gib(best.total) * scale:.1f}" '
        f'height="{_BAR + 6}" class="capacity"/>'
        f'<line x1="{share:.1f}" x2="{share:.1f}" y1="{top - 3}" y2="{top + _BAR + 3}" '
        f'class="share"><title>vLLM takes {gib(best.requested):.1f} GiB</title></line>'
    )


def _remark(best: Estimate) -> str:
    if best.shortfall:
        return f"{gib(best.shortfall):.1f} GiB short"
    if not best.needed:
        return "no KV cache needed"
    return f"{best.concurrency:.1f} x {best.choice.max_model_len} tokens"


def _axis(largest: float, scale: float, height: int) -> str:
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000) if largest / s <= 9)
    marks = []
    for value in range(0, int(largest) + 1, step):
        x = _LEFT + value * scale
        marks.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="2" y2="{height - 30}" class="grid"/>'
            f'<text x="{x:.1f}" y="{height - 14}" text-anchor="middle" class="small">{value}</text>'
        )
    middle = _LEFT + _WIDTH / 2
    title = f'<text x="{middle}" y="{height - 1}" text-anchor="middle" class="small">GiB</text>'
    return "".join(marks) + title
