"""JSON, addresses and Kubernetes objects of strangers: a value, or one error of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

from carferry.cluster.forms import Misfit, checked
from carferry.errors import Unreachable
from carferry.io.documents import NotJson, parsed, parsed_object
from carferry.io.net.addresses import check_address, joined

NONE = {
    "nothing": b"",
    "a page": b"<!doctype html>",
    "half": b'{"a": [',
    "nested": b"[" * 100_000,
    "nested objects": b'{"a":' * 100_000,
    "no text": b"\xff\xfe\x00",
    "no number": b"NaN",
    "infinity": b'{"a": Infinity}',
    "beyond numbers": b"[1e400]",
    "a number of 5000 digits": b"9" * 5000,
    "a number of 400 digits": b'{"size": ' + b"9" * 400 + b"}",
    "two documents": b"{}{}",
}


@pytest.mark.parametrize("kind", NONE)
def test_what_is_no_document_is_one_error(kind: str) -> None:
    with pytest.raises(NotJson):
        parsed(NONE[kind])


@pytest.mark.parametrize("value", [None, 5, "x", [], {"a": [1.5, 2**63, "\u2603", None]}])
def test_what_is_one_is_its_value(value: object) -> None:
    assert parsed(json.dumps(value)) == value
    if not isinstance(value, dict):
        with pytest.raises(NotJson, match="not a JSON object"):
            parsed_object(json.dumps(value))


GOOD = ["/v2/x", "?a=b", "//other.example/x", "https://a.example:8443/x", "http://[::1]:80/x"]
BAD = [
    "file:///etc/passwd", "javascript:alert(1)", "ftp://a/x", "http://127.0.0.1:99999/",
    "http://127.0.0.1:-1/", "http://127.0.0.1:port/", "http://[::1/", "http://[/", "http://",
    "http:///x", "http://h\u00f6st/", "/a b", "/\x7f", "http://a..b/", "http://-/",
    "http://" + "a" * 64 + ".example/", "/" + "a" * 60_000, "http://a:0/",
]  # fmt: skip


@pytest.mark.parametrize("location", GOOD)
def test_a_location_is_joined(location: str) -> None:
    assert joined("https://registry.example/v2/a", location).startswith("http")


@pytest.mark.parametrize("location", BAD)
def test_a_location_that_is_no_address_is_one_line(location: str) -> None:
    with pytest.raises(Unreachable) as caught:
        joined("https://registry.example/v2/a", location)
    assert not caught.value.temporary
    assert str(caught.value).isprintable()
    with pytest.raises(Unreachable):
        check_address(location)


def of(**parts: Any) -> dict[str, Any]:
    return {"kind": "Pod", "metadata": {"name": "a"}, **parts}


MISFITS = {
    "metadata is a list": of(metadata=[]),
    "metadata.labels.a is a number": of(metadata={"name": "a", "labels": {"a": 1}}),
    "status is a text": of(status="x"),
    "status.conditions is an object": of(status={"conditions": {}}),
    "status.conditions[0] is null": of(status={"conditions": [None]}),
    "status.conditions[0].type is a number": of(status={"conditions": [{"type": 5}]}),
    "status.replicas is a truth": of(status={"replicas": True}),
    "status.containerStatuses[0].name is missing": of(status={"containerStatuses": [{}]}),
    "spec.predictor is a list": of(spec={"predictor": [1]}),
    "metadata.name is missing": of(metadata={}),
    "items[1].metadata.name is missing": {"items": [of(), {"metadata": {}}]},
    "items is an object": {"items": {}},
    "details is a list": {"kind": "Status", "details": [1]},
}


@pytest.mark.parametrize("words", MISFITS)
def test_an_object_of_another_form_is_named_by_the_part(words: str) -> None:
    with pytest.raises(Misfit) as caught:
        checked(MISFITS[words], is_named=True)
    assert str(caught.value) == words


def test_a_field_that_is_null_is_one_that_is_absent_and_unknown_ones_pass() -> None:
    given = of(status={"conditions": None, "other": [1], "url": "u"}, spec=None, other={"a": None})
    assert checked(given) == of(status={"other": [1], "url": "u"}, other={"a": None})
    assert checked({"items": None, "metadata": None}) == {}
