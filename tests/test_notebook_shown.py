"""What a notebook shows while something is done: one output that is replaced, never a second."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from carferry.errors import DoesNotFit
from carferry.io.show import notebook, terminal
from carferry.io.show.display import Display
from carferry.io.show.notebook import Roll, Spot, in_notebook
from carferry.io.show.panel import Panel
from carferry.pipelines.board import Board, Page
from carferry.pipelines.pods import Site
from carferry.pipelines.streamed import stream
from carferry.steps import lines
from carferry.steps.markdown import in_notebook as titled

MIB = 1 << 20


class Kept(Spot):
    """A spot that keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.html: list[str] = []
        self.text: list[str] = []

    def show(self, html: str, text: str) -> None:
        self.html.append(html)
        self.text.append(text)


@dataclass
class Clock:
    """A clock the test turns."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Handle:
    shown: list[dict[str, str]] = field(default_factory=list)

    def update(self, data: dict[str, str], *, raw: bool) -> None:
        self.shown.append(data)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Handle]]:
    """IPython in a kernel, as far as it is used: each display gives a handle."""
    handles: list[Handle] = []

    class Shell:
        kernel = object()

    def display(data: dict[str, str], *, raw: bool, display_id: bool) -> Handle:
        handles.append(Handle([data]))
        return handles[-1]

    loaded = type(sys)("IPython")
    loaded.get_ipython = Shell  # type: ignore[attr-defined]
    part = type(sys)("IPython.display")
    part.display = display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", loaded)
    monkeypatch.setitem(sys.modules, "IPython.display", part)
    yield handles


def test_a_script_is_no_notebook_and_does_not_load_ipython() -> None:
    code = (
        "import sys, carferry.io.show.terminal as t; from carferry.io.show.notebook import *;"
        "print(in_notebook(), 'IPython' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_ipython_in_a_terminal_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = type(sys)("IPython")
    loaded.get_ipython = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", loaded)
    assert not in_notebook()


def test_in_a_kernel_progress_is_one_output_and_nothing_is_on_stderr(
    kernel: list[Handle], capsys: pytest.CaptureFixture[str]
) -> None:
    assert in_notebook()
    progress = terminal.open_progress("auto")
    with progress.phase("moving org/name"):
        progress.begin("model.safetensors", MIB)
        progress.advance("model.safetensors", MIB)
        progress.end("model.safetensors", "move")
    say = lines.teller(progress=True)
    say("one")
    say("two")
    assert len(kernel) == 2  # an output for the bars, one for all lines
    assert "1.0 MiB moved" in kernel[0].shown[-1]["text/plain"]
    assert kernel[1].shown[-1]["text/plain"] == "one\ntwo"
    assert capsys.readouterr() == ("", "")


def test_where_a_stream_is_asked_for_a_kernel_gets_lines_too(kernel: list[Handle]) -> None:
    out = io.StringIO()
    terminal.open_progress("auto", out).note("here")
    assert (out.getvalue(), kernel) == ("here\n", [])


def test_a_front_end_that_is_gone_ends_no_work(
    kernel: list[Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    spot = Spot()
    spot.show("<p>a</p>", "a")

    def gone(data: object, *, raw: bool) -> None:
        raise OSError("closed")

    monkeypatch.setattr(kernel[0], "update", gone)
    spot.show("<p>b</p>", "b")


def drawn(work: Callable[[Display, Clock], None]) -> Kept:
    """Return what a panel was drawn as while something was done."""
    spot, clock = Kept(), Clock()
    work(Display(Panel(spot), clock=clock, every_s=60), clock)
    return spot


def test_bars_fill_and_end_with_what_was_moved_and_how_long_it_took() -> None:
    def work(progress: Display, clock: Clock) -> None:
        with progress.phase("moving", "quay.io"):
            progress.expect(8 * MIB, 2)
            progress.begin("a.safetensors", 4 * MIB)
            progress.begin("b.safetensors", 4 * MIB)
            for _ in range(4):
                clock.now += 1
                progress.advance("a.safetensors", MIB)
            progress.end("a.safetensors", "move")
            clock.now += 1
            progress.advance("b.safetensors", 4 * MIB)
            progress.end("b.safetensors", "mount")

    spot = drawn(work)
    halves = [html for html in spot.html if "50%" in html]
    assert any('<i style="width:50.0%">' in html for html in halves)
    last = spot.html[-1]
    assert spot.text[-1].endswith("8.0 MiB moved in 5 s")
    assert last.count('class="row"') == 2
    assert "<em>mount</em>" in last
    assert 'class="bar over"' in last
    assert last.isascii()


def test_what_was_stopped_says_how_far_it_came() -> None:
    def work(progress: Display, clock: Clock) -> None:
        with pytest.raises(OSError, match="gone"), progress.phase("moving"):
            progress.begin("a", 4 * MIB)
            clock.now += 2
            progress.advance("a", MIB)
            raise OSError("gone")

    spot = drawn(work)
    assert spot.text[-1] == "stopped at 25%, 1.0 MiB moved in 2 s"


def test_a_phase_in_which_nothing_moves_is_named_and_then_done() -> None:
    def work(progress: Display, clock: Clock) -> None:
        with progress.phase("reading org/name"):
            progress.note("config read")

    spot = drawn(work)
    assert (spot.text[0], spot.text[-1]) == ("reading org/name", "done")
    assert "config read" in spot.html[-1]
    assert 'class="bar' not in spot.html[-1].partition("</style>")[2]


def test_a_silence_is_shown_with_whom_it_waits_for() -> None:
    def work(progress: Display, clock: Clock) -> None:
        with progress.phase("reading", "hub.example"):
            clock.now = 40
            progress.tick()

    assert "still waiting for hub.example: 40 s without a byte (reading)" in drawn(work).text


def test_many_layers_keep_the_last_rows_and_count_the_others() -> None:
    def work(progress: Display, clock: Clock) -> None:
        with progress.phase("moving"):
            for number in range(30):
                progress.begin(f"layer {number}", MIB)
                progress.end(f"layer {number}", "reuse")
            for number in range(20):
                progress.begin(f"new {number}", MIB)
            clock.now = 1
            progress.tick()

    html = next(html for html in drawn(work).html if "new 0" in html)
    assert "18 more before these" in html
    assert "and 8 more" in html
    assert html.count('class="row"') == 24


def test_no_name_or_note_is_obeyed_and_no_secret_is_shown() -> None:
    def work(progress: Display, clock: Clock) -> None:
        with progress.phase("<b>x</b>"):
            progress.begin("<script>a</script>", MIB)
            progress.end("<script>a</script>", "move")
            progress.note("token hf_secretsecret <img src=x>")

    spot = drawn(work)
    for html in spot.html:
        assert "<script" not in html
        assert "<img" not in html
        assert "hf_secret" not in html
    roll = Kept()
    Roll(roll).say("<img src=x>")
    assert "<img" not in roll.html[-1]


def test_lines_are_kept_to_the_last_ones() -> None:
    spot = Kept()
    roll = Roll(spot)
    for number in range(30):
        roll.say(f"line {number}")
    assert spot.text[-1].splitlines()[0] == "10 lines before"
    assert spot.text[-1].splitlines()[-1] == "line 29"


@pytest.fixture(scope="module")
def pipeline() -> dict[str, Any]:
    found: dict[str, Any] = MessageToDict(stream(Site()).pipeline_spec)
    return found


def followed(pipeline: dict[str, Any], said: list[str], page: Page | None = None) -> Kept:
    """Return how the table of a run was drawn, a second after each line."""
    spot, clock = Kept(), Clock()
    with Board(pipeline, page, spot=spot, clock=clock, every_s=60) as board:
        board.pods({"fit-model": "pod-1", "unknown": "pod-2"})
        for line in said:
            clock.now += 1
            board.say(line)
    return spot


def cells(html: str) -> dict[str, list[str]]:
    """Return the cells of each row, without marks, by the step's name."""
    rows = html.partition("<tbody>")[2].split("<tr>")[1:]
    every = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in rows]
    return {row[1]: row[2:] for row in every}


def test_every_step_is_there_before_it_begins_and_changes_in_place(
    pipeline: dict[str, Any],
) -> None:
    spot = followed(pipeline, ["following run r1", "fit-model: running", "fit-model: done"])
    first, last = cells(spot.html[0]), cells(spot.html[-1])
    assert [*first] == ["fit-model", "plan-model", "stream-layers", "seal-image", "deploy-model"]
    assert {row[0] for row in first.values()} == {"waiting"}
    assert last["fit-model"][:2] == ["done", "1 s"]
    assert last["plan-model"][0] == "waiting"
    assert "1 of 5 steps" in spot.html[-1]
    assert "following run r1" in spot.html[-1]


def test_a_step_that_runs_several_times_is_counted(pipeline: dict[str, Any]) -> None:
    local = ["1/2: started", "2/2: started", "1/2: moved 1 GiB", "1/2: done", "2/2: done"]
    spot = followed(pipeline, [f"stream-layers {line}" for line in local])
    seen = [cells(html)["stream-layers"][0] for html in spot.html]
    assert [*dict.fromkeys(seen)] == [
        "waiting", "running", "0 of 2 done", "1 of 2 done", "2 of 2 done",
    ]  # fmt: skip
    assert "log, 1 lines" not in spot.html[-1]
    assert "log, 1 line<" in spot.html[-1]
    assert "moved 1 GiB" in spot.html[-1]
    remote = ["1 of 2 done", "2 of 2 done"]
    far = followed(pipeline, [f"stream-layers: {line}" for line in remote])
    assert cells(far.html[-1])["stream-layers"][:2] == ["2 of 2 done", "1 s"]


def test_what_holds_a_step_up_or_failed_it_stands_beside_it(pipeline: dict[str, Any]) -> None:
    held = "running (pending: 0/3 nodes are available)"
    spot = followed(pipeline, [f"fit-model: {held}", "fit-model: failed", "plan-model: not run"])
    assert any("pending: 0/3 nodes are available" in html for html in spot.html)
    last = cells(spot.html[-1])
    assert last["fit-model"][0] == "failed"
    assert last["plan-model"][:2] == ["not run", ""]


def test_a_run_and_its_logs_are_linked_where_a_browser_can_follow(
    pipeline: dict[str, Any],
) -> None:
    run = "https://ds-pipeline-dspa-models.apps.example.com/#/runs/details/r1"
    linked = followed(pipeline, ["fit-model: done"], Page(run, "models")).html[-1]
    console = "https://console-openshift-console.apps.example.com"
    assert f'<a href="{run}"' in linked
    assert f'<a href="{console}/k8s/ns/models/pods/pod-1/logs"' in linked
    inside = Page("https://ds-pipeline-dspa.models.svc:8443/#/runs/details/r1", "models")
    told = followed(pipeline, ["fit-model: done"], inside).html[-1]
    assert "<code>oc logs -n models pod-1 -c main</code>" in told


def test_no_line_is_obeyed_and_no_address_but_the_webs_is_a_link(
    pipeline: dict[str, Any],
) -> None:
    said = ["<img src=x>", "fit-model: <img src=x>", "fit-model: running (<img src=x>)"]
    html = "".join(followed(pipeline, said, Page("javascript:alert(1)", "<b>")).html)
    assert "<img" not in html
    assert "javascript:" not in html
    assert "<b>" not in html.replace("<p><b>", "")


def test_an_error_in_a_notebook_is_its_line_and_its_notes() -> None:
    error = DoesNotFit("fit", "org/name", "too large", "use fp8")
    error.add_note("run r1 goes on")
    assert error._render_traceback_() == [
        "DoesNotFit: fit org/name: too large; use fp8",
        "run r1 goes on",
    ]


def test_a_title_in_a_notebook_is_small_and_may_be_broken_at_a_digest() -> None:
    assert titled("# quay.io/x@sha256:0\n\n- y") == "#### quay.io/x@<wbr>sha256:0\n\n- y"
    assert titled("no title") == "no title"


def test_the_outputs_ground_is_given_with_its_colour() -> None:
    assert "background:#fff" in notebook.GROUND
    assert "color:#1c2127" in notebook.GROUND
