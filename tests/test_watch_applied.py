"""Ready is believed of the Deployment that was asked for, not of that before the change."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from carferry.cluster.watch.applied import behind, holds, is_doubtful
from carferry.cluster.watch.observe import Observation, Watched, observe
from carferry.cluster.watch.patience import Patience
from carferry.cluster.watch.signal import DOUBT_S, SETTLE_S, Signal, State
from carferry.cluster.watch.signs import assess

Object = dict[str, Any]
OLD, NEW = (f"127.0.0.1:5055/m@sha256:{each * 64}" for each in "ab")
RUNTIME: Object = {
    "metadata": {"name": "m"},
    "spec": {"containers": [{
        "name": "kserve-container", "image": f"vllm@sha256:{'c' * 64}",
        "args": ["--port=8080", "--served-model-name={{.Name}}"],
        "env": [{"name": "HOME", "value": "/tmp"}],
    }]},
}  # fmt: skip
ASKED: Object = {
    "args": ["--seed=1", "--max-model-len=64"],
    "env": [{"name": "A", "value": "b"}],
    "resources": {"limits": {"cpu": "1", "memory": "1024Mi"}, "requests": {"cpu": "1000m"}},
    "storageUri": f"oci://{OLD}",
    "runtime": "m",
}
MADE: Object = {
    "name": "kserve-container",
    "image": f"vllm@sha256:{'c' * 64}",
    "args": ["--port=8080", "--served-model-name=m", "--seed=1", "--max-model-len=64"],
    "env": [{"name": "HOME", "value": "/tmp"}, {"name": "A", "value": "b"}],
    "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1"}},
    "imagePullPolicy": "IfNotPresent",
}
READY = [{"type": "Ready", "status": "True"}]


def looked() -> Observation:
    """Return a look at a deployment that serves all that was asked for."""
    pod = {"name": "kserve-container"}, {"name": "modelcar", "image": OLD}
    return copy.deepcopy(Observation(
        {"metadata": {"name": "m", "namespace": "n", "annotations": {}},
         "spec": {"predictor": {"model": ASKED}}, "status": {"conditions": READY}},
        {"metadata": {"generation": 1},
         "spec": {"replicas": 1, "template": {"spec": {"containers": [MADE]}}},
         "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1,
                    "availableReplicas": 1}},
        pods=({"metadata": {"name": "p"}, "spec": {"containers": list(pod)},
               "status": {"conditions": READY}},),
        runtime=RUNTIME,
    ))  # fmt: skip


def asked(seen: Observation) -> Object:
    model: Object = seen.service["spec"]["predictor"]["model"]
    return model


def predictor(seen: Observation) -> Object:
    found: Object = seen.service["spec"]["predictor"]
    return found


def runtime(seen: Observation) -> Object:
    assert seen.runtime is not None
    found: Object = seen.runtime["spec"]["containers"][0]
    return found


CHANGES: dict[str, Callable[[Observation], object]] = {
    "memory": lambda seen: asked(seen)["resources"]["limits"].update(memory="2Gi"),
    "gpus": lambda seen: asked(seen)["resources"]["limits"].update({"nvidia.com/gpu": "2"}),
    "env": lambda seen: asked(seen)["env"].append({"name": "C", "value": "d"}),
    "value": lambda seen: asked(seen)["env"][0].update(value="c"),
    "argument": lambda seen: asked(seen)["args"].append("--enforce-eager"),
    "order": lambda seen: asked(seen)["args"].reverse(),
    "runtime image": lambda seen: runtime(seen).update(image=f"vllm@sha256:{'d' * 64}"),
    "runtime argument": lambda seen: runtime(seen)["args"].append("--root-path=/m"),
    "tolerations": lambda seen: predictor(seen).update(tolerations=[{"key": "x"}]),
    "nodes": lambda seen: predictor(seen).update(nodeSelector={"zone": "x"}),
    "model": lambda seen: asked(seen).update(storageUri=f"oci://{NEW}"),
}


def test_what_was_asked_for_is_ready() -> None:
    assert behind(looked()) == ""
    assert not is_doubtful(looked())
    assert [each.state for each in assess(looked())] == [State.READY]


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_kserve_has_not_seen_is_not_ready(name: str) -> None:
    """The Deployment of before is available, and the InferenceService ready."""
    seen = looked()
    CHANGES[name](seen)
    assert [each.state for each in assess(seen)] == [State.WAITING]


def test_an_image_volume_of_the_model_before_is_not_ready() -> None:
    seen = looked()
    seen.pods[0]["spec"].update(
        containers=[{"name": "kserve-container"}],
        volumes=[{"name": "m", "image": {"reference": OLD}}],
    )
    asked(seen).update(storageUri=f"oci+native://{OLD}")
    assert behind(seen) == ""
    asked(seen).update(storageUri=f"oci+native://{NEW}")
    assert OLD in behind(seen)


@pytest.mark.parametrize(
    "take",
    [
        lambda seen: asked(seen)["args"].pop(),
        lambda seen: asked(seen)["env"].pop(),
        lambda seen: runtime(seen)["args"].pop(),
    ],
)
def test_what_was_taken_away_may_yet_come(take: Callable[[Observation], object]) -> None:
    """It is there: KServe has not seen the change, or adds it itself; only time tells."""
    seen = looked()
    take(seen)
    (sign,) = assess(seen)
    assert (sign.state, sign.grace_s) == (State.READY, DOUBT_S)


def test_who_may_not_read_the_runtime_compares_what_the_service_says() -> None:
    seen = replace(looked(), runtime=None)
    assert behind(seen) == ""
    CHANGES["memory"](seen)
    assert "resources" in behind(seen)


@pytest.mark.parametrize(
    ("have", "wanted", "is_held"),
    [
        ({"cpu": "1"}, {"cpu": "1000m"}, True),
        ({"cpu": "1"}, {"cpu": "2"}, False),
        (None, {}, True),
        (None, {"a": "b"}, False),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, True),
        ([{"name": "x", "value": "1"}], [{"name": "x", "value": "2"}], False),
        ([{"key": "a"}, {"key": "b", "operator": "Exists"}], [{"key": "b"}], True),
    ],
)
def test_more_may_be_there_and_amounts_are_numbers(have: Any, wanted: Any, is_held: bool) -> None:
    assert holds(have, wanted) is is_held


class Still:
    """Time that is told."""

    time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.mark.parametrize(
    ("is_changed", "generation", "at", "grace_s", "is_believed"),
    [
        (False, 1, 0, SETTLE_S, True),
        (True, 1, 0, SETTLE_S, False),
        (True, 2, 0, SETTLE_S, True),
        (True, 1, SETTLE_S, SETTLE_S, True),
        (True, 1, SETTLE_S, DOUBT_S, False),
        (True, 1, DOUBT_S, DOUBT_S, True),
    ],
)
def test_a_ready_after_a_change_is_believed_once_the_deployment_moved(
    is_changed: bool, generation: int, at: float, grace_s: float, is_believed: bool
) -> None:
    """A look that is not ready for another reason, as a pod on its way out, shortens nothing."""
    clock = Still()
    patience = Patience(clock, 300, print, replaced=1 if is_changed else None)
    patience.believe([Signal(State.WAITING, "a pod is leaving")], 1)
    clock.sleep(at)
    (said,) = patience.believe([Signal(State.READY, "ready", grace_s=grace_s)], generation)
    assert (said.state is State.READY) is is_believed


class Cluster:
    """An API server as far as one look asks it."""

    def __init__(self, service: Object, sets: list[Object]) -> None:
        self.service, self.sets = service, sets
        self.asked: list[tuple[str, str]] = []

    def get(self, kind: Any, namespace: str, name: str) -> Object | None:
        return self.service if kind.plural == "inferenceservices" else None

    def list(self, kind: Any, namespace: str, **query: str) -> list[Object]:
        self.asked.append((kind.plural, next(iter(query.values()))))
        if kind.plural == "replicasets":
            return self.sets
        return []


def _set(name: str, made: str, has: int, *conditions: Object) -> Object:
    return {"metadata": {"name": name, "creationTimestamp": made}, "spec": {"replicas": 1},
            "status": {"replicas": has, "conditions": list(conditions)}}  # fmt: skip


FULL = {
    "type": "ReplicaFailure", "status": "True",
    "message": "pods \"p\" is forbidden: exceeded quota: team, requested: cpu=1, used: cpu=0",
}  # fmt: skip


def _knative(*conditions: Object) -> Object:
    return {"metadata": {"name": "m", "namespace": "n"}, "spec": {"predictor": {"model": {}}},
            "status": {"deploymentMode": "Knative", "conditions": list(conditions)}}  # fmt: skip


def test_with_knative_the_newest_revisions_replica_set_says_why_there_is_no_pod() -> None:
    """Knative names each revision's Deployment itself: NAME-predictor-00002-deployment."""
    sets = [
        _set("new", "2026-11-26T16:00:00Z", 0, FULL),
        _set("old", "2026-11-26T15:00:00Z", 1),
    ]
    cluster: Any = Cluster(_knative(), sets)
    seen = observe(cluster, Watched.of("m", "n"))
    assert seen.newest == sets[0]
    assert ("replicasets", "serving.kserve.io/inferenceservice=m") in cluster.asked
    about = [words for kind, words in cluster.asked if kind == "events"]
    assert about == ["involvedObject.name=m", "involvedObject.name=new"]
    assert assess(seen)[0].cause == "quota"


def test_a_revision_that_knative_gave_up_is_a_failure() -> None:
    message = 'Revision "m-predictor-00001" failed with message: Unable to fetch image "x".'
    failed = {"type": "PredictorReady", "status": "False", "reason": "RevisionFailed"}
    seen = Observation(_knative({**failed, "message": message}))
    sign = assess(seen)[0]
    assert (sign.state, sign.cause) == (State.FAILED, "revision-failed")
    assert "Unable to fetch image" in sign.evidence


def test_no_revision_is_ready_that_has_no_pod() -> None:
    """The new ReplicaSet may be read after the Deployment was: its pods are not made yet."""
    old, new = (
        {"metadata": {"name": name, "uid": name, "annotations": {
            "deployment.kubernetes.io/revision": number}}}
        for name, number in (("old", "1"), ("new", "2"))
    )  # fmt: skip
    seen = looked()
    (pod,) = seen.pods
    pod["metadata"]["ownerReferences"] = [{"uid": "old"}]
    (said,) = assess(replace(seen, sets=(old,)))
    assert said.state is State.READY
    assert assess(replace(seen, sets=(old, new)))[0].state is State.WAITING
