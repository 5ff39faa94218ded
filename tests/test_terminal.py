"""Progress fits the place: bars on a terminal, few lines in a log, JSON for programs."""

from __future__ import annotations

import io
import json

import pytest

from carferry.io.progress import Silent
from carferry.io.terminal import JsonEvents, Lines, human_bytes, open_progress


class Clock:
    """A clock the test turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


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


def test_a_log_gets_a_line_for_each_layer_and_one_every_few_seconds() -> None:
    out, clock = io.StringIO(), Clock()
    shown = Lines(out, bars=False, clock=clock)
    shown.begin("model.safetensors", 100 << 20)
    for _ in range(100):
        clock.now += 0.2
        shown.advance("model.safetensors", 1 << 20)
    shown.end("model.safetensors", "move")
    lines = out.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("25.0 MiB of 100.0 MiB, 5.0 MiB/s, 15 s left")
    assert lines[-1] == "  move   100.0 MiB  model.safetensors"
    assert "\x1b" not in out.getvalue()


def test_bars_are_redrawn_in_place_and_finished_ones_stay() -> None:
    out, clock = io.StringIO(), Clock()
    shown = Lines(out, bars=True, clock=clock)
    shown.begin("a", 100)
    shown.begin("b", 100)
    clock.now = 1.0
    shown.advance("a", 50)
    assert "[############------------]  50%" in out.getvalue()
    shown.end("a", "move")
    assert "\x1b[3F\x1b[J" in out.getvalue()
    assert out.getvalue().count("  move       100 B  a\n") == 1


@pytest.mark.parametrize("bars", [True, False])
def test_a_reused_layer_does_not_count_as_work(bars: bool) -> None:
    out, clock = io.StringIO(), Clock()
    shown = Lines(out, bars=bars, clock=clock)
    shown.begin("old", 1 << 30)
    shown.end("old", "reuse")
    shown.begin("new", 1 << 20)
    clock.now = 10.0
    shown.advance("new", 1 << 19)
    assert "512.0 KiB of 1.0 MiB" in out.getvalue()


@pytest.mark.parametrize("style", ["lines", "bars", "json"])
def test_no_style_lets_control_characters_or_secrets_through(style: str) -> None:
    out = io.StringIO()
    shown = open_progress(style, out)
    shown.begin("evil\x1b[2J\nname", 10)
    shown.note("retry with hf_abcdefghij and \x1b[31m red")
    shown.end("evil\x1b[2J\nname", "move")
    shown.end("never begun")
    assert "hf_abcdefghij" not in out.getvalue()
    assert "\x1b[2J" not in out.getvalue().replace("\x1b[2F\x1b[J", "")
    assert "\x1b[31m" not in out.getvalue()


def test_json_events_sum_up_to_the_whole() -> None:
    out, clock = io.StringIO(), Clock()
    shown = JsonEvents(out, clock=clock)
    shown.begin("a", 100)
    for _ in range(100):
        clock.now += 0.1
        shown.advance("a", 1)
    shown.end("a", "move")
    events = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [events[0]["event"], events[-1]["event"]] == ["begin", "end"]
    assert sum(event.get("size_bytes", 0) for event in events[1:]) == 100
    assert len(events) < 20


def test_auto_is_lines_without_a_terminal_and_none_is_silent() -> None:
    out = io.StringIO()
    assert isinstance(open_progress("auto", out), Lines)
    silent = open_progress("none", out)
    assert isinstance(silent, Silent)
    silent.begin("a", 1)
    silent.advance("a", 1)
    silent.note("x")
    silent.end("a")
    assert out.getvalue() == ""
