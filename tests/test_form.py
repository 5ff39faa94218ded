"""A pipeline's parameters on the command line: names, old names, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from carferry.errors import InputError
from carferry.form.readers import read_list
from carferry.pipelines.arguments import form
from carferry.pipelines.arguments.old_names import RENAMED, SETTINGS, renamed
from carferry.pipelines.pods import HERE, Site
from carferry.pipelines.staged import buildah
from carferry.pipelines.streamed import stream
from carferry.run import settings as steps_form
from carferry.serve.settings import Toleration

NEEDED = ["model=org/name", "image=docker://quay.io/me/m:1"]
KNOWN = form.fields(stream(Site(HERE, folder=".")))
STAGED = form.fields(buildah(Site(HERE, folder=".")))


def read(*given: str, known: Any = KNOWN) -> dict[str, Any]:
    return form.arguments(known, [*NEEDED, *given], {})


def test_an_entry_of_settings_has_a_name_of_its_own() -> None:
    found = read('settings={"base": "scratch", "parallel": 4}', "settings.auth=true")
    assert found["settings"] == {"base": "scratch", "parallel": 4, "auth": "true"}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("secret_hub=", "a Secret's name becomes a volume's"),
        ("secret_hub=my.secret", "a Secret's name becomes a volume's"),
        ("secret_registry=Upper", "a Secret's name becomes a volume's"),
        (f"secret_registry={'x' * 64}", "a Secret's name becomes a volume's"),
        ("secret_registry=carferry-hf", "the same name twice"),
        ("secret_hub=carferry-environment", "a ConfigMap of carferry's"),
        ("pack_workers=0", "not 1 to 32"),
        ("pack_workers=33", "not 1 to 32"),
        ("pack_workers=two", "not a whole number"),
        ("settings=[1]", "not a JSON object"),
        ("settings={", "not a JSON object"),
        ("settings.bsae=scratch", "no such setting"),
        ('settings={"bsae": 1}', "no such setting"),
        ("settings.parallel=two", "not a whole number"),
        ("settings.parallel=0", "not a whole number of 1 to 999"),
        ("settings.format=zip", "choose modelcar or modelpack"),
        ("settings.platforms=amd64", "not system/architecture"),
        ("serve=maybe", "write deploy, render or no"),
        ("modle=x", "no such parameter"),
        ("model", "no value; write model=VALUE"),
        (f"serve_args={'x' * 10_000}", "at most 10000"),
    ],
)
def test_what_a_run_would_be_refused_for_later_is_refused_now(given: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read(given)


OLD = {name: f"{new}=1" for name, new in RENAMED.items()} | {
    name: f"settings.{name}=1" for name in SETTINGS
}


@pytest.mark.parametrize("name", OLD)
def test_the_names_of_the_release_before_are_accepted_with_a_note(name: str) -> None:
    texts, said = renamed([*NEEDED, f"{name}=1"])
    assert texts == [*NEEDED, OLD[name]]
    assert len(said) == 1
    assert name in said[0]


@pytest.mark.parametrize("name", OLD)
def test_todays_names_exist(name: str) -> None:
    label, _, entry = OLD[name].partition("=")[0].partition(".")
    assert label in {**KNOWN, **STAGED}
    assert not entry or entry in steps_form.SETTINGS


@pytest.mark.parametrize(
    ("given", "serve"),
    [
        (["deploy=false"], "no"),
        (["apply=false"], "render"),
        (["deploy=false", "apply=false"], "no"),
        (["apply=false", "deploy=false"], "no"),
        (["apply=false", "deploy=true"], "render"),
        (["deploy=True"], ""),
    ],
)
def test_two_switches_became_one_word(given: list[str], serve: str) -> None:
    texts, said = renamed([*NEEDED, *given])
    assert texts == [*NEEDED, *([f"serve={serve}"] if serve else [])]
    assert len(said) == len(given)


def test_a_revision_became_part_of_the_model() -> None:
    assert renamed(["revision=v1", *NEEDED])[0] == ["model=org/name@v1", NEEDED[1]]
    assert renamed([*NEEDED, "revision="])[0] == NEEDED
    with pytest.raises(InputError, match="no model given"):
        renamed(["revision=v1"])


def test_a_switch_that_is_neither_is_refused() -> None:
    with pytest.raises(InputError, match="deploy=maybe: not true or false"):
        renamed(["deploy=maybe"])


def test_numbers_lists_and_objects_come_as_kfp_hands_them_over() -> None:
    """A number arrives as a double, whatever was written."""
    settings = {
        "parallel": 4.0,
        "auth": True,
        "plain_http": ["a:1", "b:2"],
        "tolerations": [
            {"key": "gpu", "value": "x", "effect": "NoExecute", "tolerationSeconds": 300.0}
        ],
        "env": {"A": "1"},
        "wait_s": None,
        "exclude": [],
        "cpu": 0.5,
    }
    read = steps_form.pick(settings, steps_form.SETTINGS.values())
    assert read == {
        "parallel": 4,
        "auth": True,
        "plain_http": ("a:1", "b:2"),
        "tolerations": (Toleration("gpu", "Equal", "x", "NoExecute", 300),),
        "env": (("A", "1"),),
        "cpu": "0.5",
    }
    assert isinstance(read["parallel"], int)


def test_forms_give_lists_as_text() -> None:
    assert read_list("x", " a , b\n\nc,") == ("a", "b", "c")
    assert read_list("x", ["a, b", ""]) == ("a", "b")


def test_no_tolerations_at_all_can_be_said() -> None:
    settings = {"tolerations": [], "platforms": []}
    assert steps_form.pick(settings, steps_form.SETTINGS.values()) == {"tolerations": ()}


def test_text_and_json_give_the_same_values() -> None:
    text = {"parallel": "4", "auth": "true", "plain_http": "a:1, b:2", "env": "A=1", "cpu": " 2 "}
    json = {
        "parallel": 4.0,
        "auth": True,
        "plain_http": ["a:1", "b:2"],
        "env": {"A": "1"},
        "cpu": 2,
    }
    every = steps_form.SETTINGS.values()
    assert steps_form.pick(text, every) == steps_form.pick(json, every)


def test_a_build_is_the_same_for_every_step() -> None:
    settings = {"base": "scratch", "env": {"LONG": "x" * 1000}}
    made = steps_form.build_of("a/b@main", "oci:x:1", settings, include="*.json")
    assert made["settings"] == {"base": "scratch"}
    model, image, how = steps_form.parts_of(made)
    assert (model, image) == ("a/b@main", "oci:x:1")
    assert how == {"base": "scratch", "include": ("*.json",), "run": made["run"]}
    other = steps_form.build_of("a/b@main", "oci:x:1", settings, include="*.json")
    assert made["run"] != other["run"]
    for wrong in ({}, {**made, "settings": None}, {"model": "a/b"}):
        with pytest.raises(InputError):
            steps_form.parts_of(wrong)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["image=quay.io/me/m"], "no tag"),
        (["image=docker://quay.io/me/m@sha256:" + "0" * 64], "a digest cannot be chosen"),
        (["image=quay.io/Me/m:1"], "not lower-case"),
        (["image=oci:out:1", "serve=no"], "pods see no folder"),
        (["model=./folder"], "pods see no folder"),
        (["model=a/b@c@d"], "malformed"),
        (["model="], "model: missing"),
        (["serve_name=a.b"], "name InferenceService"),
        (["serve_image=docker.io/vllm/vllm-openai:latest"], "not pinned"),
        (["serve_max_model_len=-5"], "negative"),
        (["serve_max_model_len=" + "9" * 5000], "not a whole number"),
        (["serve=no", "serve=deploy"], "serve: given twice"),
        (["settings.base=a", "settings.base=b"], "settings.base: given twice"),
        (["settings={}", "settings={}"], "settings: given twice"),
        (["pack_worker=2"], "no such parameter; did you mean pack_workers. known: "),
        (["serve_nmae=x"], "no such parameter; did you mean serve_name. known: "),
        (["pack_workers"], "pack_workers: no value; write pack_workers=VALUE"),
        (["settings.plain_htp=x"], "no such setting; did you mean plain_http. known: "),
        (['settings=[["base","embedded"]]'], "not a JSON object"),
        (["settings=" + "[" * 100_000], "not a JSON object"),
        (['settings={"exclude":{"a":1}}'], "not a list of texts"),
        (['settings={"plain_http":[1,2]}'], "not a list of texts"),
        (['settings={"cpu":["1"]}'], "not one value"),
        (["settings.parallel=" + "9" * 5000], "not a whole number"),
        (["settings.gpu_count=" + "9" * 5000], "more than 15 digits"),
        (["settings.tolerations=" + "[" * 9000], "not JSON"),
        (["settings.env=HF_TOKEN=hf_x"], "a secret would be readable"),
        (['settings={"env":{"A":"hf_abcdefghijklmn"}}'], "a secret would be readable"),
        (["serve_args=--api-key sk-1"], "use auth instead"),
        (["serve_gpu=Foo9000 x2"], "no such product"),
        (["serve_gpu=cpu"], "CPUs with another image"),
        (["serve_gpu=L40S xtwo"], "is no number of GPUs"),
        (["serve_gpu=L40S x99"], "99 GPUs"),
        (["settings.vllm=nightly"], "not a version"),
        (["settings.family=mla"], "the one to force"),
        (["settings.base=Foo"], "no registry host"),
    ],
)
def test_what_no_pod_could_do_is_refused_before_one_starts(given: list[str], reason: str) -> None:
    said = {text.partition("=")[0] for text in given}
    needed = [text for text in NEEDED if text.partition("=")[0] not in said]
    with pytest.raises(InputError, match=reason) as caught:
        form.arguments(KNOWN, [*needed, *given], {})
    assert len(str(caught.value)) < 1500


def test_a_bare_reference_is_a_registrys() -> None:
    assert read_image("quay.io/me/m:1") == "quay.io/me/m:1"


def read_image(image: str) -> object:
    return form.arguments(KNOWN, ["model=a/b", f"image={image}"], {})["image"]


def test_old_and_new_words_for_one_thing_are_not_guessed_at() -> None:
    for given in (["serve=no", "deploy=true"], ["deploy=false", "serve=deploy"]):
        with pytest.raises(InputError, match="say it once"):
            renamed([*NEEDED, *given])
    with pytest.raises(InputError, match="pack_workers: given twice"):
        read(*renamed(["workers=4", "pack_workers=5"])[0])
