"""Install this clone into its virtual environment, and say how far it is.

pip alone is silent for a minute (``--quiet``) or prints hundreds of lines. Arguments go to pip.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import deque

_EVERY_S = 3.0
_KEPT_LINES = 30
_NAME = re.compile(r"[^A-Za-z0-9._-]")


def main(arguments: list[str]) -> int:
    """Run pip install and return its exit code; of a failure the end of its output is shown."""
    _say("Installing carferry and the packages it stands on: a minute or two, once")
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    kept, found, shown = deque[str](maxlen=_KEPT_LINES), 0, time.monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as pip:
        for line in pip.stdout or ():
            kept.append(line)
            found += line.startswith("Collecting ")
            if line.startswith("Installing collected packages:"):
                _say(f"  unpacking {line.count(',') + 1} packages")
            elif time.monotonic() - shown >= _EVERY_S and line.startswith("Collecting "):
                _say(f"  {found} packages found, now {_NAME.split(line.split()[1])[0]}")
                shown = time.monotonic()
    if pip.returncode:
        sys.stderr.write("".join(kept))
    return pip.returncode


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
