"""What differs between two objects, whose it is, and what of it may be shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from carferry.cluster.owners import applied_at, applied_by, applies, managers, owned, owners
from carferry.serve.drift import changes, is_same
from carferry.serve.masks import HIDDEN, shown

Object = dict[str, Any]


def service(spec: Object, *entries: Object, kind: str = "InferenceService") -> Object:
    return {"kind": kind, "metadata": {"name": "m", "managedFields": [*entries]}, "spec": spec}


def entry(manager: str, fields: Object, operation: str = "Apply", **more: str) -> Object:
    return {"manager": manager, "operation": operation, "fieldsV1": fields, **more}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, ["spec.a: 1 -> 2"]),
        ({"a": 1}, {}, ["spec.a: 1 -> none"]),
        ({}, {"a": {"b": True}}, ['spec.a: none -> {"b": true}']),
        ({"a": ""}, {"a": "x y"}, ['spec.a: "" -> x y']),
        ({"a": [1, 2]}, {"a": [1]}, ["spec.a: [1, 2] -> [1]"]),
        (
            {"c": [{"name": "x", "image": "a"}, {"name": "y", "image": "b"}]},
            {"c": [{"name": "x", "image": "a"}, {"name": "y", "image": "c"}]},
            ["spec.c[y].image: b -> c"],
        ),
        ({"n": {"a/b": "1"}}, {"n": {"a/b": "2"}}, ["spec.n[a/b]: 1 -> 2"]),
        ({"a": "x" * 500}, {"a": ""}, [f'spec.a: {"x" * 160}... -> ""']),
        ({"a": "b\nc\x1b[1m"}, {"a": "d"}, ["spec.a: b\\nc\\u001b[1m -> d"]),
    ],
)
def test_a_difference_is_one_line_for_each_field(old: Object, new: Object, said: list[str]) -> None:
    assert [str(each) for each in changes(service(old), service(new))] == said


def test_what_the_server_keeps_its_books_with_is_no_difference() -> None:
    live = service({"a": 1}) | {"status": {"x": 1}}
    planned = service({"a": 1})
    live["metadata"] |= {"resourceVersion": "1", "generation": 3, "uid": "u"}
    assert changes(live, planned) == ()
    assert is_same(live, planned)


def test_another_owner_is_a_difference_though_no_value_is() -> None:
    ours = entry("carferry", {"f:spec": {"f:a": {}}}, time="1")
    later = ours | {"time": "2"}
    assert is_same(service({"a": 1}, ours), service({"a": 1}, later))
    assert not is_same(service({"a": 1}), service({"a": 1}, ours))


NAMED = {"f:spec": {"f:c": {'k:{"name":"x"}': {"f:image": {}}}}}
FIELDS = {"f:spec": {"f:a": {"f:b": {}}, "f:whole": {}}}


@pytest.mark.parametrize(
    ("path", "fields", "owned"),
    [
        (("spec", "a", "b"), FIELDS, True),
        (("spec", "a", "c"), FIELDS, False),
        (("spec", "whole", "deep", 0, "x"), FIELDS, True),
        (("spec", "c", 0, "image"), NAMED, True),
        (
            ("spec", "c", 1, "image"),
            NAMED,
            False,
        ),
        (("spec", "s", 0), {"f:spec": {"f:s": {'v:"one"': {}}}}, True),
        (("spec", "s", 1), {"f:spec": {"f:s": {"i:1": {}}}}, True),
        (("spec", "a"), {"f:spec": "nonsense"}, False),
        (("spec", "s", 0), {"f:spec": {"f:s": {"v:{broken": {}}}}, False),
    ],
)
def test_the_owner_of_a_field_is_read_from_managed_fields(
    path: tuple[str | int, ...], fields: Object, owned: bool
) -> None:
    spec = {"c": [{"name": "x"}, {"name": "y"}], "s": ["one", "two"], "a": {"b": 1}}
    live = service(spec, entry("dashboard", fields))
    assert owners(live, path) == (["dashboard"] if owned else [])


def test_who_applied_and_who_only_reports() -> None:
    live = service(
        {"a": {"b": 1}},
        entry("carferry", FIELDS),
        entry("odh-dashboard", FIELDS, "Update"),
        entry("manager", {"f:status": {}}, "Update", subresource="status"),
    )
    assert managers(live) == ["carferry", "odh-dashboard"]
    assert applied_by(live)
    assert not applied_by(live, "odh-dashboard")
    assert applies(live, ("spec", "a", "b"))
    assert not applies(live, ("spec", "c"))


@pytest.mark.parametrize(
    ("value", "name", "text"),
    [
        ("hunter2", "PASSWORD", HIDDEN),
        ("hf_abcdefghijklmnopqrstuvwxyz", "x", HIDDEN),
        ("8192", "MAX_TOKEN_COUNT", "8192"),
        (["--api-key=abc", "--seed=1"], "args", f'["--api-key={HIDDEN}", "--seed=1"]'),
        (["--api-key", "abc", "--on"], "args", f'["--api-key", "{HIDDEN}", "--on"]'),
        ({"name": "API_KEY", "value": "a"}, "", f'{{"name": "API_KEY", "value": "{HIDDEN}"}}'),
        ({"password": "abc"}, "x", f'{{"password": "{HIDDEN}"}}'),
        (3, "token", "3"),
    ],
)
def test_a_secret_is_hidden_wherever_it_stands(value: object, name: str, text: str) -> None:
    assert shown(value, name) == text


def test_of_a_secret_no_value_is_shown_and_its_labels_are() -> None:
    old = service({}, kind="Secret") | {"data": {"URI": "b2xk"}}
    new = service({}, kind="Secret") | {"data": {"URI": "bmV3", "X": "eA=="}}
    new["metadata"]["labels"] = {"a": "b"}
    assert [str(each) for each in changes(old, new)] == [
        'metadata.labels: none -> {"a": "b"}',
        f"data.URI: {HIDDEN} -> {HIDDEN}",
        f"data.X: none -> {HIDDEN}",
    ]


def test_a_variable_goes_by_its_name() -> None:
    def made(value: str) -> Object:
        return service({"env": [{"name": "DB_PASSWORD", "value": value}]})

    (change,) = changes(made("a"), made("b"))
    assert str(change) == f"spec.env[DB_PASSWORD].value: {HIDDEN} -> {HIDDEN}"


SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (["sh", "-c", f"vllm serve --api-key {SECRET}"], "command"),
        ({"name": "VLLM_ADDITIONAL_ARGS", "value": f"--api-key {SECRET}"}, "env"),
        ({"name": "VLLM_ADDITIONAL_ARGS", "value": f"--port 1 --api-key={SECRET}"}, "env"),
        ({"name": "X", "value": f"--api-key '{SECRET} {SECRET}' --port 1"}, "env"),
        ({"name": "X", "value": f'--api-key "{SECRET}\\" {SECRET}" --port 1'}, "env"),
        ({"name": "X", "value": f"--api-key '{SECRET}"}, "env"),
        (["sh", "-c", f"vllm --api-key one {SECRET} --port 1"], "args"),
        (["--api-key", "one", SECRET, "--port", "1"], "args"),
        (["sh", "-c", f"HF_TOKEN={SECRET} exec vllm"], "command"),
        (["sh", "-c", f"export HF_TOKEN='{SECRET}'; exec vllm"], "command"),
        (["--kv-transfer-config", json.dumps({"a": 1, "api_key": SECRET})], "args"),
        ({"name": "X", "value": f"--kv '{json.dumps({'password': SECRET})}'"}, "env"),
        ({"name": "X", "value": json.dumps(json.dumps({"password": SECRET}))}, "env"),
        (f"vllm\n  --api-key\n  {SECRET}", "args"),
    ],
)
def test_a_secret_inside_a_longer_text_is_hidden(value: Any, name: str) -> None:
    said = shown(value, name)
    assert SECRET not in said
    assert HIDDEN in said


@pytest.mark.parametrize(
    "text",
    [
        "vllm serve --max-model-len 8192 --port=8080 --tokenizer x",
        "HF_HOME=/tmp/hf exec vllm",
        '{"method": "eagle", "num_speculative_tokens": 3}',
        "--ssl-keyfile /tls/key --pad-token 0",
    ],
)
def test_a_longer_text_without_a_secret_is_shown_as_it_is(text: str) -> None:
    assert shown([text], "args") == json.dumps([text])


def test_what_was_applied_comes_back_without_what_others_added() -> None:
    """Also what others put into a map that was applied empty, and what a webhook made of ours."""
    spec = {
        "router": {"gateway": {"refs": [{"name": "theirs"}]}},
        "model": {"uri": "a"},
        "replicas": 1,
        "args": ["x"],
        "nodeSelector": {"zone": "a"},  # atomic: owned as a whole
        "containers": [{"name": "main", "image": "a", "resources": {}}],
    }
    fields = {
        "f:router": {"f:gateway": {}}, "f:model": {"f:uri": {}}, "f:args": {},
        "f:nodeSelector": {}, "f:containers": {'k:{"name":"main"}': {"f:name": {}, "f:image": {}}},
    }  # fmt: skip
    live = service(
        spec,
        entry("carferry", {"f:spec": fields}, time="2026-01-01T00:00:00Z"),
        entry("carferry", {"f:spec": {"f:replicas": {}}}, "Update", time="2026-01-02T00:00:00Z"),
        entry("other", {"f:spec": {"f:replicas": {}}}, time="2026-01-03T00:00:00Z"),
        entry("more", {"f:spec": {"f:router": {"f:gateway": {"f:refs": {}}}}}, "Update"),
    ) | {"apiVersion": "v1"}
    mine = {"router": {"gateway": {}}, "model": {"uri": "a"}, "args": ["x"]}
    mine |= {"nodeSelector": {"zone": "a"}, "containers": [{"name": "main", "image": "a"}]}
    assert owned(live, "carferry")["spec"] == mine
    assert applied_at(live) == "2026-01-02T00:00:00Z"
    assert applied_at(service(spec)) == ""
