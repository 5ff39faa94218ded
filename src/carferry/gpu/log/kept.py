"""Calibrations as a file keeps them: JSON that people can read, and that strangers may have cut."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from carferry.errors import InputError
from carferry.gpu.memory.calibration import Calibration

MOST_BYTES = 4_000_000
"""Of a file."""

_MOST = 500
_FORMAT = "carferry-calibration/1"
_TEXTS = ("image", "gpu", "model", "date", "binding")
_BOUNDS = {"activation": (0.2, 5.0), "graphs": (0.2, 5.0), "non_torch": (-(2**36), 2**36)}


def read_kept(text: bytes, name: str) -> tuple[Calibration, ...]:
    """Return the calibrations of a file.

    Raises:
        InputError: Not such a file, or an entry that cannot be meant.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refused(name, "no JSON") from error
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise _refused(name, f"not of the format {_FORMAT}")
    entries = document.get("calibrations")
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise _refused(name, "calibrations is no list of objects")
    return tuple(_entry(each, f"{name}, entry {index}") for index, each in enumerate(entries))


def render_kept(known: tuple[Calibration, ...]) -> bytes:
    """Return the file that keeps these."""
    document = {"format": _FORMAT, "calibrations": [asdict(each) for each in known]}
    return f"{json.dumps(document, indent=2)}\n".encode()


def with_new(known: tuple[Calibration, ...], new: Calibration) -> tuple[Calibration, ...]:
    """Return the calibrations with a new one in place of the last for the same."""
    key = _key(new)
    return (*(each for each in known if _key(each) != key), new)[-_MOST:]


def fitting(known: tuple[Calibration, ...], *names: str) -> tuple[Calibration, ...]:
    """Return those for the first of some names that has any: an image, then a version of vLLM."""
    for name in filter(None, names):
        if found := tuple(each for each in known if each.image == name):
            return found
    return ()


def _key(each: Calibration) -> tuple[str, str, int]:
    return each.image, each.gpu, each.ranks


def _entry(entry: Mapping[str, Any], name: str) -> Calibration:
    texts = {key: entry.get(key) for key in _TEXTS}
    if not all(isinstance(text, str) and len(text) <= 1000 for text in texts.values()):
        raise _refused(name, f"{', '.join(_TEXTS)} must be texts")
    numbers = {key: _bounded(entry.get(key), key, name) for key in _BOUNDS}
    ranks = entry.get("ranks")
    if type(ranks) is not int or not 1 <= ranks <= 1024:
        raise _refused(name, "ranks is not a whole number of 1 to 1024")
    return Calibration(
        **{key: str(text) for key, text in texts.items()},
        ranks=ranks,
        non_torch=int(numbers["non_torch"]),
        activation=float(numbers["activation"]),
        graphs=float(numbers["graphs"]),
    )


def _bounded(value: object, key: str, name: str) -> float:
    low, high = _BOUNDS[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise _refused(name, f"{key} is not a number of {low:g} to {high:g}")
    return value if math.isfinite(value) else 0.0


def _refused(name: str, reason: str) -> InputError:
    return InputError("read the calibration", name, reason, "name another file, or remove it")
