from __future__ import annotations

from dataclasses import replace

import pytest
from gpu.samples import LLAMA, llama_file, shape_of

from carferry.errors import InputError
from carferry.gpu.inventory.catalogue import find
from carferry.gpu.loaded.cut import Ranks
from carferry.gpu.loaded.kernels import expert_padding
from carferry.gpu.loaded.params import parameter_count
from carferry.gpu.loaded.stored import split_of
from carferry.gpu.loaded.weights import check_tensors, weights_per_gpu
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


# Of a size that a plan depends on: smaller ones are not held to their configs.
SERVED = LLAMA | {"num_hidden_layers": 8, "hidden_size": 1024, "intermediate_size": 2048}


def test_one_shard_is_not_a_model() -> None:
    config = SERVED
    whole = tensors_of(config)
    shard = [t for t in whole if ".layers." not in t.name or t.name.startswith("model.layers.7.")]

    check_tensors(parse_config(config), whole, "org/whole")
    with pytest.raises(InputError, match=r"weights lack layers 0 to 6: they are \d+% of what"):
        check_tensors(parse_config(config), shard, "org/shard")


def test_first_shard_is_not_a_model_either() -> None:
    config = SERVED
    last = [
        t
        for t in tensors_of(config)
        if t.name.startswith("model.layers.") and "embed" not in t.name
    ]
    shard = [t for t in last if int(t.name.split(".")[2]) in (2, 3, 7)]

    with pytest.raises(InputError, match="layers 0 to 1, 4 to 6 and the token embeddings"):
        check_tensors(parse_config(config), shard, "org/shard")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("x", "a tensor of no model"),
        ("base_model.model.model.layers.27.mlp.up_proj.lora_A.weight", "an adapter"),
        ("multi_modal_projector.linear_1.weight", "a projector"),
        ("model.embed_tokens_extra.weight", "half a save"),
    ],
)
@pytest.mark.parametrize("model", ["Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen3-8B-FP8"])
def test_less_than_half_of_what_the_config_counts_is_not_its_model(
    model: str, name: str, what: str
) -> None:
    shape = shape_of(model)
    counted, method = ("14.2", "bfloat16") if "2.5" in model else ("8.8", "fp8")
    with pytest.raises(InputError) as refused:
        check_tensors(shape, [Tensor(name, "BF16", (4, 4), 32)], "org/half")

    said = str(refused.value)
    assert "\n" not in said
    if "layers" not in said:  # an adapter's layers are named one by one
        assert f"weights come to 0.00 GiB, config.json counts {counted} GiB ({method})" in said


@pytest.mark.parametrize(("share", "is_refused"), [(0.4, True), (0.6, False), (1.3, False)])
def test_half_of_the_weights_is_the_least(share: float, is_refused: bool) -> None:
    shape = shape_of("Qwen/Qwen2.5-7B-Instruct")
    count = int(share * parameter_count(shape))
    strange = [Tensor("blob", "BF16", (count,), 2 * count)]

    if not is_refused:
        check_tensors(shape, strange, "org/strange")
        check_tensors(replace(shape, unknown="architecture 'x'"), strange[:0], "org/strange")
        return
    check_tensors(replace(shape, unknown="architecture 'x'"), strange, "org/strange")
    with pytest.raises(InputError, match="weights come to"):
        check_tensors(shape, strange, "org/strange")


def test_names_that_are_not_known_say_nothing() -> None:
    strange = [Tensor("decoder.stack.weight", "BF16", (8,), 16)]

    check_tensors(parse_config(LLAMA), strange, "org/strange")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("model.layers.3.self_attn.q_proj.weight", "even"),
        ("model.layers.3.self_attn.k_proj.weight", "kv"),
        ("model.layers.3.self_attn.v_proj.bias", "kv"),
        ("model.layers.3.self_attn.qkv_proj.weight", "qkv"),
        ("model.layers.3.self_attn.o_proj.bias", "copy"),
        ("model.layers.3.self_attn.q_a_proj.weight", "copy"),
        ("model.layers.3.self_attn.kv_a_proj_with_mqa.weight_scale_inv", "copy"),
        ("model.layers.3.self_attn.kv_b_proj.weight", "even"),
        ("model.layers.3.self_attn.indexer.wk.weight", "copy"),
        ("model.layers.3.mlp.gate.weight", "copy"),
        ("model.layers.3.mlp.gate.e_score_correction_bias", "copy"),
        ("model.layers.3.mlp.gate_proj.weight", "even"),
        ("model.layers.3.mlp.shared_expert_gate.weight", "copy"),
        ("model.layers.3.mlp.shared_experts.up_proj.weight", "even"),
        ("model.layers.3.mlp.experts.5.up_proj.weight", "experts"),
        ("model.layers.3.mlp.experts.gate_up_proj_blocks", "experts"),
        ("model.layers.3.mlp.router.weight", "copy"),
        ("model.layers.3.input_layernorm.weight", "copy"),
        ("backbone.layers.3.mixer.fc1_latent_proj.weight", "copy"),
        ("backbone.layers.3.mixer.in_proj.weight", "even"),
        ("model.layers.3.linear_attn.in_proj_qkvz.weight", "even"),
        ("model.language_model.layers.3.per_layer_input_gate.weight", "copy"),
        ("model.language_model.embed_tokens_per_layer.weight", "even"),
        ("model.visual.blocks.3.attn.qkv.weight", "tower"),
        ("vision_tower.vision_model.encoder.layers.3.self_attn.k_proj.weight", "tower"),
        ("multi_modal_projector.linear_1.weight", "tower"),
        ("model.embed_tokens.weight", "even"),
        ("lm_head.weight", "even"),
    ],
)
def test_each_tensor_is_cut_as_its_layer_is(name: str, split: str) -> None:
    assert split_of(name) == split


def test_what_is_never_loaded_is_not_counted() -> None:
    shape = parse_config(LLAMA)
    plain = tensors_of(LLAMA)
    beside = [
        Tensor("model.layers.0.self_attn.rotary_emb.inv_freq", "F32", (10**6,), 4 * 10**6),
        Tensor("model.embeddings.position_ids", "I64", (10**6,), 8 * 10**6),
        Tensor("mtp.layers.0.mlp.up_proj.weight", "BF16", (10**6,), 2 * 10**6),
        Tensor("mtp.fc.weight", "BF16", (10**6,), 2 * 10**6),
    ]

    found = [
        weights_per_gpu(shape, H100, tp=1, dtype="bfloat16", tensors=tensors)
        for tensors in (plain, (*plain, *beside))
    ]

    assert found[0] == found[1]


def test_experts_dealt_out_whole_are_no_less_than_their_share() -> None:
    shape = shape_of("Qwen/Qwen3-235B-A22B")

    cut, whole, uneven = (
        weights_per_gpu(shape, H100, tp=tp, dtype="bfloat16", expert_parallel=dealt)
        for tp, dealt in ((4, False), (4, True), (3, True))
    )

    assert cut == whole < uneven


@pytest.mark.parametrize(
    ("model", "gpu", "vllm", "tp", "share"),
    [
        ("openai/gpt-oss-120b", "MI300X", "0.11.0", 1, 256),
        ("openai/gpt-oss-120b", "B200", "0.24.0", 1, 256),
        ("openai/gpt-oss-120b", "B200", "0.28.0", 1, 128),
        ("openai/gpt-oss-120b", "H100", "0.24.0", 1, 64),
        ("openai/gpt-oss-120b", "A100-80GB", "0.24.0", 2, 128),
    ],
)
def test_small_experts_are_padded_as_their_kernel_wants(
    model: str, gpu: str, vllm: str, tp: int, share: int
) -> None:
    shape, release = shape_of(model), tuple(map(int, vllm.split(".")))
    wide = -(-2880 // tp // share) * share

    found = expert_padding(shape, find(gpu), Ranks(tp), release)

    assert found == pytest.approx(
        36 * 128 * 3 * (3072 * wide - 2880 * 2880 / tp) * 4.25 / 8, rel=1e-6
    )


@pytest.mark.parametrize("logged", [74.34, 74.08])
def test_deepseek_v4_loads_what_joins_its_cache_whole_on_every_rank(logged: float) -> None:
    """The old code said 72.88 GiB."""
    shape = shape_of("deepseek-ai/DeepSeek-V4-Flash")

    weights = weights_per_gpu(shape, find("H200"), tp=2, dtype="bfloat16")

    assert weights / GIB == pytest.approx(logged, rel=0.008)
