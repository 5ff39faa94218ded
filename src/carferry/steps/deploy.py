"""Step: an image served by KServe and vLLM, or the YAML for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from carferry.cluster.account import own_namespace
from carferry.cluster.pod import SERVICE_ACCOUNT
from carferry.errors import CarferryError, InputError
from carferry.io.retry import Retry
from carferry.refs import Digest, ImageRef
from carferry.serve import Deployed, Deployment, make_objects, settings_from_strings, write
from carferry.serve import deploy as serve
from carferry.steps.access import patience

if TYPE_CHECKING:
    from carferry.cluster.client import Cluster

_log = logging.getLogger("carferry")
_SOME_DIGEST = Digest.of(b"")  # stands for the one that only the push will know


def check(
    image: str,
    form: Mapping[str, str],
    *,
    wait_s: str = "",
    force: bool = False,
    connect: Callable[[], Cluster] | None = None,
    account: Path = SERVICE_ACCOUNT,
) -> Deployment:
    """Find what ``deploy`` would refuse, before there is an image to deploy.

    Args:
        image: Where it will be: ``[docker://]host/repository[:tag]``.
        form: Settings as ``deploy`` will get them. What a GPU plan will fill in may be left out,
            or be 0 for a count.
        wait_s: As for ``deploy``.
        force: As for ``deploy``.
        connect: Reaches the cluster, which checks the objects and keeps none: is the project
            there, and KServe, and does admission let them in. None does not ask it.
        account: Folder with the pod's own project.

    Returns:
        What would be deployed, with a digest that stands for the image's.

    Raises:
        InputError: The same line that ``deploy`` would end with.
        ClusterError: The same line that ``deploy`` would end with.
    """
    _seconds(wait_s)
    target = ImageRef.parse(image)
    pinned = f"{target.name}{f':{target.tag}' if target.tag else ''}@{_SOME_DIGEST}"
    values = {**form, "image": pinned}
    if values.get("gpu_count") in {"", "0"}:
        del values["gpu_count"]
    cluster = connect() if connect else None
    here = cluster.namespace if cluster else own_namespace(account)
    settings = settings_from_strings(**_placed(values, here))
    if cluster is not None:
        _rehearse(cluster, settings, force=force)
    return settings


def deploy(
    image: str,
    form: Mapping[str, str],
    *,
    apply: bool = True,
    render_to: str = "",
    wait_s: str = "",
    force: bool = False,
    connect: Callable[[], Cluster] | None = None,
    report: Callable[[str], None] = _log.info,
    account: Path = SERVICE_ACCOUNT,
    retry: Retry | None = None,
) -> Deployed:
    """Serve an image, and leave the objects as YAML where asked.

    Without a namespace the pod's own is meant. Outside a pod it is the kubeconfig's; where only
    the YAML is made the objects then name none, and whoever applies them chooses.

    Args:
        image: ``host/repository[:tag]@sha256:...``; a tag alone could move under a running model.
        form: More settings by the names of ``carferry.serve.PARAMETERS``.
        apply: False only renders; no cluster is contacted.
        render_to: File for the YAML; empty for none.
        wait_s: Seconds to wait until it serves; 0 does not wait; empty follows the image's size.
        force: Take over fields that somebody else set.
        connect: Reaches the cluster; default as kubectl would.
        report: Told about each new status.
        account: Folder with the pod's own project.
        retry: How often a cluster that is away is asked again; default ``patience``.

    Raises:
        InputError: A setting cannot be meant.
        ClusterError: The cluster refused, or says that the model will not come up.
        DeadlineExceeded: Not ready in time.
    """
    seconds = _seconds(wait_s)
    cluster = (connect or _connect)() if apply else None
    here = cluster.namespace if cluster else own_namespace(account)
    settings = settings_from_strings(**_placed({**form, "image": image}, here))
    if render_to:
        write(make_objects(settings), Path(render_to))
    # The wait bears with a server that is away; applying is the same however often it is done.
    return (retry or patience()).call(
        lambda: serve(settings, cluster, wait_s=seconds, force=force, report=report),
        first=lambda: True,
    )


def _rehearse(cluster: Cluster, settings: Deployment, *, force: bool) -> None:
    try:
        cluster.apply(make_objects(settings), dry_run=True, force=force)
    except CarferryError as error:
        # An admission webhook may not know dry runs; a server that is away now may not be later.
        if not error.temporary and "dry run" not in error.reason:
            raise
        _log.warning("the deployment was not rehearsed: %s", error)


def _placed(values: dict[str, str], here: str) -> dict[str, str]:
    return values | {"namespace": values.get("namespace", "").strip() or here}


def _connect() -> Cluster:
    """The Kubernetes client costs 0.3 s to import: who only renders need not pay."""
    from carferry.cluster.client import Cluster

    return Cluster.connect()


def _seconds(text: str) -> float | None:
    if not text:
        return None
    if not text.isdecimal():
        raise InputError("read wait_s", repr(text), "not a whole number of seconds")
    return float(text)
