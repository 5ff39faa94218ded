"""Following a run: what is said while it goes, and the one line that says why it failed."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from servers import argo
from servers.argo import Look
from servers.chaos import Answer, Rule
from servers.dsp import PipelineServer
from servers.kube import KubeServer
from servers.proxy import Proxy

from carferry.cluster import api
from carferry.errors import CarferryError, ClusterError, DeadlineExceeded, Unreachable
from carferry.pipelines import command
from carferry.pipelines.runs import follow
from carferry.pipelines.server import submit
from carferry.pipelines.server.endpoint import Endpoint

TYPED = {"model": "org/name", "image": "docker://registry.example/team/model:1"}
OURS = "fit org/name: needs 3 GPUs, 2 are there; use a smaller model"
FAILED = Look("FAILED", at="fit-model", phase="Failed", message="Error (exit code 1)")
AGAIN = "submit it again: what is pushed already is not pushed twice"


class Ticks:
    """A clock that waiting moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def kube() -> Iterator[KubeServer]:
    with KubeServer(namespaces={"models"}) as running:
        yield running


def followed(
    server: PipelineServer, package: Path, *, url: str = "", **more: object
) -> tuple[list[str], CarferryError | None]:
    """Submit a run and wait for it: what was said, and how it ended."""
    lines: list[str] = []
    made = submit.start(Endpoint(server.url, "models"), package, TYPED)
    through = Endpoint(url or server.url, "models")
    ended = None
    try:
        follow.wait(through, made.id, say=lines.append, clock=Ticks(), **more)  # type: ignore[arg-type]
    except CarferryError as error:
        ended = error
    assert lines.pop(0) == f"following run {made.id}"
    return lines, ended


def why(looks: Sequence[Look], package: Path, logs: dict[str, str] | None = None) -> str:
    """Return the line that a run ends with, without its beginning."""
    with PipelineServer(looks) as server:
        server.store.logs = logs or {}
        _, error = followed(server, package)
        (run,) = server.store.runs
    assert isinstance(error, ClusterError)
    line = str(error)
    assert "\n" not in line
    assert line.startswith(f"run pipeline {run}: ")
    return line.removeprefix(f"run pipeline {run}: ")


def test_progress_names_the_pipelines_own_steps_each_state_once(package: Path) -> None:
    loop = Look("RUNNING", at="stream-layers", turns=8)
    looks = [
        Look("PENDING"),
        Look("RUNNING", at="fit-model", in_driver=True),
        Look("RUNNING", at="fit-model"),
        Look("RUNNING", at="plan-model"),
        loop,
        replace(loop, done=3),
        replace(loop, done=3),
        Look("SUCCEEDED", turns=8, skip="condition-2"),
    ]
    with PipelineServer(looks) as server:
        lines, error = followed(server, package)
    assert error is None
    assert lines == [
        "fit-model: running",
        "fit-model: done",
        "plan-model: running",
        "plan-model: done",
        "stream-layers: 0 of 8 done",
        "stream-layers: 3 of 8 done",
        "stream-layers: 8 of 8 done",
        "seal-image: done",
        "deploy-model: skipped",
    ]


def test_progress_is_the_same_from_a_server_without_the_older_api(package: Path) -> None:
    looks = [
        Look("RUNNING", at="fit-model"),
        Look("RUNNING", at="stream-layers", turns=8, done=3),
        Look("SUCCEEDED", turns=8, skip="condition-2"),
    ]
    lines = []
    for v1beta1 in (True, False):
        with PipelineServer(looks, v1beta1=v1beta1) as server:
            lines.append(followed(server, package))
    assert lines[0] == lines[1]


def test_a_pod_that_does_not_start_says_what_holds_it_up(package: Path) -> None:
    message = "Unschedulable: 0/3 nodes are available: 3 Insufficient cpu."
    held = Look("RUNNING", at="plan-model", phase="Pending", message=message)
    with PipelineServer([held, Look("SUCCEEDED")]) as server:
        lines, _ = followed(server, package)
    assert f"plan-model: running (pending: {message})" in lines


def test_what_holds_a_pod_up_is_one_safe_line(package: Path) -> None:
    message = "ImagePullBackOff: \x1b[2Jno such\nimage https://me:secret@registry.example/x"
    held = Look("RUNNING", at="plan-model", phase="Pending", message=message)
    with PipelineServer([held, Look("SUCCEEDED")]) as server:
        lines, _ = followed(server, package)
    (line,) = (line for line in lines if "ImagePull" in line)
    assert line.isprintable()
    assert "secret" not in line


def test_packed_nodes_do_not_freeze_the_progress(package: Path) -> None:
    """Over 1 MiB Argo packs the nodes; the list of steps stays as it was from then on."""
    looks = [
        Look("RUNNING", at="fit-model"),
        *[Look("RUNNING", at="seal-image", packed=True)] * 8,
        Look("FAILED", at="seal-image", phase="Failed", message=f"Error (exit code 1): {OURS}",
             packed=True),
    ]  # fmt: skip
    with PipelineServer(looks) as server:
        lines, error = followed(server, package)
    assert "seal-image: running" in lines
    assert f"seal-image failed: {OURS}" in str(error)


def failed(message: str, at: str = "fit-model", **more: object) -> list[Look]:
    options = {"phase": "Failed", **more}
    return [
        Look("RUNNING", at=at),
        Look("FAILED", at=at, message=message, **options),  # type: ignore[arg-type]
    ]


KINDS = {
    "our error, as the termination message": (
        failed(f"Error (exit code 1): carferry: error: {OURS}"),
        f"fit-model failed: {OURS}",
    ),
    "our error, as Argo 3.7 has it": (
        failed(f"main: Error (exit code 1): carferry: error: {OURS}"),
        f"fit-model failed: {OURS}",
    ),
    "out of memory, as Argo 3.7 has it": (
        failed("main: OOMKilled (exit code 137)"),
        "fit-model failed: killed, over its memory limit (main: OOMKilled (exit code 137)); raise",
    ),
    "our error, bare": (failed(f"Error (exit code 1): {OURS}"), f"fit-model failed: {OURS}"),
    "the last of three tries": (
        failed(f"Error (exit code 1): {OURS}", at="stream-layers", tries=3),
        f"stream-layers failed: {OURS}",
    ),
    "in a loop": (
        failed(f"Error (exit code 1): {OURS}", at="stream-layers", turns=4, done=2),
        f"stream-layers failed: {OURS}",
    ),
    "in a condition": (
        failed(f"Error (exit code 1): {OURS}", at="deploy-model"),
        f"deploy-model failed: {OURS}",
    ),
    "out of memory": (
        failed("OOMKilled (exit code 137)"),
        "fit-model failed: killed, over its memory limit (OOMKilled (exit code 137)); raise",
    ),
    "evicted": (
        failed("The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi."),
        "fit-model failed: The node was low on resource: ephemeral-storage. Threshold quantity: "
        f"1Gi.; {AGAIN}",
    ),
    "deleted": (failed("pod deleted"), f"fit-model failed: pod deleted; {AGAIN}"),
    "refused by a quota": (
        failed('pods "x" is forbidden: exceeded quota: small, requested: requests.cpu=4'),
        'fit-model failed: pods "x" is forbidden: exceeded quota: small, requested: requests',
    ),
    "refused by policy": (
        failed("unable to validate against any security context constraint", phase="Error"),
        "fit-model failed: unable to validate against any security context constraint",
    ),
    "image that cannot be pulled": (
        failed("Pod failed before main container starts due to ImagePullBackOff: Back-off"),
        "fit-model failed: Pod failed before main container starts due to ImagePullBackOff",
    ),
    "driver": (
        failed("Error (exit code 1): F1125 12:00:00.000001 1 main.go:79] KFP driver: no secret",
               in_driver=True),
        "fit-model failed: the pipeline server's driver: KFP driver: no secret",
    ),
    "size": (
        [Look("RUNNING", at="fit-model"), Look("FAILED", at="fit-model", whole=(
            "workflow is longer than maximum allowed size. compressed size 1053993 > maxSize "
            "1048576"))],
        "the run's object outgrew what Argo stores: workflow is longer than maximum allowed size. "
        "compressed size 1053993 > maxSize 1048576; lower pack_workers",
    ),
    "cancelled": (
        [Look("RUNNING", at="fit-model", cancelled=True), replace(FAILED, cancelled=True)],
        f"was cancelled; {AGAIN}",
    ),
    "an error of the whole": (
        [Look("FAILED", at="none", whole="invalid spec: no such template")],
        "failed: invalid spec: no such template; look at the run's page",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_failure_is_one_line_with_its_cause(kind: str, package: Path) -> None:
    looks, line = KINDS[kind]
    assert why(looks, package).startswith(line)


LOGS = {
    "our last error": (
        f"starting\ncarferry: error: a try: failed\ncarferry: error: {OURS}\n"
        "I1125 12:00:00.000001      18 launcher_v2.go:500] publish\n"
        "F1125 12:00:00.000002      18 main.go:54] failed to execute component: exit status 1\n",
        OURS,
    ),
    "a traceback": (
        "Traceback (most recent call last):\n"
        '  File "<frozen runpy>", line 198, in _run_module_as_main\n'
        "ModuleNotFoundError: No module named 'kfp'\n"
        "F1125 12:00:00.000002      18 main.go:54] failed to execute component: exit status 1\n",
        "ModuleNotFoundError: No module named 'kfp'",
    ),
    "chained tracebacks": (
        "Traceback (most recent call last):\n  File x\nKeyError: 'a'\n\nDuring handling of the "
        "above exception, another exception occurred:\n\nTraceback (most recent call last):\n"
        "  File y\ncarferry.errors.Strange: b\n    more\nTraceback (most recent call last):\n"
        "  File z\nOSError: [Errno 28] No space left on device\n",
        "OSError: [Errno 28] No space left on device",
    ),
    "the launcher's last line": (
        "I1125 12:00:00.000001      18 launcher_v2.go:500] publish\n"
        "F1125 12:00:00.000002      18 main.go:54] failed to put file: no such bucket\n",
        "failed to put file: no such bucket",
    ),
}


@pytest.mark.parametrize("kind", LOGS)
def test_a_step_that_left_no_message_is_explained_by_its_log(kind: str, package: Path) -> None:
    log, said = LOGS[kind]
    assert why([FAILED], package, {pod(package): log}) == f"fit-model failed: {said}"


def test_of_a_long_log_the_end_counts(package: Path) -> None:
    log = "carferry: error: early\n" + "x" * 79 + "\n"
    log = "noise\n" * 400_000 + log + f"carferry: error: {OURS}\n"
    assert why([FAILED], package, {pod(package): log}) == f"fit-model failed: {OURS}"


@pytest.mark.parametrize("token", ["", "secret"])
def test_a_log_that_only_the_object_store_has_is_read_by_a_signed_link(
    token: str, package: Path
) -> None:
    with PipelineServer([FAILED], token=token) as server:
        mine = Endpoint(server.url, "models", token=token)
        made = submit.start(mine, package, TYPED)
        place = f"s3://bucket/modelcar/{made.id}"
        server.store.published = [
            ("s3://bucket/modelcar/other/fit-model/1/executor-logs-0", "carferry: error: other"),
            (f"{place}/fit-model/1/report", "carferry: error: no log"),
            (f"{place}/fit-model/1/executor-logs-0", "carferry: error: first try"),
            (f"{place}/fit-model/1/executor-logs-1", f"carferry: error: {OURS}"),
            (f"{place}/seal-image/1/executor-logs-0", "carferry: error: other step"),
        ]
        with pytest.raises(ClusterError) as caught:
            follow.wait(mine, made.id, say=str, clock=Ticks())
    assert str(caught.value).endswith(f": fit-model failed: {OURS}")


def test_a_try_that_failed_is_reported_while_the_next_one_goes(package: Path) -> None:
    again = Look("RUNNING", at="stream-layers", tries=2)
    with PipelineServer([again, Look("SUCCEEDED")]) as server:
        lines, _ = followed(server, package)
    assert lines[2:4] == [
        "stream-layers: 0 of 1 done (a try failed: try 0 failed)",
        "stream-layers: 1 of 1 done",
    ]


def test_a_run_whose_pipeline_was_deleted_is_followed_to_its_end(package: Path) -> None:
    looks, line = KINDS["our error, bare"]
    with PipelineServer(looks) as server:
        made = submit.start(Endpoint(server.url, "models"), package, TYPED)
        server.store.specs.clear()
        with pytest.raises(ClusterError, match=line):
            follow.wait(Endpoint(server.url, "models"), made.id, say=str, clock=Ticks())


def test_the_note_says_how_to_read_the_whole_log(package: Path) -> None:
    with PipelineServer([FAILED]) as server:
        _, error = followed(server, package)
    command_line = f"oc logs --namespace models --container main {pod(package)}"
    assert getattr(error, "__notes__", []) == [f"its log: {command_line}"]


def test_without_the_older_api_the_cluster_is_asked(package: Path, kube: KubeServer) -> None:
    with PipelineServer([FAILED], v1beta1=False) as server:
        server.before = lambda method, path: live(server, kube)
        kube.logs[pod(package), "main", False] = f"carferry: error: {OURS}\n"
        _, error = followed(server, package, kube=api.connect(host=kube.url))
    assert f": fit-model failed: {OURS}" in str(error)


def test_if_nothing_can_be_read_it_says_what_was_tried(package: Path, kube: KubeServer) -> None:
    kube.forbidden.add(("list", "workflows"))
    with PipelineServer([FAILED], v1beta1=False) as server:
        _, error = followed(server, package, kube=api.connect(host=kube.url))
    assert "fit-model failed: " in str(error)
    assert "404 Not Found" in str(error)
    assert "grant to demo/pipeline-runner in namespace models: " in str(error)
    assert "resources: [workflows], verbs: [list]" in str(error)


def test_a_run_whose_steps_cannot_be_listed_says_so(package: Path) -> None:
    with PipelineServer([replace(FAILED, packed=True)], v1beta1=False) as server:
        _, error = followed(server, package)
    assert ": failed: its steps cannot be listed: the server shows none" in str(error)


def test_secrets_in_a_log_are_not_shown(package: Path) -> None:
    log = "carferry: error: push x: token hf_abcdefghij refused\n"
    assert "hf_abc" not in why([FAILED], package, {pod(package): log})


def test_waiting_survives_a_temporary_failure_of_the_server(package: Path) -> None:
    """The run goes on whether or not the server answers this once."""
    busy = Rule(Answer(503), method="GET", path="/v2beta1/runs/", first=2)
    with PipelineServer() as server, Proxy(server.url, [busy]) as proxy:
        lines, error = followed(server, package, url=proxy.endpoint)
    assert error is None
    assert sum("503" in line for line in lines) == 1
    assert lines[-1] == "deploy-model: done"


@pytest.mark.parametrize("times", [2, 99])
def test_a_cause_survives_a_temporary_failure_at_the_end(
    times: int, package: Path, kube: KubeServer
) -> None:
    """It is asked again; one that never gives the older form of a run is not waited for."""
    busy = Rule(Answer(503), method="GET", path="/v1beta1/runs/", first=times)
    looks, line = KINDS["our error, bare"]
    with PipelineServer(looks[-1:]) as server, Proxy(server.url, [busy]) as proxy:
        server.before = lambda method, path: live(server, kube)
        reach = api.connect(host=kube.url)
        _, error = followed(server, package, url=proxy.endpoint, kube=reach)
    assert line in str(error)


def test_a_server_that_stays_away_ends_the_waiting_and_not_the_run(package: Path) -> None:
    with PipelineServer() as server:
        made = submit.start(Endpoint(server.url, "models"), package, TYPED)
    with pytest.raises(Unreachable) as caught:
        follow.wait(Endpoint(server.url, "models"), made.id, say=str, clock=Ticks())
    assert caught.value.__notes__ == [
        f"run {made.id} goes on; follow it again with --follow {made.id}"
    ]


def test_a_token_that_expires_ends_the_waiting_and_says_how_to_go_on(package: Path) -> None:
    with PipelineServer([Look("RUNNING", at="fit-model")], token="old") as server:
        mine = Endpoint(server.url, "models", token="old")
        made = submit.start(mine, package, TYPED)
        looks = itertools.count()

        def expire(method: str, path: str) -> None:
            if "/runs/" in path and next(looks) == 3:
                server.token = "new"

        server.before = expire
        with pytest.raises(ClusterError, match=r"401 .*--token-file") as caught:
            follow.wait(mine, made.id, say=str, clock=Ticks())
    assert caught.value.__notes__[0].startswith(f"run {made.id} goes on")


def test_waiting_ends_at_its_deadline_with_what_the_run_is_at(package: Path) -> None:
    message = 'ImagePullBackOff: Back-off pulling image "quay.io/no/such"'
    held = Look("RUNNING", at="plan-model", phase="Pending", message=message)
    with PipelineServer([held]) as server:
        _, error = followed(server, package, timeout_s=30)
    assert isinstance(error, DeadlineExceeded)
    said = f"still RUNNING after 30 s: plan-model: running (pending: {message})"
    assert said in str(error).replace("\\", "")


def test_a_cancelled_run_has_no_failed_steps(package: Path) -> None:
    looks, _ = KINDS["cancelled"]
    with PipelineServer(looks) as server:
        lines, _ = followed(server, package)
    assert lines[-5:] == [
        "fit-model: stopped",
        "plan-model: not run",
        "stream-layers: not run",
        "seal-image: not run",
        "deploy-model: not run",
    ]


def test_the_command_line_shows_cause_and_log_and_nothing_else(
    package: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    looks, line = KINDS["our error, bare"]
    with PipelineServer([looks[-1]]) as server:
        options = ["--host", server.url, "--namespace", "models", "--output", str(tmp_path)]
        given = [f"{name}={value}" for name, value in TYPED.items()]
        assert command.main(["--submit", "--wait", *options, *given]) == 1
        (run,) = server.store.runs
    assert capfd.readouterr().err.splitlines() == [
        f"following run {run}",
        "fit-model: failed",
        "plan-model: not run",
        "stream-layers: not run",
        "seal-image: not run",
        "deploy-model: not run",
        f"carferry: its log: oc logs --namespace models --container main {pod(package)}",
        f"carferry: run pipeline {run}: {line}",
    ]


def test_the_command_line_follows_a_run_that_is_there(
    package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with PipelineServer([Look("SUCCEEDED")]) as server:
        made = submit.start(Endpoint(server.url, "models"), package, TYPED)
        options = ["--host", server.url, "--namespace", "models"]
        assert command.main(["--submit", "--follow", made.id, *options]) == 0
        assert command.main(["--submit", "--follow", "none", *options]) == 1
    said = capsys.readouterr().err
    assert "404 Not Found: Run none not found" in said
    assert "goes on" not in said


def test_an_interrupt_leaves_the_run_going_and_says_so(
    package: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    with PipelineServer([Look("RUNNING", at="fit-model")]) as server:
        made = submit.start(Endpoint(server.url, "models"), package, TYPED)
        monkeypatch.setattr("time.sleep", interrupted)
        options = ["--host", server.url, "--namespace", "models"]
        assert command.main(["--submit", "--follow", made.id, *options]) == 130
    assert capsys.readouterr().err.splitlines() == [
        f"following run {made.id}",
        "fit-model: running",
        f"run {made.id} goes on; follow it again with --follow {made.id}",
    ]


@functools.cache
def pod(package: Path) -> str:
    """Return the name of the pod of fit-model."""
    spec = next(yaml.safe_load_all(package.read_text()))
    nodes = argo.workflow(spec, "", FAILED)["status"]["nodes"].values()
    (name,) = (
        argo.pod_name(node) for node in nodes if node["type"] == "Pod" and node["phase"] == "Failed"
    )
    return name


def live(server: PipelineServer, kube: KubeServer) -> None:
    """Put the run's Workflow into the cluster, as it is there until its time to live is over."""
    for run in server.store.runs.values():
        kube.store.put(argo.workflow(run.spec, run.id, run.looks[-1]), "models")
