"""A served model is asked: vLLM's stand-in as it answers, and all that may answer in its place."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cluster.standin import running
from servers import model_api as api
from servers import models
from servers.model_api import ModelApi, Written, written
from servers.sockets import free_port

from carferry import ClusterError, EndpointFailed, InputError, Unreachable
from carferry.cli import main
from carferry.cluster.api import connect
from carferry.endpoint.answer import ask
from carferry.endpoint.asking import post
from carferry.endpoint.door import Direct, Proxied
from carferry.endpoint.events import StreamLimits, events
from carferry.endpoint.find import Found, doors, llm_service, service
from carferry.endpoint.load import Load, Sample, measure, summed
from carferry.endpoint.metrics import tokens_of
from carferry.endpoint.numbers import Spread
from carferry.endpoint.run import NoWay
from carferry.endpoint.tasks import TASKS, beep
from carferry.run.request import Run
from carferry.run.settings import deploy_keywords, question_of
from carferry.serve.deployed import Deployed
from carferry.steps import endpoint as step

QUICK = Load(levels=(1, 4), seconds=0.3, tokens=8)
ARCHITECTURES = {
    "chat": "LlamaForCausalLM",
    "embedding": "BertModel",
    "transcription": "WhisperForConditionalGeneration",
}


def model_of(task: str, folder: Path) -> Path:
    files = models.tiny()
    config = json.loads(files["config.json"]) | {"architectures": [ARCHITECTURES[task]]}
    return models.write(files | {"config.json": json.dumps(config).encode()}, folder)


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The stand-in with a model that chats, behind a key."""
    folder = model_of("chat", tmp_path_factory.mktemp("model"))
    words = ("--served-model-name", "tiny", "--max-model-len", "64", "--api-key", "hf-no-secret")
    with running(f"--model={folder}", *words) as server:
        yield server.address


@pytest.mark.parametrize("task", ARCHITECTURES)
def test_a_model_is_asked_by_its_own_task(task: str, tmp_path: Path) -> None:
    with running(f"--model={model_of(task, tmp_path)}", "--served-model-name=tiny") as server:
        tested = step.test_endpoint(server.address)
        assert (tested.task, tested.model) == (task, "tiny")
        assert tested.measured.answer.said
        assert step.test_endpoint(f"{server.address}/v1/", task=task).task == task


def test_what_answers_is_shown_and_compared(
    vllm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token, plan, page = tmp_path / "token", tmp_path / "plan.json", tmp_path / "page.html"
    token.write_text("hf-no-secret\n")
    plan.write_text(json.dumps({"fit": {"kv_tokens": 256, "max_model_len": 64}}))
    words = ["test", vllm, "--token-file", str(token), "--plan", str(plan), "--html", str(page)]
    assert main([*words, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["task"], shown["kv_tokens"], shown["max_model_len"]) == ("chat", 256, 64)
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "the KV cache holds 256 tokens, the plan said 256 (+0%): as planned" in out
    assert page.read_text().startswith("<!doctype html>")
    assert "hf-no-secret" not in out + page.read_text()


def test_levels_of_a_load(vllm: str) -> None:
    door = Direct(vllm, "hf-no-secret")
    one, four = measure(door, ask(door), QUICK, lambda line: None)
    for level in (one, four):
        assert level.failures == 0, level.failure
        assert level.requests >= level.streams
        assert level.first and level.whole and level.first.median <= level.whole.median
        assert level.tokens_per_s == pytest.approx(8 * level.requests_per_s)


def test_a_missing_token_is_named(vllm: str) -> None:
    with pytest.raises(EndpointFailed, match=r"asks for a token \(401\).*pass --token-file"):
        step.test_endpoint(vllm)


def test_a_wrong_token_is_named_and_not_shown(vllm: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("another-secret")
    with pytest.raises(EndpointFailed, match=r"the token was refused \(401\)") as caught:
        step.test_endpoint(vllm, token_file=tmp_path / "token")
    assert "another-secret" not in str(caught.value)


def test_another_models_name_lists_those_that_are_served(vllm: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf-no-secret")
    with pytest.raises(EndpointFailed, match="no model granite is served, but tiny; pass --model"):
        step.test_endpoint(vllm, token_file=tmp_path / "token", model="granite")


CHAT = "/v1/chat/completions"
REFUSED: dict[str, tuple[dict[str, Written], str]] = {
    "a page instead of models": (
        {"/v1/models": Written(200, api.PAGE)},
        "a web page answers, 'Log in', no model server; is a login or a proxy before it?",
    ),
    "a redirect": (
        {"/v1/models": Written(302, b"", {"Location": "https://sso.example/login"})},
        r"it sends on to https://sso.example/login \(302\)",
    ),
    "the wrong path": (
        {"/v1/models": Written(404, b"404 page not found")},
        r"/v1/models is not found \(404\): 404 page not found; no model server answers there",
    ),
    "a router without pods": (
        {"/v1/models": Written(503, b"<html><title>Application is not available</title></html>")},
        r"not ready \(503\): a web page, 'Application is not available'; wait until",
    ),
    "an error of the server": (
        {CHAT: written({"error": {"message": "EngineCore died"}}, 500)},
        r"/v1/chat/completions was answered 500: EngineCore died; its log says why",
    ),
    "a model that went": (
        {CHAT: written({"error": {"message": "The model `tiny` does not exist."}}, 404)},
        "The model `tiny` does not exist",
    ),
    "no task at all": (
        {CHAT: written({"detail": "Not Found"}, 404)},
        "tiny takes none of what was asked .chat: 404 Not Found; completion: 404",
    ),
    "no models": ({"/v1/models": written({"data": []})}, "names no model"),
    "models of another form": ({"/v1/models": written({"data": "tiny"})}, "names no model"),
    "a list": ({"/v1/models": Written(200, b"[]")}, "not a JSON object"),
    "half an answer": ({CHAT: Written(200, b'{"choices": [')}, "the answer is not JSON"),
    "an answer without words": ({CHAT: written({"choices": [{}]})}, "no text and no token"),
    "no choices": ({CHAT: written({"choices": []})}, "answers with no choices"),
    "a length cut short": (
        {CHAT: Written(200, b"{}", {"Content-Length": "500", "Connection": "close"})},
        "the answer broke off",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_model_server_is_called_what_it_is(case: str) -> None:
    answers, said = REFUSED[case]
    with ModelApi(**answers) as server, pytest.raises(EndpointFailed, match=said) as caught:
        ask(Direct(server.endpoint))
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)


def test_a_model_without_a_chat_template_is_asked_to_complete() -> None:
    refusal = {"error": {"message": "you must provide a chat template", "code": 400}}
    said = {"choices": [{"text": " boats"}], "usage": {"completion_tokens": 1}}
    answers = {CHAT: written(refusal, 400), "/v1/completions": written(said)}
    with ModelApi(**answers) as server:
        found = ask(Direct(server.endpoint))
    assert (found.task.name, found.said) == ("completion", "'boats'")


def test_a_score_is_asked_for_last() -> None:
    answers = {CHAT: written({}, 404), "/v1/score": written({"data": [{"score": 0.25}]})}
    with ModelApi(**answers) as server:
        assert ask(Direct(server.endpoint)).said == "score 0.25"
        assert [each.path for each in server.log][1:] == [task.path for task in TASKS]


def test_an_older_pods_length_is_noticed() -> None:
    with ModelApi() as server, pytest.raises(EndpointFailed, match="64, deployed with 128"):
        ask(Direct(server.endpoint), max_model_len=128)


DONE = b"data: [DONE]\n\n"
BROKEN: dict[str, tuple[Written, str]] = {
    "without DONE": (api.stream(api.chunk("a")), "after 1 events without .DONE."),
    "nothing": (api.stream(), "after 0 events without"),
    "no JSON": (api.stream(b"data: {a\n\n", DONE), "an event of the stream is not JSON"),
    "an error inside": (
        api.stream(api.event({"error": {"message": "out of blocks"}}), DONE),
        "the stream says: out of blocks",
    ),
    "JSON instead": (written(api.SAID), "application/json instead of a stream"),
    "a page instead": (Written(200, api.PAGE, {"Content-Type": "text/html"}), "a web page answers"),
    "an endless line": (api.dripping(b"data: " + b"x" * 5000, 0.0), "longer than any answer"),
    "endless events": (api.dripping(api.chunk("a"), 0.0), "more than 100 events"),
    "no token": (api.stream(DONE), ""),
}
LIMITS = StreamLimits(line_bytes=20_000, events=100, total_bytes=200_000)


def read(server: ModelApi, until: float) -> list[dict[str, Any]]:
    door = Direct(server.endpoint)
    response = door.open("POST", CHAT, body=b"{}")
    return [*events(door, "measure", response, until=until, limits=LIMITS)]


@pytest.mark.parametrize("case", [name for name in BROKEN if BROKEN[name][1]])
def test_a_stream_is_read_strictly(case: str) -> None:
    answer, said = BROKEN[case]
    with ModelApi(**{CHAT: answer}) as server, pytest.raises(EndpointFailed, match=said):
        read(server, time.monotonic() + 20)


@pytest.mark.parametrize("cut", [1, 3, 7, 1000])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_stream_may_be_cut_anywhere(cut: int, end: str) -> None:
    text = f': ping\n\nevent: x\ndata: {{"a":\ndata: "\u00e9"}}\n\n{DONE.decode()}'
    whole = text.replace("\n", end).encode()
    pieces = [whole[at : at + cut] for at in range(0, len(whole), cut)]
    with ModelApi(**{CHAT: api.stream(*pieces)}) as server:
        assert read(server, time.monotonic() + 20) == [{"a": "\u00e9"}]


@pytest.mark.parametrize("case", BROKEN)
def test_a_load_counts_what_fails_and_ends(case: str) -> None:
    """Also against a stream without an end."""
    with ModelApi() as server:
        found = ask(Direct(server.endpoint))
        server.answers[CHAT] = BROKEN[case][0]
        began = time.monotonic()
        (level,) = measure(
            Direct(server.endpoint), found, Load(levels=(2,), seconds=0.2), lambda line: None
        )
    assert (level.requests, level.failures > 0) == (0, True)
    assert time.monotonic() - began < 15


def test_a_stream_that_drips_for_ever_is_left() -> None:
    with ModelApi() as server:
        found = ask(Direct(server.endpoint))
        server.answers[CHAT] = api.dripping(api.chunk("a"))
        load = Load(levels=(2,), seconds=0.2, grace_s=0.3)
        began = time.monotonic()
        (level,) = measure(Direct(server.endpoint), found, load, lambda line: None)
    assert (level.requests, level.failures) == (0, 2)
    assert level.failure == "no end within 0.3 s more"
    assert time.monotonic() - began < 5


def test_a_level_that_nothing_answers_is_the_last() -> None:
    with ModelApi() as server:
        found = ask(Direct(server.endpoint))
        server.answers[CHAT] = written({"error": "no"}, 500)
        load = Load(levels=(1, 4, 16), seconds=0.1)
        assert len([*measure(Direct(server.endpoint), found, load, lambda line: None)]) == 1


def test_nothing_there_is_said_at_once() -> None:
    with pytest.raises(Unreachable, match="Connection refused"):
        step.test_endpoint(f"http://127.0.0.1:{free_port()}")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": ""}, "no name given"),
        ({"name": "x", "task": "sing"}, "none of chat, completion"),
        ({"name": "x", "load": "heavy"}, "none of no, short"),
        ({"name": "http://x", "plan": "/nowhere"}, "read plan /nowhere"),
        ({"name": "http://x", "token_file": "/nowhere"}, "read token /nowhere"),
    ],
)
def test_arguments_that_cannot_be_meant(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        step.test_endpoint(**arguments)


def test_numbers_of_a_level() -> None:
    samples = [Sample(2.0, 1.0, 11), Sample(4.0, 2.0, 21), Sample(1.0, failure="gone")]
    level = summed(2, samples, 4.0)
    assert (level.requests, level.failures, level.failure) == (2, 1, "gone")
    assert (level.stream_rate, level.tokens_per_s, level.requests_per_s) == (10.0, 8.0, 0.5)
    assert level.first == Spread(1.5, 2.0)
    assert Spread.of(range(1, 101)) == Spread(50.5, 95)
    assert Spread.of([]) is None


def test_the_tone_is_a_wav_file_of_a_second() -> None:
    assert (beep()[:4], len(beep())) == (b"RIFF", 44 + 32_000)


def test_the_kv_cache_of_several_engines_is_added_up() -> None:
    line = 'vllm:cache_config_info{block_size="16",num_gpu_blocks="100"} 1.0\n'
    assert tokens_of(f"# HELP x\n{line}{line}other 1\n") == 3200
    assert tokens_of("nothing") == 0


def isvc(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "tiny", "namespace": "demo", "labels": {}, "annotations": {}},
        "spec": {"predictor": {"model": {"args": ["--a", "--max-model-len", "64"]}}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], **status},
    }


INSIDE = "http://tiny-predictor.demo.svc.cluster.local:8080/v1/"


def ways(found: Found, **environ: str) -> list[str]:
    found_ways = doors(None, found, token="t", environ=environ)  # type: ignore[arg-type]
    return [each.subject for each in found_ways]


@dataclass
class Pods:
    """Of an API server: the pods of an LLMInferenceService."""

    probe: dict[str, Any]
    selector: str = ""

    def list(self, kind: object, namespace: str, *, labelSelector: str) -> list[Any]:  # noqa: N803
        self.selector = labelSelector
        server = {"name": "main", "ports": [{"containerPort": 8000}], "readinessProbe": self.probe}
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        spec = {"containers": [{"name": "proxy"}, server]}
        return [{"metadata": {"name": "tiny-kserve-1"}, "spec": spec, "status": ready}]


@pytest.mark.parametrize(("scheme", "place"), [("HTTP", ""), ("HTTPS", "https:"), (None, "")])
def test_a_pod_is_asked_by_the_scheme_it_is_probed_by(scheme: str | None, place: str) -> None:
    """KServe's preset serves TLS only where the cluster's configuration turns it on."""
    pods = Pods({"httpGet": {"scheme": scheme}} if scheme else {})
    found = llm_service({"metadata": {"name": "tiny", "namespace": "demo"}})
    (way,) = doors(pods, found, environ={})  # type: ignore[arg-type]
    assert way.subject == f"pods demo/{place}tiny-kserve-1:8000"
    assert "app.kubernetes.io/component=llminferenceservice-workload" in pods.selector


def test_the_ways_from_a_pod_and_from_elsewhere() -> None:
    """KServe's own ``status.url`` is no way where no route was asked for: nothing serves it."""
    address = {"address": {"url": INSIDE}, "url": "http://tiny-demo.example.com"}
    found, service_of = service(isvc(**address)), "services demo/tiny-predictor:8080"
    assert (found.max_model_len, found.reason) == (64, "")
    assert ways(found) == [service_of]
    inside = "http://tiny-predictor.demo.svc.cluster.local:8080"
    assert ways(found, KUBERNETES_SERVICE_HOST="10.0.0.1") == [inside, service_of]
    exposed = isvc(**address)
    exposed["metadata"]["labels"] = {"networking.kserve.io/visibility": "exposed"}
    assert ways(service(exposed)) == ["http://tiny-demo.example.com", service_of]


def test_an_llm_inference_service_is_found_too() -> None:
    status = {"url": "https://gateway/demo/tiny", "addresses": [{"url": "http://w.demo.svc:8000"}]}
    obj = isvc(**status)
    obj["spec"] = {"model": {"name": "granite"}}
    found = llm_service(obj)
    assert (found.model, found.inside, found.outside) == (
        "granite", "http://w.demo.svc:8000", "https://gateway/demo/tiny",
    )  # fmt: skip
    assert found.has_auth


def deployed(**more: Any) -> Deployed:
    facts: dict[str, Any] = {"name": "tiny", "namespace": "demo", "url": "", "image": "oci://x"}
    return Deployed(**facts | {"ready": True, "applied": True, "manifest": ""} | more)


@pytest.mark.parametrize(
    ("made", "wish", "said"),
    [
        (deployed(applied=False), "answer", "only written"),
        (deployed(ready=False), "load", "nobody waited"),
        (deployed(), "no", "test=no"),
    ],
)
def test_what_is_not_to_be_asked_is_not_and_the_page_says_why(
    made: Deployed, wish: str, said: str
) -> None:
    found = step.test_deployed(made, wish)
    assert said in found.html
    assert (found.url, found.numbers) == ("", {})


@pytest.mark.parametrize("cause", [NoWay("test", "tiny", "no route"), ClusterError("a", "b", "c")])
def test_what_no_way_leads_to_is_said_and_is_no_failure_of_a_step(
    cause: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on the command line: it may answer its clients all the same."""

    def nowhere(*_: Any, **__: Any) -> None:
        raise cause

    monkeypatch.setattr(step, "test_endpoint", nowhere)
    found = step.test_deployed(deployed())
    assert found.headline.startswith("Not asked: no way leads there from here (")
    assert (found.url, found.numbers) == ("", {})


@pytest.mark.parametrize(
    ("settings", "wish"), [({}, "answer"), ({"test": "load"}, "load"), ({"test": ""}, "answer")]
)
def test_the_settings_say_what_is_asked(settings: dict[str, Any], wish: str) -> None:
    assert question_of(settings) == wish


def test_another_wish_stops_the_run_in_its_first_step() -> None:
    with pytest.raises(InputError, match="read test 'loud': none of no, answer, load"):
        Run("org/name", "quay.io/me/x:1", settings={"test": "loud"}).check()


def test_a_step_warms_if_the_settings_say_so() -> None:
    assert deploy_keywords({"warm": True}, {})["warm"] is True
    assert Run("org/name", settings={"warm": "true"}).warms
    assert not Run("org/name", serve="no", settings={"warm": "true"}).warms


def test_a_body_goes_through_the_api_server_in_chunks() -> None:
    """With a length, the server cuts off the answer of whoever begins it at once."""
    way = "/api/v1/namespaces/demo/services/tiny:80/proxy/v1/chat/completions"
    with ModelApi(**{way: written({"choices": []})}) as server:
        door = Proxied(
            connect(host=server.endpoint, token="of-the-login"), "demo", "services", "tiny:80"
        )
        assert post(door, "test", "/v1/chat/completions", b'{"model": "tiny"}') == {"choices": []}
        (asked,) = server.exchanges
    assert asked.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in asked.headers
