"""The pipeline server as seen from a workbench of the same project.

Inside the cluster the API is a service on port 8443 with a certificate of the service CA, and
the workbench's own service account may use it if it has the Role
``ds-pipeline-user-access-<dspa>``. Source: data-science-pipelines-operator, apiserver templates.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from carferry.cluster import api
from carferry.cluster.pod import SERVICE_ACCOUNT
from carferry.errors import InputError
from carferry.pipelines.server.endpoint import Endpoint


def endpoint(*, server: str = "dspa", account: Path = SERVICE_ACCOUNT) -> Endpoint:
    """Return the endpoint of this project's pipeline server.

    Args:
        server: Name of the DataSciencePipelinesApplication; the dashboard makes ``dspa``.
        account: Folder that Kubernetes mounts into every pod.

    Raises:
        InputError: Not in a pod.
    """
    if not (account / "namespace").is_file():
        raise InputError(
            "find pipeline server", account, "not in a pod", "give --host and --token-file"
        )
    namespace = (account / "namespace").read_text(encoding="ascii").strip()
    ca = account / "service-ca.crt"
    return Endpoint(
        f"https://ds-pipeline-{server}.{namespace}.svc:8443",
        namespace,
        token_file=account / "token",
        ca=ca if ca.is_file() else None,
    )


def cluster(
    kubeconfig: Path | None = None, *, environ: Mapping[str, str] = os.environ
) -> api.Api | None:
    """Return the cluster's API, as a kubeconfig's user or as this pod's account.

    Only a kubeconfig that is given is used: the default one may be another cluster's.

    Args:
        kubeconfig: File to read; None: the pod's account, outside a pod none.
        environ: Variables; KUBERNETES_SERVICE_HOST is read.

    Returns:
        A connection, or None: it only adds to what is reported.
    """
    if kubeconfig is None and "KUBERNETES_SERVICE_HOST" not in environ:
        return None
    try:
        return api.connect(kubeconfig=kubeconfig, environ=environ)
    except InputError:
        return None
