"""Which of many nodes is named, if none takes a pod."""

from __future__ import annotations

from typing import Any

import pytest

from carferry.cluster.watch.observe import Observation
from carferry.cluster.watch.signal import SETTLE_S
from carferry.cluster.watch.unplaced import AUTOSCALER_S, BUSY_S, explain, unplaced

Object = dict[str, Any]


def node(name: str, *taints: str, gpus: int = 0, cpu: str = "8", **labels: str) -> Object:
    made = [dict(zip(("key", "effect"), each.rsplit(":", 1), strict=True)) for each in taints]
    for each in made:
        key, _, value = each["key"].partition("=")
        each |= {"key": key, **({"value": value} if value else {})}
    room = {"cpu": cpu, "memory": "64Gi", **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": made},
        "status": {"allocatable": room},
    }


def pod(gpus: int = 0, **selector: str) -> Object:
    wants = {"cpu": "4", **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
    return {
        "metadata": {"name": "p"},
        "spec": {
            "containers": [{"name": "c", "resources": {"requests": wants}}],
            "nodeSelector": selector,
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        },
    }


RULER = node("ruler", "node-role.kubernetes.io/control-plane:NoSchedule", cpu="64")
AWAY = node("away", "node.kubernetes.io/unreachable:NoSchedule")
TEAM = node("team", "dedicated=ml:NoSchedule", gpus=4)


@pytest.mark.parametrize(
    ("wanted", "nodes", "cause", "words"),
    [
        (pod(), [RULER, AWAY], "node-unready", "node away has room but is unreachable"),
        (pod(), [RULER, TEAM], "taint", "node team has room but taint dedicated=ml:NoSchedule"),
        (pod(4), [RULER, TEAM], "taint", "node team has 4 nvidia.com/gpu"),
        (pod(), [RULER], "taint", "node ruler"),
        (pod(2), [node("a", gpus=1), node("b", gpus=1)], "gpus-too-few", "a has 1, b has 1"),
        (pod(1), [node("a", "nvidia.com/gpu:NoSchedule", gpus=1)], "gpus-in-use", "a 1"),
        (pod(1), [node("a")], "no-gpu", "no node offers nvidia.com/gpu"),
        (pod(), [node("a", cpu="2")], "cpu-too-much", "more than 2"),
        (pod(zone="x"), [node("a")], "no-node-selected", "zone=x"),
        (pod(zone="x"), [node("a", zone="x")], "nodes-full", "a 8 cpu"),
        (pod(), [], "no-node", "has no node"),
        (pod(), None, "no-node", "no right to list nodes"),
    ],
)
def test_the_nearest_miss_is_named(
    wanted: Object, nodes: list[Object] | None, cause: str, words: str
) -> None:
    why = explain(wanted, nodes)
    assert why.cause == cause
    assert words in why.means


def test_the_tolerations_are_written_out_with_those_that_they_replace() -> None:
    assert explain(pod(4), [TEAM]).remedy == (
        '--tolerations \'[{"key":"nvidia.com/gpu","operator":"Exists"},'
        '{"key":"dedicated","operator":"Equal","value":"ml","effect":"NoSchedule"}]\''
    )


def waiting_for(nodes: list[Object], wanted: Object, *said: str, is_told: bool = True) -> float:
    """Return for how long a pod may be on no node."""
    unscheduled = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}
    stuck = {**wanted, "status": {"conditions": [unscheduled]}}
    events = tuple(
        {"metadata": {"name": "e"}, "involvedObject": {"name": "p"}, "reason": each}
        for each in said
    )
    seen = Observation({}, pods=(stuck,), events=events, is_told=is_told, nodes=tuple(nodes))
    sign = unplaced(seen, stuck)
    assert sign is not None
    return sign.grace_s


USED = node("a", "nvidia.com/gpu:NoSchedule", gpus=1)


@pytest.mark.parametrize(
    ("wanted", "said", "is_told", "patience_s"),
    [
        (pod(8), (), True, AUTOSCALER_S),
        (pod(8), (), False, BUSY_S),
        (pod(zone="x"), (), False, BUSY_S),
        (pod(1), (), True, BUSY_S),
        (pod(8), ("NotTriggerScaleUp",), True, SETTLE_S),
        (pod(1), ("NotTriggerScaleUp",), True, BUSY_S),
    ],
)
def test_who_may_yet_get_a_node_is_waited_for(
    wanted: Object, said: tuple[str, ...], is_told: bool, patience_s: float
) -> None:
    """Without a right to events nobody knows of an autoscaler; GPUs in use come free without."""
    assert AUTOSCALER_S >= 60
    assert waiting_for([USED], wanted, *said, is_told=is_told) == patience_s
