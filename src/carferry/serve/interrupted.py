"""What stays in the cluster when a deployment is interrupted, and how to go on from there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from carferry.cluster.kinds import Object
from carferry.io.interrupts import Terminated
from carferry.serve.settings import Deployment


@contextmanager
def saying_what_stays(settings: Deployment, objects: Sequence[Object]) -> Iterator[None]:
    """Add to an interrupt in the block what the cluster goes on with: nobody takes it away."""
    try:
        yield
    except (KeyboardInterrupt, Terminated) as stopped:
        names = ", ".join(f"{each['kind']} {each['metadata']['name']}" for each in objects)
        take_away = f"carferry delete {settings.name} --namespace {settings.namespace}"
        stopped.add_note(
            f"{settings.namespace} keeps what was applied of {names}; run the same command to go "
            f"on, or take it away: {take_away}"
        )
        raise
