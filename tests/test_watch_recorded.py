"""What a real node showed of each broken deployment, read again without one.

tests/cluster/test_diagnosis.py wrote these looks, with CARFERRY_RECORD set.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from carferry.cluster.watch.observe import Observation
from carferry.cluster.watch.signal import Signal, State
from carferry.cluster.watch.signs import assess

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
def test_a_recorded_look_without_events_and_nodes_is_read_too(path: Path) -> None:
    """Who may read neither learns less, and nothing breaks."""
    _, seen = looked(path)
    closed = Observation(
        seen.service, seen.deployment, (), seen.pods, (), None, {}, taken=seen.taken
    )
    assert assess(closed)


def test_every_cause_of_the_node_was_recorded() -> None:
    assert len(RECORDED) > 35
