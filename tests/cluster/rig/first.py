"""The first process of a node: it makes the namespaces, starts the parts, reaps their orphans.

When it ends the kernel ends everything in the node, whatever it was doing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from cluster.rig import cgroups, namespaces
from cluster.rig.programs import commands
from cluster.rig.settings import Rig


def main(folder: Path) -> None:
    """Turn this process into a node's, and wait for the node's end."""
    rig = Rig.load(folder)
    namespaces.end_with_parent()
    groups = cgroups.hierarchies()
    for group in groups:
        group.enter(rig.group)
    namespaces.unshare()
    for group in groups:
        group.settle(rig.group)
    first = os.fork()
    if first == 0:
        namespaces.end_with_parent()
        namespaces.furnish(rig, groups)
        _serve(rig)
        os._exit(0)
    (rig.run / "init.pid").write_text(str(first))
    os.waitpid(first, 0)


def _serve(rig: Rig) -> None:
    """Start every part and note which end; go on until none is left."""
    os.environ["PATH"] = f"{rig.programs}:{os.environ['PATH']}"  # containerd finds its shim there
    names: dict[int, str] = {}
    for name, command in commands(rig).items():
        with (rig.log / f"{name}.log").open("ab") as log:
            part = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        names[part.pid] = name
        part.returncode = 0  # it is waited for below, with everybody else's children
    while True:
        try:
            pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return
        if pid in names:
            print(time.strftime("%T"), names[pid], "ended with status", status, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
