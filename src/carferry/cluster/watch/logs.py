"""The end of a container's log, of the run that tells most."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from carferry.cluster.kinds import KINDS, Object, Permission
from carferry.errors import CarferryError
from carferry.shown import printable, redact

if TYPE_CHECKING:
    from carferry.cluster.api import Api

logger = logging.getLogger("carferry")

_LINES = 100
# What the kubelet answers, with 200, when it keeps no log of that run any more
# (kubelet_pods.go, GetKubeletContainerLogs; containerd's ReadLogs).
_LOST = re.compile(r"unable to retrieve container logs for |failed to try resolving symlinks")
_ERROR = re.compile(r"Error\b|error:|NOK|[Ff]atal|panic:")
# vLLM's last words point back at the cause (v1/engine/utils.py, wait_for_engine_startup).
_POINTER = re.compile(r"Engine core initialization failed|See root cause above")


def log_tail(api: Api, namespace: str, pod: str, container: str, state: Object) -> list[str]:
    """Return the end of a container's log; nothing if there is none or it may not be read.

    Args:
        api: The connection.
        namespace: Of the pod.
        pod: Its name.
        container: Its name.
        state: The container's ``state``. The kubelet keeps the log of a run until the next one
            starts: while a container runs its crash is in the previous log, else in this one.
    """
    is_running = "running" in state
    for previous in (True, False) if is_running else (False, True):
        if lines := _read(api, namespace, pod, container, previous=previous):
            return lines
    return []


def last_lines(api: Api, namespace: str, pod: str, container: str) -> list[str]:
    """Return the last lines of a container that runs; nothing if it has said none."""
    return _read(api, namespace, pod, container, previous=False)


def _read(api: Api, namespace: str, pod: str, container: str, *, previous: bool) -> list[str]:
    permission = Permission("get", KINDS["Pod"], namespace, "log")
    query = {"container": container, "tailLines": str(_LINES)}
    try:
        text = api.text(permission, pod, query | {"previous": str(previous).lower()})
    except CarferryError as error:  # a missing log is no second failure
        logger.debug("no log: %s", error)
        return []
    lines = [line for line in text.splitlines() if line.strip()]
    return (
        []
        if len(lines) <= 1 and _LOST.search(text)
        else [redact(printable(line)) for line in lines]
    )


def telling(lines: list[str]) -> str:
    """Return the most informative line: the last error that names itself, else the last line."""
    errors = [line for line in lines if _ERROR.search(line) and not _POINTER.search(line)]
    return (errors or lines or [""])[-1].strip()
