"""Profiles of every OpenShift AI: each by its own schema, each object once."""

from __future__ import annotations

from typing import Any

import pytest
from gpu.api import Objects, api, node
from gpu.samples import config_of

from carferry.gpu.inventory.nodes import Inventory
from carferry.gpu.inventory.read import read_inventory
from carferry.gpu.report.text import text
from carferry.gpu.search.decide import decide

ROOT, OLD = "/apis/infrastructure.opendatahub.io", "/apis/dashboard.opendatahub.io"
V1, ALPHA = f"{ROOT}/v1/hardwareprofiles", f"{ROOT}/v1alpha1/hardwareprofiles"
DASHBOARD = f"{OLD}/v1alpha1/hardwareprofiles"
ACCELERATOR = f"{OLD}/v1/acceleratorprofiles"
NODES, PODS = "/api/v1/nodes", "/api/v1/pods"
L40S = {"nvidia.com/gpu.product": "NVIDIA-L40S"}
TOLERATIONS = [
    {"key": "pool", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}
]


def of_operator(name: str, **changes: Any) -> dict[str, Any]:
    """Return a HardwareProfile as the operator's CRD has it, v1alpha1 and v1 alike."""
    wanted = {"displayName": "GPU", "minCount": 1, "defaultCount": 1, "maxCount": 4}
    wanted |= {"identifier": "nvidia.com/gpu", "resourceType": "Accelerator"}
    wanted |= changes.pop("wanted", {})
    cpu = {"displayName": "CPU", "identifier": "cpu", "minCount": "1", "defaultCount": "2"}
    node_part = {"nodeSelector": changes.pop("selector", L40S), "tolerations": TOLERATIONS}
    spec = {"identifiers": [cpu, wanted], "scheduling": {"type": "Node", "node": node_part}}
    meta = {"name": name, "namespace": "redhat-ods-applications", **changes.pop("meta", {})}
    return {"metadata": meta, "spec": {**spec, **changes}}


def of_dashboard(name: str, **changes: Any) -> dict[str, Any]:
    """Return a HardwareProfile as the dashboard's CRD of 2.x has it."""
    wanted = {"displayName": "GPU", "identifier": "nvidia.com/gpu", "minCount": "1"}
    wanted |= {"defaultCount": "1", "maxCount": "4"}
    spec = {"displayName": name, "enabled": True, "identifiers": [wanted], "nodeSelector": L40S}
    spec |= {"tolerations": TOLERATIONS, **changes}
    return {"metadata": {"name": name, "namespace": "redhat-ods-applications"}, "spec": spec}


def of_accelerator(name: str, identifier: str = "nvidia.com/gpu", **more: Any) -> dict[str, Any]:
    spec = {"displayName": name, "enabled": True, "identifier": identifier, **more}
    return {"metadata": {"name": name.lower().replace(" ", "-")}, "spec": spec}


def read(collections: dict[str, Objects], *, nodes: Objects | None = None) -> Inventory:
    lists: dict[str, Objects] = {PODS: [], **collections}
    if nodes is not None:
        lists[NODES] = nodes
    with api(lists, forbidden=(NODES,) if nodes is None else ()) as list_:
        return read_inventory(list_, namespace="team")


@pytest.mark.parametrize(
    ("path", "profile"),
    [
        (V1, of_operator("gpu")),
        (ALPHA, of_operator("gpu")),
        (V1, of_operator("gpu", wanted={"maxCount": "4"})),
        (DASHBOARD, of_dashboard("gpu")),
        (DASHBOARD, of_dashboard("gpu", nodeSelector={}, nodeSelectors=[
            {"key": "nvidia.com/gpu.product", "value": "NVIDIA-L40S"}
        ])),
    ],
    ids=["v1", "v1alpha1", "count as text", "dashboard", "dashboard's pairs"],
)  # fmt: skip
def test_each_schema_is_read_right(path: str, profile: dict[str, Any]) -> None:
    (group,) = read({path: [profile]}).groups

    assert (group.gpu.name, group.free, group.resource) == ("L40S", 4, "nvidia.com/gpu")
    assert [each.object for each in group.tolerations] == TOLERATIONS
    assert group.profile == "gpu"


@pytest.mark.parametrize(
    ("path", "profile"),
    [
        (V1, of_operator("off", meta={"annotations": {"opendatahub.io/disabled": "true"}})),
        (DASHBOARD, of_dashboard("off", enabled=False)),
        (ACCELERATOR, of_accelerator("NVIDIA L40S", enabled=False)),
        (V1, of_operator("none", wanted={"maxCount": 0})),
        (V1, of_operator("nic", wanted={"identifier": "rdma/hca", "resourceType": ""})),
    ],
    ids=["annotated", "not enabled", "accelerator off", "none of it", "no accelerator"],
)
def test_a_profile_that_gives_nobody_a_gpu_is_no_option(path: str, profile: dict[str, Any]) -> None:
    assert read({path: [profile]}).groups == ()


def test_an_object_in_two_versions_or_groups_counts_once() -> None:
    lists = {
        V1: [of_operator("gpu")],
        ALPHA: [of_operator("gpu")],
        DASHBOARD: [of_dashboard("gpu")],
    }

    assert [group.profile for group in read(lists).groups] == ["gpu"]


def test_no_right_to_profiles_is_said_once() -> None:
    places = ("team", "redhat-ods-applications", "opendatahub")
    roots = (f"{ROOT}/v1", f"{ROOT}/v1alpha1", f"{OLD}/v1alpha1")
    closed = [f"{root}/hardwareprofiles" for root in roots]
    closed += [f"{root}/namespaces/{place}/hardwareprofiles" for root in roots for place in places]
    with api({}, forbidden=(NODES, *closed)) as list_:
        notes = read_inventory(list_, namespace="team").notes

    assert notes.count("no right to list hardwareprofiles") == 1


@pytest.mark.parametrize(
    ("identifier", "selector", "gpu", "gib"),
    [
        ("nvidia.com/mig-3g.40gb", {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"},
         "A100-80GB-MIG-3g.40gb", 38.86),
        ("nvidia.com/mig-3g.40gb", {}, "MIG-3g.40gb", 38.86),
        ("nvidia.com/mig-1g.10gb.me", {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
         "H100-80GB-MIG-1g.10gb", 9.52),
        ("nvidia.com/gpu.shared", {"nvidia.com/gpu.product": "Tesla-T4"}, "T4-SHARED", 14.56),
        ("amd.com/gpu", {"amd.com/gpu.device-id": "74a1"}, "MI300X", 191.69),
        ("habana.ai/gaudi", {}, "Gaudi-2", 94.0),
        ("gpu.intel.com/i915", {"gpu.intel.com/product": "Max_1550"}, "Max-1550", 61.0),
        ("nvidia.com/gpu", {"node.kubernetes.io/instance-type": "p4d.24xlarge"},
         "A100-40GB", 39.49),
        ("nvidia.com/gpu", {"cloud.google.com/gke-accelerator": "nvidia-l4"}, "L4", 22.03),
        ("nvidia.com/GH100_H100_SXM5_80GB", {}, "H100-80GB", 79.18),
    ],
)  # fmt: skip
def test_a_profiles_resource_is_what_it_hands_out(
    identifier: str, selector: dict[str, str], gpu: str, gib: float
) -> None:
    """A slice was planned as the whole card; a profile without a product as nothing."""
    profile = of_operator("large", wanted={"identifier": identifier}, selector=selector)

    (group,) = read({V1: [profile]}).groups

    assert (group.gpu.name, group.gpu.memory_gib, group.resource) == (gpu, gib, identifier)


@pytest.mark.parametrize(
    ("title", "gpu"),
    [
        ("NVIDIA A10G", "A10"),
        ("Large (NVIDIA A100 80GB)", "A100-80GB"),
        ("H100 NVL for teams", "H100-NVL"),
        ("8 x MI300X", "MI300X"),
    ],
)
def test_the_longest_product_in_a_title_is_meant(title: str, gpu: str) -> None:
    resource = "amd.com/gpu" if "MI" in gpu else "nvidia.com/gpu"

    groups = read({ACCELERATOR: [of_accelerator(title, resource)]}).groups

    assert [group.gpu.name for group in groups] == [gpu]


def test_a_pool_scaled_to_zero_is_planned_from_its_profile() -> None:
    big = {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
    profiles = [of_operator("small"), of_operator("big", selector=big, wanted={"maxCount": 8})]

    inventory = read({V1: profiles}, nodes=[node("a")])

    assert [(g.gpu.name, g.free, g.profile, g.absent) for g in inventory.groups] == [
        ("L40S", 4, "small", False),
        ("H100-80GB", 8, "big", True),
    ]
    assert inventory.source == "nodes"
    assert inventory.notes == (
        "no node has H100-80GB now: planned from hardware profile big, "
        "the autoscaler must add a node",
    )


@pytest.mark.parametrize(
    ("model", "gpu", "absent"),
    [("Qwen/Qwen3-8B", "H100-80GB", False), ("meta-llama/Llama-3.1-70B-Instruct", "L40S", True)],
)
def test_nodes_that_are_there_come_before_cheaper_ones_that_are_not(
    model: str, gpu: str, absent: bool
) -> None:
    pool = of_operator("pool", wanted={"maxCount": 8})
    there = [node("a", "NVIDIA-H100-80GB-HBM3", 1)]

    plan = decide(config_of(model), gpus=read({V1: [pool]}, nodes=there))

    assert plan.chosen
    assert (plan.chosen.group.gpu.name, plan.chosen.group.absent) == (gpu, absent)
    assert ("the autoscaler must add one (pool)" in text(plan)) is absent


def test_a_queue_of_kueue_is_told() -> None:
    queued = of_operator("q", scheduling={"type": "Queue", "kueue": {"localQueueName": "gpus"}})
    queued["metadata"]["annotations"] = {"opendatahub.io/display-name": "NVIDIA L40S"}

    inventory = read({V1: [queued]})

    assert [group.gpu.name for group in inventory.groups] == ["L40S"]
    assert "hardware profile q sends pods to Kueue's queue gpus" in inventory.notes


def test_a_resource_of_any_vendor_counts_where_a_profile_names_it() -> None:
    wanted = {"identifier": "acme.io/h100"}
    odd = node("a", "NVIDIA-H100-80GB-HBM3", 2, resource="acme.io/h100")
    quota = {"status": {"hard": {"requests.acme.io/h100": "1"}, "used": {}}}
    lists = {V1: [of_operator("acme", wanted=wanted, selector={})]}
    lists["/api/v1/namespaces/team/resourcequotas"] = [quota]

    inventory = read(lists, nodes=[odd])

    assert inventory.allowances == {"acme.io/h100": 1}
    assert inventory.notes[0].startswith("node a: acme.io/h100 without a product label")
