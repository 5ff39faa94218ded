"""The GPU plan against published vLLM logs, row by row, the held-out rows apart.

    python benchmarks/gpu_accuracy.py [--markdown benchmarks/GPU.md] [--json out.json]

The rows are those of the repository unless ``--rows`` names a file. Peers (hf-mem, vramscout, a
checkout of llm-d-planner) run on the same rows if they are installed; see ``gpu_peers.py``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gpu_figures import figures, peer_figures, popular
from gpu_lines import Line, predict
from gpu_peers import peers
from gpu_rows import read_rows
from gpu_speed import plan_seconds

_DATA = Path(__file__).parents[1] / "tests" / "data"
ROWS = (_DATA / "gpu" / "published.json", _DATA / "gpu" / "logs.json")
CONFIGS = _DATA / "configs"
POPULAR = _DATA / "gpu" / "popular.json"
START, END = "<!-- measured: start -->", "<!-- measured: end -->"
PARTS = ("tuned", "held out")


def main() -> None:
    """Read the rows, print the tables, write JSON and the measured part of the Markdown."""
    options = _options()
    rows = [row for path in options.rows or ROWS for row in read_rows(path)]
    others = peers()
    lines = [predict(row, options.configs, others) for row in rows]
    summary = summarise(lines, tuple(others))
    if not options.rows:
        summary["popular"] = popular(POPULAR, options.configs)
        summary["plan seconds"] = None if options.no_speed else plan_seconds(options.configs)
    text = [*summary_tables(summary), "", *table(lines, tuple(others))]
    print("\n".join(text))
    if options.json:
        body = {"rows": [asdict(line) for line in lines], "summary": summary}
        options.json.write_text(json.dumps(body, indent=1) + "\n")
    if options.markdown:
        fill(options.markdown, text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="GPU plan against published vLLM logs")
    parser.add_argument("--rows", type=Path, nargs="+", help="files of rows (the repository's)")
    parser.add_argument("--configs", type=Path, default=CONFIGS, help="folder of config.json files")
    parser.add_argument("--json", type=Path, help="write every row and figure here")
    parser.add_argument("--markdown", type=Path, help="fill the measured part of this file")
    parser.add_argument("--no-speed", action="store_true", help="do not time the command")
    return parser.parse_args()


def summarise(lines: Iterable[Line], others: Iterable[str]) -> dict[str, Any]:
    """Return our figures by part, and the peers' on all rows."""
    rows = list(lines)
    ours = {part: figures(row for row in rows if row.part == part) for part in PARTS}
    return {**ours, "all": figures(rows), "peers": peer_figures(rows, others)}


def summary_tables(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield the figures as Markdown: ours by part, then beside the peers."""
    yield from _columns({part: summary[part] for part in (*PARTS, "all")})
    seen = summary.get("popular")
    if seen:
        yield ""
        yield f"Configs of popular models: {seen['configs']}; refused: {_names(seen['refused'])}; "
        yield f"unchecked: {_names(seen['unchecked'])}."
    if summary.get("plan seconds"):
        yield ""
        told = (f"{pair} {seconds:.2f} s" for pair, seconds in summary["plan seconds"].items())
        yield f"One `carferry plan` from config and headers: {', '.join(told)}."
    yield ""
    yield from _columns(summary["peers"])


def _columns(columns: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield f"| figure | {' | '.join(columns)} |"
    yield "|" + "---|" * (len(columns) + 1)
    for figure in next(iter(columns.values())):
        cells = (_figure(values.get(figure)) for values in columns.values())
        yield f"| {figure} | {' | '.join(cells)} |"


def _figure(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, tuple | list):
        return f"{value[0]} of {value[1]}"
    return str(value) if isinstance(value, int) else f"{value:.2%}"


def _names(names: list[str]) -> str:
    return f"{len(names)} ({', '.join(names)})" if names else "0"


def table(lines: Iterable[Line], others: tuple[str, ...]) -> Iterator[str]:
    """Yield the rows as a Markdown table; peers by the error of their KV GiB."""
    names = "".join(f" | KV by {peer}" for peer in others)
    yield (
        "| id | part | model | GPU | vLLM | weights | logged | err | KV GiB | logged | err "
        f"| tokens | logged | err | state blocks | verdict | outcome{names} | remark |"
    )
    yield "|" + "---|" * (18 + len(others))
    for line in lines:
        theirs = [(line.peers or {}).get(peer, {}).get("kv_gib") for peer in others]
        cells = (
            line.id, line.part, line.model, line.gpu, line.version or "-",
            *_trio(line.weights, line.weights_logged, ".2f"),
            *_kv(line),
            *_trio(line.tokens, line.tokens_logged, "d"),
            _states(line), line.verdict or "-", line.outcome,
            *(_trio(said, line.kv_gib_logged, ".2f")[2] for said in theirs),
            _remark(line),
        )  # fmt: skip
        yield "| " + " | ".join(str(cell) for cell in cells) + " |"


def _kv(line: Line) -> tuple[str, str, str]:
    said, logged, _ = _trio(line.kv_gib, line.kv_gib_logged, ".2f")
    return said, logged, "-" if line.kv_error is None else f"{line.kv_error:+.2%}"


def _states(line: Line) -> str:
    if line.most_seqs is None and line.seqs_logged is None:
        return "-"
    said, logged, _ = _trio(line.most_seqs, line.seqs_logged, "d")
    return said if logged == "-" else f"{said} ({logged})"


def _remark(line: Line) -> str:
    flag = "flagged in the data" if line.flagged else ""
    return "; ".join(part for part in (line.remark.replace("|", "/"), flag) if part)


def _trio(said: float | None, logged: float | None, form: str) -> tuple[str, str, str]:
    error = f"{said / logged - 1:+.2%}" if said is not None and logged else "-"
    return _cell(said, form), _cell(logged, form), error


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def fill(path: Path, lines: Iterable[str]) -> None:
    """Replace the measured part of a Markdown file."""
    text = path.read_text()
    head, _, rest = text.partition(START)
    _, _, tail = rest.partition(END)
    body = "\n".join(lines)
    path.write_text(f"{head}{START}\n{body}\n{END}{tail}")


if __name__ == "__main__":
    main()
