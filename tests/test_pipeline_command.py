"""The command of the pipelines speaks as ``carferry`` does: variables, failures, quiet, help."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ferrying import Outcome
from servers.models import tiny, write
from servers.registry import Registry

from carferry.cli.variables import is_switch, long_name
from carferry.pipelines import command

Run = Callable[..., Outcome]
LARGE = Path(__file__).parent / "data" / "configs" / "Qwen--Qwen3-235B-A22B.json"
PREFIX = "CARFERRY_PIPELINE_"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CARFERRY_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def _run(*words: object) -> Outcome:
        code = command.main([*map(str, words)])
        shown = capsys.readouterr()
        return Outcome(code, shown.out, shown.err)

    return _run


@pytest.fixture
def local(tmp_path: Path) -> tuple[str, ...]:
    """A run of a small model into a layout."""
    model = write(tiny(), tmp_path / "m")
    where = f"image=oci:{tmp_path / 'out'}:1"
    root = ("--root", str(tmp_path / "runs"))
    return ("--local", *root, f"model={model}", where, "settings.base=scratch")


def options() -> list[argparse.Action]:
    every = command._parser()._actions
    return [a for a in every if a.option_strings and a.dest != "help"]


@pytest.mark.parametrize("action", options(), ids=long_name)
def test_every_option_can_be_set_by_a_variable_of_its_own(
    monkeypatch: pytest.MonkeyPatch, action: argparse.Action
) -> None:
    """None could; CARFERRY_IMAGE is what a notebook calls the image that is built."""
    name = f"{PREFIX}{long_name(action).strip('-').replace('-', '_').upper()}"
    value = "1" if is_switch(action) else "pvc" if action.choices else "7"
    other = [] if action.dest == "action" else ["--compile"]
    given = [long_name(action)] if is_switch(action) else [long_name(action), value]
    monkeypatch.setenv(name.replace("PIPELINE_", ""), "3")
    monkeypatch.setenv(name, value)
    by_variable = vars(command._parser().parse_args(other))
    assert by_variable.pop("variables") == (name,)
    monkeypatch.delenv(name)
    by_option = vars(command._parser().parse_args([*other, *given]))
    by_variable.pop("run"), by_option.pop("run")
    assert by_variable == by_option


def test_nothing_at_all_is_a_question_for_help_that_fits_the_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was "one of the arguments --compile --local --submit is required"."""
    monkeypatch.setenv("COLUMNS", "80")
    shown = run()
    assert (shown.code, shown.err) == (0, "")
    assert shown.out == run("--help").out
    listed = shown.out.partition("parameters, as NAME=VALUE")[2].splitlines()[2:]
    assert [row for row in listed if len(row) > 80] == []
    assert sum(row.startswith("  image  ") for row in listed) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--lokal",), "--lokal: no such option; did you mean --local?"),
        (("--local", "modle=x"), "'modle=x': no such parameter; did you mean model?"),
        (("--submit", "model=a/b", "image=docker://q.io/a/b:1"), "submit --host: missing"),
    ],
)
def test_a_failure_is_a_line_and_with_json_a_document(
    run: Run, words: tuple[str, ...], said: str
) -> None:
    """Lines began with "error:", and there was no document."""
    shown, document = run(*words), run(*words, "--json")
    assert (shown.code, shown.out, shown.err.count("\n")) == (2, "", 1)
    assert shown.err.startswith("carferry: ")
    assert said in shown.err
    error = json.loads(document.out)["error"]
    assert (document.code, error["exit_code"]) == (2, 2)
    assert document.err == shown.err


def test_a_variable_asks_for_the_document_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}JSON", "1")
    assert json.loads(run("--local", "modle=x").out)["error"]["exit_code"] == 2


def test_a_quiet_run_prints_its_result_alone_and_no_secret(
    run: Run, local: tuple[str, ...]
) -> None:
    """The secret that makes the seal believe shards stood in steps.plan-model.build.run."""
    shown = run(*local, "serve=no", "-q")
    assert (shown.code, shown.err) == (0, "")
    steps = json.loads(shown.out)["steps"]
    assert steps["plan-model"]["build"]["run"] == "***"
    assert steps["seal-image"]["digest"].startswith("sha256:")


def test_a_model_that_does_not_fit_exits_3(
    run: Run, tmp_path: Path, local: tuple[str, ...], registry: Registry
) -> None:
    for weights in (tmp_path / "m").glob("*.safetensors"):
        weights.unlink()
    (tmp_path / "m" / "config.json").write_text(LARGE.read_text())
    given = [word for word in local if not word.startswith("image=")]
    image, more = f"image=docker://{registry.host}/a/b:1", "settings.allow_no_weights=true"
    shown = run(*given, image, more, "serve_gpu=T4", "serve=render")
    assert shown.code == 3, shown.err
    assert shown.err.splitlines()[-1].startswith("carferry: run step fit-model: ")
