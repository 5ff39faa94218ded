"""The address of a pipelines API server, and the login to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from carferry.errors import InputError

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):(?!\d+(?:/|$))", re.IGNORECASE)  # not host:port
_LOG_IN = "run: oc login --web"
_TOKEN = re.compile(r"[!-~]+")  # what an HTTP header takes


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A pipelines API server and the login to it.

    Attributes:
        host: URL of the route or service; https is assumed if no scheme is given.
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

    def __post_init__(self) -> None:
        """Refuse a host that no request can go to.

        Raises:
            InputError: Another scheme than http and https, no host, or more than an address.
        """
        if reason := _unusable(self.host, self.url):
            raise InputError("use --host", self.host[:200], reason, "see: oc get route -n PROJECT")

    @property
    def url(self) -> str:
        """The host with a scheme and without a slash at its end."""
        scheme = "" if _SCHEME.match(self.host) else "https://"
        return f"{scheme}{self.host.rstrip('/')}"


def read_token(path: Path) -> str:
    """Return the bearer token that a file holds.

    Raises:
        InputError: The file cannot be read, or holds something else, which is not shown.
    """
    try:
        token = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise InputError("read token", path, error.strerror or str(error)) from error
    except ValueError:
        token = ""
    if not _TOKEN.fullmatch(token):
        raise InputError("read token", path, "not a token alone", "write: oc whoami -t > FILE")
    return token


def token_of(kubeconfig: Path) -> str:
    """Return the bearer token of a kubeconfig's current context.

    Raises:
        InputError: The file cannot be read, or it logs in by certificate only.
    """
    from kubernetes import client, config

    settings = client.Configuration()
    try:
        config.load_kube_config(str(kubeconfig), client_configuration=settings)
    except (config.ConfigException, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError("read kubeconfig", kubeconfig, reason[:500], _LOG_IN) from error
    except (yaml.YAMLError, AttributeError, ValueError, TypeError, LookupError) as error:
        # The official client indexes what it parsed unchecked; the error may quote the file.
        raise InputError("read kubeconfig", kubeconfig, "not a kubeconfig", _LOG_IN) from error
    token = str(settings.api_key.get("authorization", "")).removeprefix("Bearer ")
    if not _TOKEN.fullmatch(token):
        raise InputError("read kubeconfig", kubeconfig, "its context has no token", _LOG_IN)
    return token


def _unusable(host: str, url: str) -> str:
    """Return why a host cannot be used; empty if it can."""
    scheme = _SCHEME.match(host)
    if scheme and scheme[1].lower() not in ("http", "https"):
        return f"scheme {scheme[1]}, not http or https"
    if re.search(r"[\s\\\x00-\x1f\x7f]", host):
        return "holds blanks, backslashes or control characters"
    try:
        parts = urlsplit(url)
        there = bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        return str(error)
    if not there or not url.lower().startswith(("http://", "https://")):
        return "no host in it"
    if "@" in parts.netloc:
        return "holds a login; give --token-file"
    return "more than scheme, host and path" if parts.query or parts.fragment else ""
