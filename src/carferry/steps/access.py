"""How a step reaches registries, and how it names what it made there."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from carferry.cluster import pod
from carferry.errors import InputError
from carferry.form.readers import read_items, read_path
from carferry.io.net.retry import Retry
from carferry.io.show.progress import Progress, Silent
from carferry.io.show.terminal import open_progress
from carferry.refs import Digest, ImageRef
from carferry.registry.access import Access
from carferry.registry.target import Target

_log = logging.getLogger("carferry")
_IN_A_POD = 24
# Two to three minutes: names and networks of a new pod come late, and registries restart.
_UNANSWERED_IN_A_POD = 13
_CLUSTER, _NOTEBOOK = "KUBERNETES_SERVICE_HOST", "JPY_PARENT_PID"


def patience(environ: Mapping[str, str] = os.environ) -> Retry:
    """Return how long a step tries what fails for the moment.

    A pod has no user at a terminal, and what starts a failed pod again cannot tell a lost
    connection from a wrong name; so the step itself goes on for minutes without any progress. A
    workbench is a pod too, but somebody sits before it.
    """
    if not _is_unattended(environ):
        return Retry(report=_log.warning)
    return Retry(report=_log.warning, attempts=_IN_A_POD, first_tries=_UNANSWERED_IN_A_POD)


def _is_unattended(environ: Mapping[str, str]) -> bool:
    if pod.POD in environ:
        return True
    has_terminal = sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()
    return _CLUSTER in environ and _NOTEBOOK not in environ and not has_terminal


def open_access(plain_http: Sequence[str] = (), ca_file: str | Path | None = None) -> Access:
    """Return how registries are reached.

    Raises:
        InputError: No such certificate file.
    """
    path = read_path("ca_file", ca_file)
    if path is not None and not path.exists():
        raise InputError("read certificates", path, "no such file", "check --ca")
    return Access(plain_http=read_items("plain_http", plain_http), ca_file=path, retry=patience())


def shown(progress: Progress | bool) -> Progress:
    """Return what shows progress: True means bars where they can be, lines elsewhere."""
    if isinstance(progress, bool):
        return open_progress("auto") if progress else Silent()
    if not (hasattr(progress, "advance") and hasattr(progress, "phase")):
        raise InputError("show progress", repr(progress)[:80], "neither true, false nor a Progress")
    return progress


def uri(target: Target, digest: Digest) -> str:
    """Return what KServe's ``storageUri`` takes; for a layout its own reference."""
    location = target.location(digest)
    return f"oci://{location}" if isinstance(target.ref, ImageRef) else location
