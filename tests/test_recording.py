"""The recording in the README: of a real build, and the picture is what its cast says."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import browser
import pytest
import recording
from demo.film import Cast, Screen, frames, height, svg

COMMITTED = Cast.parse(recording.CAST.read_text(encoding="ascii"))
SVG = "{http://www.w3.org/2000/svg}"


def test_the_committed_picture_is_made_of_the_committed_cast() -> None:
    assert recording.PICTURE.read_text(encoding="ascii") == svg(COMMITTED)
    assert recording.CAST.read_text(encoding="ascii") == COMMITTED.text(height(COMMITTED))


def test_it_shows_bars_that_fill_and_a_second_build_that_moves_nothing() -> None:
    seen = ["\n".join(rows) for _, rows in frames(COMMITTED)]
    shares = [int(found[1]) for text in seen if (found := re.search(r"^(\d+)%, ", text, re.M))]
    first = shares[: shares.index(max(shares)) + 1]
    assert len(set(first)) > 10 and first == sorted(first)
    assert "moved   nothing" in seen[-1]
    digests = re.findall(r"^digest  (sha256:[0-9a-f]{64})$", seen[-1], re.M)
    assert len(digests) == 2 and len(set(digests)) == 1


def test_it_says_nothing_of_the_machine_that_recorded_it() -> None:
    text = recording.CAST.read_text(encoding="ascii")
    head = json.loads(text.splitlines()[0])
    assert head.keys() == {"version", "width", "height", "title"} and head["version"] == 2
    written = "".join(text for _, text in COMMITTED.events)
    assert set(re.findall(r"127\.0\.0\.1:\d+", written)) == {recording.SHOWN}
    assert not re.search(r"/(home|root|tmp|work)/", text)
    times = [at for at, _ in COMMITTED.events]
    assert times == sorted(times) and all(round(at * 5) == pytest.approx(at * 5) for at in times)


def test_the_picture_is_small_fetches_nothing_and_can_be_read_aloud() -> None:
    text = recording.PICTURE.read_text(encoding="ascii")
    assert len(text) < 100_000
    root = ET.fromstring(text)
    assert root.get("role") == "img"
    names = (root.get("aria-labelledby") or "").split()
    told = {each.get("id"): each.text for each in root}
    assert told[names[0]] == COMMITTED.title and "moved   nothing" in (told[names[1]] or "")
    assert not list(root.iter(f"{SVG}script")) and not list(root.iter(f"{SVG}image"))
    uses = {each.get("href") for each in root.iter(f"{SVG}use")}
    rows = {f"#{each.get('id')}" for each in root.iter(f"{SVG}text")}
    assert uses == rows
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", text)


def test_whoever_asks_for_less_motion_sees_the_end() -> None:
    text = svg(COMMITTED)
    last = re.search(r"reduce\)\{\.film\{animation:none;transform:translateY\((-\d+)px", text)
    steps = re.findall(r"[\d.]+%\{transform:translateY\((-?\d+)px\)\}", text)
    assert last and last[1] == steps[-1]
    assert steps[0] in ("0", "-0")


def test_a_real_build_is_recorded_as_it_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "_SHARD_BYTES", 70 << 10)
    monkeypatch.setattr(recording, "HUB_PORT", 0)
    cast = recording.record(tmp_path)
    last = "\n".join(frames(cast)[-1][1])
    assert last.count(f"$ carferry build {recording.MODEL} docker://{recording.SHOWN}/") == 2
    assert "moved   nothing" in last
    assert Cast.parse(cast.text(height(cast))) == Cast(cast.columns, cast.title, tuple(cast.events))


def test_a_screen_obeys_what_progress_writes_and_nothing_else() -> None:
    screen = Screen()
    screen.write("stays\r\nbar 1\r\nbar 2\r\n\x1b[2F\x1b[Jdone\r\n")
    assert screen.rows == ["stays", "done", ""]
    with pytest.raises(ValueError, match=r"31m"):
        screen.write("\x1b[31mred")


def test_what_is_longer_than_the_terminal_goes_on_in_the_next_row() -> None:
    assert frames(Cast(4, "", [(0.0, "abcdefghij\r\n")]))[0][1] == ("abcd", "efgh", "ij", "")


def test_a_browser_draws_it(tmp_path: Path) -> None:
    drawn = browser.colours(browser.picture(recording.PICTURE.as_uri(), tmp_path))
    assert drawn[browser.colour("#171c22")] > 20_000  # the terminal
    assert len(drawn) > 100, "no letters"
