"""What a step does in its pod around its work: environment, trust, logins, and the error line."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme
from servers.certs import Certificates
from servers.chaos import Answer, DropRequest, Rule
from servers.forward import PASSWORD, Forward
from servers.images import write_layout
from servers.proxy import Proxy
from servers.registry import Registry
from waiting import Flaky, Waits

from carferry.cluster import pod
from carferry.cluster.pod import Places, enter
from carferry.errors import CarferryError, InputError, Unreachable
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
    environ = {**POD, "https_proxy": "http://of-the-cluster", "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    enter(environ, places=places)
    spared = "value-of-NO_PROXY,.svc,.cluster.local,localhost,127.0.0.1,10.0.0.1"
    proxies = {name: f"value-of-{name}" for name in pod.PROXIES} | {"NO_PROXY": spared}
    assert environ == {
        **POD,
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
        **{name: f"value-of-{name}" for name in pod.VARIABLES},
        **proxies,
        **{name.lower(): value for name, value in proxies.items()},
    }


def test_the_registrys_secret_holds_what_has_a_password_and_wins(places: Places) -> None:
    put(places.mounted / "environment" / "HTTPS_PROXY", "http://proxy:3128")
    put(places.mounted / "registry" / "https_proxy", "http://me:secret@proxy:3128\n")
    environ = dict(POD)
    enter(environ, places=places)
    assert environ["HTTPS_PROXY"] == environ["https_proxy"] == "http://me:secret@proxy:3128"


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


@pytest.mark.parametrize(
    "place",
    [
        "environment/ca-bundle.crt",
        "environment/ca.crt",
        "environment/odh-ca-bundle.crt",
        "registry/ca.crt",
    ],
)
def test_a_bundle_is_found_by_every_name_that_it_has(places: Places, place: str) -> None:
    """An empty one beside it is what OpenShift AI writes if there is nothing to add."""
    file = authority(places.mounted / place)
    for empty in ("environment/ca-bundle.crt", "environment/odh-ca-bundle.crt"):
        if empty != place:
            put(places.mounted / empty, "")
    environ = {**POD, "PIP_CERT": str(file)}
    enter(environ, places=places)
    merged = Path(environ["SSL_CERT_FILE"])
    assert file.read_text().strip() in merged.read_text()
    assert environ["REQUESTS_CA_BUNDLE"] == environ["PIP_CERT"] == str(merged)
    assert len(ssl.create_default_context(cafile=str(merged)).get_ca_certs()) > 1
    merged.unlink()


def test_a_bundle_that_is_none_stops_the_step_by_its_key(places: Places) -> None:
    put(places.mounted / "environment" / "ca-bundle.crt", "<html>not found</html>")
    with pytest.raises(InputError, match=r"key ca-bundle.crt of the mounted environment\): holds"):
        enter(dict(POD), places=places)


def test_service_ca_and_bundle_are_trusted_beside_what_was(places: Places, tmp_path: Path) -> None:
    """One file holds all: a client that is given a bundle trusts nothing else."""
    files = [
        authority(tmp_path / "cluster.pem"),
        authority(places.account / "service-ca.crt"),
        authority(places.mounted / "environment" / "ca-bundle.crt"),
    ]
    environ = {**POD, "SSL_CERT_FILE": str(files[0])}
    enter(environ, places=places)
    assert environ["REQUESTS_CA_BUNDLE"] == environ["SSL_CERT_FILE"] != str(files[0])
    once = dict(environ)
    enter(environ, places=places)  # a process and the one it becomes both enter
    assert environ == once
    context = ssl.create_default_context(cafile=environ["SSL_CERT_FILE"])
    names = {
        dict(pair[0] for pair in c["subject"]).get("organizationName")
        for c in context.get_ca_certs()
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


STEP = """
import os, subprocess, sys
from pathlib import Path
from carferry.cluster import pod
pod.enter(places=pod.Places(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])))
from carferry.bundle.start import install
install(["--dry-run", "--no-deps", "--target", sys.argv[4], "tiny-step"])
from carferry.io.net.http import Http
answer = Http().request("GET", os.environ["PIP_INDEX_URL"] + "/tiny-step/")
print(answer.status, answer.read().decode())
"""


def test_pip_and_the_step_itself_go_through_the_proxy_and_trust_the_bundle(
    places: Places, tmp_path: Path
) -> None:
    """The proxy's password is in the registry's Secret, the rest in the ConfigMap."""
    made = Certificates.make(tmp_path / "certs")
    index = tmp_path / "index"
    wheel = index / "tiny-step" / "tiny_step-1.0-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_step-1.0.dist-info/METADATA", "Name: tiny-step\nVersion: 1.0\n")
        archive.writestr("tiny_step-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
        archive.writestr("tiny_step-1.0.dist-info/RECORD", "")
    with serving(index, made) as port, Forward(tmp_path / "forward", login=True) as proxy:
        environment = places.mounted / "environment"
        put(environment / "PIP_INDEX_URL", f"https://index.site.test:{port}")
        put(environment / "ca-bundle.crt", made.ca.read_text())
        put(places.mounted / "registry" / "HTTPS_PROXY", proxy.url)
        place = [str(places.mounted), str(places.account), str(places.termination)]
        command = [sys.executable, "-c", STEP, *place, str(tmp_path / "target")]
        mine = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        env = {**mine, **POD, "HOME": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("200") and wheel.name in done.stdout
        assert proxy.saw(f"CONNECT index.site.test:{port}")
        assert PASSWORD not in done.stdout + done.stderr


@contextmanager
def serving(folder: Path, made: Certificates) -> Iterator[int]:
    """Serve a folder by TLS and yield the port."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.chain, made.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
