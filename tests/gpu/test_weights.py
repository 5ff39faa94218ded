from __future__ import annotations

import pytest
from gpu.samples import LLAMA, llama_file, shape_of

from carferry.errors import InputError
from carferry.gpu.inventory.catalogue import find
from carferry.gpu.memory.weights import check_tensors, weights_per_gpu
from carferry.gpu.model.config import parse_config
from carferry.gpu.units import GIB
from carferry.weights.safetensors import Tensor, read_header

H100 = find("H100")


def tensors_of(
    config: dict[str, object], dtype: str = "BF16", width: int = 2
) -> tuple[Tensor, ...]:
    data = llama_file(config, dtype, width)
    return read_header("m", len(data), lambda _, start, end: data[start:end]).tensors


@pytest.mark.parametrize("tp", [1, 2, 4])
def test_headers_and_config_give_the_same_weights(tp: int) -> None:
    shape = parse_config(LLAMA | {"vocab_size": 1024})
    tensors = tensors_of(LLAMA | {"vocab_size": 1024})

    read = weights_per_gpu(shape, H100, tp=tp, dtype="bfloat16", tensors=tensors)
    counted = weights_per_gpu(shape, H100, tp=tp, dtype="bfloat16")

    assert read == counted


def test_float32_checkpoint_is_loaded_in_the_model_dtype() -> None:
    shape = parse_config(LLAMA)
    wide = tensors_of(LLAMA, "F32", 4)

    loaded = weights_per_gpu(shape, H100, tp=1, dtype="bfloat16", tensors=wide)

    assert loaded == weights_per_gpu(shape, H100, tp=1, dtype="bfloat16", tensors=tensors_of(LLAMA))


def test_tied_head_and_prediction_layers_are_stored_but_not_loaded() -> None:
    shape = parse_config(LLAMA | {"tie_word_embeddings": True})
    tensors = tensors_of(LLAMA)
    spare = Tensor("model.layers.2.self_attn.q_proj.weight", "BF16", (10**6,), 2 * 10**6)

    loaded = weights_per_gpu(shape, H100, tp=1, dtype="bfloat16", tensors=(*tensors, spare))

    kept = [tensor for tensor in tensors if tensor.name != "lm_head.weight"]
    assert loaded == weights_per_gpu(shape, H100, tp=1, dtype="bfloat16", tensors=kept)


def test_keys_and_values_are_copied_beyond_their_heads() -> None:
    shape = shape_of("Qwen/Qwen3-235B-A22B")
    keys = 2 * 94 * 4 * 128 * 4096 * 2

    at_four = weights_per_gpu(shape, H100, tp=4, dtype="bfloat16")
    at_eight = weights_per_gpu(shape, H100, tp=8, dtype="bfloat16")

    assert 2 * at_eight - at_four > keys // 4


def test_pipeline_stages_share_the_layers() -> None:
    shape = shape_of("meta-llama/Llama-3.1-70B-Instruct")

    whole = weights_per_gpu(shape, H100, tp=1, dtype="bfloat16")
    half = weights_per_gpu(shape, H100, tp=1, pp=2, dtype="bfloat16")

    assert half / whole == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("model", "gpu", "tp", "dtype", "logged"),
    [
        ("openai/gpt-oss-20b", "H100", 1, "bfloat16", 13.47),
        ("openai/gpt-oss-20b", "A100-80GB", 1, "bfloat16", 13.72),
        ("Qwen/Qwen3-32B", "H100", 2, "bfloat16", 30.59),
        ("Qwen/Qwen3-8B-FP8", "RTX-4090", 1, "float16", 8.8),
        ("ibm-granite/granite-3.3-8b-instruct", "H100", 1, "bfloat16", 15.2512),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16", "H100", 1, "bfloat16", 5.3542),
        ("llava-hf/llava-v1.6-mistral-7b-hf", "H100", 1, "float16", 14.0786),
    ],
)
def test_logged_weights_are_predicted_within_one_percent(
    model: str, gpu: str, tp: int, dtype: str, logged: float
) -> None:
    predicted = weights_per_gpu(shape_of(model), find(gpu), tp=tp, dtype=dtype)

    assert predicted / GIB == pytest.approx(logged, rel=0.01)


def packed_experts(layers: int = 24, experts: int = 32, width: int = 2880) -> list[Tensor]:
    """Return the header entries of gpt-oss-20b: 4-bit blocks and scales as bytes."""
    vocab, heads, keys = 201088, 4096, 512
    tensors = [
        Tensor("model.embed_tokens.weight", "BF16", (vocab, width), vocab * width * 2),
        Tensor("lm_head.weight", "BF16", (vocab, width), vocab * width * 2),
    ]
    for layer in range(layers):
        at = f"model.layers.{layer}."
        for name, rows in (("gate_up_proj", 2 * width), ("down_proj", width)):
            blocks, scales = (experts, rows, 90, 16), (experts, rows, 90)
            tensors += [
                Tensor(f"{at}mlp.experts.{name}_blocks", "U8", blocks, experts * rows * 90 * 16),
                Tensor(f"{at}mlp.experts.{name}_scales", "U8", scales, experts * rows * 90),
            ]
        for name, rows in (("q", heads), ("k", keys), ("v", keys), ("o", heads)):
            size = rows * width * 2
            tensors.append(Tensor(f"{at}self_attn.{name}_proj.weight", "BF16", (rows, width), size))
    return tensors


@pytest.mark.parametrize(("gpu", "logged"), [("H100", 13.47), ("A100-80GB", 13.72)])
def test_packed_experts_are_counted_as_stored_and_padded(gpu: str, logged: float) -> None:
    shape = shape_of("openai/gpt-oss-20b")

    read = weights_per_gpu(shape, find(gpu), tp=1, dtype="bfloat16", tensors=packed_experts())

    assert read / GIB == pytest.approx(logged, rel=0.01)


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ({"vocab_size": 50_000}, "embeddings are"),
        ({"hidden_size": 128}, "embeddings are"),
        ({"num_hidden_layers": 40}, "weights hold 2 layers"),
    ],
)
def test_config_that_contradicts_the_weights_is_refused(
    lie: dict[str, object], reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        check_tensors(parse_config(LLAMA | lie), tensors_of(LLAMA), "org/liar")
