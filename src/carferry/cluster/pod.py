"""A step's pod: environment, trusted certificates, logins, and the error message at its end.

A project's settings of hubs, proxies and certificates arrive in one optional ConfigMap, as files:
every backend honours optional volumes, not every one optional variables.

Sources: kubeflow/pipelines, argocompiler (KFP_POD_NAME); argoproj/argo-workflows,
operator.go inferFailedReason (a terminated container's message becomes the node's);
Kubernetes documentation, "Determine the Reason for Pod Failure".
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import ssl
import sys
import tempfile
import traceback
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

from carferry.errors import CarferryError, lines_of, one_line, redact
from carferry.io.interrupts import Ending

MOUNTED = Path("/etc/carferry")
"""Folder of carferry's own volumes in a pod."""
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Mount of a pod's token, its project's name and the cluster's CA."""
POD = "KFP_POD_NAME"
"""Set by KFP in every step's container, and nowhere else."""
VARIABLES = ("HF_ENDPOINT", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "PIP_INDEX_URL")
"""Keys of the environment's ConfigMap that become variables."""
BUNDLE = "ca-bundle.crt"
"""Its key with certificates to trust beside the system's, PEM."""
_LOGINS = {"HF_TOKEN_PATH": "hf/HF_TOKEN", "REGISTRY_AUTH_FILE": "registry/.dockerconfigjson"}
_S3_KEY, _S3_FOLDER = "hf/AWS_ACCESS_KEY_ID", "CARFERRY_S3_CONNECTION"
"""A dashboard's S3 connection as the Secret that opens the model, and what names its folder."""
_CLAIM, _CLAIM_FOLDER = "claim", "CARFERRY_CLAIM"
"""Mount of the claim that holds the model, and what names it."""
_SYSTEM = "/etc/pki/tls/cert.pem", "/etc/ssl/certs/ca-certificates.crt"
_PREFIX = "carferry-ca-"
_LONGEST = 4096
"""Bytes of a termination message that the kubelet keeps."""


@dataclass(frozen=True, slots=True)
class Places:
    """Paths in a pod that concern a step.

    Attributes:
        mounted: Folder of carferry's own volumes: environment, hf, registry.
        account: Folder that Kubernetes mounts with the ServiceAccount's token.
        termination: File whose text becomes the container's last message.
    """

    mounted: Path = MOUNTED
    account: Path = SERVICE_ACCOUNT
    termination: Path = Path("/dev/termination-log")


def enter(environ: MutableMapping[str, str] = os.environ, *, places: Places | None = None) -> None:
    """Prepare this process for a step's work; outside a pod only its log.

    Args:
        environ: Variables, read and set.
        places: Paths in the pod; default as Kubernetes and the pipelines mount them.
    """
    _hush()
    if POD not in environ:
        return
    places = places or Places()
    _configure(environ, places.mounted)
    _trust(environ, places)
    sys.excepthook = ErrorHook(places.termination)
    # Kubernetes sends it half a minute before it kills: time to cancel what is being uploaded.
    ending = Ending(partial(_terminated, places.termination), at_once=True)
    ending.install([signal.SIGTERM])


def _terminated(termination: Path, _: int) -> None:
    _tell("terminated; what had arrived is kept, run it again to go on", termination)


def _tell(words: str, termination: Path) -> None:
    """Write one line to the log's end and to Kubernetes."""
    line = one_line(redact(f"carferry: error: {words}"))
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - a step's log is its output
    with contextlib.suppress(OSError):  # there is none outside Kubernetes
        termination.write_bytes(line.encode("utf-8", "replace")[:_LONGEST])


@dataclass(frozen=True, slots=True)
class ErrorHook:
    """An exception hook that writes one line to the log's end and to Kubernetes.

    Attributes:
        termination: File whose text becomes the container's last message.
    """

    termination: Path

    def __call__(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        """Print the error; the traceback only of an unexpected one."""
        for note in getattr(error, "__notes__", ()):
            print(lines_of(redact(note)), file=sys.stderr)  # noqa: T201 - a step's log is its output
        if isinstance(error, CarferryError):
            words = str(error)
        else:
            shown = "".join(traceback.format_exception(kind, error, trace))
            print(lines_of(redact(shown)), end="", file=sys.stderr)  # noqa: T201
            words = f"unexpected {kind.__name__}: {error}; please report it"
        _tell(words, self.termination)


def _hush() -> None:
    """Keep what other libraries log of their own out of a step's log.

    KFP shows every logger's records from INFO on: a line for each request of an HTTP client.
    """
    logging.getLogger().setLevel(logging.ERROR)
    logging.getLogger("carferry").setLevel(logging.INFO)


def _configure(environ: MutableMapping[str, str], mounted: Path) -> None:
    for name in VARIABLES:
        file = mounted / "environment" / name
        if file.is_file() and (value := file.read_text(encoding="utf-8").strip()):
            environ[name] = value
            if name.endswith("PROXY"):
                environ[name.lower()] = value  # some clients read only these, and they win
    for name, path in _LOGINS.items():
        if (mounted / path).is_file():
            environ.setdefault(name, str(mounted / path))
    if (mounted / _S3_KEY).is_file():
        environ.setdefault(_S3_FOLDER, str((mounted / _S3_KEY).parent))
    if (mounted / _CLAIM).is_dir():
        environ.setdefault(_CLAIM_FOLDER, str(mounted / _CLAIM))


def _trust(environ: MutableMapping[str, str], places: Places) -> None:
    """Trust the service CA and the project's bundle beside what was trusted before.

    OpenShift's own registry and the pipelines' services have certificates of the service CA.
    Clients that are given a bundle trust nothing else, so one file holds all.
    """
    bundle = places.mounted / "environment" / BUNDLE
    more = [path for path in (places.account / "service-ca.crt", bundle) if path.is_file()]
    if not more or Path(environ.get("SSL_CERT_FILE", "")).name.startswith(_PREFIX):
        return
    texts = [path.read_bytes().strip() for path in (*_known(environ), *more)]
    with tempfile.NamedTemporaryFile(prefix=_PREFIX, suffix=".pem", delete=False) as file:
        file.write(b"\n".join([*texts, b""]))
    environ["SSL_CERT_FILE"] = environ["REQUESTS_CA_BUNDLE"] = file.name


def _known(environ: MutableMapping[str, str]) -> Iterable[Path]:
    """Return the bundle in force, the cluster's or else the system's; at most one."""
    given = environ.get("SSL_CERT_FILE", "")
    return [
        Path(name)
        for name in (given, ssl.get_default_verify_paths().cafile, *_SYSTEM)
        if name and Path(name).is_file()
    ][:1]
