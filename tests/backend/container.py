"""One command in a container, confined as OpenShift confines a step's.

A random user, no capability, no way to more, a read-only root. The network is this machine's,
where the servers are.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from servers.pods import podman
from servers.tools import need

from backend.kubelet import USER
from backend.rootfs import Rootfs

CONFINED = ("--user", f"{USER}:0", "--group-add", str(USER), "--cap-drop", "ALL", "--read-only")
_BY_RUNC = ("--ulimit", "nofile=1024:4096", "--ulimit", "nproc=4096:4096")
_PATIENCE_S = 120


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a container.

    Attributes:
        code: Its exit code; 137 after SIGKILL.
        said: Standard output and error as they came.
    """

    code: int
    said: str


def run(
    rootfs: Rootfs,
    name: str,
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    writable: Mapping[str, Path],
    readable: Mapping[str, Path],
    confined: Sequence[str] = (*CONFINED, "--security-opt", "no-new-privileges"),
    network: str = "host",
) -> Ended:
    """Run a command and wait for it.

    Args:
        rootfs: The image.
        name: The container's, for `kill`.
        command: Program and arguments.
        env: Variables besides the image's.
        writable: Path in the container to a folder or file here.
        readable: Likewise, read-only.
        confined: What the container may do.
        network: As podman has it.
    """
    mounts = [f"{here}:{there}:ro" for here, there in rootfs.binds.items()]
    mounts += [f"{here}:{there}:ro" for there, here in readable.items()]
    mounts += [f"{here}:{there}" for there, here in writable.items()]
    variables = [f"{key}={value}" for key, value in (dict(rootfs.env) | dict(env)).items()]
    options = [
        *("--rm", "--name", name, "--network", network, "--read-only-tmpfs=false", *confined),
        *("--log-driver", "none", *_BY_RUNC),
        *(word for mount in mounts for word in ("--volume", mount)),
        *(word for variable in variables for word in ("--env", variable)),
    ]
    try:
        done = subprocess.run(
            [need("podman"), "--runtime", need("runc"), "run", *options, *rootfs.source, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=_PATIENCE_S,
        )
    except subprocess.TimeoutExpired:
        kill(name)
        raise
    return Ended(done.returncode, done.stdout)


def kill(name: str) -> None:
    """End a container at once, as a node short of memory does; one that is gone is left alone."""
    podman("kill", "--signal", "KILL", name)
