"""vLLM's stand-in takes what vLLM takes, refuses what vLLM refuses, and uses its words."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import pytest
from servers import models

from carferry.gpu.vllm_args import VllmArgs
from cluster.standin import TABLE, run, running

SAMPLES = {
    "port": 8080, "model": "", "served_model_name": "tiny", "tensor_parallel_size": 1,
    "pipeline_parallel_size": 1, "dtype": "half", "quantization": "fp8", "kv_cache_dtype": "fp8",
    "max_model_len": 64, "max_num_seqs": 8, "max_num_batched_tokens": 512,
    "gpu_memory_utilization": 0.9, "data_parallel_size": 1, "enable_expert_parallel": True,
    "mm_encoder_tp_mode": "data", "enable_lora": True, "max_loras": 1, "max_lora_rank": 16,
    "speculative_config": '{"method": "mtp", "num_speculative_tokens": 1}',
}  # fmt: skip
LATER = {"0.9.2": ("mm_encoder_tp_mode",)}
"""Arguments that a version does not take yet, and that carferry does not write for it."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in a folder."""
    return models.write(models.sharded(2), tmp_path_factory.mktemp("model"))


def test_carferrys_arguments_are_all_tried() -> None:
    """A new one cannot be left out here."""
    assert {*SAMPLES, "more"} == {each.name for each in dataclasses.fields(VllmArgs)}


@pytest.mark.parametrize("version", TABLE["versions"])
def test_every_version_takes_the_arguments_that_carferry_writes(version: str, model: Path) -> None:
    """It gets as far as the failure that it is asked for."""
    samples = {k: v for k, v in SAMPLES.items() if k not in LATER.get(version, ())}
    written = VllmArgs(**samples | {"model": str(model)}).render()  # type: ignore[arg-type]
    done = run(*written, STANDIN_VLLM=version, STANDIN_FAIL="cuda-oom")
    assert (done.returncode, "torch.OutOfMemoryError: CUDA" in done.stdout) == (1, True), done


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--no-such-flag", "unrecognized arguments: --no-such-flag"),
        ("--max-num-seqs=many", "argument --max-num-seqs: Value many cannot be converted to"),
        ("--swap-spaces=4", "unrecognized arguments: --swap-spaces=4"),
        ("--enforce-eager=yes", "argument --enforce-eager/--no-enforce-eager: ignored explicit"),
    ],
)
def test_wrong_arguments_are_refused_in_argparses_words(
    argument: str, said: str, model: Path
) -> None:
    """With its exit code, too."""
    done = run(f"--model={model}", argument)
    assert done.returncode == 2
    assert f"api_server.py: error: {said}" in done.stderr


@pytest.mark.parametrize(
    ("version", "argument", "code"),
    [
        ("0.9.2", "--swap-space=4", 1),
        ("0.9.2", "--device=cuda", 1),
        ("0.33.0", "--device=cuda", 2),
        ("0.9.2", "--async-scheduling", 2),
        ("0.24.0", "--async-scheduling", 1),
        ("0.24.0", "--max_num_seqs=4", 1),
        ("0.24.0", "--hf-overrides.rope_theta=1", 1),
        ("0.24.0", "--no-enable-prefix-caching", 1),
    ],
)
def test_arguments_come_and_go_with_versions(
    version: str, argument: str, code: int, model: Path
) -> None:
    """2 is argparse's word on one that is not there; 1 is the failure asked for."""
    done = run(f"--model={model}", argument, STANDIN_VLLM=version, STANDIN_FAIL="no-cache")
    assert done.returncode == code, done.stderr


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("architecture", "Model architectures ['LlamaForCausalLM'] are not supported for now."),
        ("cuda-oom", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate"),
        ("no-cache", "ValueError: No available memory for the cache blocks."),
        ("kv-cache", "To serve at least one request with the model's max seq len (64)"),
        ("utilization", "is less than desired GPU memory utilization"),
        ("bf16", "Bfloat16 is only supported on GPUs with compute capability of at least 8.0"),
        ("unknown", "KeyError: 'layers.0.mystery.weight'"),
    ],
)
def test_it_fails_in_vllms_words(how: str, said: str, model: Path) -> None:
    """The cause is not the last line, as with vLLM."""
    done = run(f"--model={model}", STANDIN_FAIL=how)
    assert done.returncode == 1
    assert said in done.stdout + done.stderr
    assert said not in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("changed", "arguments", "said"),
    [
        ("config.json", [], "Invalid repository ID or local directory specified"),
        ("tokenizer.json", [], "Can't load tokenizer for"),
        ("model-00002-of-00002.safetensors", [], "No such file or directory"),
        ("", ["--max-model-len=4096"], "User-specified max_model_len (4096) is greater than"),
        ("", ["--tensor-parallel-size=3"], "attention heads (2) must be divisible by"),
        ("", ["--lora-modules=sql=/no/where"], "No adapter found for /no/where"),
    ],
)
def test_it_opens_the_models_files(
    changed: str, arguments: list[str], said: str, tmp_path: Path
) -> None:
    """What is wrong with them is found, without being asked to fail."""
    files = models.sharded(2)
    files.pop(changed, None)
    done = run(f"--model={models.write(files, tmp_path)}", *arguments)
    assert done.returncode == 1
    assert said in done.stdout + done.stderr


def test_a_file_that_is_cut_short_is_not_loaded(tmp_path: Path) -> None:
    """The header says where the tensors end."""
    files = models.tiny()
    files["model.safetensors"] = files["model.safetensors"][:-1]
    done = run(f"--model={models.write(files, tmp_path)}")
    assert "SafetensorError: Error while deserializing header: incomplete" in done.stdout


def test_it_answers_by_the_name_it_serves(model: Path) -> None:
    """Models, a completion, a chat, and what it refuses."""
    with running(f"--model={model}", "--served-model-name=tiny", "--max-model-len=32") as server:
        status, found = server.ask("/v1/models")
        assert (status, found["data"][0]["id"], found["data"][0]["max_model_len"]) == (
            200,
            "tiny",
            32,
        )
        asked = {"model": "tiny", "prompt": "a ferry", "max_tokens": 3}
        status, found = server.ask("/v1/completions", asked)
        assert (status, found["usage"]["completion_tokens"]) == (200, 3)
        message = [{"role": "user", "content": "hello"}]
        status, found = server.ask("/v1/chat/completions", {"messages": message})
        assert found["choices"][0]["message"]["role"] == "assistant"
        assert server.ask("/v1/completions", asked | {"model": "other"})[0] == 404
        status, found = server.ask("/v1/completions", asked | {"max_tokens": 31})
        assert (status, found["error"]["code"]) == (400, 400)
        assert "maximum context length is 32 tokens" in found["error"]["message"]
        assert server.ask("/v1/embeddings", {"input": "a"}) == (404, {"detail": "Not Found"})
        assert "vllm:request_success_total" in server.ask("/metrics")[1]


def test_it_streams_at_the_speed_it_is_told(model: Path) -> None:
    """Five tokens after a first at 20 a second take a quarter of one."""
    with running(f"--model={model}", STANDIN_TOKENS_PER_S="20") as server:
        began = time.monotonic()
        asked = {"prompt": "a", "max_tokens": 6, "stream": True}
        status, text = server.ask("/v1/completions", asked)
        assert time.monotonic() - began > 0.24
    events = [line.removeprefix("data: ") for line in str(text).split("\n\n") if line]
    assert (status, len(events), events[-1]) == (200, 7, "[DONE]")
    assert json.loads(events[5])["choices"][0]["finish_reason"] == "length"


def test_it_asks_for_the_key_it_is_given(model: Path) -> None:
    """Health is open to all, as with vLLM."""
    with running(f"--model={model}", "--api-key=secret") as server:
        assert server.ask("/health")[0] == 200
        assert server.ask("/v1/models") == (401, {"error": "Unauthorized"})
        assert server.ask("/v1/models", Authorization="Bearer secret")[0] == 200


@pytest.mark.parametrize(
    ("architecture", "route", "body"),
    [
        ("BertModel", "/v1/embeddings", {"input": ["a", "b"]}),
        ("LlamaForCausalLM", "/v1/completions", {"prompt": "a"}),
    ],
)
def test_the_routes_are_those_of_the_models_task(
    architecture: str, route: str, body: object, tmp_path: Path
) -> None:
    """An embedder has no completions."""
    config = models.CONFIG | {"architectures": [architecture]}
    files = models.tiny() | {"config.json": json.dumps(config).encode()}
    with running(f"--model={models.write(files, tmp_path)}") as server:
        assert server.ask(route, body)[0] == 200
        assert server.ask("/v1/audio/transcriptions", body)[0] == 404
