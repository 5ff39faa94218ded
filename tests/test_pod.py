"""What a step does in its pod around its work: environment, trust, logins, and the error line."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from carferry.cluster import pod
from carferry.cluster.pod import Places, enter
from carferry.steps.access import patience

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
def same_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


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


def test_a_pod_is_patient_and_a_terminal_is_not() -> None:
    assert patience(POD).attempts > 2 * patience({}).attempts
    assert patience(POD).first_tries > 2 * patience({}).first_tries


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
