"""A step's pod: environment, trusted certificates, logins, and the error message at its end.

A project's settings of hubs, proxies and certificates arrive in one optional ConfigMap and, where
they hold passwords, in the registry's Secret, as files: every backend honours optional volumes, not
every one optional variables.

Sources: kubeflow/pipelines, argocompiler (KFP_POD_NAME); argoproj/argo-workflows,
operator.go inferFailedReason (a terminated container's message becomes the node's);
Kubernetes documentation, "Determine the Reason for Pod Failure".
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

from carferry.errors import CarferryError
from carferry.io.interrupts import Ending
from carferry.io.net.certificates import VARIABLES as BUNDLES
from carferry.io.net.certificates import Named
from carferry.io.net.trust import Trust
from carferry.shown import lines_of, one_line, redact

MOUNTED = Path("/etc/carferry")
"""Folder of carferry's own volumes in a pod."""
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Mount of a pod's token, its project's name and the cluster's CA."""
POD = "KFP_POD_NAME"
"""Set by KFP in every step's container, and nowhere else."""
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
VARIABLES = (
    *("HF_ENDPOINT", "AWS_ENDPOINT_URL", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"),
    *PROXIES,
)
"""Keys of the environment's ConfigMap, or of the registry's Secret, that become variables."""
AUTHORITIES = ("ca-bundle.crt", "odh-ca-bundle.crt", "ca.crt")
"""Keys with certificates to trust besides, PEM: as OpenShift, OpenShift AI and others name them."""
_SETTINGS = ("environment", "registry")
_IN_CLUSTER = (".svc", ".cluster.local", "localhost", "127.0.0.1")
_LOGINS = {"HF_TOKEN_PATH": "hf/HF_TOKEN", "REGISTRY_AUTH_FILE": "registry/.dockerconfigjson"}
_S3_KEY, _S3_FOLDER = "hf/AWS_ACCESS_KEY_ID", "CARFERRY_S3_CONNECTION"
"""A dashboard's S3 connection as the Secret that opens the model, and what names its folder."""
_CLAIM, _CLAIM_FOLDER = "claim", "CARFERRY_CLAIM"
"""Mount of the claim that holds the model, and what names it."""
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

    Raises:
        InputError: Certificates to trust that are none.
    """
    _hush()
    if POD not in environ:
        return
    places = places or Places()
    sys.excepthook = ErrorHook(places.termination)
    _configure(environ, places.mounted)
    _spare_cluster(environ)
    _trust(environ, places)
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
    for name, value in _settings(mounted):
        environ[name] = value
        if name in PROXIES:
            environ[name.lower()] = value  # some clients read only these, and they win
    for name, path in _LOGINS.items():
        if (mounted / path).is_file():
            environ.setdefault(name, str(mounted / path))
    if (mounted / _S3_KEY).is_file():
        environ.setdefault(_S3_FOLDER, str((mounted / _S3_KEY).parent))
    if (mounted / _CLAIM).is_dir():
        environ.setdefault(_CLAIM_FOLDER, str(mounted / _CLAIM))


def _settings(mounted: Path) -> Iterator[tuple[str, str]]:
    """Yield what the ConfigMap says, then what the Secret does: it wins."""
    for folder in _SETTINGS:
        for name in VARIABLES:
            for file in (mounted / folder / name.lower(), mounted / folder / name):
                if file.is_file() and (value := file.read_text(encoding="utf-8").strip()):
                    yield name, value


def _spare_cluster(environ: MutableMapping[str, str]) -> None:
    """Tell pip, too, that no proxy lies before the cluster; our own requests know it."""
    if not any(environ.get(name) or environ.get(name.lower()) for name in PROXIES[:3]):
        return
    given = environ.get("no_proxy") or environ.get("NO_PROXY", "")
    api = environ.get("KUBERNETES_SERVICE_HOST", "")
    known = [each.strip() for each in given.split(",")]
    more = [each for each in (*_IN_CLUSTER, api) if each and each not in known]
    environ["NO_PROXY"] = environ["no_proxy"] = ",".join([*filter(None, known), *more])


def _trust(environ: MutableMapping[str, str], places: Places) -> None:
    """Trust the service CA and the project's bundles beside what was trusted before.

    OpenShift's own registry and the pipelines' services have certificates of the service CA.
    Clients that are given a bundle trust nothing else, so one file holds all.
    """
    service, more = places.account / "service-ca.crt", tuple(_bundles(places.mounted))
    if not (more or service.is_file()) or _is_ours(environ.get("SSL_CERT_FILE", "")):
        return
    text = Trust(more=more, environ=environ, service_ca=service).merged()
    with tempfile.NamedTemporaryFile(prefix=_PREFIX, suffix=".pem", delete=False) as file:
        file.write(text)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        environ[name] = file.name
    for name in (*BUNDLES, "PIP_CERT"):
        if environ.get(name) and name != "SSL_CERT_DIR":
            environ[name] = file.name


def _bundles(mounted: Path) -> Iterator[Named]:
    for folder in _SETTINGS:
        for key in AUTHORITIES:
            if (mounted / folder / key).is_file():
                yield Named(mounted / folder / key, f"key {key} of the mounted {folder}")


def _is_ours(name: str) -> bool:
    return Path(name).name.startswith(_PREFIX)
