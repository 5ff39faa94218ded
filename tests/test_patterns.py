"""What a user's globs mean: they replace the choice, they take away, they name what stays out."""

from __future__ import annotations

import pytest

from carferry.errors import InputError
from carferry.selection.patterns import Patterns, cover


def test_include_and_exclude_match_paths_and_names() -> None:
    patterns = Patterns.parse(["*.json", "sub/*"], ["tokenizer*"])
    assert patterns.includes("a/b.json")
    assert patterns.includes("sub/x.bin")
    assert not patterns.includes("x.bin")
    assert patterns.excludes("a/tokenizer.json")


@pytest.mark.parametrize("glob", ["/etc/*", "../x", "a/../b"])
def test_a_pattern_that_can_match_nothing_is_refused(glob: str) -> None:
    with pytest.raises(InputError):
        Patterns.parse([glob])


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("original/*", "original/params.json"),
        ("consolidated*", "consolidated.safetensors"),
        ("*fp32*", "model.fp32-00001-of-00002.safetensors"),
        ("model.fp32.safetensors", "model.fp32.safetensors"),
        (".gitattributes", ".gitattributes"),
        (".git*", ".gitattributes"),
        ("runs/*", "runs/x/events.out.tfevents.1"),
    ],
)
def test_a_pattern_names_a_file_if_it_says_more_than_an_ending(glob: str, path: str) -> None:
    assert Patterns.parse([glob]).names(path)


@pytest.mark.parametrize("glob", ["*", "*.*", "*.safetensors", "*.saf*", "*/*", "**/*.json", "?*"])
def test_a_wildcard_and_an_ending_name_nothing(glob: str) -> None:
    patterns = Patterns.parse([glob])
    assert not patterns.names("original/consolidated.safetensors")
    assert not patterns.names(".env.json")


def test_a_pattern_that_takes_the_weights_too_does_not_name_their_copy() -> None:
    patterns = Patterns.parse(["model*.safetensors"])
    assert not patterns.names("model.fp32.safetensors", beside=["model.safetensors"])
    assert Patterns.parse(["model.fp32*"]).names(
        "model.fp32.safetensors", beside=["model.safetensors"]
    )


@pytest.mark.parametrize(
    ("glob", "exactly"), [(".env", True), ("a/.env", True), ("*", False), (".e*", False)]
)
def test_a_name_without_wildcards_is_exact(glob: str, exactly: bool) -> None:
    assert Patterns.parse([glob]).names_exactly("a/.env") is exactly


@pytest.mark.parametrize("include", ["*", "pytorch*", "*.bi?", "*n"])
def test_a_wide_pattern_does_not_spell_out_an_ending(include: str) -> None:
    assert not Patterns.parse([include]).names_ending("pytorch_model.bin")


@pytest.mark.parametrize("path", ["a[1].json", "b*c", "d,e.txt", "f?g", "h i.json"])
def test_globs_made_from_paths_match_them(path: str) -> None:
    assert Patterns.parse(cover([path]).split(",")).includes(path)


def test_globs_are_by_ending_where_that_says_the_same_in_less() -> None:
    paths = ["a.json", "b.json", "README.md", "x.safetensors"]
    assert cover(paths, [".json", ".safetensors"]) == "README.md,*.json,*.safetensors"
