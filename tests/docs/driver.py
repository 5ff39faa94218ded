"""The Python process of a page: runs files in one namespace, as its Python blocks are pasted.

Reads lines of three fields: the file, the folder and the variables of the page's shell.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path


def main() -> None:
    """Serve until the input ends."""
    done = int(os.environ.pop("DOCS_DONE"))
    os.set_inheritable(done, False)
    namespace: dict[str, object] = {"__name__": "__main__"}
    sys.path[0] = ""
    for line in sys.stdin:
        file, cwd, variables = line.rstrip("\n").split("\t")
        os.chdir(cwd)
        _take(Path(variables).read_text())
        os.write(done, b"%d\n" % _run(Path(file), namespace))


def _take(variables: str) -> None:
    pairs = (each.partition("=") for each in variables.split("\0"))
    given = {name: value for name, _, value in pairs if name != "DOCS_DONE"}
    for name in set(os.environ) - set(given):
        del os.environ[name]
    os.environ.update(given)


def _run(file: Path, namespace: dict[str, object]) -> int:
    try:
        exec(compile(file.read_text(), str(file), "exec"), namespace)
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else int(bool(stopped.code))
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    main()
