"""Linux namespaces: leaving this process's for new ones, and furnishing those as a node."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.rig.cgroups import Hierarchy
from cluster.rig.settings import NODE, NODE_IP, SERVICES, Rig

# <linux/sched.h> and <linux/prctl.h>; Python has them from 3.12 on.
_NEW_MOUNTS, _NEW_CGROUP, _NEW_HOSTNAME = 0x00020000, 0x02000000, 0x04000000
_NEW_IPC, _NEW_PIDS, _NEW_NET = 0x08000000, 0x20000000, 0x40000000
_ALL = _NEW_MOUNTS | _NEW_CGROUP | _NEW_HOSTNAME | _NEW_IPC | _NEW_PIDS | _NEW_NET
_SIGNAL_OF_PARENT = 1
_FOLDERS = ("/run/containerd", "/run/netns", "/run/cni", "/var/lib/kubelet", "/var/log/pods",
            "/var/log/containers")  # fmt: skip
_KERNEL = ctypes.CDLL(None, use_errno=True)


def unshare() -> None:
    """Leave for new namespaces of every kind but users; children are in the new one of pids.

    Raises:
        OSError: The kernel refuses.
    """
    _checked(_KERNEL.unshare(_ALL), "unshare")


def enter_network(pid: int) -> None:
    """Let this thread, and those it starts, open sockets in the network of another process.

    Raises:
        OSError: The process is gone, or the kernel refuses.
    """
    handle = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        _checked(_KERNEL.setns(handle, _NEW_NET), "setns")
    finally:
        os.close(handle)


def end_with_parent() -> None:
    """Let the kernel kill this process when its parent ends, however it does."""
    _checked(_KERNEL.prctl(_SIGNAL_OF_PARENT, signal.SIGKILL, 0, 0, 0), "prctl")


def furnish(rig: Rig, groups: list[Hierarchy]) -> None:
    """Mount and address what a node needs; nothing of it is seen outside."""
    _command("mount", "--make-rprivate", "/")
    _command("mount", "--make-rshared", "/")
    _command("mount", "-t", "proc", "proc", "/proc")
    _mount_groups(groups)
    _command("mount", "-t", "tmpfs", "-o", "mode=755,size=1g", "tmpfs", "/run")
    for name in _FOLDERS:
        Path(name).mkdir(parents=True, exist_ok=True)
    _command("mount", "--bind", str(rig.folder / "kubelet"), "/var/lib/kubelet")
    _command("mount", "--make-rshared", "/var/lib/kubelet")
    _command("mount", "--bind", str(rig.folder / "pods"), "/var/log/pods")
    _network()


def _mount_groups(groups: list[Hierarchy]) -> None:
    """Mount each hierarchy anew, as this namespace sees it."""
    if groups[0].kind == "cgroup":
        _command("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/sys/fs/cgroup")
    for group in groups:
        group.folder.mkdir(parents=True, exist_ok=True)
        options = ("-o", group.options) if group.options else ()
        _command("mount", "-t", group.kind, *options, group.kind, str(group.folder))


def _network() -> None:
    _command("hostname", NODE)
    _command("ip", "link", "set", "lo", "up")
    _command("ip", "addr", "add", f"{NODE_IP}/32", "dev", "lo")
    # Services have no address anywhere; kube-proxy's rules need a route to catch them on.
    _command("ip", "route", "add", SERVICES, "dev", "lo", "src", NODE_IP)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


@contextmanager
def trial_overlay(folder: Path) -> Iterator[bool]:
    """Say whether the kernel lays layers over each other in a folder, which is there."""
    scratch = tempfile.mkdtemp(dir=folder)
    lower, upper, work, merged = (f"{scratch}/{name}" for name in ("in", "up", "work", "out"))
    for part in (lower, upper, work, merged):
        Path(part).mkdir()
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    command = ["mount", "-t", "overlay", "-o", options, "overlay", merged]
    done = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield done
    finally:
        if done:
            _command("umount", merged)
        shutil.rmtree(scratch)


def _command(*words: str) -> None:
    subprocess.run(words, check=True)


def _checked(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
