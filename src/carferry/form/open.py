"""Readers of what may be left open: nothing given is None, and something else decides."""

from __future__ import annotations

import re
from typing import Any

from carferry.errors import InputError
from carferry.form.readers import read_switch, read_text


def read_share(name: str, value: Any) -> float | None:
    """Return a share of 0.01 to 1; None for nothing, which is left open.

    Raises:
        InputError: Anything else.
    """
    text = read_text(name, value)
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{0,3}\.?[0-9]{1,9}", text) or not 0.01 <= float(text) <= 1:
        raise InputError(f"read {name}", repr(text[:80]), "not a share of 0.01 to 1", "write 0.9")
    return float(text)


def read_open_switch(name: str, value: Any) -> bool | None:
    """Return true or false; None for nothing, which is left open.

    Raises:
        InputError: Anything else.
    """
    return None if value is None or value == "" else read_switch(name, value)
