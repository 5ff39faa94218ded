"""``carferry`` and ``python -m carferry``: an interrupt while modules load is a line too."""

from __future__ import annotations

import sys

from carferry.io.interrupts import held_back


def main() -> int:
    """Load the command line, run it, and return its exit code."""
    try:
        with held_back():
            from carferry.cli import main as run
        return run()
    except KeyboardInterrupt:
        sys.stderr.write("carferry: interrupted\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
