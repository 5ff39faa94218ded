"""Step: an image served by KServe and vLLM, or the YAML for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

from carferry.cluster.account import own_namespace
from carferry.cluster.pod import SERVICE_ACCOUNT
from carferry.errors import CarferryError
from carferry.form.readers import read_path, read_seconds, read_text
from carferry.io.net.retry import Retry
from carferry.refs import Digest, ImageRef
from carferry.serve.applying import tried_on
from carferry.serve.deployed import Deployed
from carferry.serve.form import PARAMETERS, DeploymentForm, DeploymentKeywords, make_deployment
from carferry.serve.prepare import Prepared, prepare, rendered
from carferry.serve.render import write, write_folder
from carferry.serve.settings import Deployment, Kind
from carferry.serve.step import deploy as apply
from carferry.steps.access import patience
from carferry.steps.cluster import connected
from carferry.steps.endpoint import answer_of
from carferry.steps.lines import teller
from carferry.steps.rights import DEPLOY, UNCHECKED, check_rights
from carferry.steps.signature import takes
from carferry.steps.warm import warm_for

if TYPE_CHECKING:
    from carferry.cluster.client import Cluster
else:
    Cluster = Any  # whoever asks for the types of a function needs the name, not the client

Test = bool | Callable[[Deployed], str]
"""Whether what is ready is asked; or what asks it, and returns the answer in a line."""
_log = logging.getLogger("carferry")
_SOME_DIGEST = Digest.of(b"")  # stands for the one that only the push will know
DEFAULTS = {each.name: each.value() for each in PARAMETERS}
DEFAULTS |= {"env": {}, "labels": {}, "node_selector": {}}


@takes(DeploymentKeywords, DEFAULTS)
def deploy(
    image: str,
    *,
    gpus: int = 1,
    wait: bool | float = True,
    force: bool = False,
    test: Test = True,
    asked: str = "",
    warm: bool = False,
    dry_run: bool = False,
    rollback: bool = False,
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

    First the cluster is asked whether this login may do all of it, then it tries the objects and
    keeps none; what differs from what is there is said field by field, and applied. Applying twice
    changes nothing: fields are applied on the server's side, as carferry's own.
    Without a namespace the pod's own is meant, outside a pod the kubeconfig's.

    Args:
        image: ``host/repository[:tag]@sha256:...``; a tag alone could move under a running model.
        gpus: GPUs per replica; above 1 the model is split between them.
        wait: Seconds to wait until it serves; True follows the image's size, False does not wait.
        force: Take over fields that somebody else set.
        test: Once it is ready, ask it one question, if a way leads there from here; or what asks.
        asked: Id of what is asked for, written down beside the deployment once it serves.
        warm: Pull the image on the nodes that fit before anything is switched.
        dry_run: End before anything is written; ``changes`` of the result says what would be.
        rollback: If it does not come up, apply again what served before; the failure remains.
        progress: True prints each change and each new status on stderr.
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
        RightsMissing: The login may not do all of it; holds all that is missing as YAML.
        ClusterError: The cluster refused, or says that the model will not come up.
        DeadlineExceeded: Not ready in time.
        EndpointFailed: It is ready, and does not answer as a model does.

    Example:
        >>> import carferry
        >>> image = "quay.io/me/granite@sha256:" + "0" * 64  # as carferry.build returns it
        >>> live = carferry.deploy(image, namespace="demo", gpus=1, wait=False)
        >>> live.name, live.applied
        ('granite', True)
    """
    seconds, file = _seconds(wait), read_path("output", output)
    make_deployment(image, gpu_count=gpus, **settings)  # refuses before a cluster is asked
    cluster = connect() if connect else connected(kubeconfig, context, ca_file)
    made = make_deployment(image, **placed({**settings, "gpu_count": gpus}, cluster.namespace))
    report = teller(progress)
    check_rights(
        DEPLOY, namespace=made.namespace, auth=made.auth, llm=made.kind is Kind.LLM,
        platform=made.platform, gpus=UNCHECKED, warms=warm, profile=_profiles_place(made),
        routed=made.external_route, tests=bool(test) and seconds != 0, retry=retry,
        connect=lambda: cluster.api, report=teller(progress, warns=True),
    )  # fmt: skip
    again = retry or patience()
    if file or warm:
        ready = again.call(lambda: _tried(cluster, made, force=force))
        if file:
            write(ready.shown, file)
        if warm and not dry_run:
            warm_for(ready, cluster, report)
    return apply(
        made, cluster, wait_s=seconds, force=force, dry_run=dry_run, rollback=rollback,
        retry=again, report=report, asked=asked,
        question=_question(test, cluster, ca_file, report),
    )  # fmt: skip


def _question(
    test: Test, cluster: Cluster, ca_file: Any, report: Callable[[str], None]
) -> Callable[[Deployed], str] | None:
    if test is True:
        return lambda live: answer_of(live.name, live.namespace, cluster, ca_file, report)
    return test or None


@takes(DeploymentKeywords, DEFAULTS)
def render(
    image: str,
    *,
    gpus: int = 1,
    output: str | Path | None = None,
    folder: str | Path | None = None,
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
        folder: Folder for the YAML, as ``NAME.yaml``, and a kustomization.yaml that names it.
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
        >>> [line for line in made.manifest.splitlines() if line.startswith("kind")]
        ['kind: Secret', 'kind: ServingRuntime', 'kind: InferenceService']
    """
    here = own_namespace(Path(account))
    made = make_deployment(image, **placed({**settings, "gpu_count": gpus}, here))
    file, place = read_path("output", output), read_path("folder", folder)
    if file:
        write(rendered(made).shown, file)
    if place:
        write_folder(rendered(made).shown, place)
    return apply(made, None)


def deploy_or_render(
    serve: str,
    image: str,
    *,
    wait: bool | float,
    warm: bool = False,
    test: Test = False,
    asked: str = "",
    rollback: bool = False,
    **form: Any,
) -> Deployed:
    """Deploy an image if ``serve`` is ``deploy``, else only render its objects.

    Args:
        serve: As the form of a pipeline has it.
        image: As for ``deploy``.
        wait: As for ``deploy``.
        warm: As for ``deploy``.
        test: As for ``deploy``.
        asked: As for ``deploy``.
        rollback: As for ``deploy``.
        **form: Keywords that both take.
    """
    if serve != DEPLOY:
        return render(image, **form)
    return deploy(
        image, wait=wait, warm=warm, test=test, asked=asked, rollback=rollback, **form
    )  # fmt: skip


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
    if cluster is None:
        rendered(made)  # refuses what no platform of that name can serve
    else:
        _rehearse(cluster, made, force=force)
    return made


def _rehearse(cluster: Cluster, made: Deployment, *, force: bool) -> None:
    try:
        _tried(cluster, made, force=force)
    except CarferryError as error:
        # A server that is away now may not be later.
        if not error.temporary:
            raise
        _log.warning("the deployment was not rehearsed: %s", error)


def _tried(cluster: Cluster, made: Deployment, *, force: bool) -> Prepared:
    """Return the objects that the cluster would take; it keeps none."""
    ready = prepare(cluster.api, made)
    tried_on(cluster, ready.objects, force=force)
    return ready


def _profiles_place(made: Deployment) -> str:
    return (made.hardware_profile.namespace or made.namespace) if made.hardware_profile else ""


def placed(form: Mapping[str, Any], here: str) -> DeploymentForm:
    """Return a deployment's form with a namespace: its own, else the one given."""
    namespace = read_text("namespace", form.get("namespace")) or here
    return cast(DeploymentForm, {**form, "namespace": namespace})


def _seconds(wait: bool | float) -> float | None:
    if isinstance(wait, bool):
        return None if wait else 0.0
    return read_seconds("wait", wait)
