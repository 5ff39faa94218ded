"""The layouts of popular repositories are whole, and their likenesses are real to readers."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import safetensors
from servers import layouts
from servers.layouts import Layout

from carferry.weights.safetensors import read_header

REPOSITORIES = layouts.repositories()
REAL = [repo for repo in REPOSITORIES if not repo.startswith("example/")]
each_layout = pytest.mark.parametrize("repo", REPOSITORIES)
_IMPORT = re.compile(r"^\s*from \.(\w+) import", re.MULTILINE)
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_KIB = 1024


def tensors_of(files: Mapping[str, bytes], path: str) -> dict[str, int]:
    """Return the tensors of a safetensors file and their sizes, as our own reader sees them."""
    body = files[path]
    header = read_header(path, len(body), lambda _, start, end: body[start:end])
    return {tensor.name: tensor.size_bytes for tensor in header.tensors}


def code_names(value: Any) -> Iterator[str]:
    """Yield what an ``auto_map`` names, lists and nulls taken apart."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from code_names(item)
    elif isinstance(value, dict):
        yield from code_names(list(value.values()))


def auto_map(layout: Layout) -> list[str]:
    """Return every class that a root document's ``auto_map`` names, as ``module.Class``."""
    maps = [
        document["auto_map"] for document in layout.documents.values() if "auto_map" in document
    ]
    return [name for name in code_names(maps) if "." in name.rpartition("/")[2]]


def needed_code(layout: Layout) -> set[str]:
    """Return the files that ``auto_map`` names and those that they import, to the end."""
    waiting = [f"{name.partition('.')[0]}.py" for name in auto_map(layout) if "--" not in name]
    needed: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path not in needed:
            needed.add(path)
            imported = _IMPORT.findall("\n".join(layout.code[path]))
            waiting += [f"{module}.py" for module in imported]
    return needed


def test_there_are_layouts_of_many_real_repositories() -> None:
    assert len(REAL) >= 32
    sizes = [path.stat().st_size for path in layouts.FOLDER.glob("*")]
    assert sum(sizes) < 200 * _KIB


@each_layout
def test_a_layout_names_its_source_and_is_named_for_its_repository(repo: str) -> None:
    layout = layouts.load(repo)
    assert layout.repo == repo
    assert layout.source and all(layout.source)
    assert len(layout.files) > 4


@each_layout
def test_what_is_expected_is_in_the_repository_or_refused_with_a_reason(repo: str) -> None:
    layout = layouts.load(repo)
    assert set(layout.expected) <= set(layout.files)
    assert set(layout.open) <= set(layout.files)
    assert all(layout.open.values())
    assert list(layout.expected) == sorted(set(layout.expected), key=str.encode)
    assert not [path for path in layout.expected if path.startswith(".") or "/." in path]
    assert bool(layout.refused) == (not layout.expected)


@pytest.mark.parametrize("repo", [repo for repo in REPOSITORIES if not layouts.load(repo).refused])
def test_an_expected_image_has_a_config_and_whole_sets_of_weights(repo: str) -> None:
    layout = layouts.load(repo)
    assert {"config.json", "params.json"} & set(layout.expected)
    weights = [each for each in layout.weights if each.role == "weights"]
    assert len(weights) == 1
    assert set(weights[0].files) <= set(layout.expected)
    for other in layout.weights:
        taken = set(other.files) & set(layout.expected)
        assert taken in (set(), set(other.files))
        assert bool(taken) == (other.role in {"weights", "adapter", "module"})


@each_layout
def test_a_likeness_holds_every_file_and_little_else(repo: str) -> None:
    files = layouts.likeness(repo)
    assert set(files) == set(layouts.load(repo).files)
    assert all(files.values())
    assert sum(len(body) for body in files.values()) < 256 * _KIB
    assert files == layouts.likeness(repo)


@each_layout
def test_the_safetensors_of_a_likeness_hold_its_tensors(repo: str) -> None:
    layout, files = layouts.load(repo), layouts.likeness(repo)
    for weights in layout.weights:
        held = Counter(name for path in weights.files for name in tensors_of(files, path))
        assert held == Counter(weights.tensors)
        assert all(tensors_of(files, path) for path in weights.files)
    for path in [path for path in files if path.endswith(".safetensors")]:
        read = dict(safetensors.deserialize(files[path]))  # type: ignore[no-untyped-call]
        assert set(read) == set(tensors_of(files, path))
    named = {path for weights in layout.weights for path in weights.files}
    assert named == {path for path in files if path.endswith(".safetensors")}


@each_layout
def test_the_index_of_a_likeness_says_where_every_tensor_is(repo: str) -> None:
    layout, files = layouts.load(repo), layouts.likeness(repo)
    for weights in layout.weights:
        if weights.index is None:
            continue
        index = json.loads(files[weights.index])
        held = {path: tensors_of(files, path) for path in weights.files}
        assert index["weight_map"] == {name: path for path in held for name in held[path]}
        total = sum(size for tensors in held.values() for size in tensors.values())
        assert index["metadata"] == ({"total_size": total} if weights.total_size else {})


@each_layout
def test_a_likeness_has_as_many_layers_as_its_config_says(repo: str) -> None:
    layout = layouts.load(repo)
    documents = [layout.documents.get(name, {}) for name in ("config.json", "params.json")]
    nested = [config for config in documents[0].values() if isinstance(config, dict)]
    given = [config[key] for config in [*documents, *nested] for key in _LAYERS if key in config]
    weights = [each for each in layout.weights if each.role == "weights"]
    if not given or not weights:
        return
    layers = {n for name in weights[0].tensors for n in re.findall(r"\.(\d+)\.", f".{name}")}
    assert len(layers) >= max(given)


@each_layout
def test_the_code_that_a_config_names_is_expected_with_what_it_imports(repo: str) -> None:
    layout, files = layouts.load(repo), layouts.likeness(repo)
    for path in layout.code:
        compile(files[path], path, "exec")
        assert layout.code[path] == () or _IMPORT.findall(files[path].decode())
    if not layout.refused:
        taken = {path for path in layout.expected if path.endswith(".py")}
        assert taken - set(layout.open) == needed_code(layout)
    elsewhere = {name.partition("--")[0] for name in auto_map(layout) if "--" in name}
    assert elsewhere == set(layout.other_repositories)
    assert layout.trust_remote_code == bool(needed_code(layout) | elsewhere)


@each_layout
def test_every_module_of_sentence_transformers_is_expected_whole(repo: str) -> None:
    layout = layouts.load(repo)
    for module in layout.documents.get("modules.json", ()):
        config = f"{module['path']}/config.json"
        if config in layout.files and not layout.refused:
            assert config in layout.expected
        if module["type"].endswith(".Dense") and not layout.refused:
            assert f"{module['path']}/model.safetensors" in layout.expected
