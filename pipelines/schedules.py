"""What is scheduled on a pipeline server: listed, paused, resumed, deleted."""

from __future__ import annotations

from carferry.pipelines.server import schedule
from carferry.pipelines.server.endpoint import Endpoint
from carferry.pipelines.server.requests import connect
from carferry.pipelines.server.schedule import Schedule
from carferry.pipelines.server.upload import find_experiment

CHANGES = {"pause": schedule.pause, "resume": schedule.resume, "delete": schedule.delete}


def manage(endpoint: Endpoint, change: str = "", name: str = "") -> list[Schedule]:
    """Change one schedule, if asked, and return those there are.

    Args:
        endpoint: The server and the login to it.
        change: One of CHANGES; empty: none.
        name: The schedule's image, name or id.

    Raises:
        InputError: No such schedule, or several.
        ClusterError: The server refused.
        Unreachable: No answer.
    """
    server = connect(endpoint)
    group = find_experiment(server, schedule.GROUP)
    if change:
        known = schedule.listed(server, group) if group else []
        CHANGES[change](server, schedule.named(known, name))
    return schedule.listed(server, group) if group else []
