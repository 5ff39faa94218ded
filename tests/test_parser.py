"""The command line forgives and explains: where options stand, what was meant, which variables."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from ferrying import Outcome, carferry
from servers.models import tiny, write

from carferry.cli import build_parser
from carferry.cli.variables import TAKEN, is_switch, long_name, names_of

Run = Callable[..., Outcome]
IN_CLUSTERS = ("CARFERRY_SERVICE_HOST", "CARFERRY_SERVICE_PORT", "CARFERRY_PORT")
"""What Kubernetes sets in every pod of a project that has a Service named carferry."""


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CARFERRY_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process."""
    return lambda *arguments: carferry(capsys, *arguments)


@cache
def whole_parser() -> argparse.ArgumentParser:
    """Return the one parser that is read here."""
    return build_parser()


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Return every command and its parser."""
    (chosen,) = (a for a in whole_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(chosen.choices)


def options() -> list[tuple[str, argparse.Action]]:
    """Return every option of every command, with the command."""
    return [
        (command, action)
        for command, parser in parsers().items()
        for action in parser._actions
        if action.option_strings and action.dest != "help"
    ]


def parsed(*words: str) -> argparse.Namespace:
    """Parse a line."""
    return whole_parser().parse_args(words)


def asked(action: argparse.Action) -> str:
    """Return a value that an option takes, and that is not its default."""
    if action.choices:
        return next(str(each) for each in action.choices if each and str(each) != action.default)
    if action.type:
        return "7"
    return "some-value"


def needed(command: str) -> list[str]:
    """Return what a command must be given."""
    found = []
    for action in parsers()[command]._actions:
        if not action.option_strings and action.nargs in (None, "+"):
            found.append("it")
        elif action.required:
            found += [long_name(action), "1/4"]
    return found


def test_nothing_at_all_is_a_question_for_help(run: Run) -> None:
    outcome = run()
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == run("--help").out == run("help").out


def test_help_comes_before_and_behind_a_command(run: Run) -> None:
    assert run("help", "build") == run("build", "--help") == run("build", "-h")
    assert "usage: carferry build" in run("help", "build").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("bild x y", "'bild': no such command; did you mean build?"),
        ("Inspect x", "'Inspect': no such command; did you mean inspect?"),
        ("fly", "'fly': no such command; see"),
        ("build x y --paralell 3", "build --paralell: no such option; did you mean --parallel?"),
        ("build --paralell 3 x y", "build --paralell: no such option; did you mean --parallel?"),
        ("--paralell=3 build x y", "build --paralell: no such option; did you mean --parallel?"),
        ("build x y --mount_from z", "build --mount_from: no such option; did you mean --mount-f"),
        ("build x y --incl a", "build --incl: no such option; did you mean --include?"),
        ("build x y --j", "build --j: no such option"),
        ("build x y -x", "build -x: no such option"),
        ("build x y --engine buildha", "--engine: 'buildha' is none of stream, buildah; did you"),
        ("build x y --reuse tags", "--reuse: 'tags' is none of none, tag, repository; did you mea"),
        ("build x y --format OCI", "build --format: 'OCI' is none of modelcar, modelpack; see"),
        ("build x", "build IMAGE: missing"),
        ("build", "build MODEL IMAGE: missing"),
        ("build x y z", "build 'z': one argument too many"),
        ("build x y --base", "build --base: its value is missing"),
        ("build x y --base --json", "build --base: its value is missing"),
        ("build x y --json=1", "build --json: takes no value"),
        ("stream x y", "stream --worker: missing"),
        ("lint", "lint FILE: missing"),
        ("help nothing", "'nothing': no such command"),
        ("--quiet", "--quiet: no command"),
    ],
)
def test_what_is_mistyped_is_answered_on_one_line(run: Run, words: str, said: str) -> None:
    outcome = run(*words.split())
    assert outcome.code == 2
    assert said in outcome.err
    assert re.fullmatch(r"carferry: [^\n]+see: carferry[^\n]* --help\n", outcome.err)


@pytest.mark.parametrize(("command", "action"), options())
def test_no_option_is_abbreviated(run: Run, command: str, action: argparse.Action) -> None:
    short = long_name(action)[:-1]
    if short in parsers()[command]._option_string_actions:
        return
    value = [] if is_switch(action) else [asked(action)]
    outcome = run(command, *needed(command), short, *value)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"{command} {short}: no such option; did you mean {long_name(action)}" in outcome.err


@pytest.mark.parametrize(("command", "action"), options())
def test_an_option_stands_anywhere(command: str, action: argparse.Action) -> None:
    given = [long_name(action)] if is_switch(action) else [f"{long_name(action)}={asked(action)}"]
    needs = needed(command)
    if action.required:
        needs = [word for word in needs if word not in (long_name(action), "1/4")]
    lines = [[*given, command, *needs], [command, *given, *needs], [command, *needs, *given]]
    if len(needs) > 1 and not needs[0].startswith("-"):
        lines.append([command, needs[0], *given, *needs[1:]])
    found = [vars(parsed(*line)) for line in lines]
    assert all(each == found[0] for each in found)
    assert getattr(parsed(*lines[0]), action.dest) != action.default


@pytest.mark.parametrize("command", sorted(parsers()))
def test_an_argument_that_is_empty_is_named_with_its_command(run: Run, command: str) -> None:
    """``render "$(...)"``: what was to fill it has failed."""
    wanted = [each for each in parsers()[command]._actions if not each.option_strings]
    names = [each.metavar for each in wanted if each.nargs != "?"]
    for number, name in enumerate(names):
        words = ["x"] * len(names)
        words[number] = ""
        outcome = run(command, *words)
        assert outcome.code == 2
        assert outcome.err.startswith(f"carferry: {command}: {name} is empty; ")


def test_options_between_arguments_of_which_one_may_be_left_out() -> None:
    """Argparse alone gives the second argument up, once an option stood before it."""
    arguments = parsed("plan", "org/name", "--workers", "3", "docker://q.io/a/b:1")
    assert (arguments.model, arguments.image, arguments.workers) == (
        "org/name", "docker://q.io/a/b:1", 3,
    )  # fmt: skip
    assert parsed("lint", "a", "--workers", "3", "b").files == ["a", "b"]


def test_a_value_may_begin_with_a_dash() -> None:
    image = "q.io/a/b@sha256:" + "0" * 64
    arguments = parsed("render", image, "--vllm-args", "--enforce-eager --seed 1")
    assert arguments.vllm_args == "--enforce-eager --seed 1"
    assert parsed("render", "--vllm-args", "--enforce-eager", image).vllm_args == "--enforce-eager"
    assert parsed("build", "--", "-odd", "oci:x").model == "-odd"


def test_no_two_meanings_share_a_variable() -> None:
    own = {names_of(action, command)[0] for command, action in options()}
    shared = {names_of(action, command)[1] for command, action in options()}
    assert own & shared == set()
    assert (own | shared) & {*TAKEN, *IN_CLUSTERS} == set()


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(("command", "action"), options())
def test_every_option_can_be_set_by_a_variable(
    monkeypatch: pytest.MonkeyPatch, command: str, action: argparse.Action, which: int
) -> None:
    name = names_of(action, command)[which]
    value = "true" if is_switch(action) else asked(action)
    monkeypatch.setenv(name, value)
    needs = [word for word in needed(command) if not action.required or word == "it"]
    by_variable = vars(parsed(command, *needs))
    assert by_variable.pop("variables") == (name,)
    monkeypatch.delenv(name)
    given = [long_name(action)] if is_switch(action) else [long_name(action), value]
    assert by_variable == vars(parsed(command, *needs, *given))


def test_the_command_line_wins_over_variables_and_the_closer_one_wins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CARFERRY_PARALLEL", "3")
    monkeypatch.setenv("CARFERRY_BUILD_PARALLEL", "5")
    monkeypatch.setenv("CARFERRY_PLAIN_HTTP", "a:5000,b:5000")
    assert parsed("build", "x", "y").parallel == 5
    assert parsed("push", "x", "y").parallel == 3
    assert parsed("build", "x", "y", "--parallel", "7").parallel == 7
    assert parsed("build", "x", "y").plain_http == ["a:5000,b:5000"]
    assert parsed("build", "x", "y", "--plain-http", "c:1").plain_http == ["c:1"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("CARFERRY_PARALLEL", "many", "build CARFERRY_PARALLEL: 'many' is not a whole number of 1"),
        ("CARFERRY_BUILD_PARALLEL", "0", "build CARFERRY_BUILD_PARALLEL: '0' is not a whole numb"),
        ("CARFERRY_ENGINE", "buildha", "CARFERRY_ENGINE: 'buildha' is none of stream, buildah"),
        ("CARFERRY_JSON", "maybe", "read CARFERRY_JSON: 'maybe' is neither true nor false; write"),
        ("CARFERRY_ALLOW_NO_WEIGHTS", "2", "read CARFERRY_ALLOW_NO_WEIGHTS: '2' is neither"),
    ],
)
def test_a_bad_variable_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    outcome = run("build", "x", "y")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert said in outcome.err
    assert run("build", "--help").code == run("--version").code == 0


@pytest.mark.parametrize(
    ("text", "meant"), [("1", True), ("TRUE", True), ("0", False), ("false", False), ("", False)]
)
def test_a_switch_is_true_or_false(monkeypatch: pytest.MonkeyPatch, text: str, meant: bool) -> None:
    monkeypatch.setenv("CARFERRY_QUIET", text)
    assert parsed("build", "x", "y").quiet is meant


def test_an_error_says_which_variables_had_a_part_in_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CARFERRY_BASE", "oci:")
    monkeypatch.setenv("CARFERRY_RUN", "a-secret-that-nobody-may-see")
    outcome = run("build", write(tiny(), tmp_path / "m"), f"oci:{tmp_path / 'o'}:v1")
    assert outcome.code == 2
    assert "carferry: note: CARFERRY_BASE, CARFERRY_RUN came from the environment" in outcome.err
    assert "a-secret" not in outcome.err


def test_quiet_prints_the_result_alone(run: Run, tmp_path: Path) -> None:
    folder, where = write(tiny(), tmp_path / "m"), f"oci:{tmp_path / 'o'}:v1"
    built = run("-q", "build", folder, where, "--base", "scratch")
    assert (built.code, built.out, built.err) == (0, f"{where}\n", "")
    seen = run("inspect", where, "--quiet")
    assert (seen.code, seen.err, "BROKEN" in seen.out, " ok " in seen.out) == (2, "", True, False)
    document = run("inspect", where, "--quiet", "--json")
    assert json.loads(document.out)["digest"]


def test_verbose_says_which_variables_count(tmp_path: Path) -> None:
    folder = write(tiny(), tmp_path / "m")
    done = subprocess.run(
        [sys.executable, "-m", "carferry", "build", "-v", folder, f"oci:{tmp_path / 'o'}:v1"],
        env={**os.environ, "CARFERRY_BASE": "scratch", "CARFERRY_PROGRESS": "none"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "from the environment: CARFERRY_BASE, CARFERRY_PROGRESS\n"
