"""What a person sees of a command: real builds, on a terminal and in a log."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from ferrying import (
    REPO,
    Outcome,
    access,
    carferry,
    from_folder,
    from_hub,
    point_to,
    to_layout,
    to_registry,
)
from servers.chaos import Rule, StallReply
from servers.hub import Hub
from servers.models import sharded, tiny, write
from servers.proxy import Proxy
from servers.registry import Registry

from carferry.assembly.build import build
from carferry.assembly.options import Options
from carferry.cli import build_parser
from carferry.cli.following import moved_line
from carferry.io.show.cells import cells
from carferry.io.show.display import Display
from carferry.io.show.lines import Lines

# The command in the foreground of a terminal, where Ctrl-C is heard whatever the tests run under.
ENTRY = (
    "import fcntl, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from carferry.cli import main; sys.exit(main())"
)
LARGE = 65 * 1024 * 1024
Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return lambda *arguments: carferry(capsys, *arguments)


@pytest.fixture
def slow_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Two shards that take two seconds each."""
    with Hub(bytes_per_s=LARGE // 2) as hub:
        hub.add(REPO, two_shards())
        point_to(hub, monkeypatch)
        yield hub


def two_shards() -> dict[str, bytes]:
    """Return a model of two large shards; what is in them does not matter here."""
    shards = {f"model-{n:05d}-of-00002.safetensors": shard(n) for n in (1, 2)}
    index = {f"w{n}": name for n, name in enumerate(shards, start=1)}
    rest = {k: v for k, v in tiny().items() if not k.endswith(".safetensors")}
    index_file = json.dumps({"metadata": {}, "weight_map": index}).encode()
    return {**rest, **shards, "model.safetensors.index.json": index_file}


def shard(number: int) -> bytes:
    tensor = {"dtype": "U8", "shape": [LARGE], "data_offsets": [0, LARGE]}
    head = json.dumps({f"w{number}": tensor}).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + bytes([number]) * LARGE


class Typed:
    """A command in the foreground of a terminal of its own."""

    def __init__(self, main: int, process: subprocess.Popen[bytes]) -> None:
        self._main = main
        self.process = process
        self.seen = ""

    def until(self, text: str) -> None:
        while text not in self.seen:
            assert self._more(), self.seen

    def press(self, keys: bytes) -> None:
        os.write(self._main, keys)

    def end(self) -> int:
        while self._more():
            pass
        return self.process.wait()

    def _more(self) -> bool:
        try:
            data = os.read(self._main, 65536)
        except OSError:  # EIO: nobody has it open any more
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)


@contextmanager
def typed(columns: int, *arguments: str) -> Iterator[Typed]:
    main, sub = pty.openpty()
    fcntl.ioctl(sub, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environ = {**os.environ, "TERM": "xterm"}
    environ.pop("NO_COLOR", None)
    with subprocess.Popen(
        [sys.executable, "-c", ENTRY, *arguments],
        stdin=sub, stdout=sub, stderr=sub, env=environ, start_new_session=True,
    ) as process:  # fmt: skip
        os.close(sub)
        try:
            yield Typed(main, process)
        finally:
            process.kill()
            os.close(main)


def rows_of(seen: str) -> list[str]:
    """Return what was written, without what moves the cursor."""
    return re.sub(r"\x1b\[\d+F\x1b\[J", "", seen).replace("\r", "").split("\n")


@pytest.mark.parametrize("columns", [80, 50, 20])
def test_a_build_on_a_terminal_stays_within_its_width(
    columns: int, slow_hub: Hub, tmp_path: Path
) -> None:
    """The old bars took up to 90 cells: each drawing left a row behind."""
    where = f"oci:{tmp_path / 'out'}:v1"
    with typed(columns, "build", REPO, where, "--base", "scratch") as shown:
        shown.until(where)
        drawn = rows_of(shown.seen.partition(where)[0])
        assert shown.end() == 0
    assert [row for row in drawn if cells(row) >= columns] == []
    assert any("-00002" in row and "%" in row for row in drawn) or columns == 20
    assert "s left" in shown.seen


def test_after_ctrl_c_is_said_what_was_kept_and_it_is_true(
    slow_hub: Hub, registry: Registry, run: Run
) -> None:
    """Only "carferry: interrupted" was said, and a second run moved everything again."""
    where = f"docker://{registry.host}/org/model:v1"
    arguments = ("build", REPO, where, "--base", "scratch", "--plain-http", registry.host)
    slow_hub.bytes_per_s = LARGE // 8
    with typed(80, *arguments, "--parallel", "1") as shown:
        shown.until("  move")
        shown.press(b"\x03")
        assert shown.end() == 130
    *kept, last = (row.removeprefix("^C") for row in rows_of(shown.seen)[-4:-1])
    said = f"[123] of 3 layers are in {where}; run the same command to go on"
    assert re.fullmatch(said, " ".join(row.strip() for row in kept))
    assert last == "carferry: interrupted"
    slow_hub.bytes_per_s = None
    again = json.loads(run(*arguments, "--json", "--progress", "none").out)
    assert again["reused_bytes"] > LARGE
    assert again["moved_bytes"] < LARGE * 1.1


def test_a_registry_that_takes_long_to_commit_is_named(hub: Hub, registry: Registry) -> None:
    """A PUT may take half an hour; before, nothing was printed until it was answered."""
    hub.add(REPO, sharded(2))
    out = io.StringIO()
    shown = Display(Lines(out), clock=lambda: time.monotonic() * 40)  # 30 s are 0.75 s
    with Proxy(registry.url, [Rule(StallReply(1.8), method="PUT", path="/manifests/")]) as proxy:
        target = to_registry(registry, host=proxy.host)
        options = Options(base="scratch")
        build(from_hub(hub), target, options, access=access(proxy.host), progress=shown)
    said = re.findall("^still waiting.*", out.getvalue(), re.MULTILINE)
    assert said
    assert said[0].startswith(f"still waiting for {proxy.host}: ")
    assert said[0].endswith(" without a byte (writing the manifest)")


def test_a_hub_that_is_silent_before_anything_moves_is_named(hub: Hub, tmp_path: Path) -> None:
    hub.add(REPO, tiny())
    hub.latency_s = 0.8
    out = io.StringIO()
    shown = Display(Lines(out), clock=lambda: time.monotonic() * 60)
    source = from_hub(hub)
    build(source, to_layout(tmp_path / "out"), Options(base="scratch"), progress=shown)
    assert f"still waiting for {source.host}: " in out.getvalue()
    assert f"(planning {REPO}" in out.getvalue()


class Closed(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def test_a_terminal_that_is_closed_ends_no_build(tmp_path: Path) -> None:
    """A build of hours failed with the window that showed it."""
    shown = Display(Lines(Closed()))
    source = write(sharded(2), tmp_path / "model")
    target = to_layout(tmp_path / "out")
    build(from_folder(source), target, Options(base="scratch"), progress=shown)
    assert target.get_manifest("v1") is not None


@pytest.mark.parametrize("style", ["bars", "lines", "json"])
def test_nothing_is_drawn_after_a_failure(
    style: str, hub: Hub, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fixture that looks for threads left behind looks for the display's too."""
    hub.add(REPO, {**tiny(), "config.json": b"{"})
    point_to(hub, monkeypatch)
    where = f"oci:{tmp_path / 'out'}:v1"
    outcome = run("build", REPO, where, "--base", "scratch", "--progress", style)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err


def steps_after(out: str) -> list[str]:
    return [line.removeprefix("next    ") for line in out.splitlines() if line.startswith("next ")]


def parsed(command: str) -> None:
    words: Sequence[str] = shlex.split(command)
    assert words[0] == "carferry"
    build_parser().parse_args(words[1:])


def test_success_ends_with_what_was_tagged_and_the_command_that_follows(
    run: Run, tmp_path: Path, registry: Registry
) -> None:
    """Each is a command that this version takes, of an address that is there."""
    folder = write(tiny(), tmp_path / "my model")
    layout, where = f"oci:{tmp_path / 'out'}:v1", f"docker://{registry.host}/org/tiny:v1"
    plain = ("--plain-http", registry.host)
    built = run("build", folder, layout, "--base", "embedded").out
    assert f"tagged  {layout}\n" in built
    copied = run("push", layout, where, *plain).out
    assert f"tagged  {registry.host}/org/tiny:v1\n" in copied
    digest = registry.tags("org/tiny")["v1"]
    straight = run("build", folder, where, "--base", "scratch", *plain).out
    (after_build,), (after_push,) = map(steps_after, (built, copied))
    assert steps_after(straight) == []  # scratch: no shell for modelcar mode
    packed = run("build", folder, where, "--format", "modelpack", *plain).out
    (look,) = steps_after(packed)
    assert after_build == f"carferry push {layout} docker://REGISTRY/NAME:TAG"
    assert after_push == f"carferry deploy {registry.host}/org/tiny@{digest} --namespace PROJECT"
    assert look.startswith(f"carferry inspect docker://{registry.host}/org/tiny@sha256:")
    for command in (after_build, after_push, look):
        parsed(command)
    assert run(*shlex.split(look)[1:]).code == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((130 << 20, 0, 9.2), "130.0 MiB, 9.2 s, 14.1 MiB/s"),
        ((1 << 20, 1 << 10, 8000.0), "1.0 MiB, 1.0 KiB reused, 2 h 13 min, 131 B/s"),
        ((0, 1 << 20, 0.8), "nothing, 1.0 MiB reused, 0.8 s"),
        ((0, 0, 0.0), "nothing, 0.0 s"),
    ],
)
def test_a_summary_says_what_was_done_and_nothing_of_what_was_not(
    given: tuple[int, int, float], said: str
) -> None:
    """It was "moved   0 B moved, 1.0 MiB reused, 0 retried, 0.8 s, 0 B/s"."""
    assert moved_line(*given) == f"moved   {said}"


def test_a_summary_counts_what_was_read_back_and_tried_again() -> None:
    line = moved_line(0, 1 << 20, 2.0, checked_bytes=1 << 20, retries=2)
    assert line == "moved   nothing, 1.0 MiB reused (1.0 MiB read back), 2 retried, 2.0 s"


@pytest.mark.parametrize("columns", [80, 50])
def test_a_summary_is_broken_between_words_but_no_command(
    columns: int, slow_hub: Hub, tmp_path: Path
) -> None:
    slow_hub.bytes_per_s = None
    slow_hub.add(REPO, {**two_shards(), **{f"{n}.bin": b"x" for n in "abc"}})
    where = f"oci:{tmp_path / 'out'}:v1"
    with typed(columns, "build", REPO, where, "--base", "scratch") as shown:
        assert shown.end() == 0
    rows = rows_of(shown.seen[shown.seen.index(where) :])
    long = [row for row in rows if cells(row) > columns and not row.startswith("next    ")]
    assert [row for row in long if max(map(cells, row.split())) + 8 <= columns] == []
    parsed(steps_after("\n".join(rows))[0])


def test_a_download_ends_with_the_build_of_its_folder(
    run: Run, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(REPO, tiny())
    point_to(hub, monkeypatch)
    monkeypatch.chdir(tmp_path)
    (step,) = steps_after(run("download", REPO, "a model").out)
    assert step == "carferry build './a model' docker://REGISTRY/NAME:TAG"
    parsed(step)


def test_what_libraries_log_is_an_event_too(run: Run, tmp_path: Path, registry: Registry) -> None:
    """With --debug urllib3's lines stood between the events."""
    folder, where = write(tiny(), tmp_path / "m"), f"docker://{registry.host}/org/tiny:v1"
    command = [sys.executable, "-m", "carferry", "build", str(folder), where, "--base", "scratch"]
    options = ["--plain-http", registry.host, "--debug", "--progress", "json"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    notes = [e["text"] for e in map(json.loads, done.stderr.splitlines()) if e["event"] == "note"]
    assert any("/v2/org/tiny/" in note for note in notes)


def test_what_is_there_already_is_not_waited_for(run: Run, tmp_path: Path) -> None:
    """A second push stood at 0 % to its end."""
    folder, layout = write(tiny(), tmp_path / "m"), f"oci:{tmp_path / 'out'}:v1"
    run("build", folder, layout, "--base", "scratch")
    push = ("push", layout, f"oci:{tmp_path / 'copy'}:v1", "--progress", "json")
    run(*push)
    events = [json.loads(line) for line in run(*push).err.splitlines()]
    expected = [each for each in events if each["event"] == "expect"]
    assert expected[0]["size_bytes"] > 0
    assert sum(each["size_bytes"] for each in expected) == expected[-1]["total_bytes"] == 0
