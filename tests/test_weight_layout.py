"""Which safetensors files a server loads; the others are second copies, and each says of what."""

from __future__ import annotations

import json

import pytest

from carferry.errors import InputError
from carferry.weights.layout import Layout, read_layout

S = ".safetensors"
SHARDS = [f"model-0000{n}-of-00002{S}" for n in (1, 2)]
INDEX = "model.safetensors.index.json"
VARIANT = "model.safetensors.index.fp32.json"
BOTH = ["params.json", "config.json"]
FP32 = [f"model.fp32-0000{n}-of-00002{S}" for n in (1, 2)]

Case = tuple[dict[str, list[str] | None], list[str]]
CASES: dict[str, Case] = {
    "one file": ({"model.safetensors": None, "config.json": None}, ["model.safetensors"]),
    "shards without an index": (dict.fromkeys(SHARDS), SHARDS),
    "an index": ({**dict.fromkeys(SHARDS), INDEX: SHARDS}, SHARDS),
    "a stale single file": ({**dict.fromkeys([*SHARDS, f"model{S}"]), INDEX: SHARDS}, SHARDS),
    "shards of an older save": (
        {**dict.fromkeys([*SHARDS, f"model-00001-of-00001{S}"]), INDEX: SHARDS},
        SHARDS,
    ),
    "a second precision with its index": (
        {**dict.fromkeys([f"model{S}", *FP32]), VARIANT: FP32},
        ["model.safetensors"],
    ),
    "a second precision in one file": (
        dict.fromkeys([f"model{S}", f"model.fp16{S}", f"model.fp32{S}"]),
        ["model.safetensors"],
    ),
    "a second precision beside shards": (
        {**dict.fromkeys([*SHARDS, *FP32]), INDEX: SHARDS, VARIANT: FP32},
        SHARDS,
    ),
    "shards beside a single file, and no index": (
        dict.fromkeys([f"model{S}", *SHARDS]),
        ["model.safetensors"],
    ),
    "one precision alone": (dict.fromkeys([f"model.fp16{S}"]), ["model.fp16.safetensors"]),
    "an index of another name": (
        {**dict.fromkeys([f"a-1{S}", f"a-2{S}", f"old{S}"]), f"a{S}.index.json": [f"a-1{S}"]},
        ["a-1.safetensors"],
    ),
    "two indices of other names": (
        {f"a{S}": None, f"b{S}": None, f"a{S}.index.json": [f"a{S}"], f"b{S}.index.json": []},
        ["a.safetensors", "b.safetensors"],
    ),
    "an index that names a folder": ({f"w/m{S}": None, INDEX: [f"w/m{S}"]}, ["w/m.safetensors"]),
    "an index whose files are gone": ({f"other{S}": None, INDEX: SHARDS}, []),
    "folders that nothing names": (
        dict.fromkeys([f"model{S}", f"unet/model{S}", f"original/model{S}"]),
        ["model.safetensors"],
    ),
    "both layouts": (
        {**dict.fromkeys([*SHARDS, f"consolidated{S}", *BOTH]), INDEX: SHARDS},
        SHARDS,
    ),
    "an adapter beside shards": (
        {**dict.fromkeys([*SHARDS, f"adapter_model{S}", "adapter_config.json"]), INDEX: SHARDS},
        SHARDS,
    ),
    "an adapter beside a single file": (
        dict.fromkeys([f"model{S}", f"adapter_model{S}", "adapter_config.json"]),
        ["model.safetensors"],
    ),
    "an adapter alone": (dict.fromkeys([f"adapter_model{S}", "adapter_config.json"]), []),
}  # fmt: skip
MISTRAL: dict[str, Case] = {
    "one file": (dict.fromkeys([f"consolidated{S}", "params.json"]), [f"consolidated{S}"]),
    "shards with an index": (
        {
            **dict.fromkeys(["params.json", f"consolidated-1{S}", f"consolidated-2{S}"]),
            f"consolidated{S}.index.json": [f"consolidated-1{S}"],
        },
        [f"consolidated-1{S}"],
    ),
    "a config.json without weights of its own": (
        dict.fromkeys(["config.json", "params.json", f"consolidated{S}"]),
        [f"consolidated{S}"],
    ),
    "other weights without a config.json": (
        dict.fromkeys(["params.json", f"consolidated{S}", f"model{S}"]),
        [f"consolidated{S}"],
    ),
}


EVERY = {**CASES, **{f"Mistral: {name}": case for name, case in MISTRAL.items()}}


def contents(files: dict[str, list[str] | None]) -> dict[str, bytes]:
    """Each index names a tensor for each of its files; all else is empty."""
    return {
        path: b""
        if named is None
        else json.dumps({"weight_map": {f"t{n}": file for n, file in enumerate(named)}}).encode()
        for path, named in files.items()
    }


def read(files: dict[str, bytes]) -> Layout:
    sizes = {path: len(data) for path, data in files.items()}
    return read_layout(sizes, lambda path, start, end: files[path][start:end])


@pytest.mark.parametrize("case", CASES)
def test_a_server_loads(case: str) -> None:
    files, loaded = CASES[case]
    layout = read(contents(files))
    assert (list(layout.files), layout.mistral) == (loaded, False)


@pytest.mark.parametrize("case", MISTRAL)
def test_mistrals_layout(case: str) -> None:
    files, loaded = MISTRAL[case]
    layout = read(contents(files))
    assert (list(layout.files), layout.mistral) == (loaded, True)


@pytest.mark.parametrize("case", EVERY)
def test_what_lies_at_the_root_is_loaded_or_a_copy_with_its_reason(case: str) -> None:
    files, loaded = EVERY[case]
    layout = read(contents(files))
    root = {path for path in files if path.endswith(S) and "/" not in path}
    adapters = {path for path in root if path.startswith("adapter")}
    assert root - set(loaded) - adapters <= set(layout.copies)
    assert not set(loaded) & set(layout.copies)
    assert all(layout.copies.values())


def test_more_indices_than_any_model_has_are_not_read() -> None:
    names = [f"m{n}.safetensors.index.json" for n in range(17)]
    with pytest.raises(InputError, match="17 indices of safetensors"):
        read(contents({name: [] for name in names}))


def test_an_index_far_too_long_is_not_read() -> None:
    with pytest.raises(InputError, match="bytes long, no index is"):
        read_layout({INDEX: 1 << 40}, lambda path, start, end: b"")
