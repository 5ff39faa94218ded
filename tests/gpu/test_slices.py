"""Every MIG profile that NVIDIA documents, however it is named: it is planned, and never raises."""

from __future__ import annotations

import pytest
from gpu.api import api, node
from gpu.samples import config_of

from carferry.gpu.inventory.nodes import Inventory, named
from carferry.gpu.inventory.read import read_inventory
from carferry.gpu.search.decide import decide
from carferry.gpu.search.goal import Goal
from carferry.gpu.search.hardware import _larger_slices

# MIG User Guide, "Supported MIG Profiles", told again: product to the profiles of its table.
GUIDE = {
    "A30": "1g.6gb 2g.12gb 4g.24gb",
    "A100-40GB": "1g.5gb 1g.10gb 2g.10gb 3g.20gb 4g.20gb 7g.40gb",
    "A100-80GB": "1g.10gb 1g.20gb 2g.20gb 3g.40gb 4g.40gb 7g.80gb",
    "H100-80GB": "1g.10gb 1g.20gb 2g.20gb 3g.40gb 4g.40gb 7g.80gb",
    "H100-NVL": "1g.12gb 1g.24gb 2g.24gb 3g.47gb 4g.47gb 7g.94gb",
    "H100-96GB": "1g.12gb 1g.24gb 2g.24gb 3g.48gb 4g.48gb 7g.96gb",
    "GH200-96GB": "1g.12gb 1g.24gb 2g.24gb 3g.48gb 4g.48gb 7g.96gb",
    "H200": "1g.18gb 1g.35gb 2g.35gb 3g.71gb 4g.71gb 7g.141gb",
    "B200": "1g.23gb 1g.45gb 2g.45gb 3g.90gb 4g.90gb 7g.180gb",
    "RTX-PRO-6000": "1g.24gb 2g.48gb 4g.96gb",
}
SLICES = [(gpu, profile) for gpu, profiles in GUIDE.items() for profile in profiles.split()]
SMALL, LARGE = (config_of(f"meta-llama/Llama-3.1-{size}-Instruct") for size in ("8B", "70B"))
HARDWARE = "/apis/infrastructure.opendatahub.io/v1/hardwareprofiles"


def planned(inventory: Inventory | str) -> None:
    for config in (SMALL, LARGE):
        assert decide(config, gpus=inventory).verdict.value in ("fits", "tight", "no")


@pytest.mark.parametrize(("gpu", "profile"), SLICES)
def test_a_slice_that_somebody_names_is_planned(gpu: str, profile: str) -> None:
    """`mig-1g.5gb` was "no such product"; what did not fit a slice raised in its advice."""
    bare = ("", ".me", "+me", "-me", ".me.all", "+gfx")
    for text in (f"mig-{profile}", f"nvidia.com/mig-{profile}", profile, f"{gpu}-MIG-{profile}"):
        for extra in bare:
            (group,) = named(text + extra).groups
            assert f"MIG-{profile}" in group.gpu.name
            assert group.gpu.slices
        planned(text)
    planned(f"mig-{profile}.me x2")


@pytest.mark.parametrize("product", [True, False])
@pytest.mark.parametrize("extra", ["", ".me", ".shared"])
@pytest.mark.parametrize(("gpu", "profile"), SLICES)
def test_a_slice_of_a_node_or_a_profile_is_planned(
    gpu: str, profile: str, extra: str, product: bool
) -> None:
    resource = f"nvidia.com/mig-{profile}{extra}"
    mixed = node("a", gpu if product else "")
    mixed["status"]["allocatable"] = {resource: "2"}
    labels = {"nvidia.com/gpu.product": gpu} if product else {}
    asks = {"identifier": resource, "maxCount": 1, "resourceType": "Accelerator"}
    scheduling = {"node": {"nodeSelector": labels}}
    spec = {"identifiers": [asks], "scheduling": scheduling}
    for lists in (
        {"/api/v1/nodes": [mixed]},
        {"/api/v1/nodes": [], HARDWARE: [{"metadata": {"name": "slice"}, "spec": spec}]},
    ):
        with api({"/api/v1/pods": [], **lists}) as list_:
            inventory = read_inventory(list_, namespace="team")
        (group,) = inventory.groups
        assert (group.resource, group.gpu.slices) == (resource, True)
        assert f"MIG-{profile}" in group.gpu.name
        planned(inventory)


@pytest.mark.parametrize(
    ("text", "larger"),
    [
        ("mig-1g.5gb", "larger MIG slice: MIG-1g.10gb"),
        ("mig-1g.10gb.me", "larger MIG slice: MIG-1g.20gb"),
        ("A100-40GB-MIG-1g.5gb", "larger MIG slice: A100-40GB-MIG-1g.10gb"),
        ("A100-40GB-MIG-4g.20gb", "whole A100-40GB"),
        ("A30-MIG-2g.12gb", "whole A30"),
        ("H200-MIG-1g.18gb", "larger MIG slice: H200-MIG-1g.35gb"),
        ("RTX-PRO-6000-MIG-1g.24gb-SHARED", "larger MIG slice: RTX-PRO-6000-MIG-2g.48gb"),
    ],
)
def test_the_larger_slice_is_one_that_its_card_has(text: str, larger: str) -> None:
    said, inventory, _ = next(_larger_slices(named(text), Goal()))

    (group,) = inventory.groups
    assert said.format(gpu=group.gpu.name) == f"use a {larger}"
    assert group.resource == group.gpu.resource
