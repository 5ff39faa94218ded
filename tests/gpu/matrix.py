"""What vLLM demands of a command at its start, told again without any code of the plan.

The plan is judged by its printed words alone: the arguments go through the parser of the vLLM
they are for, and every rule is worked out anew from config.json and the card's data sheet. Bounds
are loose on purpose where memory is concerned: what they refuse cannot start at all.

Sources: vLLM 0.33 ``config/model.py`` (heads), ``layers/linear.py``, ``quantization/utils``,
``vocab_parallel_embedding.py``, ``config/compilation.py`` (states), ``config/scheduler.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gpu.class_rules import class_violations

GIB = 1 << 30
_ELEMENT = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class Card:
    """GPUs as ``--gpu`` names them: GiB of one, capability times ten (0 for AMD)."""

    text: str
    memory_gib: float
    capability: int
    per_node: int = 1
    nodes: int = 1
    joined: bool = True


CARDS = (
    Card("T4", 14.8, 75),
    Card("L4 x4", 22.5, 89, 4),
    Card("A10G x4", 22.5, 86, 4),
    Card("L40S", 44.6, 89),
    Card("L40S x2", 44.6, 89, 2),
    Card("L40S x8", 44.6, 89, 8),
    Card("A100-40GB x8", 39.6, 80, 8),
    Card("A100-80GB", 79.4, 80),
    Card("A100-80GB x4", 79.4, 80, 4),
    Card("H100", 79.4, 90),
    Card("H100 x2", 79.4, 90, 2),
    Card("H100 x8", 79.4, 90, 8),
    Card("2 nodes of H100 x8", 79.4, 90, 8, 2),
    Card("H200 x8", 140.4, 90, 8),
    Card("B200 x8", 179.5, 100, 8),
    Card("MI300X", 192.0, 0),
    Card("MI300X x8", 192.0, 0, 8),
    Card("RTX 4090 x2", 23.7, 89, 2),
    Card("A100-40GB-MIG-3g.20gb", 19.9, 80, joined=False),
    Card("mig-3g.40gb", 39.9, 80, joined=False),
    Card("mig-1g.5gb", 4.9, 80, joined=False),
    Card("24GiB x2", 24.0, 0, 2),
)


@dataclass(frozen=True)
class Facts:
    """Published figures of a model, ``weights_gib`` as stored, ``kv_bytes`` a token on one GPU.

    ``since`` is the vLLM whose release notes name the model, where an older one cannot run it.
    """

    name: str
    weights_gib: float
    kv_bytes: int
    since: tuple[int, int] = (0, 0)


# Parameters of the real classes on the meta device, bytes as the checkpoint stores them; the
# cache of full-attention layers only (states and windows come on top).
MODELS = (
    Facts("ibm-granite/granite-3.1-2b-instruct", 4.72, 81_920),
    Facts("ibm-granite/granite-3.1-8b-instruct", 15.22, 163_840),
    Facts("ibm-granite/granite-4.0-h-small", 59.99, 16_384),
    Facts("meta-llama/Llama-3.1-8B-Instruct", 14.96, 131_072),
    Facts("meta-llama/Llama-3.1-70B-Instruct", 131.42, 327_680),
    Facts("meta-llama/Llama-3.1-405B", 755.96, 516_096),
    Facts("Qwen/Qwen2.5-7B-Instruct", 14.19, 57_344),
    Facts("Qwen/Qwen2.5-32B-Instruct", 61.0, 262_144),
    Facts("Qwen/Qwen2.5-72B-Instruct", 135.43, 327_680),
    Facts("Qwen/Qwen3-8B", 15.2, 147_456),
    Facts("Qwen/Qwen3-32B", 61.02, 262_144),
    Facts("Qwen/Qwen3-30B-A3B", 56.87, 98_304),
    Facts("Qwen/Qwen3-235B-A22B", 437.90, 192_512),
    Facts("Qwen/Qwen3-235B-A22B-FP8", 219.0, 192_512),
    Facts("Qwen/Qwen3-Next-80B-A3B-Instruct", 148.41, 24_576),
    Facts("Qwen/Qwen3.5-27B", 50.0, 65_536, since=(0, 17)),
    Facts("Qwen/Qwen3.5-35B-A3B", 65.39, 20_480, since=(0, 17)),
    Facts("mistralai/Mixtral-8x7B-v0.1", 86.99, 131_072),
    Facts("mistralai/Mistral-Small-3.2-24B-Instruct-2506", 44.7, 163_840),
    Facts("google/gemma-2-27b-it", 50.71, 188_416),
    Facts("google/gemma-3-27b-it", 51.10, 81_920),
    Facts("deepseek-ai/DeepSeek-V3", 641.30, 70_272),
    Facts("openai/gpt-oss-20b", 12.8, 24_576),
    Facts("openai/gpt-oss-120b", 60.8, 36_864),
    Facts("microsoft/phi-4", 27.31, 204_800),
    Facts("Qwen/Qwen2.5-VL-7B-Instruct", 15.45, 57_344),
    Facts("llava-hf/llava-v1.6-mistral-7b-hf", 14.09, 131_072),
    Facts("openai/whisper-large-v3", 2.87, 163_840),
    Facts("sentence-transformers/all-MiniLM-L6-v2", 0.04, 0),
    Facts("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", 58.82, 6_144),
)


@dataclass(frozen=True)
class Command:
    """A printed command, as vLLM's own parser reads it."""

    given: Mapping[str, Any]
    version: tuple[int, int]

    def number(self, name: str, default: int = 1) -> int:
        """Return an argument as a number."""
        value = self.given.get(name)
        return default if value is None else int(value)

    @property
    def tp(self) -> int:
        """Ranks that share each layer."""
        return self.number("tensor_parallel_size")

    @property
    def pp(self) -> int:
        """Stages."""
        return self.number("pipeline_parallel_size")

    @property
    def share(self) -> float:
        """Of a GPU's memory."""
        return float(self.given.get("gpu_memory_utilization") or 0.9)


def violations(
    facts: Facts, config: Mapping[str, Any], card: Card, command: Command
) -> Iterator[str]:
    """Yield every rule that a printed command breaks."""
    text = config.get("text_config") or config.get("llm_config") or config
    yield from _places(card, command)
    yield from _numbers(text, command)
    yield from _heads(text, command)
    yield from _widths(text, config, command)
    yield from _types(config, card, command)
    yield from class_violations(config, card.capability, command.given, command.version[1])
    yield from _memory(facts, text, card, command)


def _places(card: Card, command: Command) -> Iterator[str]:
    if command.tp * (command.number("data_parallel_size")) > card.per_node:
        yield f"{command.tp} GPUs of {card.per_node} in a node"
    if command.pp > card.nodes:
        yield f"{command.pp} stages on {card.nodes} nodes"
    if not card.joined and command.tp * command.pp > 1:
        yield "slices joined"


def _numbers(text: Mapping[str, Any], command: Command) -> Iterator[str]:
    length, seqs = command.number("max_model_len", 0), command.number("max_num_seqs", 0)
    batched = command.number("max_num_batched_tokens", 0)
    longest = text.get("max_position_embeddings") or text.get("max_target_positions") or length
    if not 0 < length <= longest:
        yield f"context {length} of {longest}"
    if not 0 < seqs <= batched:
        yield f"{seqs} sequences in a batch of {batched} tokens"
    if not 0 < command.share <= 1:
        yield f"share {command.share}"
    if _pools(text) and batched < length:
        yield "an input that does not fit one batch"


def _pools(text: Mapping[str, Any]) -> bool:
    return str(text.get("model_type")) in ("bert", "roberta", "xlm-roberta", "modernbert")


def _heads(text: Mapping[str, Any], command: Command) -> Iterator[str]:
    # A key that the checkpoint leaves out to the class of its config is not judged here.
    query = text.get("num_attention_heads") or text.get("decoder_attention_heads") or command.tp
    kv, tp = text.get("num_key_value_heads") or query, command.tp
    if query % tp:
        yield f"{query} heads by {tp}"
    if not text.get("kv_lora_rank") and (kv % tp if tp < kv else tp % kv):
        yield f"{kv} KV heads by {tp}"
    vocabulary = -(-text.get("vocab_size", 64) // 64) * 64
    if vocabulary % tp:
        yield f"vocabulary {vocabulary} by {tp}"
    for name in ("linear_num_value_heads", "linear_num_key_heads", "mamba_n_heads"):
        if text.get(name) and text[name] % tp:
            yield f"{name} {text[name]} by {tp}"


def _widths(text: Mapping[str, Any], config: Mapping[str, Any], command: Command) -> Iterator[str]:
    packed = config.get("quantization_config") or {}
    block = max(packed.get("weight_block_size") or [1])
    experts = text.get("n_routed_experts") or text.get("num_experts") or 0
    spread = command.given.get("enable_expert_parallel") and experts
    wide = text.get("moe_intermediate_size")
    shares = [(wide, 1 if spread else command.tp)] if wide else []
    dense = not experts or text.get("first_k_dense_replace") or text.get("mlp_only_layers")
    if text.get("intermediate_size") and dense:
        shares.append((text["intermediate_size"], command.tp))
    for width, ways in shares:
        if width % ways or (width // ways) % block:
            yield f"width {width} by {ways} in blocks of {block}"


def _types(config: Mapping[str, Any], card: Card, command: Command) -> Iterator[str]:
    dtype = command.given.get("dtype")
    kind = str(config.get("model_type"))
    if dtype == "bfloat16" and 0 < card.capability < 80:
        yield "bfloat16 below 8.0"
    if dtype == "float16" and kind in ("gemma2", "gemma3", "gemma3_text", "glm4"):
        yield f"float16 for {kind}"
    if command.version >= (0, 33) and 0 < card.capability < 75:
        yield "no kernels"


def _memory(facts: Facts, text: Mapping[str, Any], card: Card, command: Command) -> Iterator[str]:
    """Check what no layout could save: weights, one request, one state a sequence."""
    ranks = command.tp * command.pp
    packed = 2.05 if command.given.get("quantization") else 1.0
    weights = 0.97 * facts.weights_gib * GIB / packed / ranks
    have = command.share * card.memory_gib * GIB - weights
    kv = text.get("num_key_value_heads") or 1
    ways = 1 if text.get("kv_lora_rank") else min(command.tp, kv)
    narrow = 2 if str(command.given.get("kv_cache_dtype") or "auto").startswith("fp8") else 1
    wide = _ELEMENT.get(str(command.given.get("dtype")), 2) / 2
    token = facts.kv_bytes * wide / narrow / ways / command.pp
    request = token * command.number("max_model_len", 0)
    if request > have:
        yield f"one request of {request / GIB:.1f} GiB in {have / GIB:.1f}"
    state = _state_bytes(text, command.tp)
    most = have / (state * _group(text)) if state else 0
    if state and command.version >= (0, 24) and command.number("max_num_seqs") > most:
        yield f"{command.number('max_num_seqs')} sequences for at most {most:.0f} states"


def _state_bytes(text: Mapping[str, Any], tp: int) -> float:
    """Return the matrix of one recurrent layer on one rank; 0 for pure attention."""
    if text.get("linear_num_value_heads"):
        width = 4 if text.get("mamba_ssm_dtype") == "float32" else 2
        heads, dim = text["linear_num_value_heads"], text["linear_value_head_dim"]
        return float(heads * dim * text["linear_key_head_dim"] * width / tp)
    heads = text.get("mamba_n_heads") or text.get("mamba_num_heads")
    if not heads:
        return 0.0
    dim = text.get("mamba_d_head") or text.get("mamba_head_dim") or 64
    size = text.get("mamba_d_state") or text.get("ssm_state_size") or 128
    return float(heads * dim * size * 2 / tp)


def _group(text: Mapping[str, Any]) -> int:
    """Return the fewest layers that can share a block: those of the rarer kind."""
    kinds = text.get("layer_types") or text.get("layers_block_type")
    if kinds:
        full = sum(kind in ("attention", "full_attention") for kind in kinds)
        return max(min(full, len(kinds) - full), 1)
    letters = str(text.get("hybrid_override_pattern") or "")
    if letters:
        return max(min(letters.count("*"), letters.count("M")), 1)
    step, layers = text.get("full_attention_interval") or 4, text["num_hidden_layers"]
    return max(min(layers // step, layers - layers // step), 1)
