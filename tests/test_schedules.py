"""Recurring runs: one for each image, on a server of ours, over real HTTP, by kfp's client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.dsp import PipelineServer
from servers.dsp_rules import NOT_FOUND, Refused

from carferry.errors import ClusterError, InputError
from carferry.pipelines import command
from carferry.pipelines.server import submit
from carferry.pipelines.server.endpoint import Endpoint
from carferry.pipelines.server.times import Times

IMAGE = "docker://registry.example/team/model:1"
VALUES = ["model=org/name", f"image={IMAGE}"]
TYPED = {"model": "org/name", "image": IMAGE}
NIGHTLY = Times.parse("0 2 * * *")


@pytest.fixture
def server() -> Iterator[PipelineServer]:
    with PipelineServer() as running:
        yield running


def at(server: PipelineServer) -> Endpoint:
    return Endpoint(server.url, "models")


@pytest.mark.parametrize(
    ("text", "cron", "every_s"),
    [
        ("0 3 * * *", "0 0 3 * * *", 0),
        ("30 0 3 * * *", "30 0 3 * * *", 0),
        (" 0  3 * * mon-fri ", "0 0 3 * * mon-fri", 0),
        ("*/15 0-6,22 1 JAN,7 ?", "0 */15 0-6,22 1 JAN,7 ?", 0),
        ("0 0/30 8-10 * * 1-5/2", "0 0/30 8-10 * * 1-5/2", 0),
        ("@daily", "@daily", 0),
        ("6h", "", 21600),
        ("every 90 m", "", 5400),
        ("@every 1d", "", 86400),
    ],
)
def test_times_are_read_as_people_write_them(text: str, cron: str, every_s: int) -> None:
    """Of five fields the server would take the first for seconds."""
    assert Times.parse(text) == Times(cron, every_s)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "0 fields"),
        ("3", "1 fields, not five; write '0 3"),
        ("0 0 3 * * * 2027", "7 fields"),
        ("TZ=Europe/Berlin 0 3 * * * *", "7 fields"),
        ("0 24 * * *", "the hour '24' is not 0 to 23"),
        ("60 3 * * *", "the minute '60' is not 0 to 59"),
        ("61 0 3 * * *", "the second '61' is not 0 to 59"),
        ("0 3 0 * *", "the day of month '0' is not 1 to 31"),
        ("0 3 * 13 *", "the month '13' is not 1 to 12, or jan to dec"),
        ("0 3 * * 7", "the day of week '7' is not 0 to 6, or sun to sat; Sunday is 0"),
        ("0 3 * * funday", "the day of week 'funday'"),
        ("0 6-3 * * *", "the hour '6-3' ends before it begins"),
        ("*/0 * * * *", "the minute '*/0' is no value, range or step"),
        ("0 3,, * * *", "the hour '' is no value"),
        ("0 3 L * *", "the day of month 'L'"),
        ("0 \u0663 * * *", "the hour"),
        ("@dayly", "no such name"),
        ("4m", "write 5m or more"),
        ("0h", "write 5m or more"),
    ],
)
def test_times_that_cannot_be_meant_are_refused_before_anything_is_sent(
    text: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError) as refused:
        Times.parse(text)
    assert reason in str(refused.value)
    if text:
        where = ["--host", "http://127.0.0.1:1", "--output", str(tmp_path)]
        assert command.main(["--submit", "--recurring", text, *where, *VALUES]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_a_schedule_is_created_with_six_fields(server: PipelineServer, package: Path) -> None:
    made = submit.start(at(server), package, TYPED, times=NIGHTLY)
    recurring = server.store.recurring[made.id]
    assert recurring["trigger"] == {"cron_schedule": {"cron": "0 0 2 * * *"}}
    assert recurring["no_catchup"] is True
    assert made.notes == ()


def test_the_same_schedule_again_is_found_not_doubled(
    server: PipelineServer, package: Path
) -> None:
    first = submit.start(at(server), package, TYPED, times=NIGHTLY)
    again = submit.start(at(server), package, TYPED, times=NIGHTLY)
    assert (again.id, again.notes) == (first.id, ("the same schedule is there already",))
    assert len(server.store.recurring) == 1


def test_a_schedule_that_was_switched_off_is_switched_on_again(
    server: PipelineServer, package: Path
) -> None:
    first = submit.start(at(server), package, TYPED, times=NIGHTLY)
    server.store.recurring[first.id]["status"] = "DISABLED"
    again = submit.start(at(server), package, TYPED, times=NIGHTLY)
    assert (again.id, again.notes) == (
        first.id,
        ("the same schedule was there, off: it is on again",),
    )
    assert server.store.recurring[first.id]["status"] == "ENABLED"


@pytest.mark.parametrize(
    ("changes", "times"),
    [({"model": "org/other"}, NIGHTLY), ({}, Times.parse("0 3 * * *")), ({}, Times.parse("6h"))],
)
def test_another_schedule_for_the_same_image_takes_the_place_of_the_first(
    changes: dict[str, str], times: Times, server: PipelineServer, package: Path
) -> None:
    """Both would start their own run at two in the morning, and move the same tag."""
    first = submit.start(at(server), package, TYPED, times=NIGHTLY)
    second = submit.start(at(server), package, {**TYPED, **changes}, times=times)
    assert [*server.store.recurring] == [second.id]
    (note,) = second.notes
    assert note.startswith(f"replaced: on   {NIGHTLY}  {TYPED['model']} -> {TYPED['image']}")
    assert first.id in note


def test_a_schedule_of_an_older_version_is_replaced(
    server: PipelineServer, package: Path, tmp_path: Path
) -> None:
    newer = tmp_path / package.name
    newer.write_text(package.read_text() + "\n# newer\n")
    first = submit.start(at(server), package, TYPED, times=NIGHTLY)
    second = submit.start(at(server), newer, TYPED, times=NIGHTLY)
    assert [*server.store.recurring] == [second.id] != [first.id]
    again = submit.start(at(server), newer, TYPED, times=NIGHTLY)
    assert (again.id, again.notes) == (second.id, ("the same schedule is there already",))


def test_an_error_between_leaves_one_too_many_and_never_none(
    server: PipelineServer, package: Path
) -> None:
    submit.start(at(server), package, TYPED, times=NIGHTLY)

    def refuse(method: str, path: str) -> None:
        if method == "DELETE":
            raise Refused(NOT_FOUND, "gone", "Failed to delete")

    server.before = refuse
    hourly = Times.parse("@hourly")
    with pytest.raises(ClusterError, match="gone"):
        submit.start(at(server), package, TYPED, times=hourly)
    assert len(server.store.recurring) == 2
    server.before = lambda method, path: None
    made = submit.start(at(server), package, TYPED, times=hourly)
    assert [*server.store.recurring] == [made.id]


def test_another_image_is_another_schedule(server: PipelineServer, package: Path) -> None:
    submit.start(at(server), package, TYPED, times=NIGHTLY)
    other = {**TYPED, "image": "docker://quay.io/team/other:1"}
    assert submit.start(at(server), package, other, times=NIGHTLY).notes == ()
    assert len(server.store.recurring) == 2


def test_an_interval_is_known_again_by_the_seconds_that_the_server_shows_as_text(
    server: PipelineServer, package: Path
) -> None:
    first = submit.start(at(server), package, TYPED, times=Times.parse("every 6h"))
    recurring = server.store.recurring[first.id]
    assert recurring["trigger"] == {"periodic_schedule": {"interval_second": "21600"}}
    assert (recurring["no_catchup"], int(recurring["max_concurrency"])) == (True, 1)
    assert submit.start(at(server), package, TYPED, times=Times.parse("6h")).id == first.id


def test_a_schedule_the_server_cannot_read_is_refused_in_its_words(
    server: PipelineServer, package: Path
) -> None:
    with pytest.raises(ClusterError, match=r"400 .*End of range \(99\) above maximum \(23\)"):
        submit.start(at(server), package, TYPED, times=Times(cron="0 0 99 * * *"))


@pytest.fixture
def there(server: PipelineServer, package: Path) -> list[str]:
    """Two schedules; their ids."""
    other = {**TYPED, "image": "docker://quay.io/team/other:1"}
    return [submit.start(at(server), package, each, times=NIGHTLY).id for each in (TYPED, other)]


def run(server: PipelineServer, *words: str) -> int:
    return command.main([*words, "--host", server.url, "--namespace", "models"])


def test_what_is_scheduled_is_listed(
    server: PipelineServer, there: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(server, "--schedules") == 0
    first, second = capsys.readouterr().out.splitlines()
    when = "on   0 0 2 * * * (seconds first, UTC)  org/name"
    assert first == f"{when} -> {IMAGE}  {there[0]}"
    assert second == f"{when} -> docker://quay.io/team/other:1  {there[1]}"
    assert run(server, "--schedules", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(each["id"], each["on"], each["cron"]) for each in shown] == [
        (key, True, "0 0 2 * * *") for key in there
    ]


def test_nothing_scheduled_is_said_and_nothing_is_made_for_the_question(
    server: PipelineServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(server, "--schedules") == 0
    assert capsys.readouterr() == ("", "nothing is scheduled\n")
    assert server.store.experiments == {}


@pytest.mark.parametrize("named", [IMAGE, "registry.example/team/model:1", "ID", "NAME"])
def test_a_schedule_is_paused_resumed_and_deleted_by_image_name_or_id(
    named: str, server: PipelineServer, there: list[str]
) -> None:
    store = server.store.recurring
    name = {"ID": there[0], "NAME": f"modelcar {IMAGE}"}.get(named, named)
    assert run(server, "--schedules", "--pause", name) == 0
    assert [each["status"] for each in store.values()] == ["DISABLED", "ENABLED"]
    assert run(server, "--schedules", "--resume", name) == 0
    assert [each["status"] for each in store.values()] == ["ENABLED", "ENABLED"]
    assert run(server, "--schedules", "--delete", name) == 0
    assert [*store] == there[1:]


def test_a_schedule_that_is_not_there_is_named_with_those_that_are(
    server: PipelineServer, there: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(server, "--schedules", "--pause", "quay.io/x:1") == 2
    said = capsys.readouterr().err
    assert said.startswith("carferry: find schedule quay.io/x:1: no such schedule; there are: ")
    assert said.count("\n") == 1
    assert IMAGE in said


def test_a_recurring_run_ends_early_unless_it_is_told_otherwise(
    server: PipelineServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--submit", "--recurring", "0 2 * * *", "--output", str(tmp_path), *VALUES]
    for more, wanted in (([], True), (["settings.if_changed=false"], "false")):
        assert run(server, *words, *more) == 0
        (made,) = server.store.recurring.values()
        assert made["runtime_config"]["parameters"]["settings"]["if_changed"] == wanted
        assert made["display_name"] == f"modelcar {IMAGE}"
    assert "starts: 0 0 2 * * * (seconds first, UTC)\n" in capsys.readouterr().err


def test_the_command_line_says_that_a_schedule_was_there(
    server: PipelineServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        words = ["--submit", "--recurring", "@daily", "--output", str(tmp_path), *VALUES]
        assert run(server, *words) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == said.out.splitlines()[1]
    starts = "starts: @daily\n"
    assert said.err == f"{starts}the same schedule is there already\n{starts}"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--submit", *VALUES, "--wait", "--recurring", "@daily"], "--wait: a recurring run"),
        (["--submit", "--follow", "r1", "--recurring", "@daily"], "--follow: it looks at a run"),
        (["--submit", "--follow", "r1", *VALUES], "model=org/name: --follow starts nothing"),
        (["--schedules", *VALUES], "model=org/name: --schedules starts nothing"),
        (["--schedules", "--pause", "a", "--delete", "b"], "--pause --delete: one at a time"),
        (["--submit", *VALUES, "--pause", "a"], "--pause: without --schedules it means nothing"),
        (["--local", *VALUES, "--recurring", "6h"], "--recurring: without --submit it means"),
        (["--compile", "--follow", "r1"], "--follow: without --submit it means nothing"),
    ],
)
def test_what_means_nothing_together_is_refused(
    words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([*words, "--host", "http://127.0.0.1:1"]) == 2
    said = capsys.readouterr().err
    assert reason in said
    assert said.count("\n") == 1


def test_a_list_of_schedules_asks_for_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--schedules"]) == 2
    assert "--host: missing" in capsys.readouterr().err
