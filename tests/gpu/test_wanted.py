from __future__ import annotations

import pytest
from gpu.samples import config_of

from carferry.errors import InputError
from carferry.gpu.inventory.nodes import named
from carferry.gpu.inventory.wanted import parse_gpus
from carferry.gpu.search.decide import decide


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("L40S", [("L40S", 1)]),
        ("L40S x2", [("L40S", 2)]),
        ("L40S x 2", [("L40S", 2)]),
        ("2xL40S", [("L40S", 2)]),
        ("2 x L40S", [("L40S", 2)]),
        ("2 L40S", [("L40S", 2)]),
        ("L40S*2", [("L40S", 2)]),
        ("A100-80GB x8", [("A100-80GB", 8)]),
        ("T4, H100 x4", [("T4", 1), ("H100-80GB", 4)]),
        ("RTX 4090", [("RTX-4090", 1)]),
        ("RTX 4090 x2", [("RTX-4090", 2)]),
        ("RTX 4090x2", [("RTX-4090", 2)]),
        ("2 4090", [("RTX-4090", 2)]),
        ("2x4090", [("RTX-4090", 2)]),
        ("A100 80", [("A100-80GB", 1)]),
        ("A100 80 x2", [("A100-80GB", 2)]),
        ("H100 x8", [("H100-80GB", 8)]),
        ("H100x8", [("H100-80GB", 8)]),
        ("MI300X x8", [("MI300X", 8)]),
        ("MI300X", [("MI300X", 1)]),
        ("7900 XTX x2", [("RX-7900-XTX", 2)]),
        ("RTX PRO 6000", [("RTX-PRO-6000", 1)]),
        ("gaudi 3", [("Gaudi-3", 1)]),
        ("Gaudi 2 x8", [("Gaudi-2", 8)]),
        ("GB200 NVL72 x4", [("GB200", 4)]),
        ("24GiB x2", [("24GiB", 2)]),
        ("2 x 24 GiB", [("24GiB", 2)]),
        ("mig-3g.40gb", [("MIG-3g.40gb", 1)]),
        ("nvidia.com/mig-3g.20gb", [("MIG-3g.20gb", 1)]),
        ("A100-40GB-MIG-3g.20gb x2", [("A100-40GB-MIG-3g.20gb", 2)]),
    ],
)
def test_gpu_text_is_parsed(text: str, parsed: list[tuple[str, int]]) -> None:
    assert [(each.gpu.name, each.count) for each in parse_gpus(text)] == parsed


@pytest.mark.parametrize(
    "text",
    ["2 nodes of H100 x8", "2 nodes H100 x8", "2 nodes of 8 x H100", "2 nodes with 8xH100 each"],
)
def test_nodes_are_counted_apart_from_their_gpus(text: str) -> None:
    (group,) = named(text).groups

    assert (group.gpu.name, group.nodes, group.free, group.total) == ("H100-80GB", 2, 8, 8)


def test_named_nodes_are_stages_of_a_pipeline() -> None:
    plan = decide(config_of("meta-llama/Llama-3.1-70B-Instruct"), gpus="2 nodes of L40S x2")

    assert plan.chosen
    assert (plan.chosen.tp, plan.chosen.pp) == (2, 2)


@pytest.mark.parametrize(
    ("text", "gib"), [("24GiB", 24.0), ("24 GB", 22.35), ("79.2GiB", 79.2), ("192Gi", 192.0)]
)
def test_a_gpu_may_be_named_by_its_memory(text: str, gib: float) -> None:
    (each,) = parse_gpus(text)

    assert (each.gpu.memory_gib, each.gpu.measured, each.gpu.capability) == (gib, False, 0)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "names no GPU"),
        (" , ", "names no GPU"),
        ("L40S 2", "2 of L40S are 'L40S x2'"),
        ("L4 4", "4 of L4 are 'L4 x4'"),
        ("L40S x0", "0 GPUs in a node; 1 to 64"),
        ("L40S x999", "999 GPUs in a node"),
        ("L40S x-2", "'-2' is no number of GPUs"),
        ("L40S xtwo", "'two' is no number of GPUs"),
        ("L40S xNaN", "'NaN' is no number"),
        ("L40S x2.5", "'2.5' is no number"),
        ("L40S x\uff12", "is no number"),
        ("\uff12xL40S", "no such product"),
        ("L40S x99999999999999999999", "is no number"),
        ("99999999999999999999 x L40S", "is no number"),
        ("0 nodes of H100", "0 nodes"),
        ("2 nodes of", "no such product"),
        ("NaN", "no such product"),
        ("nan x nan", "no such product"),
        ("x2", "no such product"),
        ("x", "no such product"),
        ("*", "no such product"),
        ("Banana x2", "no such product"),
        ("RTX", "may be one of several"),
        ("0GiB", "no GPU's memory"),
        ("9999GiB", "no GPU's memory"),
        ("-24GiB", "no such product"),
        ("\x00", "no such product"),
        ("\ufb00" * 60, "no such product"),
        ("A" * 200, "no GPU's name"),
        ("2 x 2 x H100", "no such product"),
        ("cpu", "vLLM serves on CPUs with another image"),
        ("CPU x2", "--gpu-count 0"),
        ("nvidia.com/gpu", "no such product"),
    ],
)
def test_gpu_text_that_names_nothing_real_is_refused_in_one_line(text: str, why: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_gpus(text)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
