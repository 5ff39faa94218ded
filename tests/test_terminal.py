"""Progress fits the place: bars on a terminal, few lines in a log, JSON for programs."""

from __future__ import annotations

import io
import json
import os
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from carferry.cli.failures import Wishes, described, tell
from carferry.errors import InputError
from carferry.io.show.amounts import human_bytes, human_seconds
from carferry.io.show.bars import Bars
from carferry.io.show.cells import cells, cut, folded
from carferry.io.show.display import Display, Face
from carferry.io.show.events import Events
from carferry.io.show.lines import SILENT_S, Lines
from carferry.io.show.progress import Silent, either
from carferry.io.show.terminal import open_progress

GIB = 1 << 30
EVENTS = Path(__file__).parents[1] / "docs" / "reference" / "progress.md"
# Wide characters, a name with marks that combine, Hangul as Jamo, and one of many cells.
NAMES = (
    "model-00001-of-00004.safetensors",
    "模型重量文件" * 9,
    "e\u0301" * 70,
    "\u1112\u1161\u11ab" * 30,
)


class Clock:
    """A clock the test turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Screen:
    """A terminal: rows, a cursor at the end, and lines that wrap anew when it is resized."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self.size = os.terminal_size((columns, rows))
        self.out = io.StringIO()
        self.lines: list[str] = []
        self.longest = 0

    def size_of(self, out: object) -> os.terminal_size:
        return self.size

    def take(self) -> list[str]:
        """Obey what was written since the last time and return every line."""
        for part in re.split(r"(\x1b\[\d+F\x1b\[J)", self.out.getvalue()):
            if found := re.fullmatch(r"\x1b\[(\d+)F\x1b\[J", part):
                self._up(int(found[1]))
            else:
                self.lines += part.split("\n")[:-1]
        self.out.seek(0)
        self.out.truncate()
        return self.lines

    def _up(self, rows: int) -> None:
        while rows > 0:
            line = self.lines.pop()
            rows -= max(1, -(-cells(line) // self.size.columns))
        assert rows == 0, "erased half of a line that was to stay"


def bars(columns: int = 80, rows: int = 24) -> tuple[Display, Screen, Clock]:
    screen, clock = Screen(columns, rows), Clock()
    return Display(Bars(screen.out, size=screen.size_of), clock=clock, every_s=3600), screen, clock


def lines() -> tuple[Display, io.StringIO, Clock]:
    out, clock = io.StringIO(), Clock()
    return Display(Lines(out), clock=clock, every_s=3600), out, clock


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (90 << 20, "90.0 MiB"),
        (900 << 30, "900.0 GiB"),
        (5 << 40, "5.0 TiB"),
        (5 << 50, "5120.0 TiB"),
    ],
)
def test_sizes_have_binary_units(size: int, text: str) -> None:
    assert human_bytes(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (8, "8 s"),
        (99.4, "99 s"),
        (99.5, "2 min"),
        (170, "3 min"),
        (3569, "59 min"),
        (3570, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (86340, "23 h 59 min"),
        (86399, "1 d 0 h"),
        (97200, "1 d 3 h"),
        (10_000_000, "115 d 18 h"),
    ],
)
def test_times_are_said_as_a_person_says_them(seconds: float, text: str) -> None:
    """The old line said "7500 s left"."""
    assert human_seconds(seconds) == text


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("model", 5),
        ("模型", 4),
        ("e\u0301", 1),
        ("\u1112\u1161\u11ab", 2),
        ("\u200d", 0),
        ("\uff57", 2),
    ],
)
def test_text_is_as_wide_as_a_terminal_draws_it(text: str, width: int) -> None:
    assert cells(text) == width


def test_text_that_is_cut_fits_and_keeps_its_end() -> None:
    assert cut("model-00001-of-00004", 16) == "mode...-of-00004"
    assert cut("onnx/model.onnx, onnx/model_int8.onnx", 10) == "on...onnx"
    chance = random.Random(7)
    alphabet = "ab0-模型\u0301\u1112\u1161\uff57"
    for _ in range(2000):
        text = "".join(chance.choices(alphabet, k=chance.randrange(60)))
        width = chance.randrange(1, 50)
        shown = cut(text, width)
        assert cells(shown) <= width
        assert shown == text or cells(text) > width


@pytest.mark.parametrize("columns", [80, 50, 20])
def test_a_note_above_bars_is_broken_between_words(columns: int) -> None:
    """The terminal broke it, in the middle of words."""
    shown, screen, _ = bars(columns)
    where = "127.0.0.1:5000/org/a-name-of-its-own-that-is-longer-than-a-row:v1"
    note = f"reach {where}: PATCH failed: Remote end closed connection; trying again in 0.3 s"
    shown.note(note)
    rows = screen.take()
    assert [row.strip() for row in rows] == [row for row in map(str.strip, rows) if row]
    assert " ".join(row.strip() for row in rows) == note
    assert [row for row in rows if cells(row) >= columns and where not in row] == []
    assert all(row.startswith("  ") for row in rows[1:])


def test_what_is_folded_keeps_columns_and_says_all() -> None:
    chance = random.Random(5)
    for _ in range(500):
        words = ["".join(chance.choices("ab-模", k=chance.randrange(1, 30))) for _ in range(9)]
        width, text = chance.randrange(1, 90), " ".join(words)
        rows = folded(text, width, 8)
        assert " ".join(row.strip() for row in rows) == text
        wide = {word for word in words if cells(word) + min(8, width // 2) > width}
        assert all(cells(row) <= width or wide & {*row.split()} for row in rows)
    line = f"{'left':<8}a.bin, 99 B: pickled, and nobody asked"
    assert folded(line, 24, 8) == [
        "left    a.bin, 99 B:",
        " " * 8 + "pickled, and",
        " " * 8 + "nobody asked",
    ]


def test_a_log_gets_a_line_for_each_layer_and_one_every_few_seconds() -> None:
    shown, out, clock = lines()
    shown.begin("model.safetensors", 100 << 20)
    for _ in range(100):
        clock.now += 0.2
        shown.advance("model.safetensors", 1 << 20)
    shown.end("model.safetensors", "move")
    written = out.getvalue().splitlines()
    assert len(written) == 4 or len(written) == 5
    start = "25%, 25.0 MiB of 100.0 MiB, 5.0 MiB/s, 15 s left: model.safetensors 25%"
    assert written[0] == start
    assert written[-1] == "  move   100.0 MiB  model.safetensors"
    assert "\x1b" not in out.getvalue()


def test_a_line_names_a_few_of_what_moves_and_counts_the_rest() -> None:
    shown, out, clock = lines()
    for number in range(5):
        shown.begin(f"layer-{number}", 100)
    clock.now = 5.0
    shown.advance("layer-0", 50)
    assert out.getvalue().endswith(": layer-0 50%, layer-1 0%, layer-2 0%, 2 more\n")


@pytest.mark.parametrize("face", [Lines, Events, Bars])
def test_a_secret_in_the_name_of_an_item_is_masked(face: Callable[[io.StringIO], Face]) -> None:
    """A note's was, a file's own name was not."""
    out, clock = io.StringIO(), Clock()
    shown = Display(face(out), clock=clock, every_s=3600)
    name = "hf_" + "Qx7" * 8
    shown.begin(name, 100)
    clock.now = 9.0
    shown.advance(name, 50)
    shown.note(name)
    shown.end(name, "move")
    assert "Qx7" not in out.getvalue()
    assert out.getvalue().count("***") >= 3


def test_the_first_bytes_promise_nothing() -> None:
    """It was "0%, 512 B of 76.3 MiB, 5.1 KiB/s, 4 h 15 min left" three seconds after the start."""
    shown, screen, clock = bars()
    shown.begin("a", 100 << 20)
    clock.now = 1.0
    shown.advance("a", 512)
    assert screen.take()[-1] == "0%, 512 B of 100.0 MiB, 512 B/s"
    clock.now = 9.0
    shown.advance("a", 512)
    assert screen.take()[-1].endswith(" left")


def test_a_move_of_hours_fills_no_log() -> None:
    shown, out, clock = lines()
    shown.begin("model", 100 * GIB)
    for _ in range(10_000):
        clock.now += 1.0
        shown.advance("model", 1 << 20)
    assert len(out.getvalue().splitlines()) < 10_000 / 15 + 12


def test_bars_are_redrawn_in_place_and_finished_ones_stay() -> None:
    shown, screen, clock = bars()
    shown.begin("a", 100)
    shown.begin("b", 100)
    clock.now = 1.0
    shown.advance("a", 50)
    assert screen.take()[0].startswith("[############------------]  50%       100 B  a")
    assert len(screen.lines) == 3
    shown.end("a", "move")
    clock.now = 2.0
    shown.advance("b", 50)
    assert [line.split()[0] for line in screen.take()] == [
        "move",
        "[############------------]",
        "50%,",
    ]


@pytest.mark.parametrize("columns", [200, 80, 50, 36, 20, 8, 2, 1])
@pytest.mark.parametrize("rows", [24, 5, 2, 1])
def test_bars_are_never_wider_or_higher_than_the_terminal(columns: int, rows: int) -> None:
    """The old ones took 90 cells at any width, and as many rows as there were layers."""
    shown, screen, clock = bars(columns, rows)
    for name in (*NAMES, *map(str, range(30))):
        shown.begin(name, 70 << 20)
    clock.now = 1.0
    shown.advance(NAMES[0], 1 << 20)
    assert 1 <= len(screen.take()) <= max(1, rows - 1)
    assert max(map(cells, screen.lines)) <= max(1, columns - 1)
    shown.end(NAMES[1], "move")
    assert len(screen.take()) <= max(1, rows - 1) + 1


def test_what_a_narrow_terminal_shows_still_tells_shards_apart() -> None:
    shown, screen, clock = bars(50)
    shown.begin(NAMES[0], 100)
    clock.now = 1.0
    shown.advance(NAMES[0], 50)
    assert screen.take()[0] == "[#####-----]  50%  model-00001-of-00004"


def test_a_terminal_with_few_rows_says_how_many_bars_it_leaves_out() -> None:
    shown, screen, clock = bars(80, 6)
    for number in range(16):
        shown.begin(str(number), 100)
    clock.now = 1.0
    shown.advance("0", 50)
    assert screen.take()[-2:] == ["and 13 more", "3%, 50 B of 1.6 KiB, 50 B/s, 31 s left"]


@pytest.mark.parametrize("columns", [79, 50, 20, 7])
def test_bars_of_a_terminal_that_is_made_narrower_are_erased_whole(columns: int) -> None:
    """Each row that no longer fits takes several: the old count left the rest of them behind."""
    shown, screen, clock = bars(80)
    shown.note("stays")
    for name in NAMES:
        shown.begin(name, 100)
    for step in range(1, 6):
        clock.now = float(step)
        shown.advance(NAMES[0], 10)
        screen.take()
        screen.size = os.terminal_size((80 if step % 2 else columns, 24))
    assert screen.lines[0] == "stays"
    assert len(screen.lines) == 6


@pytest.mark.parametrize("face", [Bars, Lines])
def test_a_reused_layer_does_not_count_as_work(face: type[Face]) -> None:
    out, clock = io.StringIO(), Clock()
    shown = Display(face(out), clock=clock)
    shown.begin("old", 1 << 30)
    shown.end("old", "reuse")
    shown.begin("new", 1 << 20)
    clock.now = 10.0
    shown.advance("new", 1 << 19)
    assert "512.0 KiB of 1.0 MiB" in out.getvalue()


def test_a_slow_start_is_forgotten_and_a_slow_end_is_seen() -> None:
    """The mean since the start said 20 minutes where 90 seconds were right."""
    shown, _, clock = lines()
    shown.expect(1000 << 20, 1)
    shown.begin("model", 1000 << 20)
    clock.now = 120.0  # a registry that thinks first
    for _ in range(60):
        clock.now += 1.0
        shown.advance("model", 10 << 20)
        shown.tick()
    assert 38 < shown.tally.seconds_left < 45
    for _ in range(60):
        clock.now += 1.0
        shown.advance("model", 1 << 20)
        shown.tick()
    assert 250 < shown.tally.seconds_left < 350


def test_progress_goes_back_when_bytes_are_sent_again() -> None:
    shown, out, clock = lines()
    shown.begin("model", 100)
    clock.now = 5.0
    shown.advance("model", 80)
    shown.advance("model", -60)
    clock.now = 10.0
    shown.advance("model", 10)
    assert out.getvalue().splitlines()[-1].startswith("30%, 30 B of 100 B, ")
    shown.begin("model", 100)  # from its start
    assert (shown.tally.done_bytes, shown.tally.size_bytes) == (0, 100)


def test_a_silence_is_told_of_in_a_log_and_again_when_it_has_doubled() -> None:
    shown, out, clock = lines()
    with shown.phase("moving layers", either("hub.test", "", "quay.test")):
        shown.begin("model", 100)
        for _ in range(130):
            clock.now += 1.0
            shown.tick()
    assert out.getvalue().splitlines() == [
        f"still waiting for hub.test or quay.test: {text} without a byte (moving layers): model 0%"
        for text in ("30 s", "60 s", "2 min")
    ]


def test_a_silence_is_shown_below_the_bars_until_it_ends() -> None:
    shown, screen, clock = bars(50)
    with shown.phase("moving layers", "quay.test"):
        shown.begin("model", 100)
        shown.advance("model", 10)
        clock.now = SILENT_S + 5
        shown.tick()
        assert screen.take()[-1] == "still waiting for quay.test: 35 s without a byte"
        clock.now += 1
        shown.advance("model", 10)
        assert "still waiting" not in "".join(screen.take())
    assert screen.take() == []


def test_a_phase_that_takes_long_is_shown_before_anything_moves() -> None:
    shown, screen, clock = bars()
    with shown.phase("planning org/name", "hub.test"):
        shown.tick()
        assert screen.take() == []
        clock.now = 8.0
        shown.tick()
        assert screen.take() == ["planning org/name (8 s)"]
    assert screen.take() == []


@pytest.mark.parametrize("style", ["lines", "bars", "json"])
def test_no_style_lets_control_characters_or_secrets_through(style: str) -> None:
    out = io.StringIO()
    shown = open_progress(style, out)
    evil, secret = "evil\x1b[2J\nname", "hf_abcdefghij"
    with shown.phase(f"{evil} {secret}", f"{evil} {secret}"):
        shown.begin(evil, 10)
        shown.note(f"retry with {secret} and \x1b[31m red")
        if isinstance(shown, Display):
            shown.tally.heard = shown.tally.phases[0].since = -1e6
            shown.tick()
        shown.end(evil, "move")
    shown.end("never begun")
    assert secret not in out.getvalue()
    assert "\x1b[2J" not in re.sub(r"\x1b\[\d+F\x1b\[J", "", out.getvalue())
    assert "\x1b[31m" not in out.getvalue()


def documented() -> dict[str, set[str]]:
    """Return the events of the reference and the fields of each."""
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", EVENTS.read_text(), re.MULTILINE)
    return {event: {"event", *re.findall(r"`(\w+)`", fields)} for event, fields in rows}


def events_of_everything() -> list[dict[str, Any]]:
    out, clock = io.StringIO(), Clock()
    shown = Display(Events(out), clock=clock, every_s=3600)
    with shown.phase("moving layers", "quay.test"):
        shown.expect(100, 1)
        shown.begin("a", 100)
        for _ in range(100):
            clock.now += 0.1
            shown.advance("a", 1)
        shown.note("a: sending it again")
        clock.now += SILENT_S
        shown.tick()
        shown.end("a", "move")
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_every_event_is_documented_with_all_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    error = InputError("read", "model", "not there")
    tell(error, Wishes(events=True))
    failed = json.loads(capsys.readouterr().err)
    fields = {each["event"]: set(each) for each in events_of_everything()}
    assert fields | {"error": set(failed) - set(described(error))} == documented()


def test_json_events_sum_up_to_the_whole_and_carry_totals() -> None:
    events = events_of_everything()
    moved = [each for each in events if each["event"] == "advance"]
    assert sum(each["size_bytes"] for each in moved) == 100
    assert (moved[-1]["done_bytes"], moved[-1]["total_bytes"]) == (100, 100)
    assert 5 <= moved[5]["bytes_per_s"] <= 11
    assert 0 < moved[5]["seconds_left"] < 20
    assert len(events) < 20


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "face"),
    [
        ({"TERM": "xterm-256color"}, Bars),
        ({"TERM": "xterm", "NO_COLOR": ""}, Bars),
        ({"TERM": "xterm", "NO_COLOR": "1"}, Lines),
        ({"TERM": "dumb"}, Lines),
        ({}, Lines),
    ],
)
def test_auto_draws_bars_only_where_the_cursor_may_move(
    environ: dict[str, str], face: type[Face]
) -> None:
    shown = open_progress("auto", Terminal(), environ)
    assert isinstance(shown, Display)
    assert type(shown._face) is face


def test_auto_is_lines_without_a_terminal_and_none_is_silent() -> None:
    out = io.StringIO()
    shown = open_progress("auto", out, {"TERM": "xterm"})
    assert isinstance(shown, Display)
    assert isinstance(shown._face, Lines)
    silent = open_progress("none", out)
    assert isinstance(silent, Silent)
    silent.begin("a", 1)
    silent.advance("a", 1)
    silent.note("x")
    silent.end("a")
    assert out.getvalue() == ""
