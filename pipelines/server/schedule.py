"""Recurring runs: one for each image, made, replaced, listed, paused and deleted.

The server makes another recurring run for every request, names alike or not, and has no way to
change one. Each would start its own run at two in the morning, and move the same tag. So what a
recurring run is known by is the image it makes: asked for again as it is, it stays; asked for
otherwise, a new one takes its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kfp_server_api import RecurringRunMode, V2beta1RecurringRun

from carferry.errors import InputError
from carferry.pipelines.server.answers import JsonObject
from carferry.pipelines.server.requests import Server
from carferry.pipelines.server.times import Times

GROUP = "carferry"
"""Experiment that runs are listed in."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A recurring run that the server has.

    Attributes:
        id: The server's id of it.
        name: As the dashboard shows it.
        is_on: Whether it starts runs.
        times: When.
        version: Id of its pipeline's version.
        parameters: Of its runs.
    """

    id: str
    name: str
    is_on: bool
    times: Times
    version: str
    parameters: JsonObject

    @property
    def image(self) -> str:
        """The image that it makes; empty if it makes none."""
        return str(self.parameters.get("image") or "")

    @property
    def line(self) -> str:
        """The schedule on one line, for a person."""
        what = f"{self.parameters.get('model', '?')} -> {self.image or '?'}"
        return f"{'on ' if self.is_on else 'off'}  {self.times}  {what}  {self.id}"

    def as_json(self) -> JsonObject:
        """Return it as plain values."""
        return {
            "id": self.id,
            "name": self.name,
            "on": self.is_on,
            "cron": self.times.cron,
            "every_s": self.times.every_s,
            "model": self.parameters.get("model", ""),
            "image": self.image,
        }


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A recurring run that the server has now.

    Attributes:
        id: The server's id of it.
        note: What a person should know: that it was there already; empty if it was made.
        replaced: Those whose place it took; they are deleted.
    """

    id: str
    note: str
    replaced: tuple[Schedule, ...] = ()


def ensure(server: Server, job: JsonObject, times: Times) -> Scheduled:
    """Return the recurring run of a job, the only one for its image.

    It is made before those it replaces are deleted: an error between leaves one too many, which
    the next request deletes, and never none.

    Args:
        server: The server.
        job: Fields that a run and a recurring run share, as the generated API names them.
        times: When runs start.

    Raises:
        ClusterError: The server refused.
        Unreachable: No answer.
    """
    alike = _alike(server, job)
    same = [each for each in alike if _is_same(each, job, times)]
    same.sort(key=lambda each: not each.is_on)
    kept, note = (same[0].id, "") if same else (_make(server, job, times), "")
    if same:
        note = "the same schedule is there already"
        if not same[0].is_on:
            resume(server, same[0])
            note = "the same schedule was there, off: it is on again"
    others = tuple(each for each in alike if each.id != kept)
    for each in others:
        delete(server, each)
    return Scheduled(kept, note, others)


def listed(server: Server, experiment: str, pipelines: Iterable[str] = ()) -> list[Schedule]:
    """Return the recurring runs of an experiment.

    Args:
        server: The server.
        experiment: Its id.
        pipelines: Ids of pipelines; empty: of any.

    Raises:
        ClusterError: The server refused.
        Unreachable: No answer.
    """
    found = server.listed(
        server.recurring_runs.recurring_run_service_list_recurring_runs,
        "recurring_runs",
        experiment_id=experiment,
    )
    only = {*pipelines}
    return [_schedule(server, each) for each in found if not only or _pipeline(each) in only]


def named(schedules: Iterable[Schedule], text: str) -> Schedule:
    """Return the schedule that a person names: by its id, its name or its image.

    Raises:
        InputError: None of them, or several.
    """
    known = [*schedules]
    bare = text.removeprefix("docker://")
    found = [
        each
        for each in known
        if text in {each.id, each.name} or bare == each.image.removeprefix("docker://")
    ]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(each.id for each in found)
        raise InputError("find schedule", text, f"{len(found)} are called so", f"give one of {ids}")
    names = ", ".join(each.image or each.name for each in known) or "none"
    raise InputError("find schedule", text, "no such schedule", f"there are: {names}")


def pause(server: Server, schedule: Schedule) -> None:
    """Start no more runs; one that is going on goes on.

    Raises:
        ClusterError: The server refused.
        Unreachable: No answer.
    """
    server.call(server.recurring_runs.recurring_run_service_disable_recurring_run, schedule.id)


def resume(server: Server, schedule: Schedule) -> None:
    """Start runs again; what was missed is not caught up on.

    Raises:
        ClusterError: The server refused.
        Unreachable: No answer.
    """
    server.call(server.recurring_runs.recurring_run_service_enable_recurring_run, schedule.id)


def delete(server: Server, schedule: Schedule) -> None:
    """Remove it; its runs stay listed.

    Raises:
        ClusterError: The server refused.
        Unreachable: No answer.
    """
    server.call(server.recurring_runs.recurring_run_service_delete_recurring_run, schedule.id)


def _make(server: Server, job: JsonObject, times: Times) -> str:
    wanted = V2beta1RecurringRun(
        **job,
        mode=RecurringRunMode.ENABLE,
        trigger=times.trigger,
        max_concurrency=1,
        no_catchup=True,
    )
    api = server.recurring_runs
    made = server.call(api.recurring_run_service_create_recurring_run, wanted)
    return server.identity(made, "recurring_run")


def _alike(server: Server, job: JsonObject) -> list[Schedule]:
    """Return those of the same pipeline that make the same image, whatever else they do."""
    pipeline = job["pipeline_version_reference"].pipeline_id
    image = job["runtime_config"].parameters.get("image")
    found = listed(server, job["experiment_id"], [pipeline])
    return [each for each in found if each.parameters.get("image") == image]


def _is_same(known: Schedule, job: JsonObject, times: Times) -> bool:
    version = job["pipeline_version_reference"].pipeline_version_id
    wanted = (version, job["runtime_config"].parameters, times)
    return (known.version, known.parameters, known.times) == wanted


def _schedule(server: Server, known: Any) -> Schedule:
    reference, config = known.pipeline_version_reference, known.runtime_config
    return Schedule(
        server.identity(known, "recurring_run"),
        str(known.display_name or ""),
        str(known.status) == "ENABLED",
        Times.of(known.trigger),
        str(reference.pipeline_version_id or "") if reference else "",
        (config.parameters if config else None) or {},
    )


def _pipeline(known: Any) -> str:
    reference = known.pipeline_version_reference
    return str(reference.pipeline_id or "") if reference else ""
