"""A registry of this machine needs no flag if it knows no TLS; any other does."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from ferrying import Outcome, carferry
from servers.models import tiny, write
from servers.registry import Registry
from servers.sockets import answering

from carferry.registry.loopback import answers_plainly, is_of_this_machine

Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process."""
    return lambda *arguments: carferry(capsys, *arguments, "--progress", "none")


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("localhost", True), ("localhost:5000", True), ("LOCALHOST:5000", True),
        ("127.0.0.1", True), ("127.0.0.1:5000", True), ("127.8.9.10:1", True),
        ("[::1]", True), ("[::1]:5000", True),
        ("localhost.example.com:5000", False), ("127.0.0.1.example.com", False),
        ("0.0.0.0:5000", False), ("10.0.0.1:5000", False), ("128.0.0.1", False),
        ("quay.io", False), ("localhost.localdomain:5000", False), ("[fe80::1]:5000", False),
    ],
)  # fmt: skip
def test_which_names_are_this_machine(host: str, own: bool) -> None:
    assert is_of_this_machine(host) is own


def test_model_base_and_image_of_a_registry_without_tls(
    run: Run, registry: Registry, tmp_path: Path
) -> None:
    """Before: "no TLS there; for plain HTTP pass --plain-http HOST"."""
    folder, where = write(tiny(), tmp_path / "model"), f"docker://{registry.host}/loop/tiny:v1"
    assert run("build", folder, where, "--base", "embedded").code == 0
    assert run("inspect", where).code == 0
    based = f"docker://{registry.host}/loop/based:v1"
    model = where.replace("docker://", "oci://")
    done = run("build", model, based, "--base", f"{registry.host}/loop/tiny:v1", "--json")
    assert json.loads(done.out)["digest"] == registry.tags("loop/based")["v1"]
    by_name = registry.host.replace("127.0.0.1", "localhost")
    assert run("inspect", f"docker://{by_name}/loop/based:v1").code == 0


def test_a_registry_with_tls_is_asked_by_tls_and_its_certificate_counts(
    run: Run, registry_tls: Registry
) -> None:
    where = f"docker://{registry_tls.host}/nothing/there:v1"
    assert not answers_plainly(registry_tls.host)
    assert "certificate is not trusted" in run("inspect", where).err
    assert registry_tls.certificates is not None
    trusted = run("inspect", where, "--ca", registry_tls.certificates.ca)
    assert "no such image or tag" in trusted.err


def test_a_login_goes_where_the_flag_would_send_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Registry(tmp_path / "registry", auth="basic") as registry:
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(registry.auth_file))
        folder = write(tiny(), tmp_path / "model")
        where = f"docker://{registry.host}/loop/tiny:v1"
        assert run("build", folder, where, "--base", "scratch").code == 0
        flagged = f"docker://{registry.host}/loop/again:v1"
        flag = ("--plain-http", registry.host)
        assert run("build", folder, flagged, "--base", "scratch", *flag).code == 0


@pytest.mark.parametrize(
    ("answer", "plain"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 401 Unauthorized\r\n\r\n", True),
        (b"HTTP/1.0 503 Service Unavailable\r\n\r\n", True),
        (b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.", False),
        (b"HTTP/1.1 308 Permanent Redirect\r\nLocation: https://localhost\r\n\r\n", False),
        (b"HTTP/1.1 426 Upgrade Required\r\n\r\n", False),
        (b"SSH-2.0-OpenSSH_9.2\r\n", False),
        (b"", False),
    ],
)
def test_what_is_taken_for_a_registry_without_tls(answer: bytes, plain: bool) -> None:
    with answering(answer) as (host, got):
        assert answers_plainly(host) is plain
        assert not any(b"uthorization" in each for each in got)


def test_nobody_there_is_the_requests_own_complaint(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    outcome = run("inspect", f"docker://{host}/a/b:1")
    assert (outcome.code, outcome.err.count("\n")) == (1, 1)
    assert f"reach {host}" in outcome.err


def test_a_host_elsewhere_is_never_asked_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("contacted")

    monkeypatch.setattr(socket, "create_connection", refuse)
    assert not answers_plainly("registry.example.com:5000")
