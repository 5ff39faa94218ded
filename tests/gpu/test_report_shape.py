"""What a reader sees first: the name, bars of one scale each, nothing on top of anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from gpu.samples import config_of

from carferry.gpu.inventory.catalogue import find
from carferry.gpu.inventory.nodes import Inventory, NodeGroup
from carferry.gpu.memory.overhead import Overhead
from carferry.gpu.report import text
from carferry.gpu.report.chart import chart
from carferry.gpu.report.page import fragment, html
from carferry.gpu.report.rows import place
from carferry.gpu.report.words import planned
from carferry.gpu.search.decide import decide
from carferry.gpu.search.plan import Goal, GpuPlan, Option
from carferry.gpu.sizing.estimate import Choice, Estimate, Verdict
from carferry.gpu.units import GIB

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
KIMI = "moonshotai/Kimi-K2-Thinking"
ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
PLANS = [(LLAMA, "L40S x4, T4"), (KIMI, "H100-80GB x8, T4 x4"), (ENCODER, "T4, L4 x2")]
Render = Callable[[GpuPlan], str]


def plan_of(model: str, gpus: str, subject: str = "") -> GpuPlan:
    return decide(config_of(model), gpus=gpus, goal=Goal(), subject=subject or model)


class Drawings(HTMLParser):
    """Collects, for each drawing, its boxes by class, and whether any text stands in it."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.found: list[list[tuple[str, float, float, float, float]]] = []
        self.texts = 0
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        if tag == "svg":
            self.found.append([])
        if tag == "text":
            self.texts += 1
        if tag == "rect":
            box = (float(given[side]) for side in ("x", "y", "width", "height"))
            x, y, width, height = box
            self.found[-1].append((given.get("class", "bar"), x, y, width, height))


def option(total: float, parts: dict[str, float], verdict: Verdict = Verdict.NO) -> Option:
    """Return an option of one GPU that holds these GiB."""
    gpu = replace(find("H100-80GB"), memory_gib=total)
    requested, kv = total * 0.9, total * 0.9 - sum(v for k, v in parts.items() if k != "needed")
    best = Estimate(
        choice=Choice(gpu),
        requested=int(requested * GIB),
        weights=int(parts["weights"] * GIB),
        overhead=Overhead(
            int(parts["activation"] * GIB), int(parts["non_torch"] * GIB), 0, "sampler"
        ),
        graphs_budgeted=False,
        kv=int(kv * GIB),
        needed=int(parts["needed"] * GIB),
        band=GIB,
        tokens=1,
        concurrency=1.0,
        verdict=verdict,
        binding="weights",
    )
    return Option(NodeGroup(gpu, 8, 8), 1, 1, 1.0, best)


def drawn(*options: Option) -> Drawings:
    return Drawings(chart((f"way {index}", each) for index, each in enumerate(options)))


@pytest.mark.parametrize("case", PLANS, ids=["fits", "fails", "encoder"])
@pytest.mark.parametrize("subject", ["", "a/" + "very-long-name-" * 12, "x" * 300])
def test_title_of_every_report_is_the_name_of_the_model(
    case: tuple[str, str], subject: str
) -> None:
    plan = plan_of(*case, subject=subject)

    page, name = html(plan), subject or case[0]

    assert f"<title>{name}</title>" in page
    assert f"<h1>{name}</h1>" in page
    assert text.markdown(plan).startswith(f"# {name}\n")
    assert text.text(plan).startswith(f"{name}\n")


@pytest.mark.parametrize("weights", [10.0, 80.0, 600.0, 90_000.0])
@pytest.mark.parametrize("total", [14.56, 79.18, 600.0])
def test_frame_of_every_gpu_is_as_wide_and_nothing_leaves_the_drawing(
    total: float, weights: float
) -> None:
    parts = {"weights": weights, "activation": 1.0, "non_torch": 0.5, "needed": 2.0}

    page = drawn(option(total, parts), option(79.18, {**parts, "weights": 20.0}))

    frames = [box for boxes in page.found for box in boxes if box[0] == "capacity"]
    assert len({box[1:] for box in frames}) == 1
    assert all(x >= 0 and x + width <= 1000.01 for b in page.found for _, x, _, width, _ in b)


@pytest.mark.parametrize("total", [24.0, 79.18, 600.0])
def test_what_is_missing_is_drawn_on_the_scale_of_its_gpu_beside_any_other(total: float) -> None:
    """12 GiB short: the strip is as much of the frame as 12 GiB are of the GPU."""
    parts = {"weights": total * 0.9, "activation": 0.0, "non_torch": 0.0, "needed": 12.0}
    huge = option(79.18, {"weights": 9e4, "activation": 1.0, "non_torch": 1.0, "needed": 1.0})

    first, _ = drawn(option(total, parts), huge).found

    width = {kind: width for kind, _, _, width, _ in first}
    assert width["missing"] == pytest.approx(12 / total * width["capacity"], rel=0.01, abs=0.11)


def test_a_bar_that_is_far_too_long_is_cut_and_its_figure_stands_beside_it() -> None:
    parts = {"weights": 600.0, "activation": 1.0, "non_torch": 0.5, "needed": 2.0}

    source = chart([("one", option(79.18, parts))])

    assert 'class="cut"' in source
    assert "600.0 weights" in source


@pytest.mark.parametrize("case", PLANS, ids=["fits", "fails", "encoder"])
def test_no_word_stands_in_a_drawing_and_no_strip_touches_a_frame(case: tuple[str, str]) -> None:
    page = Drawings(html(plan_of(*case)))

    assert page.found
    assert page.texts == 0
    for boxes in page.found:
        frame = next(box for box in boxes if box[0] == "capacity")
        for kind, _, y, _, height in boxes:
            inside = frame[2] < y and y + height < frame[2] + frame[4]
            below = y > frame[2] + frame[4]
            assert kind == "capacity" or (inside if kind == "bar" else below)


def test_page_fits_a_phone() -> None:
    source = html(plan_of(KIMI, "H100-80GB x8, T4 x4"))

    assert '<meta name="viewport" content="width=device-width,initial-scale=1">' in source
    assert source.count('<div class="wide"><table>') == source.count("<table>") > 0
    assert min(int(size) for size in re.findall(r"font(?:-size)?:(\d+)px", source)) >= 12
    widths = re.findall(r"[^-]width:(\d+)px", source)
    assert all(int(width) <= 20 for width in widths)


def test_fragment_sets_each_colour_that_a_dark_notebook_would() -> None:
    (style,) = re.findall(r"<style>(.*)</style>", fragment(plan_of(LLAMA, "L40S")), re.DOTALL)
    rules = dict(re.findall(r"([^{}]+)\{([^{}]+)\}", style))

    for tag in ("td", "th", "pre"):
        own = [
            body
            for names, body in rules.items()
            if f".carferry-plan.carferry-plan {tag}" in names.split(",")
        ]
        assert any("color:#1c2127" in body and "background:" in body for body in own)
    assert any(
        "color:#1c2127" in b for n, b in rules.items() if ".carferry-plan.carferry-plan h1" in n
    )


def test_ways_that_a_rule_forbids_take_one_line_for_each_gpu() -> None:
    plan = plan_of(LLAMA, "L40S x8, A100-80GB x8")

    for source in (html(plan), text.markdown(plan)):
        lines = re.findall(r"(?:<li>|^- )(L40S|A100-80GB): ([^<\n]+)", source, re.MULTILINE)
        assert [gpu for gpu, _ in lines] == ["L40S", "A100-80GB"]
        assert {line for _, line in lines} == {
            "3, 5, 6, 7 GPUs: 32 attention heads do not divide by 3, 5, 6, 7"
        }
        assert source.count("do not divide") == 2


def test_a_gpu_that_no_way_is_left_for_keeps_a_row() -> None:
    used = NodeGroup(find("L40S"), free=0, total=4, nodes=1, example="n")
    plan = decide(config_of(LLAMA), gpus=Inventory((used, NodeGroup(find("T4"), 1, 1)), "nodes"))

    assert "| 1 x L40S | no | - | - | - | - | all 4 GPUs of the node are in use |" in (
        text.markdown(plan)
    )


@pytest.mark.parametrize("render", [html, fragment, text.markdown, text.text])
def test_an_encoder_has_no_cache_in_any_report(render: Render) -> None:
    source = render(plan_of(ENCODER, "T4, L4 x2"))

    said = source.replace("keeps no KV cache", "").replace("no KV cache", "")
    assert not re.search(r"KV|at once|one request|more requests|concurren", said)
    assert "longest input" in source or render is text.text


def unchecked(tensors: bool = False) -> GpuPlan:
    plan = plan_of(LLAMA, "L40S x2", subject="new/model")
    assert plan.chosen and plan.chosen.best
    best = replace(plan.chosen.best, verdict=Verdict.UNCHECKED)
    shape = replace(plan.model.shape, unknown="architecture 'FooForCausalLM'")
    chosen = replace(plan.chosen, best=best)
    return replace(
        plan, verdict=Verdict.UNCHECKED, chosen=chosen, options=(chosen, *plan.options[1:]),
        model=replace(plan.model, shape=shape),
    )  # fmt: skip


@pytest.mark.parametrize("render", [html, fragment, text.markdown, text.text])
def test_unchecked_says_so_and_what_is_not_known(render: Render) -> None:
    source = render(unchecked())

    plain = source.replace("&#x27;", "'")
    assert "new/model may run on 1 x L40S, unchecked" in plain
    assert "this plan does not know architecture 'FooForCausalLM'" in plain
    assert "counted from its config" in plain


def test_unchecked_has_a_colour_and_a_word_of_its_own() -> None:
    page = html(unchecked())

    assert '<span class="badge unchecked">unchecked</span>' in page
    assert '<span class="word unchecked">unchecked</span>' in page
    colours = dict(re.findall(r"\.badge\.(\w+)\{background:(#\w+)", page))
    assert len(set(colours.values())) == len(colours) == len(Verdict)
    assert planned(unchecked()).endswith(", unchecked: architecture 'FooForCausalLM'")
    assert text.summary(unchecked())["verdict"] == "unchecked"


def test_the_same_plan_makes_the_same_bytes() -> None:
    pages: Iterator[str] = (html(plan_of(*PLANS[1])) for _ in range(2))

    assert len(set(pages)) == 1


@pytest.mark.parametrize("case", [(KIMI, "H100-80GB x8"), ("Qwen/Qwen3-30B-A3B", "H100-80GB x8")])
def test_no_two_options_have_one_name(case: tuple[str, str]) -> None:
    """Eight GPUs with the experts cut and eight with the experts dealt out were both "8 x"."""
    plan = plan_of(*case)
    weighed = [place(each) for each in plan.options if each.best]

    assert len(weighed) == len(set(weighed))
    assert len({label for label, _ in re.findall(r"<p><b>([^<]+)</b>( )", html(plan))}) >= (
        min(len(weighed), 10)
    )


def test_an_unknown_model_without_room_is_no_encoder() -> None:
    config = {**config_of(LLAMA), "model_type": "foo", "architectures": ["FooForCausalLM"]}

    source = html(decide(config, gpus="T4", goal=Goal(), subject="new/foo"))

    assert "no KV cache" not in source
    assert "<th>KV GiB</th>" in source
