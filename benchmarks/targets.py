"""The targets of issues 3 and 9, compared with what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks.data import MIB
from benchmarks.measure import Usage

Results = Mapping[str, Mapping[str, Sequence[Usage]]]
Verdict = tuple[str, str, str, str]
_OURS = "carferry stream"


def verdicts(results: Results) -> Iterator[Verdict]:
    """Yield figure, target, measurement and verdict of everything that was measured."""
    for check in (_speed, _disk, _memory, _rebuild, _fanout, _pulls, _plan, _small):
        try:
            yield from check(results)
        except KeyError as missing:
            yield check.__name__.strip("_"), "", f"not measured: {missing}", "-"


def _speed(results: Results) -> Iterator[Verdict]:
    rows = results["shards"]
    ours = min(_wall(runs) for name, runs in rows.items() if name.startswith(_OURS))
    other = min(_wall(runs) for name, runs in rows.items() if name.startswith("oci-modelcar"))
    faster = [
        ("the usual way", _wall(rows["usual way"]), 9.0),
        ("olot + skopeo", _wall(rows["olot + skopeo"]), 3.5),
        ("oci-modelcar at its best", other, 1.6),
    ]
    for name, wall, least in faster:
        yield _at_least(f"wall: times faster than {name}", least, wall / ours, "x")
    yield _at_most("wall, of the bare copy's", 1.25, ours / _wall(rows["bare copy"]), "x")


def _disk(results: Results) -> Iterator[Verdict]:
    runs = [
        run for name, runs in results["shards"].items() if name.startswith(_OURS) for run in runs
    ]
    # Some KiB of the runner's own: the output file, the tools' settings.
    most = max(run.disk_bytes for run in runs) / MIB
    yield _at_most("extra disk", 0.1, most, " MiB")
    read_only = len(results["disk"]["read-only root, no /tmp"])
    yield "extra disk", "builds where nothing can be written", f"{read_only} builds", "yes"


def _memory(results: Results) -> Iterator[Verdict]:
    for group, size in (("memory", "2 GiB"), ("memory6", "6 GiB")):
        most = max(run.rss_bytes for runs in results[group].values() for run in runs)
        yield _at_most(f"peak RSS, {size}, 4 streams", 150, most / MIB, " MiB")


def _rebuild(results: Results) -> Iterator[Verdict]:
    same, changed = (results["rebuild"][row] for row in ("unchanged", "only config.json changed"))
    # The hub is asked for the weights' headers: whether the model is whole is never taken on trust.
    headers = _most(same, "hub_bytes") / MIB
    yield _at_most("unchanged model: from the hub, headers", 0.5, headers, " MiB")
    yield _at_most("unchanged model: new bytes stored", 0, _most(same, "stored_bytes"), " bytes")
    yield _at_most("unchanged model: wall", 1.0, _wall(same), " s")
    moved = (_most(changed, "hub_bytes") + _most(changed, "stored_bytes")) / MIB
    yield _at_most("only config.json changed: moved", 1.0, moved, " MiB")
    yield _at_most("only config.json changed: wall", 1.5, _wall(changed), " s")


def _fanout(results: Results) -> Iterator[Verdict]:
    rows = results["fanout"]
    ratio = _wall(rows["1 workers"]) / _wall(rows["8 workers"])
    yield _at_least("fan-out, 8 throttled workers against one", 7.0, ratio, "x")


def _pulls(results: Results) -> Iterator[Verdict]:
    rows = results["pulls"]
    for client in sorted({name.partition(":")[0] for name in rows}):
        usual, ours = (rows[f"{client}: {k}"] for k in ("the usual image", "carferry modelcar"))
        ratio = _wall(ours) / _wall(usual)
        yield _at_most(f"{client}, wall against the usual image", 1.0, ratio, "x")


def _plan(results: Results) -> Iterator[Verdict]:
    runs = [run for runs in results["plan"].values() for run in runs]
    yield _at_most("plan for 405B: wall", 3.0, _wall(runs), " s")
    yield _at_most("plan for 405B: RSS", 200, max(run.rss_bytes for run in runs) / MIB, " MiB")
    headers = _most(runs, "hub_bytes") / MIB
    yield _at_most("plan for 405B: from the hub, 191 headers", 12, headers, " MiB")


def _small(results: Results) -> Iterator[Verdict]:
    rows = results["small"]
    ours = rows["carferry stream, 2 at once"]
    (before,) = (name for name in rows if name.startswith("carferry 731cf6b"))
    ratio = _wall(rows[before]) / _wall(ours)
    yield _at_least("5,000 small files: times faster than before", 10.0, ratio, "x")
    most = max(run.rss_bytes for name in rows if name != before for run in rows[name]) / MIB
    yield _at_most("peak RSS, 5,000 small files", 150, most, " MiB")


def _wall(runs: Sequence[Usage]) -> float:
    return statistics.median(run.wall_s for run in runs)


def _most(runs: Sequence[Usage], note: str) -> float:
    return max(run.notes[note] for run in runs)


def _at_least(figure: str, target: float, found: float, unit: str) -> Verdict:
    return _verdict(figure, "at least", target, found, unit, lambda: found >= target)


def _at_most(figure: str, target: float, found: float, unit: str) -> Verdict:
    return _verdict(figure, "at most", target, found, unit, lambda: found <= target)


def _verdict(
    figure: str, word: str, target: float, found: float, unit: str, holds: Callable[[], bool]
) -> Verdict:
    short = f"no, short by {abs(found - target):.3g}{unit}"
    return figure, f"{word} {target:g}{unit}", f"{found:.3g}{unit}", "yes" if holds() else short
