"""Step: an image pulled on the nodes that will serve it, before the switch to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from carferry.cluster.kinds import NODES, Object, Permission
from carferry.cluster.tolerations import Toleration
from carferry.errors import ClusterError, InputError
from carferry.form.readers import (
    read_gpu_count,
    read_labels,
    read_text,
    read_tolerations,
)
from carferry.io.net.retry import Retry
from carferry.refs import ImageRef
from carferry.serve.deadline import deadline_s
from carferry.serve.prepare import Prepared
from carferry.serve.profiles import scheduled_by_profile
from carferry.steps.access import patience
from carferry.steps.cluster import connected
from carferry.steps.lines import teller
from carferry.steps.warmed import Warmed
from carferry.warming.nodes import ALL, GPU, Chosen, Place, choose

if TYPE_CHECKING:
    from carferry.cluster.api import Api
    from carferry.cluster.client import Cluster
else:
    Cluster = Any  # whoever asks for the types of a function needs the name, not the client


def warm(
    image: str,
    *,
    nodes: str = GPU,
    namespace: str = "",
    pull_secret: str = "",
    gpu_resource: str = "nvidia.com/gpu",
    gpu_count: int = 1,
    node_selector: Mapping[str, str] | Sequence[str] | str = "",
    tolerations: Sequence[Toleration | Mapping[str, Any]] | str | None = None,
    size_bytes: int = 0,
    progress: bool = False,
    kubeconfig: str | Path | None = None,
    context: str = "",
    ca_file: str | Path | None = None,
    connect: Callable[[], Cluster] | None = None,
    retry: Retry | None = None,
) -> Warmed:
    """Pull an image on the nodes that will serve it, so that a rollout need not wait for that.

    A pod on each node that the deployment could come to run on: no GPU is asked for, and nothing
    of the image runs but ``true``. A node that says it holds the image is left alone.

    Args:
        image: ``host/repository[:tag]@sha256:...``.
        nodes: ``gpu``: those that have the GPUs; ``all``; or labels, as ``kubectl -l`` takes them.
        namespace: Of the pods; default the pod's own, or the kubeconfig's.
        pull_secret: Secret there to pull with; empty: none.
        gpu_resource: Resource of the deployment; with ``gpu`` its nodes have ``gpu_count`` of it.
        gpu_count: GPUs per replica.
        node_selector: As the deployment has it.
        tolerations: Likewise; default the GPU's own taint.
        size_bytes: Of the image; sets the deadline. 0: unknown.
        progress: True says on stderr what each node does.
        kubeconfig: File with the cluster and the login; default the pod's, or as for kubectl.
        context: Of the kubeconfig; empty means the current one.
        ca_file: PEM certificates to trust, of the cluster: a file or a folder.
        connect: Reaches the cluster some other way.
        retry: How often a cluster that is away is asked again; default ``patience``.

    Returns:
        What became of the image on each node; ``ok`` if every one has it.

    Raises:
        ClusterError: No node fits, or the cluster refused.
        InputError: An argument cannot be meant.

    Example:
        >>> import carferry
        >>> carferry.warm("quay.io/me/granite:1")
        Traceback (most recent call last):
            ...
        carferry.errors.InputError: warm quay.io/me/granite:1: a tag may name another image when \
it is served; name its digest, host/repository@sha256:..., which carferry inspect -q prints
    """
    ref, which = _pinned(image), read_text("nodes", nodes) or GPU
    given = read_tolerations("tolerations", tolerations)
    resource = read_text("gpu_resource", gpu_resource)
    place = Place(
        resource if which == GPU else "",
        read_gpu_count("gpu_count", gpu_count),
        read_labels("node_selector", node_selector),
        (Toleration(resource, "Exists", "", "NoSchedule"),) if given is None else given,
    )
    cluster = connect() if connect else connected(kubeconfig, context, ca_file)
    space = read_text("namespace", namespace) or cluster.namespace
    report = teller(progress)
    return (retry or patience()).call(
        lambda: _warm(cluster.api, ref, which, place, space, pull_secret, size_bytes, report),
        first=lambda: True,
    )


def warm_for(ready: Prepared, cluster: Cluster, report: Callable[[str], None]) -> Warmed:
    """Warm the nodes of a deployment that is about to be applied, as the cluster will place it.

    Raises:
        ClusterError: No node fits, or none could pull the image: what serves now goes on.
    """
    made = ready.deployment
    if ready.platform.fills_profile:  # at admission, which is too late to choose nodes
        made = scheduled_by_profile(cluster.api, made)
    which = GPU if made.gpu_count else ALL
    resource = made.gpu_resource if made.gpu_count else ""
    place = Place(resource, made.gpu_count, made.node_selector, made.tolerations)
    image = replace(made.image, tag=None)
    warmed = _warm(
        cluster.api, image, which, place, made.namespace, made.pull_secret, made.model_size_bytes,
        report,
    )  # fmt: skip
    if len(warmed.failed) == len(warmed.nodes):
        reason = f"no node could pull it: {warmed.failed[0]}"
        raise ClusterError("warm", image, reason, "nothing was changed: what serves goes on")
    return warmed


def _warm(
    api: Api,
    image: ImageRef,
    which: str,
    place: Place,
    namespace: str,
    pull_secret: str,
    size_bytes: int,
    report: Callable[[str], None],
) -> Warmed:
    from carferry.warming.run import Pulled, Warming, pull

    began = time.monotonic()
    chosen = choose(_nodes(api, which), image, place)
    _check(chosen, which)
    how = Warming(namespace, pull_secret, deadline_s(size_bytes), report=report)
    there = [Pulled(name, "there") for name in chosen.warm]
    for each in there:
        report(str(each))
    pulled = pull(api, str(image), chosen.cold, how)
    every = sorted([*there, *pulled], key=lambda each: each.node)
    return Warmed(str(image), tuple(every), chosen.reasons, time.monotonic() - began)


def _nodes(api: Api, which: str) -> list[Object]:
    """Return the nodes of the cluster, or those with some labels."""
    query = {"limit": "250"} | ({} if which in (GPU, ALL) else {"labelSelector": which})
    found: list[Object] = []
    while True:
        try:
            page = api.read(f"/api/v1/{NODES.plural}?{urlencode(query)}")
        except ClusterError as error:
            raise _unlisted(which, error) from error
        found += page.get("items", [])
        query["continue"] = page.get("metadata", {}).get("continue", "")
        if not query["continue"]:
            return found


def _unlisted(which: str, error: ClusterError) -> Exception:
    if error.status == 400 and which not in (GPU, ALL):
        remedy = "write gpu, all, or labels as for kubectl -l: zone=a,tier"
        return InputError("read nodes", repr(which), "no labels the cluster can read", remedy)
    if error.status != 403:
        return error
    remedy = f"grant in the whole cluster: {Permission('list', NODES, '')}"
    return ClusterError("warm", "nodes", "this login may not list nodes", remedy, status=403)


def _check(chosen: Chosen, which: str) -> None:
    if chosen.cold or chosen.warm:
        return
    reason = f"no node fits: {chosen.reasons}" if chosen.left else "there is no such node"
    remedy = "give --tolerations and --node-selector as for deploy, or other --nodes"
    raise ClusterError("warm", f"nodes {which}", reason, remedy)


def _pinned(image: str) -> ImageRef:
    ref = ImageRef.parse(read_text("image", image))
    if ref.digest is None:
        remedy = "name its digest, host/repository@sha256:..., which carferry inspect -q prints"
        raise InputError("warm", ref, "a tag may name another image when it is served", remedy)
    return replace(ref, tag=None)
