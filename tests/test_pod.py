"""What a step does in its pod around its work: environment, trust, logins, and the error line."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from servers.chaos import Answer, DropRequest, Rule
from servers.images import write_layout
from servers.proxy import Proxy
from servers.registry import Registry
from waiting import Flaky, Waits

from carferry.cluster import pod
from carferry.cluster.pod import Places, enter
from carferry.errors import CarferryError, Unreachable
from carferry.steps.access import patience
from carferry.steps.push import push

POD = {pod.POD: "modelcar-x-system-container-impl-1"}


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "mounted", tmp_path / "account", tmp_path / "termination-log")


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def authority(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    trustme.CA(organization_name=path.name).cert_pem.write_to_path(str(path))
    return path


@pytest.fixture(autouse=True)
def same_hooks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_outside_a_pod_nothing_happens(places: Places) -> None:
    put(places.mounted / "environment" / "HF_ENDPOINT", "https://hub.example")
    before, environ = sys.excepthook, {"PATH": "/bin"}
    enter(environ, places=places)
    assert environ == {"PATH": "/bin"}
    assert sys.excepthook is before


def test_a_project_without_any_of_it_changes_nothing(places: Places) -> None:
    environ = dict(POD)
    enter(environ, places=places)
    assert environ == POD


def test_the_environments_entries_become_variables(places: Places) -> None:
    for name in pod.VARIABLES:
        put(places.mounted / "environment" / name, f"value-of-{name}\n")
    put(places.mounted / "environment" / "LD_PRELOAD", "/evil.so")
    environ = {**POD, "https_proxy": "http://of-the-cluster"}
    enter(environ, places=places)
    assert environ == {
        **POD,
        "HF_ENDPOINT": "value-of-HF_ENDPOINT",
        "HTTPS_PROXY": "value-of-HTTPS_PROXY",
        "https_proxy": "value-of-HTTPS_PROXY",
        "HTTP_PROXY": "value-of-HTTP_PROXY",
        "http_proxy": "value-of-HTTP_PROXY",
        "NO_PROXY": "value-of-NO_PROXY",
        "no_proxy": "value-of-NO_PROXY",
        "PIP_INDEX_URL": "value-of-PIP_INDEX_URL",
    }


def test_mounted_logins_are_found_and_named_ones_win(places: Places) -> None:
    token = put(places.mounted / "hf" / "HF_TOKEN", "hf_x")
    login = put(places.mounted / "registry" / ".dockerconfigjson", "{}")
    environ = dict(POD)
    enter(environ, places=places)
    assert (environ["HF_TOKEN_PATH"], environ["REGISTRY_AUTH_FILE"]) == (str(token), str(login))
    named = {**POD, "REGISTRY_AUTH_FILE": "/mine"}
    enter(named, places=places)
    assert named["REGISTRY_AUTH_FILE"] == "/mine"


def test_an_s3_connection_is_found_as_files_and_no_key_becomes_a_variable(places: Places) -> None:
    put(places.mounted / "hf" / "AWS_ACCESS_KEY_ID", "AKIATESTS")
    put(places.mounted / "hf" / "AWS_SECRET_ACCESS_KEY", "secret")
    environ = dict(POD)
    enter(environ, places=places)
    assert environ == {**POD, "CARFERRY_S3_CONNECTION": str(places.mounted / "hf")}


def test_service_ca_and_bundle_are_trusted_beside_what_was(places: Places, tmp_path: Path) -> None:
    """One file holds all: a client that is given a bundle trusts nothing else."""
    files = [
        authority(tmp_path / "cluster.pem"),
        authority(places.account / "service-ca.crt"),
        authority(places.mounted / "environment" / pod.BUNDLE),
    ]
    environ = {**POD, "SSL_CERT_FILE": str(files[0])}
    enter(environ, places=places)
    assert environ["REQUESTS_CA_BUNDLE"] == environ["SSL_CERT_FILE"] != str(files[0])
    once = dict(environ)
    enter(environ, places=places)  # a process and the one it becomes both enter
    assert environ == once
    context = ssl.create_default_context(cafile=environ["SSL_CERT_FILE"])
    names = {
        dict(pair[0] for pair in c["subject"])["organizationName"] for c in context.get_ca_certs()
    }
    assert {path.name for path in files} <= names
    Path(environ["SSL_CERT_FILE"]).unlink()


@pytest.mark.parametrize(
    ("environ", "is_patient"),
    [
        (POD, True),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, True),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JPY_PARENT_PID": "7"}, False),
        ({}, False),
    ],
    ids=["a step", "a Job", "a workbench", "a machine"],
)
def test_a_pod_is_patient_and_a_person_is_not(
    environ: dict[str, str], is_patient: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    found = patience(environ)
    assert (found.attempts, found.first_tries) == ((24, 13) if is_patient else (6, 2))


@pytest.mark.parametrize("jitter", [0.0, 1.0])
def test_a_step_waits_minutes_for_a_first_answer_and_a_person_does_not(jitter: float) -> None:
    """It was half a minute to one, and then the run had ended: a registry restarts for longer."""
    waited = {}
    for environ in (POD, {}):
        waits = Waits()
        retry = replace(patience(environ), stop=waits, clock=waits.clock, started=0.0)
        retry = replace(retry, jitter=lambda: jitter, report=lambda _: None)
        with pytest.raises(Unreachable):
            retry.call(Flaky(99, Unreachable("reach", "x", "refused")), first=lambda: True)
        waited[bool(environ)] = waits.now
    assert 100 < waited[True] < 220
    assert waited[False] < 1


def test_a_registry_that_restarts_while_a_step_starts_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_layout(tmp_path / "image", [b"layer"], "v1")
    restarts = [Rule(DropRequest(), times=2), Rule(Answer(503), times=1)]
    with Registry(tmp_path / "registry") as registry, Proxy(registry.url) as front:
        image = f"docker://{front.host}/org/tiny:v1"
        for is_pod in (False, True):
            front.arm(restarts)
            monkeypatch.setenv(pod.POD, "some-pod") if is_pod else None
            try:
                ended = push(f"oci:{tmp_path / 'image'}:v1", image, plain_http=[front.host])
            except CarferryError as error:
                assert (is_pod, type(error)) == (False, Unreachable)
        assert ended.digest


RAISE = """
import os, sys
from pathlib import Path
from carferry import errors
from carferry.cluster import pod
pod.enter(os.environ, places=pod.Places(Path("/nowhere"), Path("/nowhere"), Path(sys.argv[1])))
raise {what}
"""


@pytest.mark.parametrize(
    ("what", "words", "trace"),
    [
        (
            'errors.DoesNotFit("fit", "org/name", "needs 2 GPUs", "name another")',
            "fit org/name: needs 2 GPUs; name another",
            False,
        ),
        (
            'errors.SourceDenied("read", "a/b", "hf_abcdefghijk is refused\\nby the hub")',
            "read a/b: *** is refused\\nby the hub",
            False,
        ),
        ('KeyError("x")', "unexpected KeyError: 'x'; please report it", True),
    ],
    ids=["refused", "a secret and a line break", "unforeseen"],
)
def test_the_last_line_says_what_failed_to_the_log_and_to_kubernetes(
    tmp_path: Path, what: str, words: str, trace: bool
) -> None:
    termination = tmp_path / "termination-log"
    command = [sys.executable, "-c", RAISE.format(what=what), str(termination)]
    done = subprocess.run(
        command, env={**os.environ, **POD}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"carferry: error: {words}"
    assert termination.read_text() == f"carferry: error: {words}"
    assert ("Traceback" in done.stderr) is trace
