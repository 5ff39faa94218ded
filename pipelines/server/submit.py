"""A compiled pipeline on a Data Science Pipelines server: uploaded, run or scheduled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfp_server_api import V2beta1PipelineVersionReference, V2beta1Run, V2beta1RuntimeConfig

from carferry.pipelines.server import schedule
from carferry.pipelines.server.answers import JsonObject
from carferry.pipelines.server.endpoint import Endpoint
from carferry.pipelines.server.requests import Server, connect
from carferry.pipelines.server.times import Times
from carferry.pipelines.server.upload import experiment, upload, version_name


@dataclass(frozen=True, slots=True)
class Submitted:
    """A run or a recurring run that the server has taken.

    Attributes:
        id: The server's id of it.
        url: Its page.
        version: Name of the pipeline version it uses.
        notes: Of a recurring run: that it was there already, or what it replaced.
    """

    id: str
    url: str
    version: str
    notes: tuple[str, ...] = ()


def start(
    endpoint: Endpoint,
    package: Path,
    arguments: Mapping[str, Any],
    *,
    group: str = schedule.GROUP,
    times: Times | None = None,
    server: Server | None = None,
) -> Submitted:
    """Upload a compiled pipeline as a version, unless it is there, and run or schedule it.

    Args:
        endpoint: The server and the login to it.
        package: Compiled pipeline; its file stem is the pipeline's name.
        arguments: Parameters of the run.
        group: Experiment that the run is listed in; made if missing.
        times: When a recurring run starts one; None: one run, now.
        server: A logged-in server, for schemes that ``connect`` does not know.

    Raises:
        Unreachable: No answer, or a certificate that is not trusted.
        ClusterError: The server refused, or answered as the API never does.
    """
    server = server or connect(endpoint)
    pipeline, version = upload(server, package)
    name = version_name(package)
    job: JsonObject = {
        "experiment_id": experiment(server, group),
        "display_name": f"{package.stem} {name}",
        "pipeline_version_reference": V2beta1PipelineVersionReference(
            pipeline_id=pipeline, pipeline_version_id=version
        ),
        "runtime_config": V2beta1RuntimeConfig(parameters=dict(arguments)),
    }
    if times:
        job["display_name"] = f"{package.stem} {arguments.get('image', name)}"
        return _scheduled(endpoint, schedule.ensure(server, job, times), name)
    run = server.identity(server.call(server.runs.run_service_create_run, V2beta1Run(**job)), "run")
    return Submitted(run, f"{endpoint.url}/#/runs/details/{run}", name)


def _scheduled(endpoint: Endpoint, found: schedule.Scheduled, version: str) -> Submitted:
    def page(recurring: str) -> str:
        return f"{endpoint.url}/#/recurringrun/details/{recurring}"

    replaced = [f"replaced: {each.line}" for each in found.replaced]
    notes = (*filter(None, [found.note]), *replaced)
    return Submitted(found.id, page(found.id), version, notes)
