"""Bytes that are sent again are taken back first: no progress ever shows more than all of them."""

from __future__ import annotations

import io
import itertools
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from ferrying import ANY, access, ferry, from_folder, quick, to_layout
from servers.chaos import Action, Answer, FlipByte, ResetDownload, ResetUpload, Rule
from servers.images import write_layout
from servers.models import filled, write
from servers.personal import PERSONALITIES, PersonalRegistry
from servers.proxy import Proxy

from carferry.assembly.build import build
from carferry.assembly.options import Options
from carferry.image.layers import Format
from carferry.io.show.display import Display
from carferry.io.show.events import Events
from carferry.io.show.lines import Lines
from carferry.io.show.progress import Progress, Silent
from carferry.refs import ImageRef
from carferry.registry.copy import copy_image
from carferry.registry.target import Target

SIZE_BYTES = 3_000_000
FILES = {"model.safetensors": filled(SIZE_BYTES, 1), "config.json": b"{}"}
UPLOADS = "/blobs/uploads/"


@dataclass(slots=True)
class Place:
    """A registry behind a proxy, a model, a base and an image on disk."""

    front: Proxy
    folder: Path

    def target(self) -> Target:
        """Return the repository, by way of the proxy."""
        given = access(self.front.host, retry=quick())
        return given.open(ImageRef(self.front.host, "org/tiny", "v1"), write=True)


def _build(place: Place, progress: Progress, form: Format = Format.MODELCAR) -> object:
    source = from_folder(place.folder / "model")
    base = f"oci:{place.folder / 'base'}:latest"
    given = Options(base=base, patterns=ANY, parallel=1, format=form)
    how = access(place.front.host, retry=quick())
    return build(source, place.target(), given, access=how, progress=progress)


def _modelpack(place: Place, progress: Progress) -> object:
    return _build(place, progress, Format.MODELPACK)


def _push(place: Place, progress: Progress) -> object:
    origin = to_layout(place.folder / "built")
    return copy_image(origin, place.target(), parallel=1, retry=quick(), progress=progress)


def _pull(place: Place, progress: Progress) -> object:
    rules, place.front.rules = place.front.rules, []
    _push(place, Silent())
    place.front.arm(rules)
    target = to_layout(place.folder / "pulled")
    return copy_image(place.target(), target, parallel=1, retry=quick(), progress=progress)


Work = Callable[[Place, Progress], object]
CASES: dict[str, tuple[Work, Rule]] = {
    f"{work.__name__[1:]}, {name}": (work, rule)
    for work in (_build, _modelpack, _push)
    for name, rule in {
        "PATCH reset at 2 MB": Rule(ResetUpload(2_000_000), "PATCH", UPLOADS, times=3),
        "PATCH answered 503": Rule(Answer(503), "PATCH", UPLOADS, times=2),
        "the upload is lost": Rule(Answer(404), "PUT", UPLOADS, times=2),
    }.items()
} | {
    "pull, GET reset at 2 MB": (_pull, Rule(ResetDownload(2_000_000), "GET", "/blobs/", times=2)),
    "pull, a wrong byte": (_pull, Rule(FlipByte(7), "GET", "/blobs/nothing")),
}


@pytest.mark.parametrize("personality", ["distribution 3", "quay", "ecr", "half a truth"])
@pytest.mark.parametrize("case", CASES)
def test_no_item_ever_has_more_than_its_bytes(case: str, personality: str, tmp_path: Path) -> None:
    """Each try was counted on top of the ones before: 3 MB of 2 MB, and an image of 240 %."""
    work, rule = CASES[case]
    ferry(from_folder(write(FILES, tmp_path / "model")), to_layout(tmp_path / "built"))
    write_layout(tmp_path / "base", [filled(SIZE_BYTES, 2)])
    out, shown, ticks = io.StringIO(), io.StringIO(), itertools.count(0, 10)
    both = Both(Display(Events(out), clock=lambda: float(next(ticks))), _lines(shown))
    with (
        PersonalRegistry(PERSONALITIES[personality]) as registry,
        Proxy(registry.url, [rule]) as front,
    ):
        work(Place(front, tmp_path), both)
    sizes: dict[str, int] = {}
    done: dict[str, int] = {}
    for line in out.getvalue().splitlines():
        event = json.loads(line)
        if event["event"] == "begin":
            assert event["name"] not in sizes
            sizes[event["name"]], done[event["name"]] = event["size_bytes"], 0
        elif event["event"] == "advance":
            done[event["name"]] += event["size_bytes"]
            assert 0 <= done[event["name"]] <= sizes[event["name"]], event
        elif event["event"] == "end" and event["how"] in {"move", "copy"}:
            assert done[event["name"]] == sizes[event["name"]], event
    totals = re.findall(r"^\d+%, ([\d.]+) (\w+) of ([\d.]+) (\w+)", shown.getvalue(), re.MULTILINE)
    assert totals
    for moved, unit, size, of_unit in totals:
        assert float(moved) * _UNITS[unit] <= float(size) * _UNITS[of_unit]


_UNITS = {"B": 1, "KiB": 1024, "MiB": 1024**2}


def _lines(out: io.StringIO) -> Display:
    ticks = itertools.count(0, 10)
    return Display(Lines(out), clock=lambda: float(next(ticks)))


@dataclass(slots=True)
class Both:
    """Two displays of one run."""

    one: Progress
    other: Progress

    def expect(self, size_bytes: int, items: int = 0) -> None:
        self.one.expect(size_bytes, items)
        self.other.expect(size_bytes, items)

    def begin(self, name: str, size_bytes: int) -> None:
        self.one.begin(name, size_bytes)
        self.other.begin(name, size_bytes)

    def advance(self, name: str, size_bytes: int) -> None:
        self.one.advance(name, size_bytes)
        self.other.advance(name, size_bytes)

    def end(self, name: str, note: str = "") -> None:
        self.one.end(name, note)
        self.other.end(name, note)

    def note(self, text: str) -> None:
        self.one.note(text)
        self.other.note(text)

    @contextmanager
    def phase(self, text: str, host: str = "") -> Iterator[None]:
        with self.one.phase(text, host), self.other.phase(text, host):
            yield


@pytest.mark.parametrize("action", [Answer(503), ResetUpload(1000)], ids=str)
def test_a_retry_and_what_becomes_of_it_are_said(action: Action, tmp_path: Path) -> None:
    ferry(from_folder(write(FILES, tmp_path / "model")), to_layout(tmp_path / "built"))
    out = io.StringIO()
    with (
        PersonalRegistry(PERSONALITIES["ecr"]) as registry,
        Proxy(registry.url, [Rule(action, "PATCH", UPLOADS)]) as front,
    ):
        place = Place(front, tmp_path)
        write_layout(tmp_path / "base", [b"b"])
        progress = Display(Lines(out))
        how = access(front.host, retry=quick()).reporting(progress)
        given = Options(base="scratch", patterns=ANY, parallel=1)
        build(
            from_folder(tmp_path / "model"), how.open(place.target().ref, write=True), given,
            access=how, progress=progress,
        )  # fmt: skip
    said = out.getvalue()
    again = r"; trying again in \d.\d s, try 2 of 6\n"
    assert re.search(rf"(?m)^\S+: .*{front.host}.*{again}", said), said
    assert "sending it again" not in said
