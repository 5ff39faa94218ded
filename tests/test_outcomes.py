"""How a command ends: a line, an exit code, a document; and a stdout that takes nothing."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from ferrying import Outcome, carferry
from servers.models import tiny, write

from carferry.cli.failures import Wishes, described, tell
from carferry.errors import (
    BrokenFile,
    IncompleteModel,
    InputError,
    PushDenied,
    RightsMissing,
)

Run = Callable[..., Outcome]
KEYS = ["kind", "action", "subject", "reason", "remedy", "exit_code"]
COMMAND = [sys.executable, "-m", "carferry"]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process."""
    return lambda *arguments: carferry(capsys, *arguments)


def shell(line: str, *words: object, environ: Mapping[str, str] | None = None) -> Outcome:
    """Run a line of a shell in which ``$@`` is the command."""
    command = ["bash", "-c", line, "bash", *COMMAND, *map(str, words)]
    done = subprocess.run(
        command, env={**os.environ, **(environ or {})}, capture_output=True, text=True, check=False
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def image(run: Run, tmp_path: Path) -> str:
    """An image whose inspection prints more than a line."""
    where = f"oci:{tmp_path / 'layout'}:v1"
    folder = write(tiny(), tmp_path / "model")
    assert run("build", folder, where, "--base", "embedded", "--progress", "none").code == 0
    return where


@pytest.mark.parametrize(
    ("words", "kind", "code"),
    [
        ("inspect oci:/nothing/here:1 --json", "ManifestMissing", 1),
        ("--json inspect oci:/nothing/here:1", "ManifestMissing", 1),
        ("build x y --json --paralell 3", "InputError", 2),
        ("bild --json", "InputError", 2),
        ("build --json", "InputError", 2),
        ("build ./no/folder oci:x --base scratch --json", "SourceNotFound", 2),
        ("inspect docker://q.io/A:1 --json", "InvalidReference", 2),
    ],
)
def test_a_failure_is_a_document_too(run: Run, words: str, kind: str, code: int) -> None:
    outcome = run(*words.split())
    about = json.loads(outcome.out)["error"]
    assert [*about] == KEYS
    assert (about["kind"], about["exit_code"], outcome.code) == (kind, code, code)
    assert outcome.err.startswith("carferry: ")
    assert about["reason"] in outcome.err


def test_without_json_stdout_stays_empty(run: Run) -> None:
    assert run("inspect", "oci:/nothing/here:1").out == ""
    assert run("inspect", "--", "--json").out == ""


def test_the_wish_may_be_a_variable(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARFERRY_JSON", "1")
    assert json.loads(run("inspect", "oci:/nothing/here:1").out)["error"]["kind"]


def test_progress_as_json_ends_with_the_error_as_json(run: Run) -> None:
    outcome = run("inspect", "oci:/nothing/here:1", "--progress", "json")
    events = [json.loads(line) for line in outcome.err.splitlines()]
    event = events[-1]
    assert (event["event"], event["kind"]) == ("error", "ManifestMissing")
    assert event["text"].startswith("carferry: read oci:/nothing/here:1: ")


def test_every_fault_of_a_model_is_in_the_document() -> None:
    faults = [BrokenFile("check", f"{name}.safetensors", "cut short") for name in "abc"]
    about = described(IncompleteModel("check", "org/x", "3 files", faults=faults))
    assert [fault["subject"] for fault in about["faults"]] == [
        "a.safetensors", "b.safetensors", "c.safetensors",
    ]  # fmt: skip
    missing = described(RightsMissing("run", "demo", "no", manifest="kind: Role\n"))
    assert missing["manifest"] == "kind: Role\n"


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (PushDenied("push", "q.io/a/b:1", "no"), 1, "carferry: push q.io/a/b:1: no\n"),
        (InputError("read", "a\nb", "no"), 2, "carferry: read a\\nb: no\n"),
        (KeyboardInterrupt(), 130, "carferry: interrupted\n"),
        (
            RuntimeError("at https://u:secret@h"),
            1,
            "carferry: unexpected RuntimeError: at https://***@h; please report it with --debug's "
            "output\n",
        ),
    ],
)
def test_what_is_told_of_a_failure(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, line: str
) -> None:
    assert tell(error, Wishes(document=True)) == code
    shown = capsys.readouterr()
    about = json.loads(shown.out)["error"]
    assert (about["exit_code"], shown.err, "secret" in shown.out) == (code, line, False)


def words_of(image: str) -> dict[str, list[str]]:
    """Return command lines that print something, by name."""
    served = "q.io/a/b@sha256:" + "0" * 64
    return {
        "bare": [],
        "help": ["--help"],
        "help of a command": ["build", "--help"],
        "version": ["--version"],
        "inspect": ["inspect", image],
        "inspect json": ["inspect", image, "--json"],
        "render": ["render", served],
        "an error as json": ["inspect", "oci:/nothing/here:1", "--json"],
    }


@pytest.mark.parametrize("which", words_of(""))
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('"$@" > /dev/full', "write to stdout: no space left on the device"),
        ('"$@" >&-', "write to stdout: it is closed; open it, if only to /dev/null"),
        ('exec 3> >(exec 0<&-; exec sleep 0.3); sleep 0.1; "$@" >&3', "its reader went away"),
    ],
    ids=["full", "closed", "left"],
)
def test_a_stdout_that_takes_nothing_is_one_line(
    image: str, which: str, line: str, said: str
) -> None:
    outcome = shell(line, *words_of(image)[which])
    assert outcome.code == 1
    assert outcome.err.startswith("carferry: ")
    expected = 1
    if which == "an error as json":
        assert "no folder /nothing/here" in outcome.err or "it is closed" in outcome.err
    else:
        assert said in outcome.err
    assert outcome.err.count("\n") == expected


def test_the_first_line_is_enough_for_a_reader(image: str) -> None:
    outcome = shell('"$@" | head -1; exit ${PIPESTATUS[0]}', "inspect", image)
    assert outcome.out == f"{image}\n" or outcome.out.startswith("oci:")
    assert outcome.err in ("", "carferry: write to stdout: its reader went away\n")


@pytest.mark.parametrize("closed", ["2>&-", "2>/dev/full", "<&-", "<&- 2>&-"])
def test_other_streams_may_be_closed_or_full(image: str, closed: str) -> None:
    outcome = shell(f'"$@" {closed}', "inspect", image)
    assert (outcome.code, outcome.err) == (0, "")
    failed = shell(f'"$@" {closed}', "inspect", "oci:/nothing/here:1")
    assert (failed.code, failed.out) == (1, "")


def test_a_name_that_the_terminal_cannot_show_is_escaped(tmp_path: Path) -> None:
    done = shell('"$@"', "help", environ={"PYTHONIOENCODING": "ascii"})
    assert done.code == 0
    rendered = shell(
        '"$@"', "render", "q.io/a/b@sha256:" + "0" * 64, "--display-name", "Gra\xf1ite",
        environ={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )  # fmt: skip
    assert (rendered.code, rendered.err) == (0, "")


def test_the_page_of_a_plan_goes_where_it_is_sent(tmp_path: Path) -> None:
    """Before, the device itself was replaced by a file."""
    device = tmp_path / "full"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 7))
        device.open("wb").close()
    except PermissionError:
        pytest.skip("no devices of our own here")
    served = "q.io/a/b@sha256:" + "0" * 64
    outcome = shell('"$@"', "render", served, "--output", device)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == (
        f"carferry: write {device}: no space left on the device; free space or choose another\n"
    )
    assert stat.S_ISCHR(device.lstat().st_mode)
    piped = shell('"$@" | cat', "render", served, "--output", "/dev/stdout", "-q")
    plain = shell('"$@"', "render", served, "--output", "-")
    assert piped.out.rstrip() == plain.out.rstrip()
    assert "\n---\n" in piped.out
