"""Which safetensors files a server loads: what the index names, else what lies at the root.

Sources: vLLM ``model_loader/default_loader.py`` loads every ``*.safetensors`` at the root and, if
``model.safetensors.index.json`` is there, of those only what it names; with ``consolidated*`` it
turns to Mistral's layout, whose index is ``consolidated.safetensors.index.json``. transformers
``modeling_utils``: ``model.fp32.safetensors`` and ``model.safetensors.index.fp32.json`` are a
variant, read only by who asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from carferry.errors import InputError
from carferry.weights.index import INDEX_CAP_BYTES, SUFFIX, WeightIndex, parse_index
from carferry.weights.safetensors import ReadRange

CONFIG = "config.json"
PARAMS = "params.json"
ADAPTER_CONFIG = "adapter_config.json"
INDEX = f"model{SUFFIX}"
MISTRAL_INDEX = f"consolidated{SUFFIX}"
_MOST_INDICES = 16
_ANY_INDEX = re.compile(r"[^/]+\.safetensors\.index(\.[^/]+)?\.json")
_SHARD = re.compile(r"(.+)-\d+-of-\d+")


@dataclass(frozen=True, slots=True)
class Layout:
    """How the weights lie in a model.

    Attributes:
        files: What a server loads, sorted; empty if there is nothing it would.
        index: The index that decided, or empty.
        mistral: Whether it is Mistral's own layout, which has no config.json.
        copies: Safetensors files at the root that it does not load, and why not.
        missing: Files that the index names and that are not there.
    """

    files: tuple[str, ...] = ()
    index: str = ""
    mistral: bool = False
    copies: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


def index_paths(paths: Iterable[str]) -> list[str]:
    """Return the indices of safetensors at the root, those of variants too.

    Raises:
        InputError: More than any model has.
    """
    found = sorted(path for path in paths if _ANY_INDEX.fullmatch(path))
    if len(found) > _MOST_INDICES:
        reason = f"{len(found)} indices of safetensors, no model has more than {_MOST_INDICES}"
        raise InputError("read weights", found[0], reason, "exclude those of other weights")
    return found


def read_layout(files: Mapping[str, int], read: ReadRange) -> Layout:
    """Return how the weights of a model lie, from its indices and file names.

    Args:
        files: Repository paths to sizes in bytes.
        read: Reads a byte range of one of them.

    Raises:
        InputError: An index that is none.
    """
    indices = {}
    for path in index_paths(files):
        if files[path] > INDEX_CAP_BYTES:
            raise InputError("read weight index", path, f"{files[path]} bytes long, no index is")
        indices[path] = parse_index(path, read(path, 0, files[path]))
    return layout_of(files, indices)


def layout_of(paths: Collection[str], indices: Mapping[str, WeightIndex]) -> Layout:
    """Return how the weights lie.

    Args:
        paths: Every file that counts.
        indices: The parsed index of each of ``index_paths``.
    """
    root = sorted(path for path in paths if "/" not in path and path.endswith(".safetensors"))
    mistral = [path for path in root if path.startswith("consolidated")]
    adapters = [path for path in root if path.startswith("adapter_model")]
    adapters = adapters if ADAPTER_CONFIG in paths else []
    plain = [path for path in root if path not in {*mistral, *adapters}]
    others = {path: index for path, index in indices.items() if path != MISTRAL_INDEX}
    if PARAMS in paths and mistral and (CONFIG not in paths or not (plain or INDEX in indices)):
        return _mistral(paths, mistral, plain + adapters, indices.get(MISTRAL_INDEX))
    second = dict.fromkeys(mistral, "the same weights in Mistral's layout")
    if index := _deciding(plain, others):
        named, missing = _named(index, paths)
        stale = [path for path in plain if path not in index.files]
        copies = second | _unnamed(stale, index.path)
        return Layout(named, index.path, copies=copies, missing=missing)
    variants = _variants(plain, others)
    kept = tuple(path for path in plain if path not in variants)
    if kept:
        why = "a LoRA adapter, which a server would load as weights of the model"
        variants |= dict.fromkeys(adapters, why)
    return Layout(kept, copies=second | variants)


def _mistral(
    paths: Collection[str], own: list[str], plain: list[str], index: WeightIndex | None
) -> Layout:
    others = dict.fromkeys(plain, f"not of Mistral's layout, which {PARAMS} describes")
    if index is None:
        return Layout(tuple(own), mistral=True, copies=others)
    stale = _unnamed([path for path in own if path not in index.files], index.path)
    files, missing = _named(index, paths)
    return Layout(files, index.path, mistral=True, copies=others | stale, missing=missing)


def _named(index: WeightIndex, paths: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the files an index names: those that are there, and the others."""
    there = set(paths)
    return tuple(sorted(index.files & there)), tuple(sorted(index.files - there))


def _deciding(plain: list[str], indices: Mapping[str, WeightIndex]) -> WeightIndex | None:
    """Return the index that decides: the one servers look for, else the only one there is."""
    if INDEX in indices:
        return indices[INDEX]
    named = [index for path, index in indices.items() if path.endswith(SUFFIX)]
    return named[0] if len(named) == 1 and "model.safetensors" not in plain else None


def _unnamed(paths: list[str], index: str) -> dict[str, str]:
    return dict.fromkeys(paths, f"not named by {index}")


def _variants(plain: list[str], indices: Mapping[str, WeightIndex]) -> dict[str, str]:
    """Return second copies of a single file: other precisions, and shards that nothing names."""
    found: dict[str, str] = {}
    for path in plain:
        stem = path.removesuffix(".safetensors")
        shard = _SHARD.fullmatch(stem)
        whole = shard[1] if shard else stem
        whole = whole if shard and f"{whole}.safetensors" in plain else whole.rpartition(".")[0]
        if whole and f"{whole}.safetensors" in plain:
            found[path] = f"a second copy of {whole}.safetensors"
    if "model.safetensors" in plain:
        for index in indices.values():
            named = index.files - {"model.safetensors"}
            found |= {p: f"named by {index.path} only" for p in plain if p in named}
    return found
