"""Write the generated reference, or check it.

python -m carferry.pipelines.reference          write docs/reference and the tutorials' pictures
python -m carferry.pipelines.reference --check  exit 1 if they differ
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from carferry.pipelines.reference import annotations as marks
from carferry.pipelines.reference import environment, rbac, registries, versions, waiting
from carferry.pipelines.reference.documents import page as documents
from carferry.pipelines.reference.drawn import pictures
from carferry.pipelines.reference.failures import causes, errors
from carferry.pipelines.reference.interface import (
    commands,
    components,
    parameters,
    python,
    serving,
)


def wanted(root: Path) -> dict[Path, str]:
    """Return each generated file and what it should hold."""
    files = {
        root / components.PAGE: components.page(),
        root / components.SETTINGS_PAGE: components.settings_page(),
        root / python.PAGE: python.page(),
        root / commands.PAGE: commands.page(),
        root / causes.PAGE: causes.page(),
        root / parameters.PAGE: parameters.page(),
        root / serving.PAGE: serving.page(),
        root / rbac.PAGE: rbac.page(),
        root / errors.PAGE: errors.page(),
        root / marks.PAGE: marks.page(),
        root / environment.PAGE: environment.page(),
        root / documents.PAGE: documents.page(),
        **{root / path: text for path, text in documents.schemas().items()},
        **{root / path: svg for path, svg in pictures.pictures().items()},
    }
    for kept in (versions, registries, waiting):  # prose that is written by hand around tables
        if (page := root / kept.PAGE).is_file():
            files[page] = kept.page(page.read_text(encoding="utf-8"))
    return files


def main(argv: Sequence[str] | None = None, *, root: Path = Path()) -> int:
    """Write the generated files, or with --check compare them; return the exit code."""
    parser = argparse.ArgumentParser(description="Generate the reference.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if stale")
    check = parser.parse_args(argv).check
    stale = {path: text for path, text in wanted(root).items() if not _holds(path, text)}
    for path, text in stale.items():
        if check:
            print(f"{path} is stale: run python -m carferry.pipelines.reference", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return 1 if check and stale else 0


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
