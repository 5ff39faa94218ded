from __future__ import annotations

import pytest

from carferry.errors import InputError
from carferry.gpu.inventory.catalogue import Gpu, find, mig_slice, products
from carferry.gpu.inventory.products import AMD_DEVICES, CENTRE, CONSUMER, WORKSTATION


@pytest.mark.parametrize(
    ("name", "label_mib", "product"),
    [
        ("L40S", None, "L40S"),
        ("l40s", None, "L40S"),
        ("NVIDIA-L40S", 46068, "L40S"),
        ("NVIDIA L4", 23034, "L4"),
        ("Tesla-T4", 15360, "T4"),
        ("Tesla-V100-SXM2-32GB", 32768, "V100-32GB"),
        ("NVIDIA-A10G", 23028, "A10"),
        ("NVIDIA-A100-SXM4-80GB", 81920, "A100-80GB"),
        ("NVIDIA-A100-SXM4-40GB", 40960, "A100-40GB"),
        ("NVIDIA-A100-PCIE-40GB", 40960, "A100-40GB"),
        ("A100-SXM4-40GB", 39538, "A100-40GB"),
        ("NVIDIA-H100-80GB-HBM3", 81559, "H100-80GB"),
        ("NVIDIA-H100-PCIe", 81559, "H100-80GB"),
        ("NVIDIA-H200", 143771, "H200"),
        ("NVIDIA-GeForce-RTX-4090", 24564, "RTX-4090"),
        ("NVIDIA-B200", 183359, "B200"),
        ("NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition", 97887, "RTX-PRO-6000"),
        ("AMD_Instinct_MI300X_OAM", None, "MI300X"),
        ("NVIDIA-A2", 15356, "A2"),
        ("NVIDIA-A10M", 20470, "A10M"),
        ("NVIDIA-A16", 15356, "A16"),
        ("NVIDIA-A30", 24576, "A30"),
        ("NVIDIA-L2", 23034, "L2"),
        ("NVIDIA-L20", 46068, "L20"),
        ("NVIDIA-L40G", 23034, "L40G"),
        ("Tesla-V100-SXM2-32GB-LS", None, "V100-32GB"),
        ("Tesla-V100S-PCIE-32GB", 32768, "V100-32GB"),
        ("Tesla-V100-FHHL-16GB", 16384, "V100-16GB"),
        ("Tesla-P100-PCIE-16GB", 16384, "P100-16GB"),
        ("Tesla-P40", 23040, "P40"),
        ("Tesla-P4", 7680, "P4"),
        ("NVIDIA-A100-80GB-PCIe", 81920, "A100-80GB"),
        ("NVIDIA-A100-SXM-64GB", 65536, "A100-64GB"),
        ("NVIDIA-PG509-210", 81920, "A100-80GB"),
        ("NVIDIA-A800-SXM4-80GB", 81920, "A800-80GB"),
        ("NVIDIA-A800-40GB-Active", 40960, "A800-40GB"),
        ("NVIDIA-H100-NVL", 95830, "H100-NVL"),
        ("NVIDIA-H100-64GB-HBM2", 65247, "H100-64GB"),
        ("NVIDIA-H100", 97871, "H100-96GB"),
        ("NVIDIA-H800", 81559, "H800"),
        ("NVIDIA-H20", 97871, "H20"),
        ("NVIDIA-H20-3e", 143771, "H20-141GB"),
        ("NVIDIA-H200-NVL", 143771, "H200"),
        ("NVIDIA-GH200-480GB", 97871, "GH200-96GB"),
        ("NVIDIA-GH200-120GB", 97871, "GH200-96GB"),
        ("NVIDIA-GH200-144G-HBM3e", 146831, "GH200-144GB"),
        ("NVIDIA-GB200", 189471, "GB200"),
        ("NVIDIA-GB300", 284208, "GB300"),
        ("NVIDIA-B300-SXM6-AC", 275040, "B300"),
        ("NVIDIA-GB10", None, "GB10"),
        ("DGX Spark", None, "GB10"),
        ("NVIDIA-Jetson-AGX-Orin-64GB", None, "Jetson-Orin-64GB"),
        ("NVIDIA Thor", None, "Jetson-Thor"),
        ("NVIDIA-RTX-A2000-12GB", 12288, "RTX-A2000-12GB"),
        ("NVIDIA-RTX-A6000", 49140, "RTX-A6000"),
        ("NVIDIA-RTX-4000-SFF-Ada-Generation", 20475, "RTX-4000-Ada"),
        ("NVIDIA-RTX-6000-Ada-Generation", 49140, "RTX-6000-Ada"),
        ("Quadro-RTX-6000", 24220, "Quadro-RTX-6000"),
        (
            "NVIDIA-RTX-PRO-6000-Blackwell-Max-Q-Workstation-Edition",
            97887,
            "RTX-PRO-6000",
        ),
        ("NVIDIA-RTX-PRO-4500-Blackwell", 32623, "RTX-PRO-4500"),
        ("NVIDIA-TITAN-RTX", 24220, "TITAN-RTX"),
        ("NVIDIA-GeForce-RTX-2080-Ti", 11264, "RTX-2080-Ti"),
        ("NVIDIA-GeForce-RTX-3060", 12288, "RTX-3060-12GB"),
        ("NVIDIA-GeForce-RTX-3090-Ti", 24564, "RTX-3090-Ti"),
        ("NVIDIA-GeForce-RTX-4060-Ti", 16380, "RTX-4060-Ti-16GB"),
        ("NVIDIA-GeForce-RTX-4070-Ti-SUPER", 16376, "RTX-4070-Ti-SUPER"),
        ("NVIDIA-GeForce-RTX-4090-D", 24564, "RTX-4090-D"),
        ("NVIDIA-GeForce-RTX-5090-Laptop-GPU", 24463, "RTX-5090-Laptop"),
        ("RTX 4090", None, "RTX-4090"),
        ("rtx4090", None, "RTX-4090"),
        ("4090", None, "RTX-4090"),
        ("a6000", None, "RTX-A6000"),
        ("A100 80", None, "A100-80GB"),
        ("h100 sxm", None, "H100-80GB"),
        ("A100 PCIe 40GB", None, "A100-40GB"),
        ("NVIDIA A10G", None, "A10"),
        ("GB200 NVL72", None, "GB200"),
        ("GH100_H100_SXM5_80GB", None, "H100-80GB"),
        ("TU104GL_Tesla_T4", None, "T4"),
        ("nvidia-h100-mega-80gb", None, "H100-80GB"),
        ("nvidia-tesla-v100", None, "V100-16GB"),
        ("AMD_Instinct_MI100", None, "MI100"),
        ("AMD_Instinct_MI210", None, "MI210"),
        ("AMD_Instinct_MI250X_/_MI250", None, "MI250X"),
        ("AMD_Instinct_MI300A", None, "MI300A"),
        ("AMD_Instinct_MI308X", None, "MI308X"),
        ("AMD_Instinct_MI325_OAM", None, "MI325X"),
        ("AMD_Instinct_MI350_OAM", None, "MI350X"),
        ("AMD_Instinct_MI355X", None, "MI355X"),
        ("AMD-MI300X-192G", None, "MI300X"),
        ("AMD_Radeon_PRO_W7900", None, "Radeon-PRO-W7900"),
        ("AMD_Radeon_RX7900XTX", None, "RX-7900-XTX"),
        ("HL-325L", None, "Gaudi-3"),
        ("gaudi2", None, "Gaudi-2"),
        ("Intel(R) Data Center GPU Max 1550", None, "Max-1550"),
        ("Intel(R)_Arc(TM)_Pro_B70_Graphics", None, "Arc-Pro-B70"),
    ],
)
def test_product_is_found_in_every_spelling(name: str, label_mib: int | None, product: str) -> None:
    assert find(name, label_mib=label_mib).name == product


def test_unknown_name_without_a_label_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"find GPU 'H9000': no such product; .*known: L4, .*H200"):
        find("H9000")


def test_unknown_product_with_a_label_counts_a_little_less() -> None:
    gpu = find("NVIDIA-Future-1", label_mib=100 * 1024)

    assert (gpu.memory_gib, gpu.measured) == (99.0, False)


def test_slice_keeps_the_label_memory_and_forbids_tensor_parallelism() -> None:
    gpu = find("NVIDIA-A100-SXM4-80GB-MIG-1g.10gb", label_mib=9728)

    assert (gpu.name, gpu.slices, gpu.capability) == ("A100-80GB-MIG-1g.10gb", True, 80)
    assert gpu.memory_gib < 9.5


def test_mixed_strategy_names_the_slice_by_its_resource() -> None:
    gpu = mig_slice("NVIDIA-H100-80GB-HBM3", "3g.40gb", 40320)

    assert (gpu.name, gpu.memory_gib) == ("H100-80GB-MIG-3g.40gb", 38.98)


def test_shared_suffix_marks_time_slicing() -> None:
    gpu = find("Tesla-T4-SHARED", label_mib=15360)

    assert (gpu.name, gpu.shared, gpu.memory_gib) == ("T4-SHARED", True, 14.56)


@pytest.mark.parametrize("gpu", products(), ids=lambda gpu: gpu.name)
def test_every_product_is_found_by_its_own_name(gpu: Gpu) -> None:
    assert find(gpu.name) == gpu
    assert find(gpu.name.replace("-", " ").lower()) == gpu
    assert find(f"NVIDIA {gpu.name}").name == gpu.name


def test_every_row_is_sane() -> None:
    """What a wrong row would do to a plan: more memory than is sold, no price, no architecture."""
    for gpu in products():
        assert 2 < gpu.memory_gib < 300, gpu
        assert 0 < gpu.cost < 30, gpu
        assert gpu.segment in (CENTRE, WORKSTATION, CONSUMER), gpu
        assert (gpu.capability > 0) is (gpu.vendor == "nvidia"), gpu
        assert gpu.arch.startswith("gfx") is (gpu.vendor == "amd"), gpu
    assert len({gpu.name for gpu in products()}) == len(products())
    assert {find(name).vendor for name in AMD_DEVICES.values()} == {"amd"}


@pytest.mark.parametrize(
    ("name", "segment", "resource"),
    [
        ("H200", CENTRE, "nvidia.com/gpu"),
        ("RTX-6000-Ada", WORKSTATION, "nvidia.com/gpu"),
        ("RTX-5090", CONSUMER, "nvidia.com/gpu"),
        ("MI355X", CENTRE, "amd.com/gpu"),
        ("RX-7900-XTX", CONSUMER, "amd.com/gpu"),
        ("Gaudi-3", CENTRE, "habana.ai/gaudi"),
        ("Max-1550", CENTRE, "gpu.intel.com/i915"),
        ("Arc-B580", CONSUMER, "gpu.intel.com/xe"),
    ],
)
def test_a_product_says_whom_it_serves_and_what_hands_it_out(
    name: str, segment: str, resource: str
) -> None:
    assert (find(name).segment, find(name).resource) == (segment, resource)


@pytest.mark.parametrize(
    ("name", "readings"),
    [
        ("RTX 6000", "RTX-6000-Ada or RTX-PRO-6000 or Quadro-RTX-6000"),
        ("6000", "RTX-6000-Ada"),
        ("MI300", "MI300X or MI300A"),
    ],
)
def test_a_name_of_several_products_names_them(name: str, readings: str) -> None:
    with pytest.raises(InputError, match=readings):
        find(name)


def test_a_size_that_is_not_made_is_refused_with_those_that_are() -> None:
    with pytest.raises(InputError, match="A100 has 40 GB and 64 GB and 80 GB, not 50"):
        find("A100 50GB")


def test_a_label_of_another_memory_keeps_the_architecture() -> None:
    gpu = find("NVIDIA-A40", label_mib=98304)

    assert (gpu.name, gpu.memory_gib, gpu.capability) == ("NVIDIA-A40", 95.04, 86)


def test_a_small_unknown_product_loses_what_cuda_keeps() -> None:
    """A T4 of an unknown name: one percent of 15 GiB is less than CUDA takes."""
    assert find("NVIDIA-Future-1", label_mib=15360).memory_gib <= find("T4").memory_gib


@pytest.mark.parametrize(
    ("name", "gib"), [("NVIDIA A40-24Q", 22.32), ("GRID-A100D-20C", 18.6), ("GRID-T4-16Q", 14.56)]
)
def test_a_virtual_gpu_holds_its_frame_buffer(name: str, gib: float) -> None:
    assert find(name).memory_gib == gib


@pytest.mark.parametrize(
    ("name", "slice_", "gib", "resource"),
    [
        ("mig-3g.40gb", "MIG-3g.40gb", 38.86, "nvidia.com/mig-3g.40gb"),
        ("nvidia.com/mig-3g.20gb", "MIG-3g.20gb", 19.3, "nvidia.com/mig-3g.20gb"),
        ("mig-1g.10gb.me", "MIG-1g.10gb", 9.4, "nvidia.com/mig-1g.10gb.me"),
        ("mig-1g.18gb", "MIG-1g.18gb", 15.68, "nvidia.com/mig-1g.18gb"),
        ("H200 1g.18gb", "H200-MIG-1g.18gb", 15.84, "nvidia.com/mig-1g.18gb"),
        ("A100-40GB-MIG-3g.20gb", "A100-40GB-MIG-3g.20gb", 19.3, "nvidia.com/mig-3g.20gb"),
        ("H100 MIG 1g.10gb+me", "H100-80GB-MIG-1g.10gb", 9.52, "nvidia.com/mig-1g.10gb.me"),
        ("B200-MIG-2g.45gb+gfx", "B200-MIG-2g.45gb", 39.2, "nvidia.com/mig-2g.45gb.gfx"),
        ("RTX PRO 6000 MIG 1g.24gb-me", "RTX-PRO-6000-MIG-1g.24gb", 23.27, "mig-1g.24gb-me"),
        ("H100-MIG-1c.3g.40gb", "H100-80GB-MIG-3g.40gb", 38.99, "nvidia.com/mig-3g.40gb"),
    ],
)
def test_a_slice_is_never_the_whole_card(name: str, slice_: str, gib: float, resource: str) -> None:
    gpu = find(name)

    assert (gpu.name, gpu.slices, gpu.memory_gib) == (slice_, True, gib)
    assert gpu.resource.endswith(resource)
    assert gpu.capability >= 80


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("A100-40GB-MIG-3g.40gb", "A100-40GB has no slice 3g.40gb; it has 1g.5gb, .*7g.40gb"),
        ("L40S-MIG-1g.10gb", "L40S has no slice 1g.10gb"),
        ("Banana-MIG-1g.10gb", "no such product"),
    ],
)
def test_a_slice_that_no_gpu_has_is_refused(name: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        find(name)
