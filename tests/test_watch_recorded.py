"""What a real node showed of each broken deployment, read again without one.

tests/cluster/test_diagnosis.py wrote these looks, with CARFERRY_RECORD set.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from carferry.cluster.watch.observe import Observation
from carferry.cluster.watch.signal import Signal, State
from carferry.cluster.watch.signs import assess
from carferry.cluster.watch.unplaced import BUSY_S

RECORDED = sorted((Path(__file__).parent / "data" / "observations").glob("*.json"))


def looked(path: Path) -> tuple[dict[str, Any], Observation]:
    document = json.loads(path.read_text())
    seen = document["seen"]
    lists = {name: tuple(seen[name]) for name in ("sets", "pods", "events")}
    nodes = None if seen["nodes"] is None else tuple(seen["nodes"])
    return document, Observation(**{**seen, **lists, "nodes": nodes})


def failed(seen: Observation) -> list[Signal]:
    return [each for each in assess(seen) if each.state is State.FAILED]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_look_names_its_cause(path: Path) -> None:
    document, seen = looked(path)
    found = failed(seen)
    if not document["cause"]:
        assert found == []
        assert assess(seen)[0].state in (State.HELD, State.WAITING)
        return
    sign = found[0]
    assert sign.cause == document["cause"]
    line = f"{sign.said}; {sign.remedy}"
    assert [word for word in document["words"] if word not in line] == []


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_look_without_events_and_nodes_gives_up_no_sooner(path: Path) -> None:
    """Who may read neither learns less; a node that an autoscaler brings is waited for."""
    document, seen = looked(path)
    closed = replace(seen, sets=(), events=(), is_told=False, nodes=None)
    hasty = [each.cause for each in failed(closed) if each.grace_s < BUSY_S]
    sure = {each.cause for each in failed(seen)}
    assert [cause for cause in hasty if cause not in sure and cause not in LESS] == []
    assert document["cause"] or not hasty


LESS = {"image-denied", "pod-refused", "crash"}
"""What is said of the same thing if the event that tells more is not there."""


@pytest.mark.parametrize("name", ["gpu-in-use"])
def test_what_the_next_try_may_mend_fails_at_the_third_end(name: str) -> None:
    """The pod before may be about to free the GPU: the kubelet tries again."""
    path = next(each for each in RECORDED if each.stem == name)
    assert [each.cause for each in failed(ended(path, 1))] == []
    assert [each.cause for each in failed(ended(path, 3))] == [name]


def ended(path: Path, times: int) -> Observation:
    """Return a recorded look after as many ends of the server."""
    _, seen = looked(path)
    for status in seen.pods[0]["status"]["containerStatuses"]:
        if status["name"] == seen.server:
            status["restartCount"] = times - ("running" not in status["state"])
    return seen


def test_every_cause_of_the_node_was_recorded() -> None:
    assert len(RECORDED) > 35
