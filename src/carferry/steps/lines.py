"""Lines of a step as it goes on: to the person before it, else to whoever logs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from carferry.io.show.notebook import Roll, in_notebook

_log = logging.getLogger("carferry")


def teller(progress: bool, *, warns: bool = False) -> Callable[[str], None]:
    """Return what lines are handed to.

    Args:
        progress: True shows them to whoever waits: on stderr, in a notebook in one output.
        warns: Where nobody does, they are logged as warnings.
    """
    if progress:
        return Roll().say if in_notebook() else _say
    return _log.warning if warns else _log.info


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
