from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from gpu.samples import config_of

from carferry.cluster.tolerations import Toleration
from carferry.gpu.inventory.catalogue import find
from carferry.gpu.inventory.nodes import Inventory, NodeGroup
from carferry.gpu.report import text
from carferry.gpu.report.page import fragment, html
from carferry.gpu.search.decide import decide
from carferry.gpu.search.plan import Goal, GpuPlan

FITS = ("meta-llama/Llama-3.1-8B-Instruct", "L40S x2, T4")
FAILS = ("meta-llama/Llama-3.1-70B-Instruct", "L40S x2, T4 x4")


def planned(model: str, gpus: str, subject: str = "") -> GpuPlan:
    return decide(config_of(model), gpus=gpus, goal=Goal(), subject=subject or model)


class Page(HTMLParser):
    """Checks nesting and collects text, tags and attributes."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.links: list[str] = []
        self.bars: list[dict[str, str | None]] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.links += [v or "" for k, v in attrs if k in ("src", "href", "action")]
        if tag == "rect":
            self.bars.append(given)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "rect":
            self.bars.append(dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.mark.parametrize("case", [FITS, FAILS])
def test_page_is_well_formed_ascii_and_fetches_nothing(case: tuple[str, str]) -> None:
    source = html(planned(*case))

    page = Page(source)

    assert (page.open, page.links, source.isascii()) == ([], [], True)
    assert "http" not in source


def test_page_says_which_gpu_why_and_with_which_arguments() -> None:
    words = "".join(Page(html(planned(*FITS))).words)

    assert "meta-llama/Llama-3.1-8B-Instruct fits on 1 x L40S" in words
    assert "GiB are left for the KV cache" in words
    assert "--max-model-len=" in words
    assert "What to change: nothing." in words


def test_page_says_what_to_change_when_nothing_fits() -> None:
    words = " ".join(Page(html(planned(*FAILS))).words)

    assert "does not fit any GPU option here" in words
    assert "GiB are missing on each GPU" in words
    assert re.search(r"What to change: .* then it fits on 2 x L40S", words)


@pytest.mark.parametrize("case", [FITS, FAILS])
def test_fragment_is_the_page_without_its_head_and_fetches_nothing(case: tuple[str, str]) -> None:
    plan = planned(*case)

    source = fragment(plan)

    made = Page(source)
    assert (made.open, made.links, source.isascii()) == ([], [], True)
    assert not re.search(r"<(?:!doctype|html|head|body|script)\b", source)
    (body,) = re.findall(r"<body>(.*)</body>", html(plan), re.DOTALL)
    assert body in source


def test_style_of_a_fragment_applies_to_it_alone() -> None:
    source = fragment(planned(*FITS))

    (style,) = re.findall(r"<style>(.*)</style>", source, re.DOTALL)
    selectors = [one for rule in re.findall(r"([^{}]+)\{", style) for one in rule.split(",")]

    assert len(selectors) > 20
    assert [one for one in selectors if not one.strip().startswith(".carferry-plan")] == []
    assert source.startswith('<div class="carferry-plan">')


def test_report_names_nodes_tolerations_and_profile() -> None:
    group = NodeGroup(
        find("L40S"),
        free=3,
        total=4,
        nodes=2,
        tolerations=(Toleration(key="nvidia.com/gpu", effect="NoSchedule"),),
        profile="gpu-small",
        example="worker-1",
    )

    plan = decide(config_of("Qwen/Qwen3-8B"), gpus=Inventory((group,), "nodes"))

    assert (
        "3 of 4 are free on 2 such nodes (worker-1), tolerating nvidia.com/gpu:NoSchedule; "
        "hardware profile gpu-small."
    ) in text.text(plan)


def test_bar_of_an_option_that_does_not_fit_passes_its_capacity() -> None:
    page = Page(html(planned("meta-llama/Llama-3.1-70B-Instruct", "T4")))
    frame = next(i for i, bar in enumerate(page.bars) if bar.get("class") == "capacity")
    first = page.bars[:frame]

    drawn = sum(float(bar["width"] or 0) for bar in first)

    assert drawn > float(page.bars[frame]["width"] or 0)


def test_bars_of_an_option_that_fits_stay_inside() -> None:
    page = Page(html(planned("Qwen/Qwen3-8B", "L40S")))
    frame = next(i for i, bar in enumerate(page.bars) if bar.get("class") == "capacity")

    drawn = sum(float(bar["width"] or 0) for bar in page.bars[:frame])

    assert drawn < float(page.bars[frame]["width"] or 0)


@pytest.mark.parametrize("render", [html, fragment, text.markdown, text.text])
def test_hostile_name_stays_text(render: object) -> None:
    plan = planned(*FITS, subject="<script>alert('\u2028x')</script>")

    source = render(plan)  # type: ignore[operator]

    assert source.isascii()
    assert render not in (html, fragment) or "<script>" not in source


def test_markdown_holds_the_answer_the_arguments_and_every_option() -> None:
    plan = planned(*FITS)

    source = text.markdown(plan)

    assert source.startswith("# meta-llama/Llama-3.1-8B-Instruct\n\n**fits.** ")
    assert "meta-llama/Llama-3.1-8B-Instruct fits on 1 x L40S." in source
    assert all(argument in source for argument in plan.arguments)
    assert source.count("| T4") + source.count("x T4") >= 1


@pytest.mark.parametrize("case", [FITS, FAILS])
def test_summary_survives_json_and_names_what_a_pod_asks_for(case: tuple[str, str]) -> None:
    plan = planned(*case)

    summary = text.summary(plan)

    assert json.loads(json.dumps(summary)) == summary
    assert summary["resources"] == ({"nvidia.com/gpu": "1"} if case is FITS else {})


def test_text_marks_capacity_on_every_bar() -> None:
    lines = [line for line in text.text(planned(*FITS)).splitlines() if "WW" in line]

    assert lines
    assert all("|" in line for line in lines)


def test_encoder_report_says_that_no_cache_is_kept() -> None:
    source = text.text(planned("sentence-transformers/all-MiniLM-L6-v2", "T4"))

    assert "The model keeps no KV cache." in source
