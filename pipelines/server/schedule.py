"""Recurring runs: one for the same pipeline version, parameters and times, however often asked.

The server makes another recurring run for every request, names alike or not, and each of them
would start its own run at two in the morning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kfp_server_api import (
    RecurringRunMode,
    V2beta1CronSchedule,
    V2beta1RecurringRun,
    V2beta1Trigger,
)

from carferry.errors import InputError
from carferry.pipelines.server.answers import JsonObject
from carferry.pipelines.server.requests import Server


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A recurring run that the server has.

    Attributes:
        id: The server's id of it.
        note: What a person should know: that it was there already; empty if it was made.
        older: Ids of others, of older versions, that do the same at the same times.
    """

    id: str
    note: str
    older: tuple[str, ...]


def check(cron: str) -> None:
    """Refuse five fields: the server takes them, and reads the minutes as seconds.

    Raises:
        InputError: Neither six fields nor a descriptor such as @daily.
    """
    if not cron.startswith("@") and len(cron.split()) != 6:
        raise InputError("schedule", repr(cron), "not six fields", "seconds first: '0 0 2 * * *'")


def ensure(server: Server, job: JsonObject, cron: str) -> Scheduled:
    """Return the recurring run of a job, made if none is there and on if it was off.

    Args:
        server: The server.
        job: Fields that a run and a recurring run share, as the generated API names them.
        cron: Six fields, seconds first, in UTC.

    Raises:
        ClusterError: The server refused, a cron expression for instance.
        Unreachable: No answer.
    """
    alike = _alike(server, job, cron)
    version = job["pipeline_version_reference"].pipeline_version_id
    same = [known for known in alike if _version(known) == version]
    older = tuple(
        _id(server, known) for known in alike if _is_on(known) and _version(known) != version
    )
    if on := next(filter(_is_on, same), None):
        return Scheduled(_id(server, on), "the same schedule is there already", older)
    api = server.recurring_runs
    if same:
        server.call(api.recurring_run_service_enable_recurring_run, _id(server, same[0]))
        return Scheduled(
            _id(server, same[0]), "the same schedule was there, off: it is on again", older
        )
    wanted = V2beta1RecurringRun(
        **job,
        mode=RecurringRunMode.ENABLE,
        trigger=V2beta1Trigger(cron_schedule=V2beta1CronSchedule(cron=cron)),
        max_concurrency=1,
        no_catchup=True,
    )
    made = server.call(api.recurring_run_service_create_recurring_run, wanted)
    return Scheduled(_id(server, made), "", older)


def _alike(server: Server, job: JsonObject, cron: str) -> list[Any]:
    """Return recurring runs of the same pipeline, parameters and times, of any version."""
    listed = server.listed(
        server.recurring_runs.recurring_run_service_list_recurring_runs,
        "recurring_runs",
        experiment_id=job["experiment_id"],
    )
    pipeline = job["pipeline_version_reference"].pipeline_id
    wanted = job["runtime_config"].parameters
    return [
        known
        for known in listed
        if known.pipeline_version_reference
        and known.pipeline_version_reference.pipeline_id == pipeline
        and _cron(known) == cron
        and _parameters(known) == wanted
    ]


def _id(server: Server, known: Any) -> str:
    return server.identity(known, "recurring_run")


def _version(known: Any) -> str:
    return str(known.pipeline_version_reference.pipeline_version_id)


def _is_on(known: Any) -> bool:
    return str(known.status) == "ENABLED"


def _cron(known: Any) -> str:
    schedule = known.trigger.cron_schedule if known.trigger else None
    return schedule.cron or "" if schedule else ""


def _parameters(known: Any) -> JsonObject:
    return (known.runtime_config.parameters if known.runtime_config else None) or {}
