"""Package the models of a catalog: plan, build if the hub has moved, inspect.

Usage: python examples/catalog.py examples/catalog.yaml [--base BASE]

One model that fails does not keep the others back; the exit code is 1 then, and 2 if the catalog
cannot be read. For CI: examples/ci/.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

import carferry

NEEDED = {"model", "image", "gpus"}
OPTIONAL = {"max_model_len"}


def main() -> int:
    """Package every model and return an exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("catalog", type=Path)
    parser.add_argument("--base", help="image under every model, as for carferry build")
    options = parser.parse_args()
    more = {"base": options.base} if options.base else {}
    try:
        listed = entries(options.catalog)
    except carferry.InputError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    failed = 0
    for entry in listed:
        try:
            sys.stdout.write(f"{entry['model']}: {package(entry, more)}\n")
        except carferry.CarferryError as error:
            failed += 1
            sys.stderr.write(f"{entry['model']}: {error}\n")
    return 1 if failed else 0


def entries(catalog: Path) -> Sequence[Mapping[str, Any]]:
    """Return the entries of a catalog.

    Raises:
        InputError: It cannot be read, or an entry lacks something; nothing was built then.
    """
    try:
        document = yaml.safe_load(catalog.read_text())
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise _refused(catalog, " ".join(str(error).split())) from None
    listed = document.get("models") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise _refused(catalog, "it has no list of models")
    for number, entry in enumerate(listed, 1):
        wrong = _wrong(entry)
        if wrong:
            raise _refused(catalog, f"entry {number} {wrong}")
    return listed


def _wrong(entry: object) -> str:
    """Return what is wrong with an entry, empty for nothing."""
    given = entry if isinstance(entry, dict) else {}
    lacking = sorted(name for name in NEEDED if not given.get(name))
    unknown = sorted(str(name) for name in given if name not in NEEDED | OPTIONAL)
    if lacking:
        return f"lacks {', '.join(lacking)}"
    return f"has an unknown {', '.join(unknown)}" if unknown else ""


def _refused(catalog: Path, reason: str) -> carferry.InputError:
    return carferry.InputError("read", str(catalog), reason, "see examples/catalog.yaml")


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
