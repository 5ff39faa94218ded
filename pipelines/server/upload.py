"""What a run refers to: a pipeline, its version, an experiment; found if there, else made, once.

The server names a pipeline's first version after the pipeline if both come in one upload, so
the pipeline is made first, empty, and the version after it. Two who submit at once both look,
and both make: the slower one gets 409 and looks again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from kfp_server_api import V2beta1Experiment, V2beta1Pipeline

from carferry import __version__
from carferry.errors import ClusterError
from carferry.pipelines.server.requests import Server

_TAKEN = 409


def version_name(package: Path) -> str:
    """Return the version a compiled file is uploaded as: ours, and a digest of its bytes."""
    return f"{__version__}-{hashlib.sha256(package.read_bytes()).hexdigest()[:12]}"


def upload(server: Server, package: Path) -> tuple[str, str]:
    """Return the ids of the pipeline and of the version, making what is not there.

    Args:
        server: The server.
        package: Compiled pipeline; its file stem is the pipeline's name.

    Raises:
        ClusterError: The server refused.
        Unreachable: No answer.
    """
    name, version = package.stem, version_name(package)

    def make_pipeline() -> str:
        wanted = V2beta1Pipeline(display_name=name, namespace=server.endpoint.namespace)
        made = server.call(server.pipelines.pipeline_service_create_pipeline, wanted)
        return server.identity(made, "pipeline")

    pipeline = _found_or_made(lambda: _pipeline(server, name), make_pipeline)

    def make_version() -> str:
        made = server.call(
            server.uploads.upload_pipeline_version, str(package), name=version, pipelineid=pipeline
        )
        return server.identity(made, "pipeline_version")

    return pipeline, _found_or_made(lambda: _version(server, pipeline, version), make_version)


def experiment(server: Server, name: str) -> str:
    """Return the id of this project's experiment of a name, making it if missing.

    Raises:
        ClusterError: The server refused.
        Unreachable: No answer.
    """

    def make() -> str:
        wanted = V2beta1Experiment(display_name=name, namespace=server.endpoint.namespace)
        api = server.experiments
        made = server.call(api.experiment_service_create_experiment, wanted)
        return server.identity(made, "experiment")

    return _found_or_made(lambda: find_experiment(server, name), make)


def find_experiment(server: Server, name: str) -> str:
    """Return the id of this project's experiment of a name; empty if there is none.

    Raises:
        ClusterError: The server refused.
        Unreachable: No answer.
    """
    listed = server.listed(
        server.experiments.experiment_service_list_experiments,
        "experiments",
        namespace=server.endpoint.namespace,
        filter=_named(name),
    )
    return _of_project(server, listed, name, "experiment")


def _found_or_made(find: Callable[[], str], make: Callable[[], str]) -> str:
    if found := find():
        return found
    try:
        return make()
    except ClusterError as error:
        if error.status != _TAKEN or not (found := find()):
            raise
        return found


def _pipeline(server: Server, name: str) -> str:
    listed = server.listed(
        server.pipelines.pipeline_service_list_pipelines,
        "pipelines",
        namespace=server.endpoint.namespace,
        filter=_named(name),
    )
    return _of_project(server, listed, name, "pipeline")


def _of_project(server: Server, listed: Iterable[Any], name: str, kind: str) -> str:
    """Return the id of what this project calls so; others may use the same name."""
    for known in listed:
        # A server of one project leaves the namespace empty.
        if known.display_name == name and known.namespace in (None, "", server.endpoint.namespace):
            return server.identity(known, kind)
    return ""


def _version(server: Server, pipeline: str, name: str) -> str:
    listed = server.listed(
        server.pipelines.pipeline_service_list_pipeline_versions,
        "pipeline_versions",
        pipeline,
        filter=_named(name),
    )
    for known in listed:
        if known.display_name == name:
            return server.identity(known, "pipeline_version")
    return ""


def _named(name: str) -> str:
    predicate = {"operation": "EQUALS", "key": "display_name", "string_value": name}
    return json.dumps({"predicates": [predicate]})
