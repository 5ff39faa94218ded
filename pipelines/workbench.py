"""The pipeline server as seen from a workbench of the same project.

Inside the cluster the API is a service on port 8443 with a certificate of the service CA, and
the workbench's own service account may use it if it has the Role
``ds-pipeline-user-access-<dspa>``. Source: data-science-pipelines-operator, apiserver templates.
"""

from __future__ import annotations

from pathlib import Path

from carferry.pipelines.submit import Endpoint

from carferry.errors import InputError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def endpoint(*, server: str = "dspa", account: Path = ACCOUNT) -> Endpoint:
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
