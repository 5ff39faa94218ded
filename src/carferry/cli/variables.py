"""``CARFERRY_*`` variables: every option can be set by one; the command line wins.

``CARFERRY_PARALLEL`` sets ``--parallel`` of every command that has it, and
``CARFERRY_BUILD_PARALLEL`` that of ``carferry build`` alone, before the other.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from carferry.errors import InputError

PREFIX = "CARFERRY_"
TAKEN = ("CARFERRY_CLAIM", "CARFERRY_LIBRARY", "CARFERRY_S3_CONNECTION")
"""Set in pods, and no option's."""
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_CHOICE = "write 1, 0, true or false"


def long_name(action: argparse.Action) -> str:
    """Return an option's long name, as in ``--plain-http``."""
    return max(action.option_strings, key=len)


def names_of(action: argparse.Action, command: str) -> tuple[str, ...]:
    """Return the variables of an option, the one that counts first; none for ``--help``."""
    if action.dest in ("help", "version"):
        return ()
    name = long_name(action).lstrip("-").replace("-", "_").upper()
    return (f"{PREFIX}{command.upper()}_{name}", f"{PREFIX}{name}")


def is_switch(action: argparse.Action) -> bool:
    """Say whether an option takes no value."""
    return action.nargs == 0


def read_variable(names: Sequence[str], environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the first variable of an option that is set, and its text; both empty if none is."""
    for name in names:
        if text := environ.get(name, "").strip():
            return name, text
    return "", ""


def read_boolean(name: str, text: str) -> bool:
    """Return what a variable says of an option that takes no value.

    Raises:
        InputError: Neither true nor false.
    """
    if text.lower() not in (*_TRUE, *_FALSE):
        raise InputError("read", name, f"{text[:80]!r} is neither true nor false", _CHOICE)
    return text.lower() in _TRUE
