"""carferry itself, as the files of the installation that runs: a step must run what compiled it.

Components, pipelines and what binds them to kfp stay out. Their code reaches a step inside the
compiled YAML, and they cannot be imported without kfp's compiler, which a step does not need.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import carferry
from carferry.errors import InputError

_APART = ("bundle", "components", "pipelines")
_ENDINGS = {".py", ".typed", ".txt"}


def library(root: Path | None = None) -> dict[str, bytes]:
    """Return the library's files by their path on ``sys.path``, with metadata as installers write.

    Args:
        root: The package's folder; default the one it was imported from.

    Raises:
        InputError: carferry was not imported from files.
    """
    root = root or Path(carferry.__file__).parent
    if not (root / "__init__.py").is_file():
        raise InputError(
            "read carferry",
            root,
            "not installed as files",
            "pip install . in a clone",
        )
    name, version = carferry.__name__, carferry.__version__
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    files = {f"{name}/{path.relative_to(root).as_posix()}": path for path in _sources(root)}
    return {path: file.read_bytes() for path, file in files.items()} | {
        f"{name}-{version}.dist-info/METADATA": metadata.encode("ascii")
    }


def _sources(root: Path) -> Iterator[Path]:
    for path in root.rglob("*"):
        if path.suffix in _ENDINGS and path.relative_to(root).parts[0] not in _APART:
            yield path
