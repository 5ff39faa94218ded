"""The three streams: results on stdout, everything else on stderr, whatever they lead to.

A stream that is closed has no number, and the next file or socket that is opened gets it:
what a child process prints would go there. So all three are open before anything else is.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path

from carferry.errors import CarferryError, TargetError
from carferry.io import named
from carferry.io.files import failed


def ready() -> None:
    """Make the streams fit to be used, before there is anything to say.

    Raises:
        TargetError: stdout is closed: nobody would get the result.
    """
    closed = [number for number in range(3) if not _is_open(number)]
    for _ in closed:
        os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - until the end
    if 1 in closed or sys.stdout is None:
        raise TargetError("write to", "stdout", "it is closed", "open it, if only to /dev/null")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name need not fit the terminal's encoding
        sys.stdout.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """Print a result.

    Raises:
        TargetError: stdout takes no more.
    """
    try:
        sys.stdout.write(text + "\n")
    except OSError as error:
        raise _refused(error) from error


def columns() -> int:
    """Return how wide the terminal behind stdout is; 0 if there is none."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError):  # no terminal; no file at all
        return 0


def flush() -> None:
    """Write what is still in memory.

    Raises:
        TargetError: stdout takes no more.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        raise _refused(error) from error


def finish() -> None:
    """Give up what stderr did not take: Python would try again at its end, and exit with 120."""
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def warn(line: str) -> None:
    """Print a line on stderr, if there is one that takes it."""
    with contextlib.suppress(OSError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def save_page(file: str, html: str, *, quiet: bool) -> None:
    """Write the page of a report into a file, and say so on stderr: stdout has the report."""
    named.save(Path(file), html.encode(), action="write --html")
    if not quiet:
        warn(f"wrote {file}")


def _refused(error: OSError) -> CarferryError:
    """Return the error, and forget what was not written: Python would try again when it ends."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return TargetError("write to", "stdout", "its reader went away")
    return failed("write to", "stdout", error)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
