"""Which files enter an image: what servers read, never pickles by accident."""

from __future__ import annotations

import pytest

from carferry.errors import InputError, NothingSelected, UnsafeWeights
from carferry.selection.patterns import Patterns

MODEL = [
    "config.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer.model",
    "chat_template.jinja",
    "merges.txt",
    "README.md",
    "LICENSE",
    "LICENSE.txt",
    "USE_POLICY.md",
    "1_Pooling/config.json",
]
LEFT_OUT = [
    ".gitattributes",
    ".cache/huggingface/download/config.json.metadata",
    ".carferry/snapshot.json",
    "original/consolidated.00.pth",
    "original/params.json",
    "consolidated.safetensors",
    "sub/consolidated.00.safetensors",
    "metal/model.safetensors",
    "onnx/model.onnx",
    "image.png",
    "train.py",
]


def test_the_default_takes_what_a_server_reads_and_nothing_else() -> None:
    assert Patterns().select(MODEL + LEFT_OUT, "org/name") == sorted(MODEL, key=str.encode)


@pytest.mark.parametrize("path", LEFT_OUT[:8])
def test_second_copies_and_caches_never_enter_even_when_asked_for(path: str) -> None:
    assert Patterns(include=("*",)).admits(path) is False


def test_include_replaces_the_default_and_exclude_takes_away() -> None:
    patterns = Patterns.parse(["*.json", "*.safetensors"], ["tokenizer*", "sub/*"])
    chosen = patterns.select([*MODEL, "sub/x.json"], "org/name")
    assert chosen == [
        "1_Pooling/config.json",
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ]


def test_paths_come_in_the_order_of_their_bytes() -> None:
    paths = ["b.json", "B.json", "a/z.json", "a.json", "\u00e9.json"]
    assert Patterns().select(paths, "x") == [
        "B.json",
        "a.json",
        "a/z.json",
        "b.json",
        "\u00e9.json",
    ]


def test_nothing_selected_names_the_patterns() -> None:
    with pytest.raises(NothingSelected, match=r"no file of 13 matches \*\.gguf"):
        Patterns(include=("*.gguf",)).select(MODEL, "org/name")


def test_a_repository_with_pickled_weights_alone_is_refused() -> None:
    with pytest.raises(UnsafeWeights, match=r"pytorch_model\.bin of org/name"):
        Patterns().select(["config.json", "pytorch_model.bin"], "org/name")


def test_pickled_weights_beside_safe_ones_are_left_out() -> None:
    paths = ["config.json", "model.safetensors", "pytorch_model.bin"]
    assert Patterns().select(paths, "org/name") == paths[:2]


@pytest.mark.parametrize("include", [("*.bin", "*.json"), ("pytorch_model.bin", "*.json")])
def test_pickled_weights_enter_when_their_ending_is_spelled_out(include: tuple[str, ...]) -> None:
    paths = ["config.json", "pytorch_model.bin"]
    assert Patterns.parse(include).select(paths, "org/name") == paths


@pytest.mark.parametrize("include", ["*", "pytorch*", "*.bi?", "*n"])
def test_a_wide_pattern_does_not_count_as_naming_pickles(include: str) -> None:
    with pytest.raises(UnsafeWeights):
        Patterns.parse([include]).select(["config.json", "pytorch_model.bin"], "org/name")


@pytest.mark.parametrize("glob", ["/etc/*", "../x", "a/../b"])
def test_a_pattern_that_can_match_nothing_is_refused(glob: str) -> None:
    with pytest.raises(InputError):
        Patterns.parse([glob])


@pytest.mark.parametrize(
    "weights", ["model-Q4.gguf", "onnx/model.onnx", "consolidated.safetensors"]
)
def test_an_image_without_weights_is_refused_if_there_are_others(weights: str) -> None:
    with pytest.raises(NothingSelected, match=r"no safetensors.*--include"):
        Patterns().select(["config.json", weights], "org/name")
    named = Patterns.parse(["*.json", "*.gguf", "*.onnx"]).select(
        ["config.json", "m.gguf"], "org/name"
    )
    assert named == ["config.json", "m.gguf"]
