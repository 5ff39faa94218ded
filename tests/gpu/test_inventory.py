from __future__ import annotations

import time

import pytest
from cluster.gpu_nodes import FLEET, Shape
from gpu.api import Objects, api, node, pod
from gpu.samples import config_of

from carferry.cluster.tolerations import Toleration
from carferry.errors import ClusterError, DoesNotFit
from carferry.gpu.inventory.nodes import Inventory
from carferry.gpu.inventory.read import read_inventory
from carferry.gpu.search.decide import decide
from carferry.gpu.search.plan import Goal
from carferry.gpu.sizing.estimate import Verdict
from carferry.gpu.units import GIB

GPU = "nvidia.com/gpu"
NODES, PODS = "/api/v1/nodes", "/api/v1/pods"
HARDWARE = "/apis/infrastructure.opendatahub.io/v1/hardwareprofiles"
ACCELERATOR = "/apis/dashboard.opendatahub.io/v1/acceleratorprofiles"
QUOTAS, LIMITS = "/api/v1/namespaces/team/resourcequotas", "/api/v1/namespaces/team/limitranges"


def read(nodes: Objects, pods: Objects | None = None, **more: Objects) -> Inventory:
    paths = {"hardware": HARDWARE, "accelerator": ACCELERATOR, "quotas": QUOTAS, "limits": LIMITS}
    extra = {paths[name]: items for name, items in more.items()}
    with api({NODES: nodes, PODS: pods or [], **extra}) as list_:
        return read_inventory(list_, namespace="team", image="quay.io/team/model:1")


def hardware(name: str, **spec: object) -> dict[str, object]:
    wanted = {"identifier": "nvidia.com/gpu", "maxCount": 4, "resourceType": "Accelerator"}
    return {"metadata": {"name": name}, "spec": {"identifiers": [wanted], **spec}}


def test_free_is_allocatable_less_what_running_pods_ask_for() -> None:
    pods = [pod("a", 1), pod("a", 2, "Pending"), pod("a", 4, "Succeeded"), pod("a", 4, "Failed")]

    (group,) = read([node("a")], pods).groups

    assert (group.gpu.name, group.free, group.total) == ("L40S", 1, 4)


def test_pod_holds_its_containers_and_sidecars_or_its_largest_init_container() -> None:
    wants = {"resources": {"requests": {"nvidia.com/gpu": "3"}}}
    side = {"resources": {"limits": {"nvidia.com/gpu": 1}}, "restartPolicy": "Always"}

    init = read([node("a", count=8)], [pod("a", 1, initContainers=[wants])]).groups[0]
    sidecar = read([node("a", count=8)], [pod("a", 1, initContainers=[side])]).groups[0]

    assert (init.free, sidecar.free) == (5, 6)


def test_nodes_that_are_alike_become_one_option() -> None:
    nodes = [node(f"n{i}") for i in range(5)] + [node("h", "NVIDIA-H100-80GB-HBM3", 8)]

    groups = read(nodes, [pod("n0", 4)]).groups

    assert sorted((g.gpu.name, g.free, g.nodes) for g in groups) == [
        ("H100-80GB", 8, 1),
        ("L40S", 0, 1),
        ("L40S", 4, 4),
    ]


@pytest.mark.parametrize(
    "extra",
    [
        {"unschedulable": True},
        {"conditions": [{"type": "Ready", "status": "Unknown"}]},
        {"allocatable": {"nvidia.com/gpu": "0"}},
    ],
)
def test_nodes_that_take_no_pods_are_no_option(extra: dict[str, object]) -> None:
    assert read([node("a", **extra)]).groups == ()


def test_taints_become_tolerations_without_the_routine_ones() -> None:
    taints = [
        {"key": "nvidia.com/gpu", "value": "L40S", "effect": "NoSchedule"},
        {"key": "spot", "effect": "PreferNoSchedule"},
        {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"},
    ]

    (group,) = read([node("a", taints=taints)]).groups

    assert group.tolerations == (
        Toleration(key="nvidia.com/gpu", value="L40S", effect="NoSchedule"),
    )


def test_mixed_slices_are_options_of_their_own() -> None:
    mixed = node("a", "NVIDIA-A100-SXM4-80GB", labels={"nvidia.com/mig-3g.40gb.memory": "40192"})
    mixed["status"]["allocatable"] = {"nvidia.com/gpu": "2", "nvidia.com/mig-3g.40gb": "2"}

    groups = {group.resource: group for group in read([mixed]).groups}

    assert {key: group.gpu.name for key, group in groups.items()} == {
        "nvidia.com/gpu": "A100-80GB",
        "nvidia.com/mig-3g.40gb": "A100-80GB-MIG-3g.40gb",
    }


def test_single_strategy_overrides_product_and_memory() -> None:
    labels = {"nvidia.com/gpu.memory": "9728", "nvidia.com/mig.strategy": "single"}

    (group,) = read([node("a", "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb", 7, labels=labels)]).groups

    assert (group.gpu.slices, group.gpu.memory_gib < 10) == (True, True)


def test_time_slicing_divides_the_share_each_pod_asks_for() -> None:
    labels = {"nvidia.com/gpu.replicas": "4", "nvidia.com/gpu.memory": "15360"}
    shared = read([node("a", "Tesla-T4-SHARED", 4, labels=labels)])

    plan = decide(config_of("Qwen/Qwen2.5-0.5B-Instruct"), gpus=shared)

    assert plan.chosen and plan.chosen.best
    assert plan.chosen.best.choice.utilization == pytest.approx(0.92 / 4)


def test_amd_nodes_are_read_by_their_own_labels() -> None:
    amd = node("a", "", 8, resource="amd.com/gpu", labels={"amd.com/gpu.product-name": "MI300X"})

    (group,) = read([amd]).groups

    assert (group.gpu.name, group.resource) == ("MI300X", "amd.com/gpu")


def test_unlisted_products_are_taken_from_their_labels() -> None:
    vram = {"amd.com/gpu.product-name": "MI999", "amd.com/gpu.vram": "64Gi"}
    gfd = {
        "nvidia.com/gpu.memory": "65536",
        "nvidia.com/gpu.compute.major": "11",
        "nvidia.com/gpu.compute.minor": "0",
    }
    amd = node("a", "", resource="amd.com/gpu", labels=vram)
    future = node("b", "NVIDIA-Z1", labels=gfd)

    groups = read([amd, future]).groups

    assert [(g.gpu.memory_gib, g.gpu.capability) for g in groups] == [(63.36, 0), (63.36, 110)]


def test_gaudi_without_labels_is_taken_for_the_smaller_generation() -> None:
    (group,) = read([node("a", "", resource="habana.ai/gaudi")]).groups

    assert (group.gpu.name, group.gpu.measured) == ("Gaudi-2", False)


def test_node_without_product_label_is_noted_not_guessed() -> None:
    inventory = read([node("a", "")])

    assert inventory.groups == ()
    assert inventory.notes == (
        "node a: nvidia.com/gpu without a product label; install GPU discovery",
    )


def test_emptiest_disk_counts_and_cached_images_are_seen() -> None:
    small = node("b", images=[{"names": ["quay.io/team/model:1"], "sizeBytes": 1}])
    small["status"]["allocatable"]["ephemeral-storage"] = "107374182400"

    (group,) = read([node("a"), small]).groups

    assert (group.disk_bytes, group.warm, group.nodes) == (100 * GIB, 1, 2)


def test_quota_and_limit_range_are_read() -> None:
    quota = {
        "status": {
            "hard": {"requests.nvidia.com/gpu": "8"},
            "used": {"requests.nvidia.com/gpu": "5"},
        }
    }
    limit = {"spec": {"limits": [{"type": "Container", "max": {"nvidia.com/gpu": "2"}}]}}

    inventory = read([node("a")], quotas=[quota], limits=[limit])

    assert (inventory.allowances, inventory.per_pods) == ({GPU: 3}, {GPU: 2})


def test_a_quota_on_one_vendor_says_nothing_of_another() -> None:
    quota = {"status": {"hard": {"requests.amd.com/gpu": "0"}, "used": {}}}

    inventory = read([node("a")], quotas=[quota])

    assert inventory.allowances == {"amd.com/gpu": 0}
    assert decide(config_of("Qwen/Qwen3-8B"), gpus=inventory).verdict is Verdict.FITS


def test_profile_that_leads_to_a_node_is_named() -> None:
    disabled = hardware("off")
    disabled["metadata"] = {"name": "off", "annotations": {"opendatahub.io/disabled": "true"}}

    (group,) = read([node("a")], hardware=[disabled, hardware("gpu-small")]).groups

    assert group.profile == "gpu-small"


def test_profile_with_a_toleration_no_pod_may_have_is_left_out() -> None:
    node_part = {"tolerations": [{"key": "gpu", "effect": "Never"}]}
    odd = hardware("odd", scheduling={"type": "Node", "node": node_part})

    (group,) = read([node("a")], hardware=[odd]).groups

    assert group.profile == ""


def test_a_profiles_tolerations_are_kept_as_it_has_them() -> None:
    rules = [
        {"key": "pool", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},
        {"operator": "Exists"},
        {"key": "gpu", "value": "a100", "effect": "NoSchedule"},
    ]
    selector = {"nvidia.com/gpu.product": "NVIDIA-L40S"}
    place = {"type": "Node", "node": {"nodeSelector": selector, "tolerations": rules}}
    with api({HARDWARE: [hardware("gpu", scheduling=place)]}, forbidden=(NODES,)) as list_:
        (group,) = read_inventory(list_, namespace="team").groups
    kept = [{**rules[0]}, {**rules[1]}, {**rules[2], "operator": "Equal"}]
    assert [each.object for each in group.tolerations] == kept


def test_no_right_to_list_nodes_plans_from_profiles_and_says_so() -> None:
    selector = {"nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-L40S"}}
    profile = hardware("gpu", scheduling={"type": "Node", "node": selector})
    with api({PODS: [], HARDWARE: [profile]}, forbidden=(NODES,)) as list_:
        inventory = read_inventory(list_, namespace="team")

    plan = decide(config_of("Qwen/Qwen3-8B"), gpus=inventory)

    assert (plan.verdict, inventory.source) == (Verdict.FITS, "profiles")
    assert inventory.notes[0] == "no right to list nodes: free GPUs are not known"


def test_profiles_are_found_where_everyone_may_read_them() -> None:
    """A pipeline's account may list neither nodes nor a kind in the whole cluster."""
    selector = {"nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-L40S"}}
    profile = hardware("gpu", scheduling={"type": "Node", "node": selector})
    shared = HARDWARE.replace("hardwareprofiles", "namespaces/opendatahub/hardwareprofiles")
    with api({shared: [profile]}, forbidden=(NODES, PODS, HARDWARE)) as list_:
        inventory = read_inventory(list_, namespace="team")

    assert [group.profile for group in inventory.groups] == ["gpu"]
    assert "no right to list hardwareprofiles" not in inventory.notes


def test_profiles_that_may_be_read_nowhere_are_noted() -> None:
    places = ("team", "redhat-ods-applications", "opendatahub")
    root = HARDWARE.removesuffix("/hardwareprofiles")
    every = (HARDWARE, *(f"{root}/namespaces/{place}/hardwareprofiles" for place in places))
    with api({}, forbidden=(NODES, PODS, *every)) as list_:
        inventory = read_inventory(list_, namespace="team")

    assert "no right to list hardwareprofiles" in inventory.notes


def test_older_accelerator_profile_names_its_gpu_in_the_title() -> None:
    older = {
        "metadata": {"name": "nv"},
        "spec": {"displayName": "NVIDIA A10G", "identifier": "nvidia.com/gpu", "enabled": True},
    }
    with api({ACCELERATOR: [older]}, forbidden=(NODES, PODS, HARDWARE)) as list_:
        inventory = read_inventory(list_, namespace="team")

    assert [group.gpu.name for group in inventory.groups] == ["A10"]


def test_no_right_and_no_profile_names_the_way_out() -> None:
    with api({}, forbidden=(NODES, PODS)) as list_:
        inventory = read_inventory(list_, namespace="team")

    assert "--gpu 'L40S x2'" in inventory.notes[-1]
    with pytest.raises(DoesNotFit):
        decide(config_of("Qwen/Qwen3-8B"), gpus=inventory)


def test_no_right_to_list_pods_calls_gpus_allocatable_not_free() -> None:
    with api({NODES: [node("a")]}, forbidden=(PODS,)) as list_:
        inventory = read_inventory(list_, namespace="team")

    assert inventory.groups[0].free == 4
    assert "no right to list pods: GPUs are allocatable, maybe not free" in inventory.notes


def test_api_that_fails_is_an_error_not_an_empty_cluster() -> None:
    with api({}, broken=NODES) as list_, pytest.raises(ClusterError, match="etcd is away"):
        read_inventory(list_, namespace="team")


def test_thousand_nodes_and_five_thousand_pods_are_planned_in_seconds() -> None:
    products = ("NVIDIA-L40S", "NVIDIA-A100-SXM4-80GB", "NVIDIA-H100-80GB-HBM3", "Tesla-T4")
    nodes = [node(f"n{i}", products[i % 4], 8, images=_images()) for i in range(1000)]
    pods = [pod(f"n{i % 1000}", 1) for i in range(5000)]
    start = time.perf_counter()
    with api({NODES: nodes, PODS: pods}) as list_:
        inventory = read_inventory(list_, namespace="team")
    plan = decide(
        config_of("meta-llama/Llama-3.1-70B-Instruct"), gpus=inventory, goal=Goal(vllm="0.33.0")
    )

    seconds = time.perf_counter() - start

    assert (plan.verdict, sum(group.nodes for group in inventory.groups)) == (Verdict.FITS, 1000)
    assert seconds < 5


def _images() -> list[dict[str, object]]:
    names = [f"quay.io/org/image{i}@sha256:{'0' * 64}" for i in range(50)]
    return [{"names": [name, name], "sizeBytes": 10**9} for name in names]


MIG_LABELS = {
    "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB",
    "nvidia.com/gpu.memory": "40960",
    "nvidia.com/mig.strategy": "mixed",
}


@pytest.mark.parametrize(
    ("resource", "labels", "gpu", "gib", "replicas"),
    [
        ("nvidia.com/mig-3g.20gb", MIG_LABELS, "A100-40GB-MIG-3g.20gb", 19.3, 1),
        (
            "nvidia.com/mig-1g.10gb.me",
            {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.memory": "81559"},
            "H100-80GB-MIG-1g.10gb",
            9.52,
            1,
        ),
        (
            "nvidia.com/mig-1g.10gb.me",
            {
                "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB",
                "nvidia.com/mig-1g.10gb.me.memory": "9728",
            },
            "A100-80GB-MIG-1g.10gb",
            9.4,
            1,
        ),
        (
            "nvidia.com/gpu.shared",
            {
                "nvidia.com/gpu.product": "Tesla-T4",
                "nvidia.com/gpu.memory": "15360",
                "nvidia.com/gpu.replicas": "4",
            },
            "T4-SHARED",
            14.56,
            4,
        ),
        (
            "nvidia.com/gpu",
            {
                "nvidia.com/gpu.product": "NVIDIA-L40S",
                "nvidia.com/gpu.memory": "46068",
                "nvidia.com/gpu.replicas": "2",
                "nvidia.com/gpu.sharing-strategy": "mps",
            },
            "L40S-SHARED",
            44.4,
            2,
        ),
        (
            "nvidia.com/gpu",
            {"cloud.google.com/gke-accelerator": "nvidia-a100-80gb",
             "cloud.google.com/gke-gpu-partition-size": "3g.40gb"},
            "A100-80GB-MIG-3g.40gb",
            38.86,
            1,
        ),
        (
            "amd.com/gpu",
            {"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM", "amd.com/gpu.vram": "192G"},
            "MI300X",
            191.69,
            1,
        ),
        (
            "amd.com/gpu",
            {"beta.amd.com/gpu.product-name.AMD_Instinct_MI210": "8",
             "beta.amd.com/gpu.vram.64G": "8"},
            "MI210",
            63.9,
            1,
        ),
        ("amd.com/gpu", {"beta.amd.com/gpu.device-id.74a5": "8"}, "MI325X", 255.5, 1),
        (
            "amd.com/cpx_nps4",
            {"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM"},
            "MI300X-CPX",
            23.96,
            1,
        ),
        (
            "amd.com/gpu",
            {"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM",
             "amd.com/compute-memory-partition": "dpx_nps2"},
            "MI300X-DPX",
            95.84,
            1,
        ),
        (
            "habana.ai/gaudi",
            {"node.kubernetes.io/instance-type": "gx3d-160x1792x8gaudi3"},
            "Gaudi-3",
            126.0,
            1,
        ),
        ("gpu.intel.com/i915", {"gpu.intel.com/product": "Max_1550"}, "Max-1550", 61.0, 1),
        ("nvidia.com/GH100_H100_SXM5_80GB", {}, "H100-80GB", 79.18, 1),
    ],
)  # fmt: skip
def test_a_nodes_resource_is_what_it_hands_out(
    resource: str, labels: dict[str, str], gpu: str, gib: float, replicas: int
) -> None:
    busy = pod("a", 0)
    busy["spec"]["containers"] = [{"resources": {"limits": {resource: "1"}}}]

    (group,) = read([node("a", "", 4, resource=resource, labels=labels)], [busy]).groups

    assert (group.gpu.name, group.gpu.memory_gib, group.replicas) == (gpu, gib, replicas)
    assert (group.resource, group.free, group.total) == (resource, 3, 4)


def test_shares_of_a_gpu_are_not_counted_as_gpus() -> None:
    hami = node("a")
    hami["status"]["allocatable"] |= {"nvidia.com/gpumem": "48000", "nvidia.com/gpucores": "100"}

    assert [group.resource for group in read([hami]).groups] == [GPU]


def test_nodes_that_no_label_explains_are_one_note() -> None:
    notes = read([node(f"n{i}", "") for i in range(40)]).notes

    assert notes == (
        "node n0 and 39 more: nvidia.com/gpu without a product label; install GPU discovery",
    )


def test_an_old_gpu_is_read_and_refused_by_vllms_rule() -> None:
    inventory = read([node("a", "Tesla-P40", 1, labels={"nvidia.com/gpu.memory": "23040"})])
    plan = decide(config_of("Qwen/Qwen3-8B"), gpus=inventory)

    assert (plan.verdict, inventory.groups[0].gpu.capability) == (Verdict.NO, 61)
    assert "no kernels for compute capability 6.1" in plan.binding


NAMED = {
    "shape-t4": ["T4"],
    "shape-l40s": ["L40S"],
    "shape-a100": ["A100-80GB"],
    "shape-h100": ["H100-80GB"],
    "shape-mig": ["A100-80GB-MIG-1g.10gb", "A100-80GB-MIG-3g.40gb"],
    "shape-mi300x": ["MI300X"],
}


@pytest.mark.parametrize("shape", FLEET, ids=lambda shape: shape.name)
def test_the_real_nodes_labels_are_read(shape: Shape) -> None:
    """As tests/cluster reads them from a real API server, where that stands."""
    made = node(shape.name, "", labels=shape.labels)
    made["status"]["allocatable"] = {key: str(count) for key, count in shape.offers.items()}

    groups = read([made]).groups

    assert {group.resource: group.total for group in groups} == shape.offers
    assert [group.gpu.name for group in groups] == NAMED[shape.name]


@pytest.mark.parametrize(
    "value", ["", "NaN", "-1", "1e9", "9" * 400, "\u0661", "{}", "a/b c", "\x00"]
)
def test_hostile_labels_are_read_as_unsaid(value: str) -> None:
    keys = ("product", "memory", "replicas", "compute.major", "compute.minor", "sharing-strategy")
    labels = {f"nvidia.com/gpu.{key}": value for key in keys}
    labels |= {f"amd.com/gpu.{key}": value for key in ("product-name", "vram", "device-id")}
    labels |= {"node.kubernetes.io/instance-type": value, "amd.com/compute-memory-partition": value}
    for resource in (
        "nvidia.com/gpu",
        "amd.com/gpu",
        "nvidia.com/mig-1g.10gb",
        f"nvidia.com/{value}",
    ):
        inventory = read([node("a", "", resource=resource, labels=labels)])
        assert all(0 < group.gpu.memory_gib < 300 for group in inventory.groups)
        assert all(group.replicas == 1 for group in inventory.groups)
