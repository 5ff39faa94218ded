"""Thousands of seeded runs, or one of them again.

    python -m faults.soak 5000        that many seeds, from 0
    python -m faults.soak 5000 --from 20000
    python -m faults.soak --seed 123  one run, with its faults and its end in words

Prints the failing seeds and exits 1 if there are any.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from faults.draws import draw
from faults.harness import Harness
from faults.runs import run


def main() -> int:
    """Run what the command line asks for."""
    options = _parser().parse_args()
    first = options.first if options.seed is None else options.seed
    seeds = range(first, first + (options.seeds if options.seed is None else 1))
    with tempfile.TemporaryDirectory(prefix="carferry-soak-") as folder:
        os.environ |= {"HF_HOME": folder, "HF_HUB_DISABLE_TELEMETRY": "1"}
        with Harness(Path(folder)) as harness:
            return _soak(harness, seeds, one=options.seed is not None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seeds", nargs="?", type=int, default=2000, help="how many")
    parser.add_argument("--from", dest="first", type=int, default=1000, help="the first")
    parser.add_argument("--seed", type=int, default=None, help="only this one, in words")
    return parser


def _soak(harness: Harness, seeds: range, *, one: bool) -> int:
    ends: Counter[str] = Counter()
    failed: list[int] = []
    started = time.monotonic()
    for done, seed in enumerate(seeds, 1):
        case = draw(seed)
        try:
            outcome = run(harness, case)
        except Exception:
            failed.append(seed)
            print(f"FAILED; again with: make soak SEED={seed}", flush=True)
            traceback.print_exc(file=sys.stdout)
            continue
        ends.update(type(error).__name__ for error in outcome.errors[:1])
        ends["right digest"] += not outcome.errors
        if one:
            print(f"{case}\n{outcome}")
        elif done % 100 == 0:
            print(
                f"{done} runs, {time.monotonic() - started:.0f} s, {len(failed)} failed", flush=True
            )
    print(
        f"{len(seeds)} runs in {time.monotonic() - started:.0f} s: {dict(ends)}; failed: {failed}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
