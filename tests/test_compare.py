"""Models on the same GPUs: a row for each, what it costs, which is chosen, and how it is shown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from gpu.samples import LLAMA, config_of, header, llama_file
from servers.models import write

import carferry
from carferry.errors import DoesNotFit, InputError
from carferry.steps.comparison import Comparison
from carferry.steps.fitted import Fit

BIG = "Qwen/Qwen2.5-7B-Instruct"


def model(folder: Path, config: dict[str, object]) -> str:
    """Write a model and return its name; one without weights is planned from its config."""
    weights = llama_file(config) if config["hidden_size"] == LLAMA["hidden_size"] else None
    files = {"config.json": json.dumps(config).encode()}
    files["model.safetensors"] = weights or header({})
    write(files, folder)
    return str(folder)


@pytest.fixture
def small(tmp_path: Path) -> str:
    return model(tmp_path / "small", LLAMA)


def test_each_model_is_a_row_in_the_order_in_which_it_was_named(small: str, tmp_path: Path) -> None:
    other = model(tmp_path / "other", LLAMA | {"max_position_embeddings": 1024})
    both = carferry.compare([other, small], gpus="L4", max_model_len=512)
    assert [row.model for row in both.rows] == ["other", "small"]
    assert {(row.verdict, row.where, row.gpus, row.context) for row in both.rows} == {
        ("fits", "1 x L4", 1, 512)
    }
    assert both.headline == "2 of 2 models can be served"
    assert repr(both) == "<Comparison: 2 of 2 models can be served>"


def test_a_model_that_cannot_be_planned_is_a_row_that_says_why(small: str, tmp_path: Path) -> None:
    both = carferry.compare([str(tmp_path / "none"), small], gpus="L4", max_model_len=512)
    missing, found = both.rows
    assert missing.verdict == "unknown"
    assert missing.why.startswith("no such ")
    assert found.verdict == "fits"
    assert isinstance(both.choice, Fit)
    assert both.choice.plan.model.subject == small
    assert f"{missing.model}: {missing.why}" in both.facts


def test_the_cost_is_that_of_as_many_replicas_as_hold_what_is_wanted(small: str) -> None:
    (one,) = carferry.compare([small], gpus="L4", max_model_len=4096).rows
    held = min(int(one.at_once), 256)
    (many,) = carferry.compare([small], sequences=held * 2 + 1, gpus="L4", max_model_len=4096).rows
    assert (one.replicas, one.cost, many.replicas, many.cost) == (1, 1, 3, 3)
    assert many.cells[-1] == "3 GPUs, 3 replicas"
    assert one.cells[-1] == "1 GPU"


def test_fewer_gpus_that_do_it_another_way_are_named() -> None:
    fit = planned(BIG, "L4 x2")
    row = Comparison(((BIG, fit),), 64).rows[0]
    assert (row.where, row.cost) == ("1 x L4", 7)
    assert row.fewer == "4 GPUs do as 2 replicas on 2 x L4 in one node"
    assert f"{BIG}: {row.fewer}" in Comparison(((BIG, fit),), 64).facts
    assert Comparison(((BIG, fit),), 1).rows[0].fewer == ""


def planned(name: str, gpus: str) -> Fit:
    """Return the fit of a model's config, whose weights are counted."""
    from carferry.gpu.search.decide import decide
    from carferry.gpu.search.goal import Goal

    goal = Goal(vllm="0.24.0", max_model_len=8192)
    plan = decide(config_of(name), gpus=gpus, files={}, goal=goal, subject=name)
    return Fit(plan)


def test_what_fits_is_chosen_before_what_is_tight_and_no_fit_names_a_change() -> None:
    big, none = planned(BIG, "L4"), planned(BIG, "T4")
    assert (big.verdict, none.verdict) == ("fits", "no")
    assert Comparison((("a", none), ("b", big))).choice is big
    with pytest.raises(DoesNotFit, match="none of them fits here") as error:
        _ = Comparison((("a", none),)).choice
    assert none.change in str(error.value)
    row = Comparison((("a", none),)).rows[0]
    assert (row.gpus, row.cost, row.at_once) == (0, 0, 0)
    assert "short" in row.why
    assert row.cells[-1] == "-"


def test_a_page_has_a_row_and_a_bar_for_each_model_and_obeys_no_name() -> None:
    fit = planned(BIG, "L4")
    hostile = "<script>alert(1)</script>|`x`"
    plan = replace(fit.plan, model=replace(fit.plan.model, subject=hostile))
    shown = Comparison(((hostile, Fit(plan)), ("y<b>", "not <i>here</i>")))
    html, text = shown._repr_html_(), shown._repr_markdown_()
    assert html.isascii()
    assert html.count("<svg") == 1
    assert '<span class="mark fits">fits</span>' in html
    assert '<span class="mark unknown">unknown</span>' in html
    for source in (html, text):
        assert "<script" not in source
        assert "<i>" not in source
        assert "<b>" not in source.replace("<p><b>", "")
    assert len([line for line in text.splitlines() if line.startswith("| ")]) == 4


def test_values_are_plain(small: str) -> None:
    found = carferry.compare([small], gpus="L4", sequences=4, max_model_len=512).as_json()
    assert found == json.loads(json.dumps(found))
    assert found["sequences"] == 4
    assert found["models"][0]["cost"] == 1


def test_nothing_to_compare_and_settings_that_cannot_be_meant_are_refused(small: str) -> None:
    with pytest.raises(InputError, match="none is named"):
        carferry.compare([])
    with pytest.raises(InputError, match="L4O"):
        carferry.compare([small], gpus="L4O")
    with pytest.raises(InputError, match="sequences"):
        carferry.compare([small], sequences=-1)
