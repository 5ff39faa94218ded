"""Words of commands that a hint shows: a hint is pasted, and what is in it may be a stranger's."""

from __future__ import annotations

import re
import shlex


def word(text: str) -> str:
    """Return text as a shell reads it: one word and no command, quoted where it must be."""
    return shlex.quote(text)


def option(name: str, value: str) -> str:
    """Return an option with its value, always quoted: globs look alike however they are made."""
    return f"{name} {shlex.quote(value)}" if "'" in value else f"{name} '{value}'"


def glob_of(path: str) -> str:
    """Return a glob for one path.

    Wildcards in it are escaped, and a dash at its start, which would begin an option; no list can
    hold a comma.
    """
    return re.sub(r"[*?\[]|^-", lambda found: f"[{found[0]}]", path).replace(",", "?")
