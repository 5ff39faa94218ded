"""Package the models of a catalog: plan, build if the hub has moved, inspect.

Usage: python examples/catalog.py examples/catalog.yaml [--base BASE]

One model that fails does not keep the others back; the exit code is 1 then. For CI: examples/ci/.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

import carferry


def main() -> int:
    """Package every model and return an exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("catalog", type=Path)
    parser.add_argument("--base", help="image under every model, as for carferry build")
    options = parser.parse_args()
    more = {"base": options.base} if options.base else {}
    failed = 0
    for entry in yaml.safe_load(options.catalog.read_text())["models"]:
        try:
            sys.stdout.write(f"{entry['model']}: {package(entry, more)}\n")
        except carferry.CarferryError as error:
            failed += 1
            sys.stderr.write(f"{entry['model']}: {error}\n")
    return 1 if failed else 0


def package(entry: Mapping[str, Any], more: Mapping[str, Any]) -> str:
    """Package one model; return the image by digest, and what was done.

    Raises:
        CarferryError: It does not fit, or was not built, or KServe could not serve it.
    """
    length = {"max_model_len": entry["max_model_len"]} if "max_model_len" in entry else {}
    fit = carferry.fit(entry["model"], gpus=entry["gpus"], **length).require()
    built = carferry.build(entry["model"], entry["image"], if_changed=True, **more)
    carferry.inspect(built.reference).require()
    return f"{built.reference}; {fit.headline}"


if __name__ == "__main__":
    sys.exit(main())
