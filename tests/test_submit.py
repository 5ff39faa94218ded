"""Submitting to a pipelines API server: one of ours, over real HTTP, driven by kfp's client."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trustme
from carferry.pipelines import command, submit
from carferry.pipelines.submit import Endpoint
from servers.chaos import Answer, Rule
from servers.dsp import PipelineServer
from servers.proxy import Proxy

from carferry.errors import ClusterError, DeadlineExceeded, InputError, Unreachable

VALUES = ["model=org/name", "image=docker://registry.example/team/model:1"]
TYPED = {"model": "org/name", "image": "docker://registry.example/team/model:1"}


class Ticks:
    """A clock that waiting moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compiled")
    assert command.main(["--compile", "--output", str(folder)]) == 0
    return folder / "modelcar.yaml"


def endpoint(server: PipelineServer, **more: object) -> Endpoint:
    return Endpoint(server.url, "models", **more)  # type: ignore[arg-type]


def test_a_run_uses_an_uploaded_version_and_the_given_parameters(package: Path) -> None:
    with PipelineServer() as server:
        made = submit.start(endpoint(server), package, TYPED)
        run = server.store.runs[made.id]
        version = server.store.versions[run["pipeline_version_reference"]["pipeline_version_id"]]
        assert run["runtime_config"]["parameters"] == TYPED
        assert version["display_name"] == submit.version_name(package)
        assert made.url == f"{server.url}/#/runs/details/{made.id}"


def test_the_same_yaml_is_uploaded_once(package: Path) -> None:
    with PipelineServer() as server:
        submit.start(endpoint(server), package, TYPED)
        before = len(server.store.versions)
        submit.start(endpoint(server), package, TYPED)
        assert len(server.store.versions) == before
        assert [p["display_name"] for p in server.store.pipelines.values()] == ["modelcar"]


def test_changed_yaml_becomes_a_new_version(package: Path, tmp_path: Path) -> None:
    changed = tmp_path / package.name
    changed.write_text(package.read_text() + "\n# changed\n")
    assert submit.version_name(changed) != submit.version_name(package)


def test_the_token_is_read_again_from_its_file(package: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    with PipelineServer(token="first") as server:
        client = submit.connect(endpoint(server, token_file=token))
        submit.start(endpoint(server), package, TYPED, client=client)
        server.token = "second"
        token.write_text("second")
        made = submit.start(endpoint(server), package, TYPED, client=client)
        assert made.id in server.store.runs


def test_a_refused_token_says_how_to_get_one(package: Path) -> None:
    with PipelineServer(token="right") as server:
        with pytest.raises(ClusterError, match=r"401 .*--token-file") as caught:
            submit.start(endpoint(server, token="wrong"), package, TYPED)
        assert caught.value.status == 401
        assert "wrong" not in str(caught.value)


def test_a_server_that_is_not_there_is_unreachable(package: Path) -> None:
    with PipelineServer() as server:
        gone = endpoint(server)
    with pytest.raises(Unreachable, match="--host"):
        submit.start(gone, package, TYPED)


def test_an_unknown_certificate_asks_for_ca_and_ca_helps(package: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "chain.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with PipelineServer(certificate=(tmp_path / "chain.pem", tmp_path / "key.pem")) as server:
        with pytest.raises(Unreachable, match="--ca"):
            submit.start(endpoint(server), package, TYPED)
        made = submit.start(endpoint(server, ca=tmp_path / "ca.pem"), package, TYPED)
        assert made.id in server.store.runs


def test_waiting_tells_each_state_once_and_ends_with_success(package: Path) -> None:
    told: list[str] = []
    with PipelineServer(states=["PENDING", "RUNNING", "RUNNING", "SUCCEEDED"]) as server:
        made = submit.start(endpoint(server), package, TYPED)
        state = submit.wait(endpoint(server), made.id, say=told.append, clock=Ticks())
    assert state == "SUCCEEDED"
    assert told == ["PENDING", "RUNNING", "SUCCEEDED"]


def test_waiting_outlives_a_server_that_stumbles(package: Path) -> None:
    """The run goes on whether or not the server answers this once."""
    told: list[str] = []
    with PipelineServer(states=["RUNNING", "RUNNING", "SUCCEEDED"]) as server:
        made = submit.start(endpoint(server), package, TYPED)
        busy = Rule(Answer(503), method="GET", path="/runs/", first=2)
        with Proxy(server.url, [busy]) as proxy:
            through = Endpoint(proxy.endpoint, "models")
            state = submit.wait(through, made.id, say=told.append, clock=Ticks())
    assert state == "SUCCEEDED"
    assert any("503" in line for line in told)


def test_a_failed_run_names_the_step(package: Path) -> None:
    with PipelineServer(states=["FAILED"], failed_step="build-image") as server:
        made = submit.start(endpoint(server), package, TYPED)
        with pytest.raises(ClusterError, match="FAILED; build-image exit code 1"):
            submit.wait(endpoint(server), made.id, say=print, clock=Ticks())


def test_waiting_ends_at_its_deadline_with_the_last_state(package: Path) -> None:
    with PipelineServer(states=["RUNNING"]) as server:
        made = submit.start(endpoint(server), package, TYPED)
        with pytest.raises(DeadlineExceeded, match="still RUNNING after 30 s"):
            submit.wait(endpoint(server), made.id, say=print, timeout_s=30, clock=Ticks())


def test_a_schedule_is_created_with_six_fields(package: Path) -> None:
    with PipelineServer() as server:
        made = submit.start(endpoint(server), package, TYPED, cron="0 0 2 * * *")
        recurring = server.store.recurring[made.id]
    assert recurring["trigger"] == {"cron_schedule": {"cron": "0 0 2 * * *"}}
    assert recurring["no_catchup"] is True


def test_a_schedule_with_five_fields_is_refused_before_any_request(package: Path) -> None:
    with pytest.raises(InputError, match="seconds first"):
        submit.start(Endpoint("127.0.0.1:1", "models"), package, TYPED, cron="0 2 * * *")


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
    assert submit.token_of(tmp_path / "config") == "from-login"


def test_a_kubeconfig_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="read kubeconfig"):
        submit.token_of(tmp_path / "none")


def test_command_line_prints_the_url_and_waits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--output", str(tmp_path), "--namespace", "models"]
    with PipelineServer(states=["SUCCEEDED"]) as server:
        code = command.main(["--submit", "--wait", "--host", server.url, *where, *VALUES])
        (run,) = server.store.runs
    assert code == 0
    assert capsys.readouterr().out == f"{server.url}/#/runs/details/{run}\n"


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
        (["--submit", "--host", "h", *VALUES, "--wait", "--recurring", "* * * * * *"], "--wait"),
    ],
)
def test_wrong_command_lines_exit_2_with_one_line(
    arguments: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([*arguments, "--output", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert reason in said
