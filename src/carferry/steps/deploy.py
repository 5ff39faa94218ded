"""Step: an image served by KServe and vLLM, or the YAML for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from carferry.cluster.client import Cluster
from carferry.errors import InputError
from carferry.serve import Deployed, make_objects, settings_from_strings, write
from carferry.serve import deploy as serve

_log = logging.getLogger("carferry")


def deploy(
    image: str,
    form: Mapping[str, str],
    *,
    apply: bool = True,
    render_to: str = "",
    wait_s: str = "",
    force: bool = False,
    connect: Callable[[], Cluster] = Cluster.connect,
    report: Callable[[str], None] = _log.info,
) -> Deployed:
    """Serve an image, and leave the objects as YAML where asked.

    Args:
        image: ``host/repository[:tag]@sha256:...``; a tag alone could move under a running model.
        form: More settings by the names of ``carferry.serve.PARAMETERS``.
        apply: False only renders; no cluster is contacted.
        render_to: File for the YAML; empty for none.
        wait_s: Seconds to wait until it serves; 0 does not wait; empty follows the image's size.
        force: Take over fields that somebody else set.
        connect: Reaches the cluster.
        report: Told about each new status.

    Raises:
        InputError: A setting cannot be meant.
        ClusterError: The cluster refused, or says that the model will not come up.
        DeadlineExceeded: Not ready in time.
    """
    cluster = connect() if apply else None
    values = {**form, "image": image}
    if cluster is not None and not values.get("namespace"):
        values["namespace"] = cluster.namespace
    settings = settings_from_strings(**values)
    if render_to:
        write(make_objects(settings), Path(render_to))
    return serve(settings, cluster, wait_s=_seconds(wait_s), force=force, report=report)


def _seconds(text: str) -> float | None:
    if not text:
        return None
    if not text.isdecimal():
        raise InputError("read wait_s", repr(text), "not a whole number of seconds")
    return float(text)
