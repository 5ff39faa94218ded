"""Where a pipelines API server is, and how to be let in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from carferry.errors import InputError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A pipelines API server and how to be let in.

    Attributes:
        host: URL of the route or service; https is assumed where no scheme is given.
        namespace: Project of the pipeline server.
        token_file: File with a bearer token, read again for every request; None: no token.
        token: Bearer token; empty: none, or from the file.
        ca: File with the certificates to trust; None: the system's.
    """

    host: str
    namespace: str
    token_file: Path | None = None
    token: str = ""
    ca: Path | None = None

    @property
    def url(self) -> str:
        """The host with a scheme and without a slash at its end."""
        scheme = "" if self.host.startswith(("http://", "https://")) else "https://"
        return f"{scheme}{self.host.rstrip('/')}"


def token_of(kubeconfig: Path) -> str:
    """Return the bearer token of a kubeconfig's current context.

    Raises:
        InputError: The file cannot be read, or it logs in by certificate only.
    """
    from kubernetes import client, config

    settings = client.Configuration()
    try:
        config.load_kube_config(str(kubeconfig), client_configuration=settings)
    except (config.ConfigException, yaml.YAMLError, OSError, TypeError, LookupError) as error:
        raise InputError("read kubeconfig", kubeconfig, str(error)) from error
    token = str(settings.api_key.get("authorization", "")).removeprefix("Bearer ")
    if not token:
        raise InputError(
            "read kubeconfig", kubeconfig, "its context has no token", "run: oc login --web"
        )
    return token
