"""Readers of forms: text, JSON and Python values become the same value, or one clear line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from carferry.cluster.quantity import Quantity
from carferry.cluster.tolerations import Toleration
from carferry.errors import InputError
from carferry.form import readers
from carferry.run.settings import SETTINGS, pick
from carferry.serve.form import PARAMETERS, make_deployment

IMAGE = "quay.io/me/granite@sha256:" + "0" * 64
EVERY = {each.name: each for each in (*PARAMETERS, *SETTINGS.values())}


@pytest.mark.parametrize("name", EVERY)
def test_a_default_can_be_read_and_what_was_read_can_be_read_again(name: str) -> None:
    parameter = EVERY[name]
    value = parameter.value()
    assert parameter.value(value) == value


# Each value as text, as JSON hands it over, and what both mean.
SAME = {
    "gpu_count": ("2", 2.0, 2),
    "cpu": ("0.5", 0.5, "0.5"),
    "auth": ("true", True, True),
    "exclude": ("*.bin, *.pt", ["*.bin", "*.pt"], ("*.bin", "*.pt")),
    "env": ("A=1\nB=2,3", {"B": "2,3", "A": "1"}, (("A", "1"), ("B", "2,3"))),
    "node_selector": ("b=2,a=1", {"a": "1", "b": "2"}, (("a", "1"), ("b", "2"))),
    "vllm_args": ("--a '' ' x '", ["--a", "", " x "], ("--a", "", " x ")),
    "tolerations": (
        '[{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 9}]',
        [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 9.0}],
        (Toleration("a", "Exists", effect="NoExecute", seconds=9),),
    ),
    "wait_s": ("60", 60.0, 60.0),
    "namespace": (" demo ", "demo", "demo"),
}


@pytest.mark.parametrize("name", SAME)
def test_text_and_json_mean_the_same_and_survive_a_second_reading(name: str) -> None:
    text, value, wanted = SAME[name]
    parameter = EVERY[name]
    assert parameter.value(text) == parameter.value(value) == wanted
    again = parameter.value(parameter.value(text))
    assert again == wanted
    assert type(again) is type(wanted)


def test_environment_variables_may_be_a_list() -> None:
    assert readers.read_environment("env", ["B=2", "A=1"]) == (("A", "1"), ("B", "2"))


@pytest.mark.parametrize("name", ["env", "node_selector"])
def test_blank_items_of_a_list_are_left_out(name: str) -> None:
    read = EVERY[name].value
    assert read([""]) == read(["  "]) == read("") == ()
    assert read(["A=1", "", "B=2"]) == read(["A=1\nB=2"]) == (("A", "1"), ("B", "2"))


def test_items_of_a_list_may_be_lists_themselves_in_text() -> None:
    for name in ("exclude", "plain_http", "platforms", "mount_from"):
        assert EVERY[name].value(["a,b", "c\nd"]) == ("a", "b", "c", "d")


@pytest.mark.parametrize("text", ["1n", "1u", "\uff11", "\u0663", "+1", "-1", "0"])
def test_a_quantity_that_no_pod_asks_for_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        make_deployment(IMAGE, cpu=text)


def test_a_file_of_credentials_is_no_secret() -> None:
    path = {"GOOGLE_APPLICATION_CREDENTIALS": "/var/run/x.json"}
    assert make_deployment(IMAGE, env=path).env == tuple(path.items())
    with pytest.raises(InputError, match="a secret would be readable"):
        make_deployment(IMAGE, env={"GOOGLE_APPLICATION_CREDENTIALS": "{}"})


def test_arguments_reach_the_deployment_as_they_were_written() -> None:
    """Through the form, the sizing's JSON and the deployment: empty ones and blanks too."""
    read = readers.read_arguments("vllm_args", "--chat-template '' --x=' y '")
    carried = json.loads(json.dumps(read))
    assert make_deployment(IMAGE, vllm_args=carried).vllm_args == ("--chat-template", "", "--x= y ")


# What no form means, by the reader; each must be one line of ours and never another exception.
WRONG: dict[str, list[Any]] = {
    "read_text": [b"x", Path("x"), [], {}, object, ["a"]],
    "read_count": [-1, 1.5, "two", True, "\u00b2", "9" * 16, [1], None, float("nan"), float("inf")],
    "read_open_count": [-1, 1.5, "two", True],
    "read_parallel": [0, -1, 1000, "x", None, True],
    "read_switch": ["yes", 1, None, []],
    "read_seconds": [-1, 1.5, "soon", True],
    "read_path": [5, [], b"x"],
    "read_list": [{}, [1], 5, [None], {"a": 1}],
    "read_items": [{}, [1], 5],
    "read_arguments": ["'x", [1], {"a": 1}, 5],
    "read_environment": [{1: "a"}, {"a": 1}, {1: "a", "b": "c"}, ["A"], [("a",)], [5], "A", "{"],
    "read_labels": ["gpu", {"a": None}, 5],
    "read_tolerations": ["{}", "[1]", "[{", [1], 5, [{"key": 1}], [{"colour": "red"}]],
}
CASES = [(name, value) for name, values in WRONG.items() for value in values]


@pytest.mark.parametrize(("name", "value"), CASES, ids=lambda each: repr(each)[:40])
def test_what_cannot_be_meant_is_one_line_that_names_the_field(name: str, value: object) -> None:
    with pytest.raises(InputError) as caught:
        getattr(readers, name)("some_field", value)
    assert "\n" not in str(caught.value)
    assert "some_field" in str(caught.value) or "toleration" in str(caught.value)


@pytest.mark.parametrize("value", [5, None, b"x", ["a"]])
def test_a_model_or_an_image_that_is_none_is_refused(value: object) -> None:
    for read in (readers.read_model, readers.read_image):
        with pytest.raises(InputError):
            read(value)


def test_a_path_is_a_folder_and_text_is_as_it_stands() -> None:
    assert readers.read_model(Path("org/name")) == "./org/name"
    assert readers.read_model(Path("/models/a")) == "/models/a"
    assert readers.read_model("org/name") == "org/name"


def test_a_quantity_that_was_read_stays_one() -> None:
    assert make_deployment(IMAGE, cpu=Quantity("4")).cpu == Quantity("4")  # type: ignore[typeddict-item]


def test_entries_that_hold_nothing_are_left_to_their_defaults() -> None:
    settings = {"platforms": [""], "exclude": " ", "base": None, "env": {}, "gpu_count": " 0 "}
    assert pick(settings, SETTINGS.values()) == {"gpu_count": 0}
