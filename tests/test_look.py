"""A model alone: what it is, and on how few of each common GPU it fits, in one screen."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ferrying import REPO, Outcome, carferry, point_to
from servers.buckets import Bucket
from servers.hub import Hub
from servers.models import sharded, tiny, weights, write

import carferry as api
from carferry.cli import build_parser
from carferry.gpu.inventory.products import COMMON
from carferry.io.show.cells import cells
from carferry.steps.looked import human_count

CONFIGS = sorted((Path(__file__).parent / "data" / "configs").glob("*.json"))
ALONE = ("--allow-no-weights",)
BERT = {
    "model_type": "bert", "architectures": ["BertModel"], "hidden_size": 384,
    "intermediate_size": 1536, "num_attention_heads": 12, "num_hidden_layers": 6,
    "max_position_embeddings": 512, "type_vocab_size": 2, "vocab_size": 30522,
}  # fmt: skip
UNKNOWN = {
    "model_type": "walrus", "architectures": ["WalrusForCausalLM"],
    "max_position_embeddings": 4096,
}  # fmt: skip
Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return lambda *arguments: carferry(capsys, *arguments)


def folder_of(config: object, place: Path, more: dict[str, bytes] | None = None) -> Path:
    return write({"config.json": json.dumps(config).encode(), **(more or {})}, place)


def is_one_screen(out: str) -> bool:
    """Return whether 24 rows of 80 cells show it, the shell's row included."""
    every = out.splitlines()
    rows = sum(max(1, -(-cells(line) // 80)) for line in every)
    return rows <= 23 and all(cells(row) <= 80 for row in every if not row.startswith("next"))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_known_model_is_one_screen_with_a_row_for_each_gpu(
    config: Path, run: Run, tmp_path: Path
) -> None:
    """It was refused with "for what?"."""
    folder = write({"config.json": config.read_bytes()}, tmp_path / "m")
    seen = run("plan", folder, *ALONE)
    assert (seen.code, seen.err) == (0, "")
    assert is_one_screen(seen.out), seen.out
    table = [row for row in seen.out.splitlines() if row.startswith(("GPU ", *COMMON))]
    assert [row for row in table if "GiB short" in row and cells(row) > 50] == []
    assert [row.split()[0] for row in seen.out.splitlines() if row.startswith(COMMON)] == [*COMMON]
    for line in seen.out.splitlines():
        if line.startswith("next"):
            build_parser().parse_args(shlex.split(line)[2:])


@pytest.mark.parametrize(
    "name", ["meta-llama--Llama-3.1-70B-Instruct", "deepseek-ai--DeepSeek-R1", "Qwen--Qwen3-8B"]
)
def test_each_row_is_what_fit_says_of_that_gpu(name: str, tmp_path: Path) -> None:
    config = (Path(__file__).parent / "data" / "configs" / f"{name}.json").read_bytes()
    folder = write({"config.json": config}, tmp_path / "m")
    found = api.look(folder, allow_no_weights=True)
    assert len(found.fits) == len(COMMON)
    for row in found.fits:
        fit = api.fit(
            folder, gpus=f"{row.gpu} x{row.count}", gpu_count=row.count, allow_no_weights=True
        )
        assert fit.verdict == row.verdict
        if row.verdict != "no":
            assert fit.deployment["max_model_len"] == row.context
        if row.verdict == "fits" and row.count > 1:
            fewer = api.fit(
                folder, gpus=f"{row.gpu} x{row.count // 2}", gpu_count=row.count // 2,
                allow_no_weights=True,
            )  # fmt: skip
            assert fewer.verdict != "fits"


def test_a_gated_model_on_the_hub_is_read_once_and_shown(
    run: Run, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {**sharded(3), "config.json": json.dumps(UNKNOWN).encode(), "extra.bin": b"x" * 99}
    repo = hub.add(REPO, files, gated=True, token="hf_granted", card={"license": "llama3.1"})
    point_to(hub, monkeypatch, "hf_granted")
    shown = run("plan", REPO)
    lines = shown.out.splitlines()
    assert shown.code == 0, shown.err
    assert lines[0] == f"{REPO} {repo.branches['main'][:12]}"
    assert lines[1].startswith("WalrusForCausalLM, ")
    assert lines[2] == "licence llama3.1, gated"
    assert lines[3].startswith(f"{len(files) - 1} of {len(files)} files, ")
    assert "left    extra.bin, 99 B: pickled" in shown.out
    assert hub.read_twice() == []
    hub.repos[REPO].gated = False
    assert "licence llama3.1, not gated" in run("plan", REPO).out


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"model_type": "llama"}, ""),
        ({"model_type": ["llama"], "architectures": 5, "max_position_embeddings": True}, ""),
    ],
)
def test_a_model_without_a_table_says_why_and_shows_the_rest(
    config: dict[str, Any], why: str, run: Run, tmp_path: Path
) -> None:
    folder = folder_of(config, tmp_path / "m", {"model.safetensors": weights({"w": (64, 32)})})
    shown = run("plan", folder)
    assert shown.code == 0, shown.err
    assert f"no table of GPUs: {why}" in shown.out
    assert "2.0 K parameters, BF16" in shown.out
    assert "\x1b" not in shown.out
    assert is_one_screen(shown.out.replace("no table", "next"))
    document = json.loads(run("plan", folder, "--json").out)["look"]
    assert (document["fits"], document["nature"]["parameters"]) == ([], 2048)
    assert document["no_fits"]


def test_an_embedding_model_has_a_table_without_a_cache(run: Run, tmp_path: Path) -> None:
    shown = run("plan", folder_of(BERT, tmp_path / "m"), *ALONE)
    assert shown.code == 0
    assert "BertModel, 22.7 M parameters, bfloat16, context 512 tokens" in shown.out
    (row,) = [line for line in shown.out.splitlines() if line.startswith("L4 ")]
    assert row.split() == ["L4", "22", "1", "fits", "512"]


def test_a_model_in_an_image_and_one_in_a_bucket_are_looked_at_too(
    run: Run, tmp_path: Path, bucket: Bucket
) -> None:
    folder = folder_of(BERT, tmp_path / "m", {"model.safetensors": weights({"w": (64, 32)})})
    layout = tmp_path / "out"
    api.build(folder, f"oci:{layout}:v1", base="scratch")
    named = run("plan", f"oci:{layout}:v1")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    for shown in (named, run("plan", bucket.fill(files))):
        assert shown.code == 0, shown.err
        assert "BertModel" in shown.out
        assert "2 of 2 files" in shown.out


def test_many_remarks_are_counted_and_json_has_them_all(run: Run, tmp_path: Path) -> None:
    more = {f"part-{n}/deep/model{n}.bin": b"x" for n in range(40)}
    more |= {f"{name}.{end}": b"x" * 9 for name in "ab" for end in ("pt", "onnx", "gguf", "h5")}
    folder = folder_of(BERT, tmp_path / "m", more)
    shown = run("plan", folder, *ALONE)
    assert is_one_screen(shown.out), shown.out
    assert json.loads(run("plan", folder, *ALONE, "--json").out)["look"]["left_out"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--max-model-len", "9999999"), 2, "9999999 tokens, the model has 1 to 512"),
        (("--html", "x.html"), 2, "plan --html: without --gpu or --cluster it means nothing"),
        (("--gpu-count", "4"), 2, "plan --gpu-count: without --gpu or --cluster it means nothing"),
        (("--max-model-len", "many"), 2, "max_model_len"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    arguments: tuple[str, ...], code: int, said: str, run: Run, tmp_path: Path
) -> None:
    shown = run("plan", folder_of(BERT, tmp_path / "m"), *ALONE, *arguments)
    assert (shown.code, len(shown.err.splitlines())) == (code, 1)
    assert said in shown.err


@pytest.mark.parametrize(
    "config",
    [UNKNOWN, {}, {"model_type": "x\x1b[2J\ny", "architectures": ["\x1b[2J" * 99]}],
)
def test_a_model_of_an_unknown_kind_has_a_table_and_its_stored_weights(
    config: dict[str, Any], run: Run, tmp_path: Path
) -> None:
    folder = folder_of(config, tmp_path / "m", {"model.safetensors": weights({"w": (64, 32)})})
    shown = run("plan", folder)
    assert shown.code == 0, shown.err
    assert "no table of GPUs" not in shown.out
    assert "2.0 K parameters, BF16" in shown.out
    assert "\x1b" not in shown.out


def test_a_broken_model_is_refused_as_by_a_build(run: Run, tmp_path: Path) -> None:
    folder = folder_of(BERT, tmp_path / "m", {"model.safetensors": b"<html>"})
    shown = run("plan", folder)
    assert shown.code == 2
    assert "model.safetensors" in shown.err


def test_a_notebook_shows_a_table(tmp_path: Path) -> None:
    found = api.look(folder_of(BERT, tmp_path / "m"), allow_no_weights=True)
    assert "| GPU | Memory GiB | GPUs | Verdict | Context | Why not |" in found.markdown
    assert found.as_json()["fits"][0]["gpu"] == "L4"
    broken = api.look(folder_of({"model_type": "llama"}, tmp_path / "n"), allow_no_weights=True)
    assert "No table of GPUs: num_hidden_layers is missing" in broken.markdown


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (2048, "2.0 K"),
        (22_700_000, "22.7 M"),
        (999_999_999, "1.0 B"),
        (8.03e9, "8.0 B"),
        (671e9, "671 B"),
        (1.04e12, "1.0 T"),
        (7, "7"),
    ],
)
def test_parameters_are_counted_as_people_say_it(count: float, text: str) -> None:
    assert human_count(count) == text


def test_tiny_is_no_exception(run: Run, tmp_path: Path) -> None:
    assert run("plan", write(tiny(), tmp_path / "m")).code == 0
