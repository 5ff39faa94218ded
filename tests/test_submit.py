"""Submitting to a pipelines API server: one of ours, over real HTTP, driven by kfp's client."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from servers.argo import Look
from servers.chaos import Answer, Rule
from servers.dsp import PipelineServer
from servers.proxy import Proxy

from carferry.errors import ClusterError, InputError, Unreachable
from carferry.pipelines import command
from carferry.pipelines.server import endpoint, submit, upload
from carferry.pipelines.server import requests as api
from carferry.pipelines.server.endpoint import Endpoint

VALUES = ["model=org/name", "image=docker://registry.example/team/model:1"]
TYPED = {"model": "org/name", "image": "docker://registry.example/team/model:1"}


@pytest.fixture
def server() -> Iterator[PipelineServer]:
    with PipelineServer() as running:
        yield running


def at(server: PipelineServer, **more: object) -> Endpoint:
    return Endpoint(server.url, "models", **more)  # type: ignore[arg-type]


def test_a_run_uses_an_uploaded_version_and_the_given_parameters(
    server: PipelineServer, package: Path
) -> None:
    made = submit.start(at(server), package, TYPED)
    run = server.store.runs[made.id].request
    version = server.store.versions[run["pipeline_version_reference"]["pipeline_version_id"]]
    assert run["runtime_config"]["parameters"] == TYPED
    assert version["display_name"] == upload.version_name(package)
    assert made.url == f"{server.url}/#/runs/details/{made.id}"


def test_a_first_submit_makes_one_pipeline_with_one_version(
    server: PipelineServer, package: Path
) -> None:
    """The server names a first version after the pipeline if both come in one upload."""
    submit.start(at(server), package, TYPED)
    assert named(server.store.pipelines) == ["modelcar"]
    assert named(server.store.versions) == [upload.version_name(package)]


def test_the_same_yaml_is_uploaded_once(server: PipelineServer, package: Path) -> None:
    submit.start(at(server), package, TYPED)
    submit.start(at(server), package, TYPED)
    assert named(server.store.versions) == [upload.version_name(package)]
    assert named(server.store.pipelines) == ["modelcar"]
    assert named(server.store.experiments) == ["carferry"]


def test_changed_yaml_becomes_a_new_version_of_the_same_pipeline(
    server: PipelineServer, package: Path, tmp_path: Path
) -> None:
    changed = tmp_path / package.name
    changed.write_text(package.read_text() + "\n# changed\n")
    submit.start(at(server), package, TYPED)
    submit.start(at(server), changed, TYPED)
    assert named(server.store.versions) == [*map(upload.version_name, (package, changed))]
    assert named(server.store.pipelines) == ["modelcar"]


def test_two_who_submit_at_once_share_one_pipeline_and_version(
    server: PipelineServer, package: Path
) -> None:
    """Both have looked before either has made: the slower one gets 409 and looks again."""
    both = threading.Barrier(2, timeout=20)

    def hold(method: str, path: str) -> None:
        if method == "POST" and "/pipelines" in path:
            both.wait()

    server.before = hold
    threads = [
        threading.Thread(target=submit.start, args=(at(server), package, TYPED)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert named(server.store.pipelines) == ["modelcar"]
    assert named(server.store.versions) == [upload.version_name(package)]
    assert len(server.store.runs) == 2


def test_what_is_on_a_later_page_is_found(package: Path) -> None:
    with PipelineServer(page_size=2) as server:
        for n in range(5):
            server.store.pipelines[f"other{n}"] = pipeline(f"other{n}", "elsewhere")
        submit.start(at(server), package, TYPED)
        (mine,) = (p for p in server.store.pipelines.values() if p["namespace"] == "models")
        of_it = {"pipeline_id": mine["pipeline_id"]}
        old = {
            f"old{n}": {**of_it, "pipeline_version_id": f"old{n}", "display_name": f"old{n}"}
            for n in range(5)
        }
        server.store.versions = old | server.store.versions
        submit.start(at(server), package, TYPED)
        assert len(server.store.versions) == 6
        assert len(server.store.pipelines) == 6


def test_a_pipeline_of_the_same_name_in_another_project_is_left_alone(
    server: PipelineServer, package: Path
) -> None:
    server.store.pipelines["theirs"] = pipeline("theirs", "elsewhere", "modelcar")
    submit.start(at(server), package, TYPED)
    assert {v["pipeline_id"] for v in server.store.versions.values()} == {"p1"}


def test_the_token_is_read_again_from_its_file(package: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    with PipelineServer(token="first") as server:
        connected = api.connect(at(server, token_file=token))
        submit.start(at(server), package, TYPED, server=connected)
        server.token = "second"
        token.write_text("second\n")
        made = submit.start(at(server), package, TYPED, server=connected)
        assert made.id in server.store.runs


def test_a_token_file_that_went_away_is_named(package: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    with PipelineServer(token="first") as server:
        connected = api.connect(at(server, token_file=token))
        token.unlink()
        with pytest.raises(InputError, match=r"read token .*/token: "):
            submit.start(at(server), package, TYPED, server=connected)


def test_a_refused_token_says_how_to_get_one(package: Path) -> None:
    with PipelineServer(token="right") as server:
        with pytest.raises(ClusterError, match=r"401 .*--token-file") as caught:
            submit.start(at(server, token="wrong"), package, TYPED)
        assert caught.value.status == 401
        assert "wrong" not in str(caught.value)


def test_a_server_that_is_not_there_is_unreachable(package: Path) -> None:
    with PipelineServer() as server:
        gone = at(server)
    with pytest.raises(Unreachable, match="--host"):
        submit.start(gone, package, TYPED)


def test_a_server_that_is_not_there_costs_one_line_on_stderr(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """No line of urllib3's about its retries, no warning of kfp's."""
    with PipelineServer() as server:
        gone = server.url
    options = ["--host", gone, "--namespace", "models", "--output", str(tmp_path)]
    assert command.main(["--submit", *options, *VALUES]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"carferry: call pipelines API {gone}: ")


def test_an_unknown_certificate_asks_for_ca_and_ca_helps(package: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "chain.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with PipelineServer(certificate=(tmp_path / "chain.pem", tmp_path / "key.pem")) as server:
        with pytest.raises(Unreachable, match="--ca"):
            submit.start(at(server), package, TYPED)
        made = submit.start(at(server, ca=tmp_path / "ca.pem"), package, TYPED)
        assert made.id in server.store.runs


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({**TYPED, "modle": "x"}, "parameter(s) provided are not required by pipeline: modle"),
        ({"model": "a/b"}, "parameter image is not optional, yet has neither default value nor"),
        ({**TYPED, "image": 3}, "input parameter image requires type string"),
    ],
)
def test_a_400_is_shown_in_the_servers_own_words(
    given: dict[str, object], reason: str, server: PipelineServer, package: Path
) -> None:
    with pytest.raises(ClusterError) as caught:
        submit.start(at(server), package, given)
    line = str(caught.value)
    assert line.startswith(f"call pipelines API {server.url}: 400 Bad Request: {reason}")
    assert "Failed to" not in line


INTERNAL = '{"message": "why", "details": [{"message": "Internal Server Error"}]}'
ANSWERS = [
    (400, "application/json", '{"error": "old form", "code": 3}', "400 Chaos: old form"),
    (400, "application/json", '{"error_message": "upload form"}', "400 Chaos: upload form"),
    (
        400,
        "application/json",
        '{"message": "new", "details": [{"message": "in"}]}',
        "400 Chaos: in",
    ),
    (400, "application/json", json.dumps({"message": "x" * 9000}), "..." + "x" * 500),
    (400, "application/json", '{"message": "hf_abcdefgh"}', "400 Chaos: ***"),
    (400, "application/json", '{"message": "a\\nb"}', "400 Chaos: a\\nb"),
    (400, "application/json", "[]", "400 Chaos"),
    (400, "text/plain", "plain", "400 Chaos"),
    (403, "text/plain", "Forbidden", "Role ds-pipeline-user-access"),
    (404, "application/json", '{"code": 5, "message": "Not Found"}', "route ds-pipeline-"),
    (500, "application/json", INTERNAL, "500 Chaos: why"),
    (502, "text/html", "<html>", "502"),
    (200, "text/html; charset=utf-8", "<html>log in", "a web page answered, not the API"),
]


@pytest.mark.parametrize(("status", "kind", "body", "line"), ANSWERS)
def test_every_form_of_refusal_is_one_line(
    status: int, kind: str, body: str, line: str, server: PipelineServer, package: Path
) -> None:
    answer = Answer(status, {"Content-Type": kind}, body.encode())
    with (
        Proxy(server.url, [Rule(answer, path="/pipelines")]) as proxy,
        pytest.raises(ClusterError) as caught,
    ):
        submit.start(Endpoint(proxy.endpoint, "models"), package, TYPED)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_token_of_a_kubeconfig_is_its_current_contexts(tmp_path: Path) -> None:
    user = {"name": "me", "user": {"token": "from-login"}}
    cluster = {"name": "here", "cluster": {"server": "https://api.example:6443"}}
    context = {"name": "now", "context": {"cluster": "here", "user": "me"}}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "now",
        "users": [user],
        "clusters": [cluster],
        "contexts": [context],
    }
    (tmp_path / "config").write_text(json.dumps(document))
    assert endpoint.token_of(tmp_path / "config") == "from-login"


def test_a_kubeconfig_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="read kubeconfig"):
        endpoint.token_of(tmp_path / "none")


def test_the_command_line_prints_the_url_and_waits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--output", str(tmp_path), "--namespace", "models"]
    with PipelineServer([Look("SUCCEEDED", skip="condition-2")]) as server:
        code = command.main(["--submit", "--wait", "--host", server.url, *options, *VALUES])
        (run,) = server.store.runs
    assert code == 0
    assert capsys.readouterr().out == f"{server.url}/#/runs/details/{run}\n"


def test_submitting_leaves_no_file_in_the_current_folder(
    server: PipelineServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a clone, ./compiled holds committed files."""
    monkeypatch.chdir(tmp_path)
    options = ["--submit", "--namespace", "models", "--host", server.url, *VALUES]
    assert command.main(options) == 0
    assert list(tmp_path.iterdir()) == []
    assert command.main([*options, "--output", "kept"]) == 0
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["modelcar.yaml"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--submit", *VALUES], "--host"),
        (["--submit", "--host", "http://127.0.0.1:1", "model=a/b"], "image: missing"),
        (
            ["--submit", "--host", "http://127.0.0.1:1", *VALUES, "settings.parallel=two"],
            "whole number",
        ),
        (["--submit", "--host", "http://127.0.0.1:1", *VALUES, "deploy=maybe"], "true or false"),
        (["--submit", "--host", "http://127.0.0.1:1", *VALUES, "modle=x"], "no such parameter"),
    ],
)
def test_wrong_command_lines_exit_2_with_one_line(
    arguments: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([*arguments, "--output", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("carferry: ")
    assert said.count("\n") == 1
    assert reason in said


def named(known: dict[str, dict[str, str]]) -> list[str]:
    return [each["display_name"] for each in known.values()]


def pipeline(key: str, namespace: str, name: str = "") -> dict[str, str]:
    return {"pipeline_id": key, "display_name": name or key, "namespace": namespace}


@pytest.mark.parametrize(
    "host",
    [
        *("file:///etc/passwd", "file:/etc/passwd", "ftp://h", "javascript:alert(1)", "HTTPX://h"),
        *(
            "https://",
            "http:///x",
            "http://[::1",
            "h:0",
            "h:99999",
            "a b",
            "a\nb",
            "h\\x",
            "http:h",
        ),
        *("https://me:secret@h", "https://h/#/runs", "https://h?x=1"),
    ],
)
def test_a_host_that_no_request_can_go_to_is_refused(
    host: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--submit", "--host", host, *VALUES, "--output", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("carferry: use --host ")
    assert said.count("\n") == 1
    assert "secret" not in said


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("h", "https://h"),
        ("h:8888/", "https://h:8888"),
        ("HTTP://h/pipeline/", "HTTP://h/pipeline"),
        ("[::1]:8888", "https://[::1]:8888"),
    ],
)
def test_a_host_without_a_scheme_means_https(host: str, url: str) -> None:
    assert Endpoint(host, "models").url == url


FILES = {
    "accounts": "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1\n",
    "nothing": "",
    "a list": "[1, 2]",
    "broken": "users: [secret",
    "another object": "kind: Pod\nsecret: 1\n",
    "not text": "\x00\x01secret",
    "users of another form": "users: {secret: 1}\ncurrent-context: x\ncontexts: [1]\nclusters: 3",
}


@pytest.mark.parametrize("option", ["--kubeconfig", "--token-file", "--ca"])
@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_something_else_is_one_line_and_not_shown(
    option: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text(FILES[kind])
    options = ["--host", "http://127.0.0.1:1", "--output", str(tmp_path)]
    assert command.main(["--submit", *options, option, str(tmp_path / "file"), *VALUES]) == 2
    said = capsys.readouterr().err
    assert said.startswith("carferry: read ")
    assert said.count("\n") == 1
    assert "daemon" not in said
    assert "' object " not in said  # nor what Python says of it
    assert "secret" not in said
