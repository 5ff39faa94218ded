"""What ``carferry plan`` is asked decides which options mean something, and how much is said."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from ferrying import Outcome, carferry
from servers.models import weights, write

from carferry.cli import build_parser
from carferry.cli.variables import long_name

BERT = {
    "model_type": "bert", "architectures": ["BertModel"], "hidden_size": 384,
    "intermediate_size": 1536, "num_attention_heads": 12, "num_hidden_layers": 6,
    "max_position_embeddings": 512, "type_vocab_size": 2, "vocab_size": 30522,
}  # fmt: skip
Run = Callable[..., Outcome]
OF_IMAGE = {
    "--format": "modelpack",
    "--base": "scratch",
    "--platform": "linux/arm64",
    "--mount-from": "quay.io/a/b:1",
    "--reuse": "tag",
    "--run": "0123456789abcdef",
    "--workers": "4",
    "--parallel": "3",
    "--rate": "7",
}
OF_GPUS = {
    "--namespace": "demo", "--gpu-count": "2", "--html": "page.html", "--nodes": "2",
    "--dtype": "bfloat16", "--kv-cache-dtype": "fp8", "--gpu-memory-utilization": "0.8",
    "--expert-parallel": "true", "--data-parallel": "2", "--speculative-tokens": "1",
    "--lora-rank": "16", "--max-loras": "2", "--on-unknown": "stop", "--calibration": "none",
}  # fmt: skip
OF_FIT = OF_GPUS | {
    "--vllm": "0.9.0",
    "--max-model-len": "128",
    "--max-num-seqs": "4",
    "--quantization": "fp8",
    "--family": "gqa",
}
ANYWAY = {
    "--revision", "--include", "--exclude", "--allow-no-weights", "--plain-http", "--ca",
    "--progress", "--gpu", "--cluster", "--log", "--json", "--verbose", "--quiet", "--debug",
    "--help",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CARFERRY_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return lambda *arguments: carferry(capsys, *arguments)


@pytest.fixture
def model(tmp_path: Path) -> str:
    files = {"model.safetensors": weights({"w": (64, 32)}), "old.bin": b"x" * 99}
    return str(write({"config.json": json.dumps(BERT).encode(), **files}, tmp_path / "m"))


@cache
def plan_parser() -> argparse.ArgumentParser:
    (chosen,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(chosen.choices)["plan"]


def test_every_option_of_plan_is_of_one_kind() -> None:
    """A new one has to say what it needs."""
    known = {long_name(action) for action in plan_parser()._actions if action.option_strings}
    assert known == {*OF_IMAGE, *OF_FIT, *ANYWAY}


@pytest.mark.parametrize("option", OF_IMAGE)
@pytest.mark.parametrize("gpu", [(), ("--gpu", "L4")], ids=["alone", "with GPU"])
def test_what_needs_an_image_is_not_ignored_without_one(
    run: Run, option: str, gpu: tuple[str, ...]
) -> None:
    """``plan MODEL --workers 4`` said nothing of workers."""
    outcome = run("plan", "org/name", option, OF_IMAGE[option], *gpu)
    said = f"plan {option}: without IMAGE it means nothing; give IMAGE, or leave it out"
    assert (outcome.code, outcome.out, outcome.err) == (2, "", f"carferry: {said}\n")


@pytest.mark.parametrize(
    ("option", "image"),
    [*((option, ()) for option in OF_GPUS), *((option, ("oci:x:1",)) for option in OF_FIT)],
)
def test_what_needs_gpus_is_not_ignored_without_any(
    run: Run, option: str, image: tuple[str, ...]
) -> None:
    outcome = run("plan", "org/name", *image, option, OF_FIT[option])
    assert (outcome.code, outcome.out) == (2, "")
    assert f"plan {option}: without --gpu or --cluster it means nothing; give" in outcome.err


def test_several_are_named_together(run: Run) -> None:
    outcome = run("plan", "org/name", "--workers", "4", "--rate", "9")
    assert "plan --workers --rate: without IMAGE they mean nothing" in outcome.err


def test_variables_are_for_all_commands(
    run: Run, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for option, value in OF_IMAGE.items():
        monkeypatch.setenv(f"CARFERRY_{option.strip('-').replace('-', '_').upper()}", value)
    assert run("plan", model).code == 0
    assert run("plan", model, "--workers", "5").code == 2


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ((), ["BertModel", "L4 "]),
        (("--gpu", "L4"), ["[fits] ", "What to change"]),
        (("oci:OUT:1", "--base", "scratch"), ["to move, about 0 s with 1 worker\n"]),
        (("oci:OUT:1", "--base", "scratch", "--gpu", "L4"), ["[fits] ", "to move"]),
    ],
    ids=["alone", "GPU", "image", "both"],
)
def test_quiet_is_the_result_without_remarks(
    run: Run, model: str, tmp_path: Path, asked: tuple[str, ...], kept: list[str]
) -> None:
    """``-q`` left out no remark of a plan."""
    words = [word.replace("OUT", str(tmp_path / "out")) for word in asked]
    loud, quiet = run("plan", model, *words), run("plan", model, *words, "-q")
    assert (loud.code, quiet.code, quiet.err) == (0, 0, "")
    assert all(text in quiet.out and text in loud.out for text in kept)
    marks = ("left    ", "note    ", "note: ", "next    ", "to read back")
    said = [line for line in loud.out.splitlines() if line.startswith(marks)]
    assert said
    assert not [line for line in quiet.out.splitlines() if line.startswith(marks)]
    assert {*quiet.out.splitlines()} <= {*loud.out.splitlines()}


def test_what_follows_sees_the_same_model(run: Run, model: str) -> None:
    """Pasted, the commands of a look at a model without weights were refused."""
    given = ("--allow-no-weights", "--exclude", "old.bin,*.md", "--include", "*.json")
    shown = run("plan", model, *given)
    nexts = [row for row in shown.out.splitlines() if row.startswith("next    ")]
    assert nexts
    same = "--include '*.json' --exclude old.bin --exclude '*.md' --allow-no-weights"
    assert all(row.endswith(same) for row in nexts)


def test_a_device_that_holds_no_certificate_is_told_from_a_file_that_is_not_there(
    run: Run, tmp_path: Path
) -> None:
    """Both were "no such file"."""
    empty = run("plan", "org/name", "--ca", "/dev/null")
    missing = run("plan", "org/name", "--ca", tmp_path / "nix")
    assert (empty.code, "/dev/null (--ca): holds no certificates" in empty.err) == (2, True)
    assert (missing.code, "nix: no such file; check --ca" in missing.err) == (2, True)


def test_the_page_of_a_plan_goes_to_stdout(run: Run, model: str) -> None:
    page = run("plan", model, "--gpu", "L4", "--html", "-")
    assert page.code == 0
    assert page.out.startswith("<!doctype html>")
    assert page.out.rstrip().endswith("</html>")
    both = run("plan", model, "--gpu", "L4", "--html", "-", "--json")
    assert (both.code, "plan --html -: --json goes to stdout too" in both.err) == (2, True)


def test_a_plan_for_gpus_loads_only_what_it_needs(tmp_path: Path) -> None:
    """Loading all commands took longer than planning."""
    (tmp_path / "config.json").write_text(json.dumps(BERT))
    rooms = ("assembly", "serve", "endpoint", "warming", "lint", "runtime", "image.compose")
    heavy = tuple(f"carferry.{room}" for room in rooms)
    code = (
        "import sys; from carferry.cli import main; "
        f"code = main(['plan', {str(tmp_path)!r}, '--gpu', 'L4', '--json']); "
        f"found = [each for each in sys.modules if each.startswith({heavy!r})]; "
        "print(code, *found, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split() == ["0"]


@pytest.mark.parametrize(
    "gpu", ["L40S xtwo", "L40S x-2", "L40S x0", "NaN", "\uff12xL40S", "A" * 200, "cpu", "RTX 6000"]
)
def test_gpus_that_cannot_be_meant_are_refused_before_a_model_is_opened(
    gpu: str, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = carferry(capsys, "plan", "./absent", "--gpu", gpu)
    assert (refused.code, refused.out) == (2, "")
    assert len(refused.err.strip().splitlines()) == 1
    assert "absent" not in refused.err
