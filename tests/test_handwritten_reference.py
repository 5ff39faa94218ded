"""Reference pages with tables that people write: each row is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from carferry.cli import build_parser
from carferry.errors import InputError
from carferry.gpu.inventory import hardware_profiles
from carferry.gpu.inventory.labels import product_of
from carferry.gpu.inventory.wanted import parse_gpus
from carferry.image import layers
from carferry.io.net.http import Timeouts
from carferry.pipelines.reference import people, registries, waiting
from carferry.registry.quirks import KNOWN
from carferry.source.open import check_model
from carferry.steps.access import patience

PAGES = Path(__file__).parents[1] / "docs" / "reference"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def text(name: str) -> str:
    return (PAGES / f"{name}.md").read_text(encoding="ascii")


def rows(page: str, head: str) -> list[list[str]]:
    """Return the cells of the table below a heading."""
    section = page.partition(f"## {head}\n")[2].partition("\n## ")[0] if head else page
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines][1:]


def codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_registry_that_is_known_stands_on_its_page_with_its_limit() -> None:
    found = {row[0]: row for row in rows(text("registries"), "Registries that are known")}
    for one in KNOWN:
        row = found[one.name]
        assert tuple(codes(row[1])) == one.hosts
        assert row[2] == registries.size(one.largest_blob_bytes)


def test_a_limit_is_told_exactly() -> None:
    shown = [registries.size(each) for each in (0, 10 * 1024**3, 52_000 * 1024**2)]
    assert shown == ["none known", "10 GiB", "52,000 MiB"]


def test_the_page_of_tries_is_renewed_from_the_code() -> None:
    page = "above\n<!-- tries -->\nold\n<!-- /tries -->\nbelow\n"
    made = waiting.page(page)
    assert made.startswith("above\n<!-- tries -->\n| ")
    assert made.endswith("<!-- /tries -->\nbelow\n")
    assert (
        f"| {patience({}).attempts} | {patience({'KUBERNETES_SERVICE_HOST': 'x'}).attempts} |"
        in made
    )


def told_s(cell: str) -> float:
    """Return the seconds of a cell such as ``2 hours 20 minutes``."""
    units = {"s": 1, "minute": 60, "minutes": 60, "hour": 3600, "hours": 3600}
    found = re.findall(r"([\d.]+) (s|minutes?|hours?)\b", cell)
    return sum(float(number) * units[unit] for number, unit in found)


def longest_s(tries: int, each_s: float) -> float:
    retry = patience({})
    pauses = sum(min(retry.cap_s, retry.base_s * 2.0**n) for n in range(tries - 1))
    return tries * each_s + pauses


@pytest.mark.parametrize("column", [1, 2])
def test_the_longest_times_follow_from_tries_and_limits(column: int) -> None:
    """A pause is between half and all of its length, so the page may say a little less."""
    found = {row[0]: row for row in rows(text("waiting"), "Tries") if len(row) == 3}
    retry = patience({"KUBERNETES_SERVICE_HOST": "x"} if column == 2 else {})
    limits = Timeouts()
    for start, tries, each_s in (
        ("first contact: refused", retry.first_tries, 0.0),
        ("first contact: packets", retry.first_tries, limits.connect_s),
        ("any request, a token's", retry.attempts, 0.0),
        ("any request, also of", retry.attempts, limits.read_s + limits.connect_s),
        ("a blob on its way", retry.attempts, limits.read_s + limits.connect_s),
        ("the cluster", retry.attempts, 0.0),
    ):
        (row,) = (row for name, row in found.items() if name.startswith(start))
        most_s = longest_s(tries, each_s)
        assert 0.6 * most_s <= told_s(row[column]) <= 1.15 * most_s, (row, most_s)


def as_written(name: str) -> str:
    """Return a text of the table of models as a reader writes it."""
    name = name.replace("COMMIT", COMMIT).replace("REV", "main").replace("//host/", "//quay.io/")
    end = name.removeprefix("...")
    return name if end == name else f"https://huggingface.co/org/name{end}"


@pytest.mark.parametrize("row", rows(text("models"), ""), ids=lambda row: row[0][:30])
def test_what_names_a_model_is_read_as_one(row: list[str]) -> None:
    for name in codes(row[0]):
        if "..." not in name or name.startswith(".../"):
            check_model(as_written(name), "")


def test_every_name_of_a_gpu_is_taken() -> None:
    for row in rows(text("gpus"), "Names"):
        for name in codes(row[0]):
            assert parse_gpus(name), name


@pytest.mark.parametrize("name", ["RTX 6000", "L40S 2", "cpu"])
def test_what_may_mean_several_gpus_is_refused_as_the_page_says(name: str) -> None:
    assert f"`{name}`" in text("gpus")
    with pytest.raises(InputError):
        parse_gpus(name)


def test_every_label_of_the_page_names_a_product() -> None:
    page = rows(text("gpus"), "Labels that name the product")
    for resource, label, value in (
        ("nvidia.com/gpu", "nvidia.com/gpu.product", "NVIDIA-L4"),
        ("nvidia.com/gpu", "cloud.google.com/gke-accelerator", "nvidia-l4"),
        ("nvidia.com/gpu", "gpu.nvidia.com/model", "L40S"),
        ("nvidia.com/gpu", "karpenter.k8s.aws/instance-gpu-name", "l4"),
        ("amd.com/gpu", "amd.com/gpu.product-name", "AMD_Instinct_MI300X"),
        ("gpu.intel.com/i915", "gpu.intel.com/product", "Max_1550"),
    ):
        assert any(f"`{label}`" in row[1] for row in page), label
        assert product_of({label: value}, resource), label


def test_the_profiles_of_the_page_are_those_that_are_read() -> None:
    page = " ".join(row[1] for row in rows(text("gpus"), "Profiles"))
    for path in (
        *(path for path, _ in hardware_profiles.HARDWARE),
        hardware_profiles.ACCELERATOR[0],
    ):
        group, version = path.removeprefix("/apis/").split("/")
        assert group in page
        assert f"`{version}`" in page or f"{group}/{version}`" in page


def test_the_layers_of_the_page_are_those_of_the_code() -> None:
    sizes = [row[0] for row in rows(text("contents"), "Layers")]
    limits = (layers.LARGE_BYTES, layers.SMALL_BYTES)
    assert sizes == [*(f"{each // 1024**2} MiB or more" for each in limits), "smaller"]


def test_the_options_of_the_page_are_options() -> None:
    more = ["--include", "*.gguf", "--exclude", "*.md", "--allow-no-weights"]
    usage = build_parser().parse_args(["build", "org/name", "oci:x:1", *more])
    assert (usage.include, usage.exclude, usage.allow_no_weights) == (["*.gguf"], ["*.md"], True)
    shown = [
        codes(row[0])[0].split()[0] for row in rows(text("contents"), "Files") if "--" in row[0]
    ]
    assert shown == ["--include", "--exclude", "--allow-no-weights"]


def test_the_page_of_permissions_says_what_people_need() -> None:
    page = text("rbac")
    assert people.section() in page
    for need in (
        "ds-pipeline-user-access-dspa",
        "routes.route.openshift.io",
        "workflows.argoproj.io",
    ):
        assert need in page
