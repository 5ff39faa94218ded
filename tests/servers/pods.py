"""Containers as a restricted pod has them, run by podman."""

from __future__ import annotations

import subprocess

from servers.tools import need


def podman(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run podman with the runtime that works without a cgroup of our own."""
    command = [need("podman"), "--runtime", need("runc"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def confined(user: int) -> list[str]:
    """Return the options of a restricted pod: a random user, no capability, nothing writable."""
    return [
        *("--user", f"{user}:0", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--read-only", "--network", "none"),
        *("--ulimit", "nofile=1024:4096", "--ulimit", "nproc=1024:4096"),
    ]
