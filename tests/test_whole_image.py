"""``inspect --verify`` of images by other tools: could a server load the model that they hold."""

from __future__ import annotations

import gzip
import hashlib
import json
import struct
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from ferrying import carferry, ferry, from_folder, to_layout, to_registry
from servers.images import LAYER, tar_of, write_layout
from servers.models import sharded, tiny, write
from servers.registry import Registry

import carferry as api
from carferry.image.inspection import inspect
from carferry.image.layers import Format
from carferry.image.modelpack import compose_modelpack, modelpack_annotations, modelpack_type
from carferry.oci.documents import Descriptor
from carferry.registry.blobs import put_blob
from carferry.registry.target import Target
from carferry.source.snapshot import Snapshot

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Files = Mapping[str, bytes]
MODEL = sharded(2)
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"
POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4665a5ea423c2713d436b5ee50593a9640e0018c1550b5a0002f74190d6caea8\nsize 12345\n"
)


def as_modelcar(files: Files, folder: Path) -> Target:
    """Make an image as another tool would: no ids, no annotations."""
    write_layout(folder, [tar_of({f"models/{path}": body for path, body in files.items()})], "v1")
    return to_layout(folder)


def as_modelpack(files: Files, folder: Path) -> Target:
    """Make an artifact as another tool would."""
    return put_modelpack(files, to_layout(folder))


def put_modelpack(files: Files, target: Target) -> Target:
    layers = [
        Descriptor(
            modelpack_type(path), put_blob(target, body), len(body), modelpack_annotations(path)
        )
        for path, body in sorted(files.items())
    ]
    config, manifest = compose_modelpack(layers, Snapshot("", "", ()), {})
    put_blob(target, config.data)
    target.put_manifest(manifest, "v1")
    return target


def as_gzip(files: Files, folder: Path) -> Target:
    """Make an image as podman does, which compresses by default."""
    return packed(files, folder, lambda data: gzip.compress(data, mtime=0), f"{LAYER}+gzip")


def as_zstd(files: Files, folder: Path) -> Target:
    return packed(files, folder, zstd.compress, f"{LAYER}+zstd")


def packed(files: Files, folder: Path, pack: Callable[[bytes], bytes], kind: str) -> Target:
    data = tar_of({f"models/{path}": body for path, body in files.items()})
    diff_ids = [f"sha256:{hashlib.sha256(data).hexdigest()}"]
    write_layout(folder, [pack(data)], "v1", types=[kind], diff_ids=diff_ids)
    return to_layout(folder)


MAKERS: dict[str, Callable[[Files, Path], Target]] = {
    "modelcar": as_modelcar,
    "gzip": as_gzip,
    "zstd": as_zstd,
    "modelpack": as_modelpack,
}


def look(target: Target) -> tuple[bool | None, tuple[str, ...]]:
    """Return what is said of the whole, and the lines that are not about ids."""
    found = api.inspect(str(target.ref), verify=True)
    (ok,) = [ok for name, ok, _ in found.rules if name == "whole"]
    return ok, tuple(flaw for flaw in found.flaws if "no id says" not in flaw)


def without(*paths: str) -> dict[str, bytes]:
    return {path: body for path, body in MODEL.items() if path not in paths}


# What is wrong, the files, and how its line begins.
FAULTS: dict[str, tuple[Files, str]] = {
    "a truncated shard": ({**MODEL, SECOND: MODEL[SECOND][:-100]}, f"models/{SECOND}: "),
    "a pointer": ({**MODEL, FIRST: POINTER}, f"models/{FIRST}: a git-lfs pointer for a file of"),
    "a missing shard": (without(SECOND), f"models/{SECOND}: missing: {INDEX} names it"),
    "a missing shard and no index": (without(SECOND, INDEX), f"models/{SECOND}: missing: {FIRST}"),
    "another model's shard": ({**MODEL, SECOND: MODEL[FIRST]}, f"models/{SECOND}: lacks tensor"),
    "weights without a tensor": (
        tiny() | {"model.safetensors": struct.pack("<Q", 8) + b"{}      "},
        "models/model.safetensors: holds no tensor",
    ),
    "a page": ({**MODEL, "tokenizer.json": b"<!doctype html>"}, "models/tokenizer.json: an HTML"),
    "half a model": (
        tiny() | {"config.json": MODEL["config.json"].replace(b'layers": 2', b'layers": 4')},
        "models/model.safetensors: its tensors end with layer 2 of the 4",
    ),
}


@pytest.mark.parametrize("format", MAKERS)
@pytest.mark.parametrize("name", FAULTS)
def test_what_no_server_could_load_is_broken(tmp_path: Path, name: str, format: str) -> None:
    files, line = FAULTS[name]
    ok, flaws = look(MAKERS[format](files, tmp_path / "image"))
    assert ok is False
    assert len(flaws) == 1
    assert flaws[0].startswith(line)


@pytest.mark.parametrize("format", MAKERS)
def test_a_whole_model_of_another_tool_is_whole(tmp_path: Path, format: str) -> None:
    assert look(MAKERS[format](MODEL, tmp_path / "image")) == (True, ())


ADAPTER = {"adapter_config.json": b"{}", "adapter_model.safetensors": MODEL[FIRST]}
TEXTS = {"config.json": MODEL["config.json"], "README.md": b"# Words"}
# Files, and what is said of them: --allow-no-weights makes such images on purpose.
WEIGHTLESS: dict[str, tuple[Files, str]] = {
    "texts": (TEXTS, "2 files looked at; no weights among them"),
    "an index alone": (
        {**TEXTS, "a.bin.index.json": b"{}"}, "3 files looked at; no weights among them",
    ),
    "an adapter": (
        ADAPTER,
        "2 files looked at; no weights of a model among them, only a LoRA adapter: "
        "adapter_model.safetensors",
    ),
    "an adapter beside a model": ({**MODEL, **ADAPTER}, f"{len(MODEL) + 2} files looked at"),
    "weights of another format": (
        {**TEXTS, "m.gguf": b"GGUF" + bytes(20)}, "3 files looked at",
    ),
}  # fmt: skip


@pytest.mark.parametrize("format", MAKERS)
@pytest.mark.parametrize("name", WEIGHTLESS)
def test_an_image_without_weights_is_said_to_have_none(
    tmp_path: Path, name: str, format: str
) -> None:
    files, detail = WEIGHTLESS[name]
    found = api.inspect(str(MAKERS[format](files, tmp_path / "image").ref), verify=True)
    assert [rule for rule in found.rules if rule[0] == "whole"] == [("whole", True, detail)]


@pytest.mark.parametrize("format", Format)
def test_carferrys_own_image_is_whole(tmp_path: Path, format: Format) -> None:
    target = to_layout(tmp_path / "image")
    ferry(from_folder(write(MODEL, tmp_path / "model")), target, format=format, large_bytes=2048)
    assert look(target) == (True, ())


def test_what_a_later_layer_covers_or_takes_away_counts(tmp_path: Path) -> None:
    below = tar_of({f"models/{path}": body for path, body in MODEL.items()})
    above = tar_of({f"models/{FIRST}": POINTER, f"models/.wh.{SECOND}": b""})
    write_layout(tmp_path / "image", [below, above], "v1")
    ok, flaws = look(to_layout(tmp_path / "image"))
    assert ok is False
    assert [flaw.split(": ")[0] for flaw in flaws] == [f"models/{FIRST}", f"models/{SECOND}"]


def test_what_is_compressed_counts_with_what_is_not(tmp_path: Path) -> None:
    plain = tar_of({f"models/{path}": body for path, body in without(SECOND).items()})
    packed = gzip.compress(tar_of({f"models/{SECOND}": MODEL[SECOND]}), mtime=0)
    types = (LAYER, f"{LAYER}+gzip")
    write_layout(tmp_path / "image", [plain, packed], "v1", types=types)
    assert look(to_layout(tmp_path / "image")) == (True, ())


HEAD = 256 * 1024
LONG_HEADER = {
    f"t{n:05}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(6000)
}
LONG_WEIGHTS = struct.pack("<Q", len(json.dumps(LONG_HEADER))) + json.dumps(LONG_HEADER).encode()
LONG_TEXT = json.dumps({"vocab": list(range(100_000))}).encode()


@pytest.mark.parametrize("maker", ["gzip", "zstd"])
def test_a_header_longer_than_what_is_kept_is_said_and_not_broken(
    tmp_path: Path, maker: str
) -> None:
    assert len(LONG_WEIGHTS) > HEAD
    files = {**MODEL, "extra.safetensors": LONG_WEIGHTS}
    target = MAKERS[maker](files, tmp_path / "image")
    assert look(target) == (None, ())
    (detail,) = [text for name, _, text in api.inspect(str(target.ref), verify=True).rules
                 if name == "whole"]  # fmt: skip
    assert f"{len(files) - 1} files looked at; " in detail
    assert detail.endswith(
        "1 are compressed and longer than what was kept of them: extra.safetensors"
    )
    assert look(MAKERS["modelcar"](files, tmp_path / "plain"))[0] is True


@pytest.mark.parametrize("maker", ["gzip", "zstd"])
def test_a_long_text_is_known_by_its_two_ends(tmp_path: Path, maker: str) -> None:
    assert len(LONG_TEXT) > HEAD
    good = MAKERS[maker]({**MODEL, "tokenizer.json": LONG_TEXT}, tmp_path / "good")
    assert look(good) == (True, ())
    bad = MAKERS[maker]({**MODEL, "tokenizer.json": LONG_TEXT[:-100]}, tmp_path / "bad")
    ok, (flaw,) = look(bad)
    assert (ok, flaw.startswith("models/tokenizer.json: JSON cut short")) == (False, True)


def test_faults_are_found_beside_a_header_that_is_too_long(tmp_path: Path) -> None:
    files = {**MODEL, FIRST: POINTER, "extra.safetensors": LONG_WEIGHTS}
    ok, flaws = look(as_gzip(files, tmp_path / "image"))
    assert (ok, [flaw.split(": ")[0] for flaw in flaws]) == (False, [f"models/{FIRST}"])


def test_first_bytes_are_kept_within_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not kept is said, and whoever only looks keeps nothing."""
    monkeypatch.setattr("carferry.steps.inspect.ALL_HEADS_BYTES", 4096)
    target = as_gzip(MODEL, tmp_path / "image")
    assert look(target) == (None, ())
    heads = [entry.place.head for entry in inspect(target).models if entry.place]
    assert heads == [b""] * len(MODEL)


def test_the_command_says_it_of_a_registry_and_ends_with_2(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    target = put_modelpack({**MODEL, FIRST: POINTER}, to_registry(registry))
    how = ("--verify", "--progress", "none", "--plain-http", registry.host)
    seen = carferry(capsys, "inspect", target.ref, *how)
    assert seen.code == 2
    assert f"BROKEN  whole       1 faults: models/{FIRST}: a git-lfs pointer" in seen.out


def test_without_verify_no_file_is_looked_at(tmp_path: Path) -> None:
    found = api.inspect(str(as_modelcar(without(SECOND), tmp_path / "image").ref))
    assert "whole" not in {name for name, *_ in found.rules}
