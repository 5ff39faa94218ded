"""Step: an image served by KServe and vLLM, or the YAML for it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

from carferry.cluster.account import own_namespace
from carferry.cluster.pod import SERVICE_ACCOUNT
from carferry.errors import CarferryError
from carferry.form.readers import read_path, read_seconds, read_text
from carferry.io.net.retry import Retry
from carferry.refs import Digest, ImageRef
from carferry.serve.form import PARAMETERS, DeploymentForm, DeploymentKeywords, make_deployment
from carferry.serve.objects import make_objects
from carferry.serve.render import write
from carferry.serve.settings import Deployment
from carferry.serve.step import Deployed
from carferry.serve.step import deploy as apply
from carferry.steps.access import patience
from carferry.steps.rights import DEPLOY
from carferry.steps.signature import takes

if TYPE_CHECKING:
    from carferry.cluster.client import Cluster

_log = logging.getLogger("carferry")
_SOME_DIGEST = Digest.of(b"")  # stands for the one that only the push will know
DEFAULTS = {each.name: each.value() for each in PARAMETERS} | {"env": {}, "node_selector": {}}


@takes(DeploymentKeywords, DEFAULTS)
def deploy(
    image: str,
    *,
    gpus: int = 1,
    wait: bool | float = True,
    force: bool = False,
    progress: bool = False,
    output: str | Path | None = None,
    kubeconfig: str | Path | None = None,
    context: str = "",
    ca_file: str | Path | None = None,
    connect: Callable[[], Cluster] | None = None,
    account: str | Path = SERVICE_ACCOUNT,
    retry: Retry | None = None,
    **settings: Unpack[DeploymentKeywords],
) -> Deployed:
    """Serve an image with KServe and vLLM, and wait until it answers.

    Applying twice changes nothing: fields are applied on the server's side, as carferry's own.
    Without a namespace the pod's own is meant, outside a pod the kubeconfig's.

    Args:
        image: ``host/repository[:tag]@sha256:...``; a tag alone could move under a running model.
        gpus: GPUs per replica; above 1 the model is split between them.
        wait: Seconds to wait until it serves; True follows the image's size, False does not wait.
        force: Take over fields that somebody else set.
        progress: True prints each new status on stderr.
        output: File for the objects as YAML.
        kubeconfig: File with the cluster and the login; default the pod's, or as for kubectl.
        context: Of the kubeconfig; empty means the current one.
        ca_file: PEM certificates to trust, of the cluster: a file or a folder.
        connect: Reaches the cluster some other way.
        account: Folder with the pod's own project.
        retry: How often a cluster that is away is asked again; default ``patience``.
        **settings: More of the deployment, by the names of docs/how-to/deploy.md.

    Returns:
        Name, namespace and ``url`` of the endpoint.

    Raises:
        InputError: A setting cannot be meant.
        ClusterError: The cluster refused, or says that the model will not come up.
        DeadlineExceeded: Not ready in time.

    Example:
        >>> import carferry
        >>> image = "quay.io/me/granite@sha256:" + "0" * 64  # as carferry.build returns it
        >>> live = carferry.deploy(image, namespace="demo", gpus=1, wait=False)
        >>> live.name, live.applied
        ('granite', True)
    """
    seconds, file = _seconds(wait), read_path("output", output)
    make_deployment(image, gpu_count=gpus, **settings)  # refuses before a cluster is asked
    cluster = connect() if connect else _connect(kubeconfig, context, ca_file)
    made = make_deployment(image, **placed({**settings, "gpu_count": gpus}, cluster.namespace))
    if file:
        write(make_objects(made), file)
    report = _say if progress else _log.info
    # The wait bears with a server that is away; applying is the same however often it is done.
    return (retry or patience()).call(
        lambda: apply(made, cluster, wait_s=seconds, force=force, report=report),
        first=lambda: True,
    )


@takes(DeploymentKeywords, DEFAULTS)
def render(
    image: str,
    *,
    gpus: int = 1,
    output: str | Path | None = None,
    account: str | Path = SERVICE_ACCOUNT,
    **settings: Unpack[DeploymentKeywords],
) -> Deployed:
    """Make the objects that ``deploy`` would apply; no cluster is contacted.

    Without a namespace the pod's own is meant; outside a pod the objects then name none, and
    whoever applies them chooses.

    Args:
        image: ``host/repository[:tag]@sha256:...``.
        gpus: GPUs per replica; above 1 the model is split between them.
        output: File for the YAML; the result holds it too, as ``manifest``.
        account: Folder with the pod's own project.
        **settings: More of the deployment, as for ``deploy``.

    Returns:
        Name and namespace, and the objects as YAML in ``manifest``.

    Raises:
        InputError: A setting cannot be meant, or the file cannot be written.

    Example:
        >>> import carferry
        >>> image = "quay.io/me/granite@sha256:" + "0" * 64  # as carferry.build returns it
        >>> made = carferry.render(image, namespace="demo")
        >>> made.manifest.splitlines()[1:3]
        ['apiVersion: v1', 'kind: Secret']
    """
    here = own_namespace(Path(account))
    made = make_deployment(image, **placed({**settings, "gpu_count": gpus}, here))
    if file := read_path("output", output):
        write(make_objects(made), file)
    return apply(made, None)


def deploy_or_render(serve: str, image: str, *, wait: bool | float, **form: Any) -> Deployed:
    """Deploy an image if ``serve`` is ``deploy``, else only render its objects.

    Args:
        serve: As the form of a pipeline has it.
        image: As for ``deploy``.
        wait: As for ``deploy``.
        **form: Keywords that both take.
    """
    return deploy(image, wait=wait, **form) if serve == DEPLOY else render(image, **form)


def check(
    image: str,
    form: DeploymentForm,
    *,
    force: bool = False,
    connect: Callable[[], Cluster] | None = None,
    account: Path = SERVICE_ACCOUNT,
) -> Deployment:
    """Find what ``deploy`` would refuse, before there is an image to deploy.

    Args:
        image: Where it will be: ``[docker://]host/repository[:tag]``.
        form: Settings as ``deploy`` will get them. What a GPU plan will fill in may be left out,
            or be 0 for a count.
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
    ref = ImageRef.parse(image)
    pinned = f"{ref.name}{f':{ref.tag}' if ref.tag else ''}@{_SOME_DIGEST}"
    cluster = connect() if connect else None
    here = cluster.namespace if cluster else own_namespace(account)
    planned: dict[str, Any] = {**form}
    if planned.get("gpu_count") in ("", "0", 0):
        del planned["gpu_count"]
    made = make_deployment(pinned, **placed(planned, here))
    if cluster is not None:
        _rehearse(cluster, made, force=force)
    return made


def _rehearse(cluster: Cluster, made: Deployment, *, force: bool) -> None:
    try:
        cluster.apply(make_objects(made), dry_run=True, force=force)
    except CarferryError as error:
        # An admission webhook may not know dry runs; a server that is away now may not be later.
        if not error.temporary and "dry run" not in error.reason:
            raise
        _log.warning("the deployment was not rehearsed: %s", error)


def placed(form: Mapping[str, Any], here: str) -> DeploymentForm:
    """Return a deployment's form with a namespace: its own, else the one given."""
    namespace = read_text("namespace", form.get("namespace")) or here
    return cast(DeploymentForm, {**form, "namespace": namespace})


def _connect(kubeconfig: str | Path | None, context: str, ca_file: str | Path | None) -> Cluster:
    # The Kubernetes client costs 0.3 s to import, which rendering should not pay.
    from carferry.cluster.client import Cluster

    file = read_path("kubeconfig", kubeconfig)
    name, ca = read_text("context", context), read_path("ca_file", ca_file)
    return Cluster.connect(kubeconfig=file, context=name, ca_file=ca)


def _seconds(wait: bool | float) -> float | None:
    if isinstance(wait, bool):
        return None if wait else 0.0
    return read_seconds("wait", wait)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
