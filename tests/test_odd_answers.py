"""A server that answers 200 in a form the pipelines API never has: every call, every form."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from servers.argo import Look
from servers.chaos import Answer, Rule
from servers.dsp import PipelineServer
from servers.proxy import Proxy

from carferry.errors import CarferryError, ClusterError
from carferry.pipelines.runs import follow
from carferry.pipelines.server import submit
from carferry.pipelines.server.endpoint import Endpoint
from carferry.pipelines.server.times import Times

TYPED = {"model": "org/name", "image": "docker://registry.example/team/model:1"}
NIGHTLY = Times(cron="0 0 2 * * *")
ASKS = "is this the URL of route ds-pipeline-<dspa>?"


CALLS = {
    "every call": ("", ".*"),
    "list pipelines": ("/pipelines[?]", "GET"),
    "make pipeline": ("/pipelines$", "POST"),
    "list versions": ("/versions[?]", "GET"),
    "upload version": ("/upload_version", "POST"),
    "list experiments": ("/experiments[?]", "GET"),
    "make experiment": ("/experiments$", "POST"),
    "make run": ("/runs$", "POST"),
    "list schedules": ("/recurringruns[?]", "GET"),
    "make schedule": ("/recurringruns$", "POST"),
    "switch schedule on": (":enable$", "POST"),
}
IDS = ("run_id", "pipeline_id", "pipeline_version_id", "experiment_id", "recurring_run_id")
LISTS = ("pipelines", "pipeline_versions", "experiments", "recurringRuns")
NAMED = {"display_name": "modelcar", "state": "RUNNING"}


def of_all(names: tuple[str, ...], value: object) -> bytes:
    return json.dumps(dict.fromkeys(names, value)).encode()


BODIES = {
    "an object without fields": b"{}",
    "a list": b"[]",
    "a text": b'"x"',
    "a number": b"5",
    "null": b"null",
    "a truth": b"true",
    "nothing": b"",
    "half": b'{"pipelines": [',
    "a page called JSON": b"<!doctype html><html>log in</html>",
    "no text": b"\xff\xfe\x00",
    "deep": b"[" * 100_000,
    "ids that are null": of_all(IDS, None),
    "ids that are empty": of_all(IDS, ""),
    "ids that are numbers": of_all(IDS, 5),
    "ids that are objects": of_all(IDS, {"a": 1}),
    "ids with line ends": of_all(IDS, "a\nb"),
    "lists that are null": of_all(LISTS, None),
    "lists that are objects": of_all(LISTS, {"a": 1}),
    "lists that are texts": of_all(LISTS, "abc"),
    "lists of null": of_all(LISTS, [None]),
    "lists of texts": of_all(LISTS, ["abc"]),
    "lists of numbers for ids": of_all(LISTS, [NAMED | dict.fromkeys(IDS, 5)]),
    "lists without ids": of_all(LISTS, [NAMED]),
    "dates that are none": of_all(("created_at",), "yesterday"),
    "dates that are numbers": of_all(("created_at",), 5),
    "details that are a list": of_all(("run_details", "trigger", "runtime_config"), [1]),
    "a list without end": of_all(("next_page_token",), "again"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("body", BODIES)
def test_nothing_is_called_started_that_was_not(call: str, body: str, package: Path) -> None:
    """It ends in one line that asks to check the address, or in a run that is there."""
    path, method = CALLS[call]
    answer = Answer(200, {"Content-Type": "application/json"}, BODIES[body])
    rule = Rule(answer, method=method, path=path, times=None)
    with PipelineServer() as server, Proxy(server.url, [rule]) as proxy:
        if call == "switch schedule on":
            made = submit.start(Endpoint(server.url, "models"), package, TYPED, times=NIGHTLY)
            server.store.recurring[made.id]["status"] = "DISABLED"
        for times in (None, NIGHTLY):
            try:
                made = submit.start(Endpoint(proxy.endpoint, "models"), package, TYPED, times=times)
            except ClusterError as error:
                assert ASKS in str(error) or error.status == 409  # the real server: it is there
                assert "\n" not in str(error)
            else:
                known: dict[str, Any] = {**server.store.runs, **server.store.recurring}
                assert call != "every call"
                assert made.id in known


def test_a_made_run_without_an_id_is_named_as_that(package: Path) -> None:
    answer = Answer(200, {"Content-Type": "application/json"}, b"{}")
    rule = Rule(answer, method="POST", path="/runs$")
    with (
        PipelineServer() as server,
        Proxy(server.url, [rule]) as proxy,
        pytest.raises(ClusterError, match="answered without a run id; is this the URL of route"),
    ):
        submit.start(Endpoint(proxy.endpoint, "models"), package, TYPED)


def text(value: object) -> dict[str, object]:
    """Return the older form of a run, as it holds a Workflow."""
    manifest = value if isinstance(value, str) else json.dumps(value)
    return {"pipeline_runtime": {"workflow_manifest": manifest}}


def nodes(value: object) -> dict[str, object]:
    return text({"metadata": {"name": "x"}, "status": {"nodes": value}})


def tasks(value: object) -> dict[str, object]:
    return {"run_id": "x", "state": "RUNNING", "run_details": {"task_details": value}}


RUNS = [{}, [], None, "x", tasks([None]), tasks({"a": 1}), tasks(["a"]), tasks([{"state": {}}])]
OLDER = [
    *([], None, {"pipeline_runtime": [1]}, {"pipeline_runtime": {"workflow_manifest": {"a": 1}}}),
    *(text(None), text([]), text("{"), text({"metadata": [1], "status": "a", "spec": 3})),
    *(text({"metadata": {"name": {}, "annotations": [1]}, "status": {"compressedNodes": 5}}),),
    *map(nodes, ([], "a", {"a": None}, {"a": []}, {"a": {"name": 5, "type": [], "phase": {}}})),
    *(nodes({"a": {"outputs": each}}) for each in ([], {"parameters": [None, {}, {"name": 3}]})),
]
SPECS = [
    *({"pipeline_spec": each} for each in ([], "a", {"root": []}, {"root": {"dag": [1]}})),
    {"pipeline_spec": {"root": {"dag": {"tasks": {"a": None, "b": {"componentRef": "x"}}}}}},
    {"pipeline_spec": {"root": {"dag": {"tasks": {"a": {"dependentTasks": ["a", 3]}}}}}},
    {
        "pipeline_spec": {
            "root": {"dag": {"tasks": {"a": {"componentRef": {"name": "c"}}}}},
            "components": {"c": {"dag": {"tasks": {"b": {"componentRef": {"name": "c"}}}}}},
        }
    },
]
FOLLOWED = [
    *zip(itertools.repeat("/v2beta1/runs/"), RUNS, strict=False),
    *zip(itertools.repeat("/v1beta1/runs/"), OLDER, strict=False),
    *zip(itertools.repeat("/versions/"), SPECS, strict=False),
]


@pytest.mark.parametrize(("path", "body"), FOLLOWED)
def test_following_ends_in_a_state_or_in_one_line(path: str, body: object, package: Path) -> None:
    answer = Answer(200, {"Content-Type": "application/json"}, json.dumps(body).encode())
    rule = Rule(answer, method="GET", path=path, times=None)
    lines: list[str] = []
    looks = [Look("RUNNING", at="fit-model"), Look("SUCCEEDED")]
    with PipelineServer(looks) as server, Proxy(server.url, [rule]) as proxy:
        made = submit.start(Endpoint(server.url, "models"), package, TYPED)
        ended = end(Endpoint(proxy.endpoint, "models"), made.id, lines)
    assert lines[0] == f"following run {made.id}"
    if path == "/v2beta1/runs/":
        assert ASKS in ended
        assert "\n" not in ended
    else:
        assert ended == "SUCCEEDED"


def end(endpoint: Endpoint, run_id: str, lines: list[str]) -> str:
    try:
        return follow.wait(endpoint, run_id, say=lines.append, poll_s=0)
    except CarferryError as error:
        return str(error)


@pytest.mark.parametrize("state", ["BANANA", 7, "running"])
def test_a_state_of_a_newer_server_is_named_once_and_waited_out(
    state: object, package: Path
) -> None:
    """The run may end well all the same."""
    body = json.dumps({"run_id": "x", "state": state}).encode()
    rule = Rule(
        Answer(200, {"Content-Type": "application/json"}, body),
        method="GET",
        path="/v2beta1/runs/",
        times=3,
    )
    lines: list[str] = []
    with PipelineServer() as server, Proxy(server.url, [rule]) as proxy:
        made = submit.start(Endpoint(server.url, "models"), package, TYPED)
        assert end(Endpoint(proxy.endpoint, "models"), made.id, lines) == "SUCCEEDED"
    assert lines[1] == f"the run's state is {str(state)!r}, unknown here: waiting goes on"
    assert lines.count(lines[1]) == 1


WORDS = {
    "message": {"message": "x" * 100_000},
    "detail": {"message": "m", "details": [{"message": "x" * 100_000}]},
    "secret": {"message": "hf_" + "x" * 100_000},
    "controls": {"message": "\x00" * 100_000},
    "odd details": {"message": "x" * 100_000, "details": ["a", None, 3]},
    "odd message": {"message": {"a": "x" * 100_000}},
}


@pytest.mark.parametrize("kind", WORDS)
def test_long_words_of_a_server_are_cut(kind: str, package: Path) -> None:
    answer = Answer(400, {"Content-Type": "application/json"}, json.dumps(WORDS[kind]).encode())
    with PipelineServer() as server, Proxy(server.url, [Rule(answer)]) as proxy:
        with pytest.raises(ClusterError) as caught:
            submit.start(Endpoint(proxy.endpoint, "models"), package, TYPED)
        line = str(caught.value)
    assert len(line.partition("400 ")[2]) <= 520
    assert "hf_x" not in line
