"""Thousands of seeded runs of both suites, or one of them again.

    python -m faults.soak 5000        that many seeds of each suite
    python -m faults.soak 5000 --from 20000
    python -m faults.soak --seed 123  one seed of each, with what was drawn and its end in words
    python -m faults.soak 5000 --only fuzz

The suites: ``faults``, broken networks around a build; ``fuzz``, servers that answer with
anything to every command. Prints the failing seeds and exits 1 if there are any.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import fuzz.runs
from fuzz.scenes import Stage

from faults.draws import draw
from faults.harness import Harness
from faults.runs import run

# Runs the seed and returns what was drawn, and how it ended in a word.
Run = Callable[[int], tuple[object, str]]


def main() -> int:
    """Run what the command line asks for."""
    options = _parser().parse_args()
    first = options.first if options.seed is None else options.seed
    seeds = range(first, first + (options.seeds if options.seed is None else 1))
    failed = 0
    for name, suite in SUITES.items():
        if options.only in ("", name):
            tempfile.tempdir = None  # the suite before has moved it into its own folder
            with tempfile.TemporaryDirectory(prefix="soak-") as folder, suite(Path(folder)) as one:
                failed += _soak(name, one, seeds, in_words=options.seed is not None)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seeds", nargs="?", type=int, default=2000, help="how many")
    parser.add_argument("--from", dest="first", type=int, default=1000, help="the first")
    parser.add_argument("--seed", type=int, default=None, help="only this one, in words")
    parser.add_argument("--only", default="", choices=("", *SUITES), help="one suite")
    return parser


@contextmanager
def _faults(folder: Path) -> Iterator[Run]:
    _move_to(folder)
    with Harness(folder) as harness:

        def one(seed: int) -> tuple[object, str]:
            case = draw(seed)
            outcome = run(harness, case)
            ends = [type(error).__name__ for error in outcome.errors[:1]]
            return f"{case}\n{outcome}", "".join(ends) or "right digest"

        yield one


@contextmanager
def _fuzz(folder: Path) -> Iterator[Run]:
    _move_to(folder)
    with Stage(folder) as stage:

        def one(seed: int) -> tuple[object, str]:
            case = fuzz.runs.draw(seed)
            done = fuzz.runs.run(stage, case)
            return f"{case}\n{done}", f"exit {done.code}"

        yield one


SUITES = {"faults": _faults, "fuzz": _fuzz}


def _move_to(folder: Path) -> None:
    os.environ |= {"HF_HOME": str(folder), "HF_HUB_DISABLE_TELEMETRY": "1"}
    scratch = folder / "scratch"
    scratch.mkdir()
    tempfile.tempdir = str(scratch)


def _soak(name: str, one: Run, seeds: range, *, in_words: bool) -> int:
    ends: Counter[str] = Counter()
    failed: list[int] = []
    started = time.monotonic()
    for done, seed in enumerate(seeds, 1):
        try:
            shown, end = one(seed)
        except Exception:
            failed.append(seed)
            print(f"{name} FAILED; again with: make soak SEED={seed}", flush=True)
            traceback.print_exc(file=sys.stdout)
            continue
        ends[end] += 1
        if in_words:
            print(shown)
        elif done % 100 == 0:
            spent = time.monotonic() - started
            print(f"{name}: {done} runs, {spent:.0f} s, {len(failed)} failed", flush=True)
    spent = time.monotonic() - started
    print(f"{name}: {len(seeds)} runs in {spent:.0f} s: {dict(ends)}; failed: {failed}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
