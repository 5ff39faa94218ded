from __future__ import annotations

import pytest

from carferry.gpu.inventory.resources import amd_parts, is_accelerator, is_shared, mig_profile

ACCELERATORS = (
    "nvidia.com/gpu",
    "nvidia.com/gpu.shared",
    "nvidia.com/mig-1g.10gb",
    "nvidia.com/mig-1g.10gb.me",
    "nvidia.com/mig-1g.10gb.shared",
    "nvidia.com/GH100_H100_SXM5_80GB",
    "nvidia.com/TU104GL_Tesla_T4",
    "nvidia.com/a100-pool",
    "amd.com/gpu",
    "amd.com/cpx_nps4",
    "amd.com/spx_nps1",
    "habana.ai/gaudi",
    "gpu.intel.com/i915",
    "gpu.intel.com/xe",
    "intel.com/gpu",
    "ibm.com/spyre_pf",
    "aws.amazon.com/neuron",
    "google.com/tpu",
    "huawei.com/Ascend910",
    "aliyun.com/gpu",
    "example.com/vgpu",
    "k8s.amazonaws.com/vgpu",
)
OTHERS = (
    "cpu",
    "memory",
    "ephemeral-storage",
    "hugepages-2Mi",
    "kubernetes.io/batch-cpu",
    "nvidia.com/hostdev",
    "nvidia.com/gpumem",
    "nvidia.com/gpucores",
    "nvidia.com/gpumem-percentage",
    "aliyun.com/gpu-mem",
    "volcano.sh/gpu-memory",
    "gpu.intel.com/millicores",
    "gpu.intel.com/memory.max",
    "gpu.intel.com/tiles",
    "gpu.intel.com/i915_monitoring",
    "rdma/hca_shared_devices_a",
    "rdma/rdma_shared_device_a",
    "openshift.io/mlxnics",
    "intel.com/intel_sriov_netdevice",
    "intel.com/sgx_epc",
    "qat.intel.com/generic",
    "amd.com/vnic",
    "aws.amazon.com/efa",
    "vpc.amazonaws.com/efa",
    "devices.kubevirt.io/kvm",
    "smarter-devices/fuse",
    "ibm.com/something",
)


@pytest.mark.parametrize("resource", ACCELERATORS)
def test_an_accelerator_is_recognised_by_its_maker_or_its_name(resource: str) -> None:
    assert is_accelerator(resource)


@pytest.mark.parametrize("resource", OTHERS)
def test_other_devices_and_shares_of_one_are_no_accelerators(resource: str) -> None:
    assert not is_accelerator(resource)


def test_what_a_profile_calls_an_accelerator_is_one() -> None:
    assert is_accelerator("acme.io/thing", frozenset({"acme.io/thing"}))
    assert not is_accelerator("acme.io/thing")


@pytest.mark.parametrize(
    ("resource", "profile", "shared"),
    [
        ("nvidia.com/mig-3g.20gb", "3g.20gb", False),
        ("nvidia.com/mig-1g.10gb.me", "1g.10gb.me", False),
        ("nvidia.com/mig-1g.10gb.shared", "1g.10gb", True),
        ("nvidia.com/gpu.shared", "", True),
        ("nvidia.com/gpu", "", False),
    ],
)
def test_a_resource_says_its_slice_and_whether_pods_share_it(
    resource: str, profile: str, shared: bool
) -> None:
    assert (mig_profile(resource), is_shared(resource)) == (profile, shared)


@pytest.mark.parametrize(
    ("name", "parts"), [("spx_nps1", 1), ("dpx_nps2", 2), ("CPX_NPS4", 8), ("gpu", 1), ("", 1)]
)
def test_a_partition_says_into_how_many_it_cuts(name: str, parts: int) -> None:
    assert amd_parts(name) == parts
