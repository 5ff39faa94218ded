"""What commands print with ``--json`` is what the published schemas say, field by field."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cluster.standin import running
from ferrying import Outcome, carferry
from gpu.samples import LLAMA, llama_file
from gpu.vllm_logs import Start, lines, messages
from jsonschema import Draft202012Validator
from rights_samples import OWN_ROLES, RUNNER
from servers.dsp import PipelineServer
from servers.kube import KubeServer
from servers.models import tiny, write
from servers.registry import Registry
from servers.runtimes import from_folder
from test_cluster_connect import kubeconfig

from carferry.assembly.plan import How
from carferry.io.show.display import Display
from carferry.io.show.events import Events
from carferry.pipelines import command
from carferry.pipelines.reference.documents.examples import EXAMPLES
from carferry.pipelines.reference.documents.page import DOCUMENTS
from carferry.pipelines.server import submit
from carferry.pipelines.server.endpoint import Endpoint
from carferry.pipelines.server.times import Times

ROOT = Path(__file__).parents[1]
SCHEMAS = ROOT / "docs" / "reference" / "schemas"
IMAGE = f"quay.io/team/granite@sha256:{'ab' * 32}"
STARTED = Start(model="/mnt/models", length=4096, seqs=256, weights=0.01, activation=1.1, kv=69.9,
                tokens=1_000, graphs=0.3)  # fmt: skip
Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return lambda *arguments: carferry(capsys, *arguments)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tiny(), tmp_path / "model")


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    """A model that the GPU plan knows."""
    files = {"config.json": json.dumps(LLAMA).encode(), "model.safetensors": llama_file(LLAMA)}
    return write(files, tmp_path / "llama")


@pytest.fixture
def kube() -> Iterator[KubeServer]:
    with KubeServer(user=RUNNER, namespaces={"demo", "models"}) as server:
        yield server


@pytest.fixture
def cluster(kube: KubeServer, tmp_path: Path) -> str:
    return f"--kubeconfig={kubeconfig(tmp_path / 'config', kube.url)}"


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="ascii"))
    return found


def faults(name: str, document: Any) -> list[str]:
    found = Draft202012Validator(schema(name)).iter_errors(document)
    return [f"{each.json_path}: {each.message}" for each in found]


def places(document: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a document that a class gives; maps of free names give none."""
    if isinstance(document, list):
        for each in document:
            yield from places(each)
    elif isinstance(document, dict):
        yield document
        for name, each in document.items():
            if name not in ("resources", "steps"):
                yield from places(each)


def check(name: str, document: Any) -> None:
    """A document fits its schema, and no longer with one field more or less anywhere."""
    assert faults(name, document) == []
    for place in [*places(document)]:
        place["unheard-of"] = 1
        assert faults(name, document) != [], place
        del place["unheard-of"]
        for field in [*place]:
            kept = dict(place)
            del place[field]
            may_miss = field in ("faults", "manifest", "cause", "evidence", "tolerationSeconds")
            may_miss = may_miss or "operator" in kept
            assert may_miss or faults(name, document) != [], (place, field)
            place.clear()
            place.update(kept)
        for field, value in [*place.items()]:
            place[field] = {"of": "another type"}
            if field not in ("resources", "steps"):
                assert faults(name, document) != [], (place, field)
            place[field] = value


def of(outcome: Outcome) -> Any:
    assert outcome.out, outcome.err
    return json.loads(outcome.out)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_schema_is_valid_and_its_examples_fit(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))
    shown = [example for key, example in EXAMPLES.items() if key.split(" ")[0] == name]
    assert shown
    for each in shown:
        check(name, json.loads(json.dumps(each)))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_field_is_described(name: str) -> None:
    made = schema(name)
    for kind, each in made.get("$defs", {}).items():
        assert each["description"], kind
        bare = [k for k, v in each["properties"].items() if not v.get("description")]
        assert set(bare) <= {"event", "term", "predicted", "logged", "group"}, kind


def test_no_schema_is_left_of_a_document_that_is_none() -> None:
    assert {path.stem for path in SCHEMAS.glob("*.json")} == set(DOCUMENTS)


def test_plan(run: Run, llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    check("plan", of(run("plan", llama, "--json")))
    image = f"oci:{tmp_path / 'out'}:1"
    moves = (image, "--base", "scratch")
    for more in (("--gpu", "L4"), moves, (*moves, "--gpu", "T4")):
        check("plan", of(run("plan", llama, *more, "--json")))
    log = tmp_path / "vllm.log"
    log.write_bytes(lines(messages(STARTED, debug=True)))
    check("plan", of(run("plan", llama, "--log", log, "--gpu", "H100", "--json")))


def test_build_push_inspect_and_download(run: Run, model: Path, registry: Registry) -> None:
    folder = model.parent
    layout, plain = f"oci:{folder / 'out'}:1", ("--plain-http", registry.host)
    where = f"docker://{registry.host}/org/tiny:1"
    built = run("build", model, layout, "--base", "scratch", "--json", "--progress", "json")
    check("build", of(built))
    events = [json.loads(line) for line in built.err.splitlines()]
    assert {"phase", "expect", "begin", "end"} <= {each["event"] for each in events}
    for each in events:
        check("progress", each)
    check("push", of(run("push", layout, where, *plain, "--json")))
    for more in ((), ("--verify",)):
        check("inspect", of(run("inspect", where, *plain, "--json", *more)))
    check("download", of(run("download", model, folder / "copy", "--json")))


def test_stream_and_seal(run: Run, model: Path, registry: Registry) -> None:
    where = f"docker://{registry.host}/org/tiny:1"
    more = ("--base", "scratch", "--plain-http", registry.host, "--json")
    check("stream", of(run("stream", model, where, "--worker", "1/1", *more)))
    check("seal", of(run("seal", model, where, *more)))


def test_rights(run: Run, kube: KubeServer, cluster: str) -> None:
    check("rights", of(run("rights", cluster, "--gpu", "none", "--json")))
    kube.roles = {"demo": [*OWN_ROLES["rhoai-3.4"]]}
    check("rights", of(run("rights", cluster, "--gpu", "none", "--json")))


def test_render_deploy_and_delete(run: Run, cluster: str) -> None:
    check("render", of(run("render", IMAGE, "--json")))
    for more in ("--dry-run", "--wait-s=0"):
        check("deploy", of(run("deploy", IMAGE, cluster, more, "--json")))
    check("delete", of(run("delete", "granite", cluster, "--wait-s", "0", "--json")))


class Nodes(BaseHTTPRequestHandler):
    """An API server that knows one node, which has the image."""

    def do_GET(self) -> None:
        status = {
            "conditions": [{"type": "Ready", "status": "True"}],
            "allocatable": {"nvidia.com/gpu": "1"},
            "images": [{"names": [IMAGE]}],
        }
        item = {"metadata": {"name": "gpu-1"}, "spec": {}, "status": status}
        found = self.path.startswith("/api/v1/nodes")
        body = json.dumps({"items": [item]} if found else {}).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_warm(run: Run, tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Nodes) as server:
        threading.Thread(target=server.serve_forever).start()
        config = kubeconfig(tmp_path / "config", f"http://127.0.0.1:{server.server_port}")
        done = run("warm", IMAGE, "--kubeconfig", config, "--json")
        server.shutdown()
    document = of(done)
    assert [each["state"] for each in document["nodes"]] == ["there"]
    check("warm", document)


def test_test(run: Run, model: Path) -> None:
    with running(f"--model={model}", "--served-model-name=tiny") as server:
        check("test", of(run("test", server.address, "--json")))
        check("test", of(run("test", server.address, "--load", "short", "--json")))


def test_lint(run: Run) -> None:
    data = ROOT / "tests" / "data" / "lint" / "workflow-size.yaml"
    for file in (ROOT / "compiled" / "modelcar-buildah.yaml", data):
        check("lint", of(run("lint", file, "--target", "rhoai-3.4", "--json")))


def test_runtime(
    run: Run, python_layout: str, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_folder(wheels, monkeypatch)
    where = f"oci:{tmp_path / 'out'}:1"
    check("runtime", of(run("runtime", where, "--base", python_layout, "--json")))


def test_a_failure(run: Run, model: Path, kube: KubeServer, cluster: str) -> None:
    done = run("inspect", "oci:/nothing/here:1", "--json", "--progress", "json")
    check("error", of(done))
    for line in done.err.splitlines():
        check("progress", json.loads(line))
    (model / "model.safetensors").write_bytes(b"\0" * 8)
    broken = of(run("build", model, f"oci:{model}-out:1", "--base", "scratch", "--json"))
    assert broken["error"]["faults"]
    check("error", broken)
    kube.roles = {}
    check("error", of(run("deploy", IMAGE, cluster, "--wait-s=0", "--json")))


def test_schedules(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with PipelineServer() as server:
        at, when = Endpoint(server.url, "models"), Times.parse("0 2 * * *")
        given = {"model": "org/name", "image": "docker://quay.io/team/model:1"}
        submit.start(at, package, given, times=when)
        submit.start(at, package, given | {"image": "docker://a.io/b:1"}, times=Times.parse("6h"))
        there = ["--host", server.url, "--namespace", "models", "--json"]
        assert command.main(["--schedules", *there]) == 0
    check("schedules", json.loads(capsys.readouterr().out))


def test_every_kind_of_event() -> None:
    """Those that a short build has none of, by the class that writes them."""
    out, now = io.StringIO(), [0.0]
    shown = Display(Events(out), clock=lambda: now[0])
    with shown.phase("reading", "quay.io"):
        shown.expect(10, 1)
        shown.begin("a", 10)
        shown.advance("a", 6)
        shown.advance("a", -6)
        shown.note("again")
        now[0] += 100
        shown.tick()
        shown.advance("a", 10)
        shown.end("a", "move")
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    told = {"phase", "expect", "begin", "advance", "note", "wait", "end"}
    assert {each["event"] for each in events} == told
    for each in events:
        check("progress", each)


def test_every_way_in_which_something_ends_is_one_of_the_schema() -> None:
    found = set(How)
    for path in (ROOT / "src" / "carferry").rglob("*.py"):
        found |= {*re.findall(r'\bprogress\.end\([^"\n]+, "(\w+)"\)', path.read_text())}
    ways = schema("progress")["$defs"]["End"]["properties"]["how"]["enum"]
    assert {*map(str, found)} <= set(ways)


def test_a_local_run(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The outputs are the steps' own parameters; the schema leaves them open, the page says so."""
    given = [f"model={model}", f"image=oci:{tmp_path / 'out'}:1", "settings.base=scratch"]
    assert command.main(["--local", "--root", str(tmp_path / "root"), *given]) == 0
    document = json.loads(capsys.readouterr().out)
    assert "***" in json.dumps(document["steps"]["plan-model"])
    assert re.fullmatch("sha256:[0-9a-f]{64}", document["steps"]["seal-image"]["digest"])
    assert faults("local", document) == []
    assert faults("local", document | {"more": 1}) != []


def test_a_schema_that_allows_another_field_would_be_seen() -> None:
    lax = schema("build")
    lax["$defs"]["Built"].pop("additionalProperties")
    more = json.loads(json.dumps(EXAMPLES["build"])) | {"more": 1}
    assert not [*Draft202012Validator(lax).iter_errors(more)]
    assert faults("build", more) == [
        "$: Additional properties are not allowed ('more' was unexpected)"
    ]
