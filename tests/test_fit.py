"""Will it fit, from a hub and a cluster to what a deployment asks for; no weight is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ferrying import carferry, point_to
from gpu.api import node, pod, serving
from gpu.samples import LLAMA, llama_file
from servers.hub import Hub

from carferry.cluster.api import connect
from carferry.errors import DoesNotFit, UnsupportedModel
from carferry.run.sizing import Sizing, size
from carferry.serve.settings import VLLM_IMAGE
from carferry.steps.defaults import SERVED
from carferry.steps.fit import Lists, fit

BIG = {**LLAMA, "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80,
       "num_attention_heads": 64, "num_key_value_heads": 8, "vocab_size": 128256}  # fmt: skip


@pytest.fixture
def llama(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> str:
    files = {"config.json": json.dumps(LLAMA).encode(), "model.safetensors": llama_file(LLAMA)}
    hub.add("org/llama", files)
    point_to(hub, monkeypatch)
    return "org/llama"


def folder_of(config: dict[str, Any], folder: Path) -> str:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def cluster(url: str) -> Callable[[], Lists]:
    return lambda: connect(host=url, token="t")


def test_only_config_and_headers_are_read(llama: str, hub: Hub) -> None:
    plan = fit(llama, gpus="L4")
    assert plan.verdict == "fits"
    weights = [entry for entry in hub.log if entry.path.endswith(".safetensors") and entry.range]
    assert weights
    assert hub.body_bytes() < 300_000 < len(llama_file(LLAMA))


def test_the_clusters_free_gpus_are_planned_for(llama: str) -> None:
    held = {"/api/v1/nodes": [node("a", count=2)], "/api/v1/pods": [pod("a", 1)]}
    with serving(held) as url:
        plan = fit(llama, namespace="demo", connect=cluster(url))
    chosen = plan.plan.chosen
    assert chosen is not None
    assert (chosen.group.free, chosen.tp) == (1, 1)


def test_without_the_right_to_list_nodes_and_without_profiles_it_says_so(llama: str) -> None:
    with serving({}, forbidden=("/api/v1/nodes",)) as url, pytest.raises(DoesNotFit) as caught:
        fit(llama, namespace="demo", connect=cluster(url))
    assert "no right to list nodes" in str(caught.value)
    assert "name the GPU" in str(caught.value)


def test_what_fits_is_handed_to_the_deployment(llama: str, tmp_path: Path) -> None:
    taint = {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}
    held = {"/api/v1/nodes": [node("a", taints=[taint])], "/api/v1/pods": []}
    report, chart = tmp_path / "report", tmp_path / "chart"
    with serving(held) as url:
        made = size(
            llama, {"namespace": "demo"}, Sizing(vllm_args=("--seed=1",)),
            report=str(report), chart=str(chart), connect=cluster(url),
        )  # fmt: skip
    assert (made.gpu_resource, made.gpu_count) == ("nvidia.com/gpu", 1)
    assert made.as_json()["tolerations"] == [taint | {"operator": "Equal"}]
    assert made.vllm_args[0].startswith("--dtype=")
    assert made.vllm_args[-1] == "--seed=1"
    assert "tensor-parallel" not in " ".join(made.vllm_args)
    assert made.max_model_len == LLAMA["max_position_embeddings"]
    assert "fits" in report.read_text()
    assert "<svg" in chart.read_text()


def test_what_the_user_pins_is_planned_for_and_kept(llama: str) -> None:
    wishes = Sizing(gpu_count=2, max_model_len=1024, tolerations=())
    made = size(llama, {"gpus": "L4 x2"}, wishes)
    assert (made.gpu_count, made.max_model_len, made.tolerations) == (2, 1024, ())


def test_what_does_not_fit_stops_and_still_leaves_the_report(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In a file for who runs it here; in the log, since KFP keeps no file of a failed step."""
    model, report = folder_of(BIG, tmp_path / "big"), tmp_path / "report"
    with pytest.raises(DoesNotFit) as caught:
        size(model, {"gpus": "T4"}, Sizing(), report=str(report))
    assert caught.value.exit_code == 3
    assert "does not fit" in report.read_text()
    assert "does not fit" in caplog.text


def test_nothing_is_asked_where_nothing_is_served(tmp_path: Path) -> None:
    made = size("org/absent", {}, Sizing(), serve="no", report=str(tmp_path / "r"))
    assert made.gpu_count == 1
    assert "Not checked: not served." in (tmp_path / "r").read_text()


def test_an_unknown_architecture_is_planned_as_a_plain_decoder(tmp_path: Path) -> None:
    model = folder_of({**LLAMA, "architectures": ["NewForCausalLM"], "model_type": "new"},
                      tmp_path / "m")  # fmt: skip
    assert fit(model, gpus="L4").ok
    assert fit(model, gpus="L4", family="gqa").verdict == "fits"


NEW = {**LLAMA, "architectures": ["NewForCausalLM"], "model_type": "new"}
PACKED = {**LLAMA, "quantization_config": {"quant_method": "banana"}}


def stored(config: dict[str, Any], folder: Path) -> str:
    (Path(folder_of(config, folder)) / "model.safetensors").write_bytes(llama_file(LLAMA))
    return str(folder)


@pytest.mark.parametrize(
    ("config", "unknown"), [(NEW, "architecture 'new'"), (PACKED, "quantization 'banana'")]
)
def test_what_the_plan_does_not_know_goes_on_with_a_warning(
    config: dict[str, Any], unknown: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It stopped the pipeline in its first step, for most architectures that vLLM serves."""
    model, report = stored(config, tmp_path / "m"), tmp_path / "report"
    found = fit(model, gpus="L4")
    assert (found.verdict, found.ok, unknown in found.warning) == ("unchecked", True, True)
    made = size(model, {"gpus": "L4"}, Sizing(), report=str(report))
    assert (made.gpu_count, made.max_model_len) == (1, 0)
    assert "--max-model-len=auto" in made.vllm_args
    assert unknown in made.gpu_plan
    assert unknown in caplog.text
    assert unknown in report.read_text().replace("\\", "").replace("&#x27;", "'")


@pytest.mark.parametrize("config", [NEW, PACKED])
def test_on_unknown_stop_refuses_it(
    config: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = stored(config, tmp_path / "m")
    with pytest.raises(UnsupportedModel):
        fit(model, gpus="L4", on_unknown="stop")
    with pytest.raises(UnsupportedModel):
        size(model, {"gpus": "L4", "on_unknown": "stop"}, Sizing())
    stopped = carferry(capsys, "plan", model, "--gpu", "L4", "--on-unknown", "stop")
    assert (stopped.code, stopped.err.count("\n")) == (2, 1)
    went_on = carferry(capsys, "plan", model, "--gpu", "L4")
    assert (went_on.code, "[unchecked]" in went_on.out, "warning: unchecked" in went_on.out) == (
        0, True, True,
    )  # fmt: skip


def test_a_look_has_rows_for_what_the_plan_does_not_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = carferry(capsys, "plan", stored(NEW, tmp_path / "m"), "--json")
    rows = json.loads(seen.out)["look"]["fits"]
    assert {row["verdict"] for row in rows} == {"unchecked"}


def test_the_plan_is_for_the_version_that_serves() -> None:
    assert VLLM_IMAGE.endswith(f":v{SERVED}")


def test_plan_prints_the_answer_and_exits_3_where_nothing_fits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small, big = folder_of(LLAMA, tmp_path / "small"), folder_of(BIG, tmp_path / "big")
    page = tmp_path / "page.html"
    fits = carferry(capsys, "plan", small, "--gpu", "L4", "--html", str(page))
    assert (fits.code, "[fits]" in fits.out) == (0, True)
    assert "<svg" in page.read_text()
    assert fits.err.endswith(f"wrote {page}\n")
    no = carferry(capsys, "plan", big, "--gpu", "T4", "--json")
    assert (no.code, json.loads(no.out)["fit"]["verdict"]) == (3, "no")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gpu", "Imaginary x2"], "no such product"),
        (["--gpu", "L4", "--max-model-len", "many"], "not a whole number"),
        (["--gpu", "L4", "--max-model-len", "999999"], "lower --max-model-len"),
    ],
)
def test_a_wish_that_cannot_be_meant_is_one_line(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = carferry(capsys, "plan", folder_of(LLAMA, tmp_path / "m"), *arguments)
    assert outcome.code == 2
    assert words in outcome.err
    assert outcome.err.count("\n") == 1


def test_the_builds_own_patterns_decide_what_is_planned(tmp_path: Path) -> None:
    """A pickled model whose files were named must not be refused by the step before."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA))
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02.")
    plan = fit(str(folder), gpus="L4", include=["*.bin", "*.json"])
    assert plan.verdict == "fits"
