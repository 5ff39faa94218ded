"""A step's log: the sources it can be read from, and the line in it that names the error.

The pipelines API reads a pod's log with its own account: whoever may use the API may read it.
Its path says node, but the server asks for a pod of that name; and it answers 200 with an error
inside if there is none. A server of one project, as OpenShift AI sets it up, asks in no namespace
and never finds the pod. Source: backend/src/apiserver/server/run_log_server.go and resource/
resource_manager.go (ReadLog), 2.5 to 2.16.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from carferry.cluster.api import Api
from carferry.cluster.kinds import KINDS, Permission
from carferry.errors import CarferryError, ClusterError
from carferry.pipelines.runs import published
from carferry.pipelines.server.requests import Server, json_object

_PATH = "/apis/v1alpha1/runs/{run}/nodes/{pod}/log"
_OURS = re.compile(r"carferry: error: (.+)")
_RAISED = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Warning)\b.*")
_GLOG = re.compile(r"[EF]\d{4} [\d:.]+ +\d+ [\w.-]+:\d+\] (.+)")
_LINES = "400"


@dataclass(frozen=True, slots=True)
class Ways:
    """Sources of causes.

    Attributes:
        server: The pipelines API.
        kube: The cluster's API; None: this user may not use it.
        tried: Failed tries, and why.
    """

    server: Server
    kube: Api | None = None
    tried: list[str] = field(default_factory=list)


def explanation(ways: Ways, run_id: str, task: str, pod: str) -> str:
    """Return the error that a step's log names, or nothing; failed tries are added to tried.

    Args:
        ways: Sources to try.
        run_id: The server's id of the run.
        task: The step's name, as published logs are sorted by.
        pod: The name of its pod.
    """
    server, kube = ways.server, ways.kube
    logs: list[Callable[[], str]] = [lambda: _from_server(server, run_id, pod)]
    if kube:
        logs.append(lambda: _from_cluster(kube, server.endpoint.namespace, pod))
    logs.append(lambda: published.read(server, run_id, task))
    for log in logs:
        try:
            if found := telling(log()):
                return found
        except CarferryError as error:  # a missing log is no second failure
            ways.tried.append(str(error))
    return ""


def telling(log: str) -> str:
    """Return the error that a log names: our own last one, else the last exception's line.

    Returns:
        One line; empty if nothing in the log is an error.
    """
    lines = log.splitlines()
    for find in (_ours, _raised, _fatal):
        if found := next(find(lines), ""):
            return found.strip()
    return ""


def _from_server(server: Server, run_id: str, pod: str) -> str:
    text = server.tail(_PATH, run=run_id, pod=pod)
    if json_object(text).get("error_message"):
        raise ClusterError("read log", pod, "the pipelines API cannot")
    return text


def _from_cluster(kube: Api, namespace: str, pod: str) -> str:
    permission = Permission("get", KINDS["Pod"], namespace, "log")
    return kube.text(permission, pod, {"container": "main", "tailLines": _LINES})


def _ours(lines: list[str]) -> Iterator[str]:
    for line in reversed(lines):
        if match := _OURS.search(line):
            yield match[1]


def _raised(lines: list[str]) -> Iterator[str]:
    """Yield the last line of each traceback, from the last one on."""
    starts = [n for n, line in enumerate(lines) if line.startswith("Traceback (most recent call")]
    for start in reversed(starts):
        for line in lines[start + 1 :]:
            if line and not line[0].isspace():
                if _RAISED.match(line):
                    yield line
                break


def _fatal(lines: list[str]) -> Iterator[str]:
    """Yield what the driver and the launcher, written in Go, log before they exit."""
    for line in reversed(lines):
        if match := _GLOG.match(line):
            yield match[1]
