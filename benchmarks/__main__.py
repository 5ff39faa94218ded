"""Run the benchmarks and write ``benchmarks/RESULTS.md``.

PYTHONPATH=.:tests python -m benchmarks --data DIR [--only shards,rebuild] [--scale 0.05]
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from benchmarks import builds, data, fanout, hub, limits, pulls, report, small
from benchmarks.data import MIB, Model
from benchmarks.lab import Lab, hub_of
from benchmarks.measure import Usage

Group = Callable[[Lab, Model], None]
# Group: model shape (name, shards, MiB of each) and what is done with it.
GROUPS: dict[str, tuple[tuple[str, int, float], Group]] = {
    "shards": (("shards", 4, 512), builds.shards),
    "files": (("files", 300, 0.1), builds.files),
    "single": (("single", 1, 6144), builds.single),
    "rebuild": (("shards", 4, 512), builds.rebuild),
    "memory": (("shards", 4, 512), partial(limits.memory, group="memory")),
    "memory6": (("large", 4, 1536), partial(limits.memory, group="memory6")),
    "disk": (("shards", 4, 512), limits.disk),
    "plan": (("shards", 4, 512), limits.plan),
    # Layers of their own at any scale: here the rate is scaled instead.
    "fanout": (("fanout", 16, 128), fanout.measure),
    "pulls": (("shards", 4, 512), pulls.measure),
    "small": (("small", 5000, 4 / 1024), small.measure),
}


def main() -> None:
    """Measure what was asked for and write the report from everything measured so far."""
    options = _parser().parse_args()
    root = options.data.resolve()
    results_file = root / f"results-{options.scale:g}.json"
    results = _load(results_file)
    wanted = set(options.only.split(",") if options.only else GROUPS)
    # Always in this order: a rebuild changes the hub's copy, which a bare copy would not expect.
    names = [name for name in GROUPS if name in wanted]
    models = {name: _model(root, name, options.scale) for name in names}
    served = {model.name: model for model in models.values()}.values()
    with hub_of(list(served), f"{hub.HUGE}=") as server:
        lab = Lab(root, server, options.rounds, options.scale)
        for name in names:
            GROUPS[name][1](lab, models[name])
            results |= lab.results
            results_file.write_text(json.dumps(results, default=asdict, indent=1))
    shutil.rmtree(lab.work, ignore_errors=True)
    written = report.write(results, options.scale)
    if options.scale == 1 and set(results) < set(GROUPS) and options.report.is_file():
        written = report.merge(options.report.read_text(), written)
    options.report.write_text(written)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder for models and tools")
    parser.add_argument("--only", default="", help=f"some of {','.join(GROUPS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="factor on every size")
    parser.add_argument("--report", type=Path, default=Path(__file__).with_name("RESULTS.md"))
    return parser


def _model(root: Path, group: str, scale: float) -> Model:
    name, shards, mib = GROUPS[group][0]
    if group == "files":
        return data.make(root, name, max(2, int(shards * scale)), int(mib * MIB))
    if group == "small":
        return data.make_small(root, name, max(100, int(shards * scale)), int(mib * MIB))
    if group == "fanout":
        return data.make(root, name, shards, int(mib * MIB))
    return data.make(root, name, shards, int(mib * MIB * scale))


def _load(path: Path) -> dict[str, dict[str, list[Usage]]]:
    known = json.loads(path.read_text()) if path.is_file() else {}
    return {
        group: {row: [Usage(**run) for run in runs] for row, runs in rows.items()}
        for group, rows in known.items()
    }


if __name__ == "__main__":
    main()
