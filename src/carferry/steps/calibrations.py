"""The file of calibrations: where it is, read for a plan, written after a log was compared."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from carferry.errors import InputError
from carferry.form.readers import read_path
from carferry.gpu.log.kept import MOST_BYTES, fitting, read_kept, render_kept, with_new
from carferry.gpu.memory.calibration import Calibration
from carferry.gpu.vllm.version import find_version
from carferry.io import named
from carferry.io.files import failed
from carferry.steps.served import is_image

OFF = ("none", "-")
"""What turns calibrations off, in place of a file."""


def usual_file(environ: Mapping[str, str] = os.environ) -> str:
    """Return the file of this user; ``none`` where nobody has a home."""
    home = environ.get("HOME", "")
    data = environ.get("XDG_DATA_HOME") or (f"{home}/.local/share" if home else "")
    return str(Path(data) / "carferry" / "calibration.json") if data else OFF[0]


def read_calibrations(file: str | Path | None) -> tuple[Calibration, ...]:
    """Return what a file keeps; nothing if calibrations are off, or the usual file is not there.

    Args:
        file: The file; empty, ``none`` or ``-`` turns calibrations off.

    Raises:
        InputError: Not readable, or not such a file.
    """
    path = read_path("calibration", file)
    if path is None or str(file) in OFF:
        return ()
    try:
        if str(path) == usual_file() and not path.exists():
            return ()
        with path.open("rb") as stream:
            text = stream.read(MOST_BYTES + 1)
    except OSError as error:
        failure = failed("read the calibration", path, error)
        remedy = "check --calibration, or turn it off with none"
        raise InputError("read the calibration", path, failure.reason, remedy) from error
    if len(text) > MOST_BYTES:
        remedy = "name another file, or remove it"
        raise InputError("read the calibration", path, f"more than {MOST_BYTES:,} bytes", remedy)
    return read_kept(text, str(path))


def calibrations_for(known: tuple[Calibration, ...], vllm: str) -> tuple[Calibration, ...]:
    """Return those for what will serve: the image if it was named, else the version of vLLM."""
    name = vllm.strip()
    if not known or is_image(name):
        return fitting(known, name.removeprefix("docker://"))
    dated = find_version(name).dated
    return fitting(known, f"vLLM {name.removeprefix('v')}", f"vLLM {dated}" if dated else "")


def keep_calibration(file: str | Path, new: Calibration) -> None:
    """Write a calibration into a file, in place of the last for the same; whole or not at all.

    Raises:
        InputError: The file is no such file, or not writable.
    """
    path = Path(file)
    try:
        known = read_calibrations(file) if path.exists() else ()
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        failure = failed("keep the calibration", path, error)
        remedy = "name a file with --calibration, or none"
        raise InputError("keep the calibration", path, failure.reason, remedy) from error
    named.save(path, render_kept(with_new(known, new)), action="keep the calibration")
