"""The command line: results on stdout, the rest on stderr, exit codes that mean something."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ferrying import REPO, Outcome, carferry, manifest, point_to, to_layout
from servers.hub import Hub
from servers.models import synthetic, tiny, write
from servers.registry import Registry

from carferry import __version__
from carferry.cli import build_parser
from carferry.image.layers import LARGE_BYTES
from carferry.io.interrupts import held_back

ENTRY = "import sys; del sys.argv[0]; from carferry.cli import main; sys.exit(main())"
"""What the installed script does."""
Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process."""
    return lambda *arguments: carferry(capsys, *arguments)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny model."""
    return write(tiny(), tmp_path / "model")


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return every command and its parser."""
    (chosen,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(chosen.choices)


@pytest.mark.parametrize("name", commands())
def test_the_help_of_every_command_names_its_arguments(name: str, run: Run) -> None:
    outcome = run(name, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    for action in commands()[name]._actions:
        shown = action.option_strings or [str(action.metavar or action.dest)]
        assert [word for word in shown if word not in outcome.out] == []


@pytest.mark.parametrize("name", commands())
def test_every_option_is_explained(name: str) -> None:
    unexplained = [
        a.option_strings for a in commands()[name]._actions if a.option_strings and not a.help
    ]
    assert unexplained == []


def test_the_help_names_every_command_and_shows_examples_that_parse(run: Run) -> None:
    outcome = run("--help")
    assert outcome.code == 0
    assert [name for name in commands() if name not in outcome.out] == []
    for line in outcome.out.splitlines():
        words = line.split("     ")[0].partition(" > ")[0].split()
        if words[:1] == ["carferry"] and words[1] in commands():
            build_parser().parse_args(words[1:])


def test_the_version_is_the_packages(run: Run) -> None:
    assert run("--version").out == f"carferry {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [("--json",), ("fly",), ("build",), ("build", "x", "oci:y", "--engine", "z")]
)
def test_wrong_usage_exits_2(run: Run, arguments: tuple[str, ...]) -> None:
    outcome = run(*arguments)
    assert outcome.code == 2
    assert re.fullmatch(r"carferry: [^\n]+; .*see: carferry( build)? --help\n", outcome.err)


def test_build_prints_the_immutable_address_first(
    run: Run, folder: Path, registry: Registry
) -> None:
    where = f"docker://{registry.host}/org/tiny:v1"
    outcome = run("build", folder, where, "--base", "scratch", "--plain-http", registry.host)
    digest = registry.tags("org/tiny")["v1"]
    assert outcome.out.splitlines()[:2] == [
        f"oci://{registry.host}/org/tiny@{digest}",
        f"digest  {digest}",
    ]
    assert (outcome.code, "move" in outcome.err) == (0, True)


def test_json_is_one_document_and_progress_goes_elsewhere(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    where = f"oci:{tmp_path / 'layout'}:v1"
    built = run("build", folder, where, "--base", "scratch", "--json", "--progress", "json")
    document = json.loads(built.out)
    digest = str(manifest(to_layout(tmp_path / "layout")).digest)
    assert (document["digest"], document["reference"], document["uri"]) == (digest, where, where)
    assert document["moved_bytes"] + document["reused_bytes"] < document["size_bytes"]
    events = [json.loads(line) for line in built.err.splitlines()]
    assert {event["event"] for event in events} == {"phase", "expect", "begin", "advance", "end"}


def test_download_inspect_and_push_speak_json_too(
    run: Run, hub: Hub, tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = hub.add(REPO, tiny())
    point_to(hub, monkeypatch)
    folder, layout = tmp_path / "model", f"oci:{tmp_path / 'layout'}:v1"
    downloaded = json.loads(run("download", REPO, folder, "--json", "--progress", "none").out)
    assert (downloaded["commit"], downloaded["files"]) == (repo.branches["main"], len(tiny()))
    built = json.loads(
        run("build", folder, layout, "--base", "scratch", "--json", "--progress", "none").out
    )
    assert built["commit"] == downloaded["commit"]
    where = f"docker://{registry.host}/org/tiny:v1"
    plain = ("--plain-http", registry.host)
    pushed = json.loads(run("push", layout, where, *plain, "--json", "--progress", "none").out)
    assert pushed["digest"] == built["digest"] == registry.tags("org/tiny")["v1"]
    seen = json.loads(run("inspect", where, *plain, "--json").out)
    assert (seen["digest"], seen["commit"]) == (built["digest"], built["commit"])
    assert sorted(path for path, _ in seen["files"]) == sorted(f"models/{name}" for name in tiny())


def test_inspect_says_which_clause_is_broken_and_exits_2(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    """An image without a shell serves as a native volume, not as a modelcar: the line says so."""
    where = f"oci:{tmp_path / 'layout'}:v1"
    run("build", folder, where, "--base", "scratch", "--progress", "none")
    outcome = run("inspect", where)
    assert outcome.code == 2
    (broken,) = [line for line in outcome.out.splitlines() if "BROKEN" in line]
    assert broken.split()[:7] == ["BROKEN", "tools", "no", "sh,", "ls,", "ln,", "sleep,"]
    assert "which KServe runs in the image to serve oci:// (modelcar mode)" in broken
    assert "carferry build oci://THIS NEW --base embedded" in broken
    assert "oci+native://" in broken
    # The line's own advice, on this image.
    based = f"oci:{tmp_path / 'based'}:v1"
    run("build", where, based, "--base", "embedded", "--progress", "none")
    assert run("inspect", based).code == 0


def test_patterns_can_be_repeated_or_joined(run: Run, folder: Path, tmp_path: Path) -> None:
    wanted = {"config.json", "tokenizer.json"}
    for number, options in enumerate(
        [
            ("--include", "config.json", "--include", "tokenizer.json"),
            ("--include", "config.json,tokenizer.json"),
            (
                "--exclude",
                "README*,LICENSE",
                "--exclude",
                "*_config.json",
                "--exclude",
                "*.safetensors",
            ),
        ]
    ):
        where = f"oci:{tmp_path / str(number)}:v1"
        run("build", folder, where, "--base", "scratch", "--progress", "none",
            "--allow-no-weights", *options)  # fmt: skip
        seen = json.loads(run("inspect", where, "--json").out)
        assert {path.removeprefix("models/") for path, _ in seen["files"]} == wanted


def test_the_module_runs_as_the_command_does() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "carferry", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"carferry {__version__}\n"


@pytest.fixture
def slow_hub() -> Iterator[Hub]:
    """A hub whose large file takes many seconds."""
    with Hub(bytes_per_s=8 << 20) as server:
        server.add(REPO, {"config.json": b"{}", "model.safetensors": synthetic(LARGE_BYTES)})
        yield server


def test_an_interrupted_build_exits_130_and_tags_nothing(
    slow_hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real Ctrl-C, sent while bytes are on their way."""
    point_to(slow_hub, monkeypatch)
    command = [sys.executable, "-m", "carferry", "build", REPO, f"oci:{tmp_path / 'layout'}:v1"]
    with subprocess.Popen(
        [*command, "--base", "scratch", "--progress", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        while '"advance"' not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read()
    assert (process.returncode, out) == (130, "")
    assert json.loads(err.splitlines()[-1])["text"] == "carferry: interrupted"
    assert list((tmp_path / "layout").rglob(".part-*")) == []
    index = tmp_path / "layout" / "index.json"
    kept = json.loads(index.read_text())["manifests"] if index.exists() else []
    names = [each["annotations"]["org.opencontainers.image.ref.name"] for each in kept]
    assert all(name.startswith("carferry-shard-") for name in names)  # so that a second run goes on


@pytest.mark.parametrize(
    "module", ["carferry.refs", "urllib3", "carferry.registry.access", "carferry.assembly.options"]
)
def test_an_interrupt_while_modules_load_is_one_line_too(module: str, tmp_path: Path) -> None:
    """Loading them takes most of a second, in which people notice what they mistyped."""
    build = ["carferry", "build", str(tmp_path), f"oci:{tmp_path / 'layout'}:v1"]
    command = [sys.executable, "-X", "importtime", "-c", ENTRY, *build]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while process.stderr.readline().rpartition("|")[2].strip() != module:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said = [line for line in process.stderr if not line.startswith("import time:")]
    assert (process.returncode, len(said)) == (130, 1)
    assert said[0].startswith("carferry: interrupted")  # the command may have begun by now


def test_a_reader_that_goes_away_is_no_crash(folder: Path, tmp_path: Path) -> None:
    where = f"oci:{tmp_path / 'layout'}:v1"
    read, write_end = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "carferry", "build", str(folder), where, "--base", "scratch"],
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write_end)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)


def test_a_command_that_needs_no_cluster_does_not_load_its_client() -> None:
    """The Kubernetes client costs a fifth of a second and 30 MiB."""
    code = (
        "import sys, carferry.cli, carferry.source.hub.source; print('kubernetes' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_an_interrupt_is_held_back_until_modules_are_loaded() -> None:
    """Raised in between, it can fall into a callback of the import lock, which drops it."""
    loaded = []
    with pytest.raises(KeyboardInterrupt), held_back():
        signal.raise_signal(signal.SIGINT)
        loaded.append("a module")
    assert loaded == ["a module"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
