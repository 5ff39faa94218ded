"""Half a model is refused where its names leave no doubt, and no whole one of any architecture."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from servers.models import weights

from carferry.errors import BrokenFile
from carferry.weights.depth import check_depth
from carferry.weights.whole import examine

CONFIGS = Path(__file__).parent / "data" / "configs"
PARTS = ("attention.q.weight", "attention.k.weight", "mlp.up.weight", "norm.weight")


def stack(prefix: str, numbers: Iterable[int], *parts: str) -> list[str]:
    """Return the tensors of a stack of layers."""
    return [f"{prefix}.{number}.{part}" for number in numbers for part in parts or PARTS]


def said(names: Iterable[str], config: Mapping[str, Any]) -> str:
    """Return what the check says; empty if nothing."""
    try:
        check_depth(names, config, "the weights")
    except BrokenFile as error:
        return str(error)
    return ""


LLM = stack("model.layers", range(16))
# Whole models whose numbers are not what the deepest stack shows: tensors, config.
WHOLE: dict[str, tuple[list[str], dict[str, Any]]] = {
    "Mask2Former: one decoder layer less than counted": (
        stack("model.transformer_module.decoder.layers", range(9))
        + stack("model.pixel_level_module.decoder.encoder.layers", range(6))
        + stack("model.pixel_level_module.encoder.encoder.layers", range(4)),
        {"num_hidden_layers": 10, "encoder_layers": 6, "decoder_layers": 10},
    ),
    "Funnel: blocks of layers, counted together": (
        [n for b in range(3) for n in stack(f"funnel.encoder.blocks.{b}", range(4))],
        {"num_hidden_layers": 12, "block_sizes": [4, 4, 4]},
    ),
    "Hiera: stages of few layers": (
        [n for s in range(4) for n in stack(f"hiera.encoder.stages.{s}.layers", range(1))],
        {"num_layers": 4, "depths": [1, 1, 1, 1]},
    ),
    "LongCat: two sublayers in each layer, counted twice": (
        stack("model.layers", range(28)), {"num_layers": 28, "num_hidden_layers": 56},
    ),
    "Nemotron NAS: the last layers hold nothing": (
        stack("model.layers", range(70)),
        {"num_hidden_layers": 80, "block_configs": [{"attention": {"no_op": True}}]},
    ),
    "a decoder kept alone, the encoder's layers counted": (
        stack("model.decoder.layers", range(6)),
        {"num_hidden_layers": 12, "encoder_layers": 12, "decoder_layers": 6},
    ),
    "a vision model kept alone, the text's layers counted": (
        stack("vision_model.encoder.layers", range(6)),
        {"text_config": {"num_hidden_layers": 12}, "vision_config": {"num_hidden_layers": 6}},
    ),
    "layers that are shared": (
        stack("model.layers", range(15)), {"num_hidden_layers": 30, "share_layers": True},
    ),
    "layers that are repeated": (
        stack("model.layers", range(8)), {"num_hidden_layers": 32, "layer_repeats": 4},
    ),
    "one group of layers, as ALBERT, under a usual name": (
        stack("encoder.layer", range(1)), {"num_hidden_layers": 12, "num_hidden_groups": 1},
    ),
    "layers as code of the model's own counts them": (
        stack("model.layers", range(8)), {"num_hidden_layers": 32, "auto_map": {"A": "x.X"}},
    ),
    "prelude, core and coda": (
        stack("transformer.prelude", range(2)) + stack("transformer.layers", range(4))
        + stack("transformer.coda", range(2)), {"n_layers": 8},
    ),
    "layers stacked in one tensor, beside a numbered head": (
        [f"model.layers.{part}" for part in PARTS] + stack("head.layers", range(2), "weight"),
        {"num_hidden_layers": 12},
    ),
    "XLM: attentions and ffns numbered on their own, beside a numbered head": (
        stack("transformer.attentions", range(12)) + stack("transformer.ffns", range(12))
        + stack("classifier.layers", range(2)), {"n_layers": 12},
    ),
    "layers taken out and not renumbered": (
        stack("model.layers", [*range(8), *range(12, 20)]), {"num_hidden_layers": 32},
    ),
    "ranks of a pipeline, each from its own first": (
        stack("transformer.layers", range(16, 32)), {"num_hidden_layers": 64},
    ),
    "the prediction layer counted, and left out": (
        stack("model.layers", range(61)),
        {"num_hidden_layers": 62, "num_nextn_predict_layers": 1},
    ),
    "the prediction layer kept": (
        stack("model.layers", range(62)),
        {"num_hidden_layers": 61, "num_nextn_predict_layers": 1},
    ),
    "T5: parts of a block numbered too, fewer in the decoder": (
        [n for b in range(8) for n in stack(f"encoder.block.{b}.layer", range(2))]
        + [n for b in range(2) for n in stack(f"decoder.block.{b}.layer", range(3))],
        {"num_layers": 8, "num_decoder_layers": 2},
    ),
    "BART: a shorter decoder": (
        stack("model.encoder.layers", range(12)) + stack("model.decoder.layers", range(3)),
        {"num_hidden_layers": 12, "encoder_layers": 12, "decoder_layers": 3},
    ),
    "Gemma 3n: keys shared, layers stored": (
        stack("model.language_model.layers", range(30)) + stack("model.vision_tower.b", range(9)),
        {"text_config": {"num_hidden_layers": 30, "num_kv_shared_layers": 10}},
    ),
    "experts in each layer": (
        [n for b in range(2) for n in stack(f"model.layers.{b}.mlp.experts", range(64), "w")],
        {"num_hidden_layers": 2},
    ),
    "a hole where another stack may fill it": (
        stack("model.layers", [0, 1, 3]) + stack("model.shared_layers", range(1)),
        {"num_hidden_layers": 4},
    ),
    "numbered from 1": (stack("model.layers", range(1, 13)), {"num_hidden_layers": 13}),
    "layers cut out that the config names": (
        stack("model.layers", [0, 1, 3]), {"num_hidden_layers": 4, "skip_layers": [2]},
    ),
    "Nemotron NAS: a layer in the midst holds nothing": (
        stack("model.layers", [0, 1, 3]),
        {"num_hidden_layers": 4, "block_configs": [{"attention": {"no_op": True}}]},
    ),
    "NAS: each layer holds something": (
        stack("model.layers", [0, 1, 3]) + stack("model.layers", [2], "mlp.up.weight"),
        {"num_hidden_layers": 4},
    ),
    "code of the model's own, with a hole": (
        stack("model.layers", [0, 1, 3]), {"num_hidden_layers": 4, "auto_map": {"A": "x.X"}},
    ),
    "activations between layers": (
        stack("layers", (0, 2, 4), "weight", "bias"), {"num_layers": 5},
    ),
    "a prediction layer, counted or not, above a hole that may be no layer": (
        stack("model.layers", [0, 1, 3, 9]), {"num_hidden_layers": 4},
    ),
    "layers by a name that is not known": (
        ["model.embed_tokens.weight", *(f"model.stage.{part}" for part in PARTS)],
        {"num_hidden_layers": 4},
    ),
    "all layers stacked, in modules called as those around them": (
        ["embed_tokens.weight", "layers.norm.weight", "layers.output.weight"],
        {"num_hidden_layers": 4},
    ),
    "a static embedding": (["embedding.weight"], {"num_hidden_layers": 4}),
    "a vision model and the embeddings": (
        ["model.embed_tokens.weight", *stack("vision_tower.layers", range(4))],
        {"text_config": {"num_hidden_layers": 4}},
    ),
    "embeddings of a model without layers": (
        ["model.embed_tokens.weight"], {"num_hidden_layers": 0},
    ),
    "no layers": (["embedding.weight", "0.weight"], {"num_hidden_layers": 12}),
    "counts that are none": (LLM, {"num_hidden_layers": True, "n_layer": "32", "n_layers": None}),
    "numbers too long to be any": (
        [f"model.layers.{'9' * 5000}.w", *LLM], {"num_hidden_layers": 32},
    ),
}  # fmt: skip
HALF: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "a decoder": ([*LLM, "lm_head.weight"], {"num_hidden_layers": 32}, "16 of the 32"),
    "with experts": (
        [n for b in range(16) for n in stack(f"model.layers.{b}.mlp.experts", range(8), "w")],
        {"num_hidden_layers": 32}, "16 of the 32",
    ),
    "the text beside a deeper tower": (
        stack("model.language_model.layers", range(16))
        + stack("model.visual.blocks", range(27)) + stack("model.visual.merger", range(3)),
        {"text_config": {"num_hidden_layers": 36}, "vision_config": {"depth": 27}}, "16 of the 36",
    ),
    "text and projector": (
        stack("language_model.model.layers", range(16))
        + stack("multi_modal_projector", (0, 2), "weight"),
        {"text_config": {"num_hidden_layers": 32}}, "16 of the 32",
    ),
    "an encoder": (
        stack("bert.encoder.layer", range(6)), {"num_hidden_layers": 12}, "6 of the 12",
    ),
    "with a prediction layer": (
        LLM + stack("mtp.layers", range(1)),
        {"num_hidden_layers": 32, "num_nextn_predict_layers": 1}, "16 of the 31",
    ),
    "GPT-2": (stack("h", range(6)), {"n_layer": 12}, "6 of the 12"),
}  # fmt: skip
LACKING: dict[str, tuple[list[str], dict[str, Any], str]] = {
    "a hole": (stack("model.layers", [0, 1, 3]), {"num_hidden_layers": 4}, "lack model.layers.2"),
    "a wide hole": (
        stack("model.layers", [*range(4), *range(9, 12)]), {"num_hidden_layers": 12},
        "lack model.layers.4 and 4 more",
    ),
    "a hole below a prediction layer": (
        stack("model.layers", [*range(30), *range(31, 62)]),
        {"num_hidden_layers": 61, "num_nextn_predict_layers": 1}, "lack model.layers.30",
    ),
    "fewer than a count that no model has": (
        stack("model.layers", range(2)), {"num_hidden_layers": 10**15},
        "end with layer 2 of the 1000000000000000 that config.json counts; download",
    ),
    "a hole in the text beside a tower": (
        stack("language_model.model.layers", [0, 1, 3])
        + stack("vision_tower.encoder.layers", range(2)),
        {"text_config": {"num_hidden_layers": 4}}, "lack language_model.model.layers.2",
    ),
    "embeddings alone": (
        ["model.embed_tokens.weight"], {"num_hidden_layers": 4}, "are of no layer",
    ),
    "GPT-2's embeddings and norm": (
        ["wte.weight", "wpe.weight", "ln_f.weight", "ln_f.bias"], {"n_layer": 4},
        "are of no layer",
    ),
    "Mistral's own, without layers": (
        ["tok_embeddings.weight", "norm.weight", "output.weight"], {"n_layers": 4},
        "are of no layer",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LACKING)
def test_a_hole_and_no_layer_at_all_are_refused(case: str) -> None:
    names, config, what = LACKING[case]
    assert f"its tensors {what}" in said(names, config)


@pytest.mark.parametrize("case", WHOLE)
def test_a_whole_model_is_not_refused(case: str) -> None:
    assert said(*WHOLE[case]) == ""


@pytest.mark.parametrize("case", HALF)
def test_half_a_model_is_refused_with_what_to_do(case: str) -> None:
    names, config, counted = HALF[case]
    found = said(names, config)
    assert f"its tensors end with layer {counted} that config.json counts" in found
    assert found.endswith("there: no server runs it as it is")


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.json")), ids=lambda path: path.stem)
def test_of_real_configs_the_whole_passes_and_the_half_does_not(path: Path) -> None:
    config = json.loads(path.read_text())
    text = config.get("text_config", config)
    name = next((key for key in ("num_hidden_layers", "n_layer", "num_layers") if key in text), "")
    layers = text.get(name)
    if layers is None:
        assert said(stack("model.encoder.layers", range(2)), config) == ""
        return
    tower = stack("vision_tower.encoder.layers", range(40)) + stack(
        "model.visual.blocks", range(40)
    )
    assert said(stack("model.layers", range(layers)) + tower, config) == ""
    assert said(stack("model.layers", range(layers + 1)) + tower, config) == ""
    half = said(stack("model.layers", range(layers // 2)) + tower, config)
    # The last layers of a Nemotron NAS may hold nothing, so half of one may be whole.
    assert (f"correct {name} there" in half) is ("block_configs" not in text)


def test_what_the_refusal_says_works() -> None:
    names = dict.fromkeys(stack("model.layers", range(2)), (2,))
    files = {"model.safetensors": weights(names), "config.json": b'{"num_hidden_layers": 4}'}

    def faults() -> list[str]:
        sizes = {path: len(body) for path, body in files.items()}
        found = examine(sizes, lambda path, start, end: files[path][start:end])
        return [fault.remedy for fault in found.faults]

    assert faults() == [
        "download the model again, or correct num_hidden_layers there: no server runs it as it is"
    ]
    files["config.json"] = b'{"num_hidden_layers": 2}'
    assert faults() == []
