"""Step: a deployment's objects removed from its project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carferry.cluster.names import check_kubernetes_name
from carferry.errors import InputError
from carferry.form.readers import read_text
from carferry.io.net.retry import Retry
from carferry.serve.checks import NAME_LIMIT
from carferry.serve.removal import WAIT_S, Removed, remove
from carferry.steps.access import patience
from carferry.steps.cluster import connected
from carferry.steps.lines import teller
from carferry.steps.rights import NO, check_rights

if TYPE_CHECKING:
    from carferry.cluster.client import Cluster
else:
    Cluster = Any  # whoever asks for the types of a function needs the name, not the client


def delete(
    name: str,
    *,
    namespace: str = "",
    wait: float = WAIT_S,
    progress: bool = False,
    kubeconfig: str | Path | None = None,
    context: str = "",
    ca_file: str | Path | None = None,
    connect: Callable[[], Cluster] | None = None,
    retry: Retry | None = None,
) -> Removed:
    """Remove what ``deploy`` made of one model, and wait until it is gone.

    What somebody else made, or another model uses, stays and is named. A second call finds
    nothing and is no failure.

    Args:
        name: Of the InferenceService.
        namespace: Its project; empty means the pod's own, or the kubeconfig's.
        wait: Seconds to wait until everything is gone.
        progress: True prints on stderr what is waited for.
        kubeconfig: File with the cluster and the login; default the pod's, or as for kubectl.
        context: Of the kubeconfig; empty means the current one.
        ca_file: PEM certificates to trust, of the cluster: a file or a folder.
        connect: Reaches the cluster some other way.
        retry: How often a cluster that is away is asked again; default ``patience``.

    Returns:
        What was removed and what was left; ``is_served`` if others made the service itself.

    Raises:
        InputError: No such name can be meant; its leaf RightsMissing if the login may not.
        ClusterError: The cluster refused.
        DeadlineExceeded: Something is still there; names it, and the finalizers that hold it.

    Example:
        >>> import carferry
        >>> gone = carferry.delete("never-deployed", namespace="demo")
        >>> gone.lines
        ('nothing of demo/never-deployed is there',)
    """
    check_kubernetes_name(name, kind="InferenceService", limit=NAME_LIMIT)
    if wait < 0:
        raise InputError("delete", name, f"cannot wait {wait} s", "write 0 or more")
    cluster = connect() if connect else connected(kubeconfig, context, ca_file)
    place = read_text("namespace", namespace) or cluster.namespace
    say = teller(progress)
    check_rights(
        NO,
        namespace=place,
        deletes=True,
        connect=lambda: cluster.api,
        report=teller(progress, warns=True),
        retry=retry,
    )
    return (retry or patience()).call(
        lambda: remove(cluster.api, name, place, wait_s=wait, report=say), first=lambda: True
    )
