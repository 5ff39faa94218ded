from __future__ import annotations

import pytest

from carferry.errors import InputError
from carferry.gpu.inventory.catalogue import find, mig_slice, parse_gpus


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
    ],
)
def test_product_is_found_in_every_spelling(name: str, label_mib: int | None, product: str) -> None:
    assert find(name, label_mib=label_mib).name == product


def test_unknown_name_without_a_label_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"find GPU 'H9000': no such product; .*known: T4, .*L40S"):
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


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("L40S", [("L40S", 1)]),
        ("L40S x2", [("L40S", 2)]),
        ("L40S x 2", [("L40S", 2)]),
        ("L40S 2", [("L40S", 2)]),
        ("2xL40S", [("L40S", 2)]),
        ("2 x L40S", [("L40S", 2)]),
        ("A100-80GB x8", [("A100-80GB", 8)]),
        ("T4, H100 x4", [("T4", 1), ("H100-80GB", 4)]),
    ],
)
def test_gpu_text_is_parsed(text: str, parsed: list[tuple[str, int]]) -> None:
    assert [(gpu.name, count) for gpu, count in parse_gpus(text)] == parsed


@pytest.mark.parametrize("text", ["", " , ", "L40S x0", "L40S x999", "x2", "Banana x2", "RTX"])
def test_gpu_text_that_names_nothing_real_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_gpus(text)
