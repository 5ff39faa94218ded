"""A pipeline on a Data Science Pipelines endpoint: upload, run, schedule, follow.

Source: kfp 2.17's client over the v2beta1 API. A bare ``kfp.Client()`` guesses an in-cluster
service that OpenShift AI does not have, so host and credentials are always said.
"""

from __future__ import annotations

import contextlib
import hashlib
import ssl
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import kfp
import urllib3
import yaml
from kfp.client import set_volume_credentials
from kfp_server_api import ApiException

from carferry import __version__
from carferry.errors import (
    CarferryError,
    ClusterError,
    DeadlineExceeded,
    InputError,
    Unreachable,
)

Say = Callable[[str], None]
_DONE = {"SUCCEEDED", "SKIPPED", "CACHED"}
_OVER = _DONE | {"FAILED", "CANCELED"}
_HINTS = {
    401: "the token is missing or has expired; give --token-file or --kubeconfig",
    403: "the account needs the Role ds-pipeline-user-access-<dspa> in that project",
    404: "is this the URL of route ds-pipeline-<dspa>?",
}


class Clock(Protocol):
    """What waiting needs of the time module."""

    def monotonic(self) -> float:
        """Return seconds from any fixed point."""

    def sleep(self, seconds: float, /) -> None:
        """Wait."""


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


@dataclass(frozen=True, slots=True)
class Submitted:
    """A run or a recurring run that the server has taken.

    Attributes:
        id: The server's id of it.
        url: Its page.
        version: Name of the pipeline version it uses.
    """

    id: str
    url: str
    version: str


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


def connect(endpoint: Endpoint) -> kfp.Client:
    """Return a client of an endpoint; the first request comes later.

    Raises:
        InputError: The token file or the CA file is not there.
    """
    for path in filter(None, (endpoint.token_file, endpoint.ca)):
        if not path.is_file():
            raise InputError("read", path, "no such file")
    credentials = None
    if endpoint.token_file:
        credentials = set_volume_credentials.ServiceAccountTokenVolumeCredentials(
            path=str(endpoint.token_file)
        )
    with _quiet(), _named(endpoint):
        return kfp.Client(
            host=endpoint.url,
            namespace=endpoint.namespace,
            existing_token=endpoint.token or None,
            credentials=credentials,
            ssl_ca_cert=str(endpoint.ca) if endpoint.ca else None,
        )


def start(
    endpoint: Endpoint,
    package: Path,
    arguments: Mapping[str, Any],
    *,
    experiment: str = "carferry",
    cron: str = "",
    client: kfp.Client | None = None,
) -> Submitted:
    """Upload a compiled pipeline as a version, unless it is there, and run or schedule it.

    Args:
        endpoint: Where.
        package: Compiled pipeline; its file stem is the pipeline's name.
        arguments: Parameters of the run.
        experiment: Group that the run is listed in; made if missing.
        cron: Six fields, seconds first; empty: one run, now.
        client: A logged-in client, for schemes that ``connect`` does not know.

    Raises:
        InputError: A cron expression without six fields.
        Unreachable: No answer, or a certificate nobody vouched for.
        ClusterError: The server refused.
    """
    if cron and len(cron.split()) != 6:
        raise InputError("schedule", repr(cron), "not six fields", "seconds first: '0 0 2 * * *'")
    client = client or connect(endpoint)
    name, version = package.stem, version_name(package)
    with _quiet(), _named(endpoint):
        pipeline_id, version_id = _upload(client, package, name, version, endpoint.namespace)
        group = client.create_experiment(experiment, namespace=endpoint.namespace)
        job = {
            "experiment_id": group.experiment_id,
            "job_name": f"{name} {version}",
            "params": dict(arguments),
            "pipeline_id": pipeline_id,
            "version_id": version_id,
        }
        if cron:
            made = client.create_recurring_run(
                **job, cron_expression=cron, max_concurrency=1, no_catchup=True
            )
            link = f"{endpoint.url}/#/recurringrun/details/{made.recurring_run_id}"
            return Submitted(made.recurring_run_id, link, version)
        run = client.run_pipeline(**job)
    return Submitted(run.run_id, f"{endpoint.url}/#/runs/details/{run.run_id}", version)


def wait(
    endpoint: Endpoint,
    run_id: str,
    *,
    say: Say,
    timeout_s: float = 7200,
    poll_s: float = 10,
    clock: Clock = time,
    client: kfp.Client | None = None,
) -> str:
    """Follow a run until it is over and return its state, SUCCEEDED.

    Raises:
        ClusterError: It failed or was cancelled; names the steps that did.
        DeadlineExceeded: It is still going after timeout_s; carries its last state.
        Unreachable: The server stopped answering.
    """
    client = client or connect(endpoint)
    deadline, told = clock.monotonic() + timeout_s, ""
    while True:
        try:
            with _quiet(), _named(endpoint):
                run = client.get_run(run_id)
            state = str(run.state or "PENDING")
            line = f"{state} {_steps(run)}".strip()
        except CarferryError as error:
            # The run goes on whether or not the server answers this once.
            if not error.temporary or clock.monotonic() >= deadline:
                raise
            state, line = "unknown", str(error)
        if line != told:
            say(told := line)
        if state in _OVER:
            break
        if clock.monotonic() >= deadline:
            raise DeadlineExceeded("wait for run", run_id, f"still {state} after {timeout_s:.0f} s")
        clock.sleep(poll_s)
    if state not in _DONE:
        raise ClusterError("run pipeline", run_id, _why(run, state), "read the steps' logs")
    return state


def version_name(package: Path) -> str:
    """Return the version a compiled file is uploaded as: ours, and a digest of its bytes."""
    return f"{__version__}-{hashlib.sha256(package.read_bytes()).hexdigest()[:12]}"


def _upload(
    client: kfp.Client, package: Path, name: str, version: str, namespace: str
) -> tuple[str, str]:
    """Return the ids of the pipeline and of the version, uploading what is not there."""
    pipeline_id = client.get_pipeline_id(name)
    if pipeline_id is None:
        made = client.upload_pipeline(str(package), pipeline_name=name, namespace=namespace)
        pipeline_id = made.pipeline_id
    listed = client.list_pipeline_versions(pipeline_id, page_size=100, sort_by="created_at desc")
    for known in listed.pipeline_versions or []:
        if known.display_name == version:
            return pipeline_id, known.pipeline_version_id
    uploaded = client.upload_pipeline_version(str(package), version, pipeline_id=pipeline_id)
    return pipeline_id, uploaded.pipeline_version_id


def _tasks(run: Any) -> list[tuple[str, str, str]]:
    """Return name, state and error message of the steps that the server tells of."""
    details = run.run_details.task_details if run.run_details else None
    return [
        (task.display_name or "", str(task.state or ""), task.error.message if task.error else "")
        for task in details or []
    ]


def _steps(run: Any) -> str:
    running = sorted(name for name, state, _ in _tasks(run) if state == "RUNNING" and name)
    return f"({', '.join(running)})" if running else ""


def _why(run: Any, state: str) -> str:
    failed = [f"{name} {why}".strip() for name, how, why in _tasks(run) if how == "FAILED"]
    said = run.error.message if run.error else ""
    return "; ".join(filter(None, [state, *failed, said]))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Send what kfp prints to stderr, and drop its notices about old servers."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _named(endpoint: Endpoint) -> Iterator[None]:
    """Turn the client's exceptions into ours."""
    try:
        yield
    except ApiException as error:
        hint, status = _HINTS.get(error.status, ""), error.status or 0
        reason = f"{error.status} {error.reason}"
        refused = ClusterError("call pipelines API", endpoint.url, reason, hint, status=status)
        refused.temporary = status == 429 or status >= 500
        raise refused from error
    except (urllib3.exceptions.HTTPError, ssl.SSLError) as error:
        cause = getattr(error, "reason", None) or error
        untrusted = "CERTIFICATE" in str(cause).upper()
        hint = "give --ca FILE" if untrusted else "check --host"
        failure = Unreachable("call pipelines API", endpoint.url, str(cause), hint)
        failure.temporary = not untrusted
        raise failure from error
