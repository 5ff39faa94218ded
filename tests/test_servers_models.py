"""The tiny models are real to the readers users have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors
from huggingface_hub import HfApi, snapshot_download
from servers import models
from servers.hub import Hub
from servers.process import hub_process
from tokenizers import Tokenizer


def tensors_of(file: bytes) -> dict[str, dict[str, Any]]:
    return dict(safetensors.deserialize(file))  # type: ignore[no-untyped-call]


def test_a_tiny_model_opens_in_safetensors_and_tokenizers() -> None:
    files = models.tiny()
    tensors = tensors_of(files["model.safetensors"])
    assert sorted(tensors) == [
        f"model.layers.{n}.{part}" for n in (0, 1) for part in ("bias", "weight")
    ]
    assert tensors["model.layers.0.weight"]["shape"] == [16, 8]
    tokenizer = Tokenizer.from_str(files["tokenizer.json"].decode())
    assert tokenizer.encode("a ferry carries models").tokens == ["a", "ferry", "carries", "models"]


def test_a_sharded_model_has_every_tensor_where_its_index_says() -> None:
    files = models.sharded(3)
    index = json.loads(files["model.safetensors.index.json"])
    held = {name: tensors_of(files[name]) for name in set(index["weight_map"].values())}
    assert len(held) == 3
    assert all(tensor in held[name] for tensor, name in index["weight_map"].items())


def test_models_are_the_same_on_every_call_and_differ_by_seed() -> None:
    assert models.tiny() == models.tiny()
    assert models.tiny(1)["model.safetensors"] != models.tiny()["model.safetensors"]


@pytest.mark.parametrize("reason", sorted({**models.HOSTILE, **models.ODD}))
def test_a_hub_lists_any_file_name(hub: Hub, reason: str) -> None:
    name = {**models.HOSTILE, **models.ODD}[reason]
    hub.add("org/odd", {name: b"x"})
    info = HfApi(endpoint=hub.endpoint).model_info("org/odd")
    assert info.siblings is not None
    assert [sibling.rfilename for sibling in info.siblings] == [name]


@pytest.mark.parametrize("reason", sorted(models.ODD))
def test_odd_names_arrive(hub: Hub, reason: str, tmp_path: Path) -> None:
    hub.add("org/odd", {models.ODD[reason]: b"x"})
    snapshot_download("org/odd", endpoint=hub.endpoint, local_dir=tmp_path)
    assert (tmp_path / models.ODD[reason]).read_bytes() == b"x"


def test_a_hub_serves_a_folder_from_its_own_process(tmp_path: Path) -> None:
    files = models.tiny()
    folder = models.write(files, tmp_path / "model")
    with hub_process("--repo", f"org/tiny={folder}") as endpoint:
        got = Path(snapshot_download("org/tiny", endpoint=endpoint))
    assert {path: (got / path).read_bytes() for path in files} == files


def test_a_hub_that_cannot_start_says_so() -> None:
    with pytest.raises(RuntimeError, match="ended before it served"), hub_process("--unknown"):
        pass


def test_an_absolute_name_overwrites_nothing(tmp_path: Path) -> None:
    name = str(tmp_path / "outside")
    with pytest.raises(ValueError, match="would overwrite a file of this machine"):
        models.write({"config.json": b"{}", name: b"x"}, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
