"""Which nodes are warmed, and what is read of their kubelets' words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from carferry import ClusterError, InputError
from carferry.cluster.kinds import Permission, ResourceKind
from carferry.cluster.tolerations import Toleration
from carferry.refs import ImageRef
from carferry.steps.warm import warm
from carferry.steps.warmed import Warmed
from carferry.warming.nodes import Place, choose, tolerates
from carferry.warming.pods import pod, seconds_of, sight
from carferry.warming.run import Pulled, Warming, pull

DIGEST = "sha256:" + "a" * 64
IMAGE = ImageRef.parse(f"quay.io/team/granite@{DIGEST}")
TAINT = {"key": "nvidia.com/gpu", "effect": "NoSchedule"}
BEARS = (Toleration("nvidia.com/gpu", "Exists", "", "NoSchedule"),)
GPUS = Place("nvidia.com/gpu", 2, (("zone", "a"),), BEARS)


def node(name: str = "n", **more: Any) -> dict[str, Any]:
    status = {
        "conditions": [{"type": "Ready", "status": more.pop("ready", "True")}],
        "allocatable": {"nvidia.com/gpu": more.pop("gpus", "4")},
        "images": [{"names": more.pop("images", [])}],
    }
    labels = more.pop("labels", {"zone": "a"})
    return {"metadata": {"name": name, "labels": labels}, "spec": more, "status": status}


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (node(), ""),
        (node(taints=[TAINT]), ""),
        (node(taints=[{"key": "x", "effect": "PreferNoSchedule"}]), ""),
        (node(ready="Unknown"), "not ready"),
        (node(unschedulable=True), "cordoned"),
        (node(labels={"zone": "b"}), "not labelled zone=a"),
        (node(taints=[TAINT, {"key": "team", "value": "b", "effect": "NoExecute"}]),
         "tainted team=b:NoExecute"),
        (node(gpus="1"), "without 2 nvidia.com/gpu"),
        (node(gpus="0"), "without 2 nvidia.com/gpu"),
    ],
)  # fmt: skip
def test_a_node_fits_or_it_is_said_why_not(found: dict[str, Any], reason: str) -> None:
    assert GPUS.against(found) == reason


def test_nodes_are_cold_warm_or_left_with_their_reasons() -> None:
    warm_one = node("c", images=[f"quay.io/team/granite@{DIGEST}", "quay.io/team/granite:1"])
    nodes = [node("b"), node("a"), warm_one, node("d", gpus="1"), node("e", gpus="1")]
    found = choose(nodes, IMAGE, GPUS)
    assert (found.cold, found.warm) == (("a", "b"), ("c",))
    assert found.reasons == "2 without 2 nvidia.com/gpu"


@pytest.mark.parametrize(
    ("toleration", "taint", "bears"),
    [
        (Toleration(operator="Exists"), TAINT, True),
        (Toleration("nvidia.com/gpu", "Exists"), TAINT, True),
        (Toleration("nvidia.com/gpu", "Equal", "true"), TAINT, False),
        (Toleration("nvidia.com/gpu", "Equal", "true"), TAINT | {"value": "true"}, True),
        (Toleration("nvidia.com/gpu", "Exists", "", "NoExecute"), TAINT, False),
        (Toleration("amd.com/gpu", "Exists"), TAINT, False),
    ],
)
def test_a_toleration_bears_a_taint(
    toleration: Toleration, taint: dict[str, Any], bears: bool
) -> None:
    assert tolerates(toleration, taint) is bears


def seen(waiting: str = "", message: str = "", **state: Any) -> dict[str, Any]:
    found = {"waiting": {"reason": waiting, "message": message}} if waiting else state
    return {"status": {"phase": "Pending", "containerStatuses": [{"state": found}]}}


def said(reason: str, message: str) -> dict[str, Any]:
    return {"reason": reason, "message": message}


# As kubelets 1.35 with containerd 2.2 wrote them on the tests' node.
PULLED = said(
    "Pulled",
    f'Successfully pulled image "quay.io/team/granite@{DIGEST}" in 1m2.283s (1m2.283s including '
    "waiting). Image size: 315623424 bytes.",
)
THERE = said(
    "Pulled", f'Container image "x@{DIGEST}" already present on machine and can be accessed by the '
    "pod",
)  # fmt: skip
WHY = said("Failed", 'Failed to pull image "x": rpc error: code = NotFound desc = x: not found')


@pytest.mark.parametrize(
    ("found", "events", "state", "reason"),
    [
        (seen("ContainerCreating"), [], "waiting", "waiting for its kubelet"),
        (seen("ContainerCreating"), [said("Pulling", "Pulling image")], "waiting", "pulling"),
        (seen("ContainerCreating"), [PULLED], "pulled", ""),
        (seen(terminated={"exitCode": 0}), [THERE], "there", ""),
        (seen(terminated={"exitCode": 0}), [], "pulled", ""),
        (seen("RunContainerError", "exec: sh: not found"), [], "pulled", ""),
        (seen("CreateContainerConfigError", "will run as root"), [], "pulled", ""),
        (seen("ErrImagePull", "x: not found"), [], "failed", "ErrImagePull: x: not found"),
        (seen("ImagePullBackOff", "Back-off pulling"), [WHY], "failed",
         f"ImagePullBackOff: {WHY['message']}"),
        (seen("ErrImagePull", "i/o timeout"), [], "failing", "ErrImagePull: i/o timeout"),
        ({"status": {"phase": "Failed", "reason": "OutOfpods", "message": "full"}}, [], "failed",
         "OutOfpods: full"),
    ],
)  # fmt: skip
def test_what_a_kubelet_says_of_a_pull(
    found: dict[str, Any], events: list[dict[str, Any]], state: str, reason: str
) -> None:
    sighted = sight(found, events)
    assert (sighted.state, sighted.reason) == (state, reason)


def test_the_kubelets_own_time_and_size_are_read() -> None:
    sighted = sight({}, [PULLED])
    assert (sighted.seconds, sighted.size_bytes) == (pytest.approx(62.283), 315623424)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("340ms", 0.34), ("3.3s", 3.3), ("1h2m3s", 3723), ("12\u00b5s", 12e-6), ("", 0)],
)
def test_gos_durations(text: str, seconds: float) -> None:
    assert seconds_of(text) == pytest.approx(seconds)


def test_the_pod_is_bound_to_its_node_and_asks_for_nothing() -> None:
    made = pod(str(IMAGE), "n1", "demo", "pull")
    spec, (container,) = made["spec"], made["spec"]["containers"]
    assert (spec["nodeName"], spec["imagePullSecrets"]) == ("n1", [{"name": "pull"}])
    assert container["resources"]["requests"] == {"cpu": "0", "memory": "0"}
    assert {*container["resources"]["limits"]} == {"cpu", "memory"}
    assert not spec["automountServiceAccountToken"]
    assert made == pod(str(IMAGE), "n1", "demo", "pull")
    assert made["metadata"]["name"] != pod(str(IMAGE), "n2", "demo")["metadata"]["name"]


def test_a_tag_is_refused() -> None:
    with pytest.raises(InputError, match="a tag may name another image when it is served"):
        warm("quay.io/team/granite:1")


def test_a_run_says_what_happened_where() -> None:
    nodes = (Pulled("a", "pulled", 62.3, 315623424), Pulled("b", "there"),
             Pulled("c", "failed", 3.0, 0, "ErrImagePull: not found"))  # fmt: skip
    warmed = Warmed(str(IMAGE), nodes, "2 cordoned", 70.0)
    assert [*warmed.facts] == [
        "a: pulled in 62 s (301.0 MiB)",
        "b: already there",
        "c: failed: ErrImagePull: not found",
        "left out: 2 cordoned",
    ]
    assert warmed.numbers["failed_nodes"] == 1
    assert "| c | failed | 3.0 |" in warmed.markdown
    with pytest.raises(ClusterError, match="1 of 3 nodes failed: c: failed: ErrImagePull"):
        warmed.require()


@dataclass
class Cluster:
    """An API server whose pods pull at once, and go ``vanishing`` times before they are seen."""

    vanishing: int
    pods: dict[str, Any] = field(default_factory=dict)
    made: int = 0

    def call(self, asked: Permission, name: str = "", *, method: str, **more: Any) -> None:
        if method == "DELETE":
            self.pods.pop(name, None)
            return
        name = more["body"]["metadata"]["name"]
        if name in self.pods:
            raise ClusterError("create", name, "is there", status=409)
        self.made += 1
        self.pods[name] = more["body"] | {"metadata": {"name": name, "uid": "u"}}

    def get(self, kind: object, namespace: str, name: str) -> Any:
        return self.pods.get(name)

    def list(self, kind: ResourceKind, namespace: str, **query: str) -> list[Any]:
        if kind.plural == "events":
            return [{"reason": "Pulled", "message": "already present on machine"}]
        if self.vanishing:
            self.vanishing -= 1
            self.pods.clear()
        return [*self.pods.values()]


@pytest.mark.parametrize(("times", "state", "made"), [(0, "there", 1), (1, "there", 2)])
def test_a_pod_that_another_run_removed_is_made_once_more(
    times: int, state: str, made: int
) -> None:
    """Two runs for one image share a pod, and the first to end removes it."""
    cluster = Cluster(times)
    how = Warming("demo", clock=lambda: 0.0, sleep=lambda _: None)
    (pulled,) = pull(cluster, str(IMAGE), ("a",), how)  # type: ignore[arg-type]
    assert (pulled.state, cluster.made, cluster.pods) == (state, made, {})


def test_a_pod_that_goes_twice_is_a_failure() -> None:
    how = Warming("demo", clock=lambda: 0.0, sleep=lambda _: None)
    (pulled,) = pull(Cluster(2), str(IMAGE), ("a",), how)  # type: ignore[arg-type]
    assert pulled.state == "failed"
    assert "twice" in pulled.reason
