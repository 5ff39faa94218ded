"""Why a pod is on no node: a queue, an autoscaler at work, or nodes that cannot take it.

The scheduler only counts ("1 node(s) had untolerated taint(s)", Kubernetes 1.35); which taint,
and how many GPUs each node has, stands on the nodes.

Sources: Kubernetes v1.35 (pkg/scheduler), kubernetes/autoscaler (cluster-autoscaler,
processors/status/eventing_scale_up_processor.go), kubernetes-sigs/karpenter (events), Kueue
documentation (scheduling gates).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from carferry.cluster.kinds import Object
from carferry.cluster.quantity import Quantity
from carferry.cluster.watch.causes import Where, cause_of
from carferry.cluster.watch.look import condition, events_of, name_of, quoted, seconds
from carferry.cluster.watch.observe import Observation
from carferry.cluster.watch.signal import SETTLE_S, Signal, State
from carferry.errors import InputError

AUTOSCALER_S = 60.0
"""Seconds in which an autoscaler says what it makes of a pod: it looks every ten, and longer each
time the more nodes there are."""
BUSY_S = 300.0
"""Seconds that GPUs in use are waited for: another pod may be on its way out."""

_SCALES = {"TriggeredScaleUp", "Nominated", "ScaleUp"}
_DOES_NOT = {"NotTriggerScaleUp", "FailedScaleUp", "NoScaleUp"}
_OWN = "node.kubernetes.io/"
_RULERS = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
_SHOWN = 6


@dataclass(frozen=True, slots=True)
class _Why:
    cause: str
    means: str
    remedy: str = ""
    grace_s: float = AUTOSCALER_S


def unplaced(seen: Observation, pod: Object) -> Signal | None:
    """Return why a pod is on no node; None if it is on one, or was not looked at yet."""
    if condition(pod, "PodScheduled") != "False":
        return None
    name, said = f"pod {name_of(pod)}", quoted(condition(pod, "PodScheduled", "message"))
    if condition(pod, "PodScheduled", "reason") == "SchedulingGated":
        return _gated(pod, name)
    known = cause_of(Where.UNPLACED, said)
    if known:
        reason, advice = f"{name}: {known.means}", known.advice(said)
        return Signal(known.state, reason, known.name, said, advice, known.grace_s)
    why = explain(pod, seen.nodes)
    # Who may not read events does not know whether an autoscaler is at work.
    grace_s = why.grace_s if seen.is_told else max(why.grace_s, BUSY_S)
    return _scaled(seen, pod, name, why) or Signal(
        State.FAILED, f"{name}: {why.means}", why.cause, said, why.remedy, grace_s,
        is_planned=True,
    )  # fmt: skip


def _gated(pod: Object, name: str) -> Signal:
    gates = [str(each.get("name")) for each in (pod.get("spec") or {}).get("schedulingGates") or []]
    queue = (pod["metadata"].get("labels") or {}).get("kueue.x-k8s.io/queue-name", "")
    where = f" of queue {queue}" if queue else ""
    reason = f"{name} waits for its turn{where} (SchedulingGated: {', '.join(gates)})"
    return Signal(State.HELD, reason, "queued")


def _scaled(seen: Observation, pod: Object, name: str, why: _Why) -> Signal | None:
    """Return what an autoscaler said last about the pod; None without one."""
    told = [e for e in events_of(pod, seen.events) if e.get("reason") in _SCALES | _DOES_NOT]
    if not told:
        return None
    words, since = quoted(str(told[0].get("message", ""))), seconds(told[0])
    if told[0]["reason"] in _SCALES:
        reason = f"{name} waits for a node that the autoscaler brings"
        return Signal(State.HELD, reason, "scaling-up", words, since=since)
    reason = f"{name}: {why.means}, and the autoscaler brings none"
    remedy = why.remedy or "ask for what its node groups have, or let them grow"
    # What is only in use comes free without an autoscaler.
    grace_s = BUSY_S if why.grace_s >= BUSY_S else SETTLE_S
    return Signal(State.FAILED, reason, "no-scale-up", words, remedy, grace_s, is_planned=True)


def explain(pod: Object, nodes: Iterable[Object] | None) -> _Why:
    """Return what keeps a pod from the nodes, the nearest miss first.

    Args:
        pod: With its requests, tolerations and node selector.
        nodes: Of the cluster; None if they may not be read.
    """
    if nodes is None:
        note = "no right to list nodes, so which one and why is not known"
        return _Why("no-node", f"no node takes it ({note})", "", BUSY_S)
    spec, wants = pod.get("spec") or {}, requests(pod)
    chosen = [n for n in nodes if _is_chosen(n, spec.get("nodeSelector") or {})]
    if not chosen:
        return _unchosen(spec.get("nodeSelector") or {})
    devices = {what: count for what, count in wants.items() if _is_device(what)}
    having = [n for n in chosen if all(_room(n, what) for what in devices)]
    if not having:
        return _without(devices, chosen)
    large = [n for n in having if all(_room(n, w) >= c for w, c in devices.items())]
    if not large:
        return _too_few(devices, having)
    open_ = [n for n in large if not _closed(n, spec)]
    return _tainted(large, spec, devices) if not open_ else _crowded(open_, wants, devices)


def requests(pod: Object) -> dict[str, Decimal]:
    """Return what a pod's containers request together."""
    total: dict[str, Decimal] = {}
    for each in (pod.get("spec") or {}).get("containers") or []:
        for what, text in ((each.get("resources") or {}).get("requests") or {}).items():
            total[what] = total.get(what, Decimal(0)) + _amount(text)
    return total


def _unchosen(selector: Mapping[str, str]) -> _Why:
    if not selector:
        return _Why("no-node", "the cluster has no node")
    labels = ",".join(f"{key}={value}" for key, value in selector.items())
    return _Why("no-node-selected", f"no node has the labels {labels}", "correct --node-selector")


def _without(devices: Mapping[str, Decimal], chosen: list[Object]) -> _Why:
    offered = sorted({w for n in chosen for w in _allocatable(n) if _is_device(w) and _room(n, w)})
    wanted = ", ".join(devices)
    offer = f"; they offer {', '.join(offered)}" if offered else ""
    remedy = f"--gpu-resource {offered[0]}" if offered else "add nodes with GPUs, or their operator"
    return _Why("no-gpu", f"no node offers {wanted}{offer}", remedy)


def _too_few(devices: Mapping[str, Decimal], having: list[Object]) -> _Why:
    scarce = [w for w, c in devices.items() if all(_room(n, w) < c for n in having)]
    what = (scarce or list(devices))[0]
    most = max(_room(n, what) for n in having)
    shown = _listed(f"{name_of(n)} has {_room(n, what)}" for n in having)
    means = f"it asks for {devices[what]} {what}, and no node has more than {most} ({shown})"
    return _Why("gpus-too-few", means, f"--gpu-count {most}, or nodes with more GPUs")


def _tainted(large: list[Object], spec: Object, devices: Mapping[str, Decimal]) -> _Why:
    node = min(large, key=lambda each: _strangeness(_closed(each, spec)))
    taint = min(_closed(node, spec), key=lambda each: _is_own(each))
    has = " and ".join(f"{_room(node, w)} {w}" for w in devices) or "room"
    key = str(taint.get("key", ""))
    if _is_own(taint):
        state = key.removeprefix(_OWN)
        return _Why(
            "node-unready", f"node {name_of(node)} has {has} but is {state}",
            "bring the node back, or add one", 60.0,
        )  # fmt: skip
    shown = f"{key}={taint.get('value', '')}:{taint.get('effect', '')}".replace("=:", ":")
    means = f"node {name_of(node)} has {has} but taint {shown}, which is not tolerated"
    return _Why("taint", means, f"--tolerations '{_tolerating(spec, taint)}'")


def _strangeness(taints: list[Object]) -> int:
    """Return how far a node is from taking a model: one that is away may come back."""
    if all(map(_is_own, taints)):
        return 0
    return 2 if any(str(each.get("key")) in _RULERS for each in taints) else 1


def _is_own(taint: Object) -> bool:
    return str(taint.get("key", "")).startswith(_OWN)


def _crowded(
    open_: list[Object], wants: Mapping[str, Decimal], devices: Mapping[str, Decimal]
) -> _Why:
    for what, option in (("cpu", "--cpu"), ("memory", "--memory")):
        most = max(_room(n, what) for n in open_)
        if wants.get(what, Decimal(0)) > most:
            amount = _shown(what, most)
            asked = _shown(what, wants[what])
            means = f"it asks for {asked} {what}, and no node has more than {amount}"
            return _Why(f"{what}-too-much", means, f"ask for less: {option}")
    nodes = _listed(
        f"{name_of(n)} " + "+".join(f"{_room(n, w)} {w}" for w in devices or ("cpu",))
        for n in open_
    )
    means = f"nodes that are large enough are in use ({nodes})"
    return _Why("gpus-in-use" if devices else "nodes-full", means, "stop what holds them", BUSY_S)


def _closed(node: Object, spec: Object) -> list[Object]:
    taints = (node.get("spec") or {}).get("taints") or []
    hard = [each for each in taints if each.get("effect") in ("NoSchedule", "NoExecute")]
    return [each for each in hard if not _is_tolerated(each, spec.get("tolerations") or [])]


def _is_tolerated(taint: Object, tolerations: list[Object]) -> bool:
    return any(
        each.get("effect") in (None, "", taint.get("effect"))
        and each.get("key") in (None, "", taint.get("key"))
        and (each.get("operator") == "Exists" or each.get("value", "") == taint.get("value", ""))
        for each in tolerations
    )


def _tolerating(spec: Object, taint: Object) -> str:
    """Return --tolerations with the pod's own, which it replaces, and one for the taint."""
    own = [t for t in spec.get("tolerations") or [] if not str(t.get("key", "")).startswith(_OWN)]
    value = {"operator": "Equal", "value": taint["value"]} if taint.get("value") else {
        "operator": "Exists"
    }  # fmt: skip
    added = {"key": taint.get("key", ""), **value, "effect": taint.get("effect", "")}
    return json.dumps([*own, added], separators=(",", ":"))


def _is_chosen(node: Object, selector: Mapping[str, str]) -> bool:
    labels = node["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in selector.items())


def _is_device(what: str) -> bool:
    return "/" in what and not what.partition("/")[0].endswith("kubernetes.io")


def _allocatable(node: Object) -> Mapping[str, str]:
    return (node.get("status") or {}).get("allocatable") or {}


def _room(node: Object, what: str) -> Decimal:
    return _amount(_allocatable(node).get(what, "0"))


def _amount(text: object) -> Decimal:
    try:
        return Quantity.of(text).amount
    except InputError:
        return Decimal(0)


def _shown(what: str, amount: Decimal) -> str:
    return f"{amount / (1 << 30):.1f}Gi" if what == "memory" else f"{amount.normalize():f}"


def _listed(parts: Iterable[str]) -> str:
    every = list(parts)
    more = len(every) - _SHOWN
    return ", ".join(every[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
