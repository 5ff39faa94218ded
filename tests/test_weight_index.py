from __future__ import annotations

import json

import pytest

from carferry.errors import InputError
from carferry.weights.index import parse_index


def index(weight_map: object, **metadata: object) -> bytes:
    return json.dumps({"metadata": metadata, "weight_map": weight_map}).encode()


def test_files_are_named_relative_to_the_folder_of_the_index() -> None:
    found = parse_index("unet/a.safetensors.index.json", index({"x": "1.safetensors"}))
    assert found.files == {"unet/1.safetensors"}


@pytest.mark.parametrize(
    ("given", "size"),
    [(7, 7), (7.0, 7), (7.5, None), (float("inf"), None), ("7", None), (True, None), (None, None)],
)
def test_a_total_size_is_a_whole_number_or_none(given: object, size: int | None) -> None:
    found = parse_index("a.safetensors.index.json", index({"x": "1.safetensors"}, total_size=given))
    assert found.total_size == size


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "no weight_map"),
        (index(["x"]), "no weight_map"),
        (index({"x": 1}), "no weight_map"),
        (index({"x": "../1.safetensors"}), "outside the model"),
        (index({"x": "/etc/passwd"}), "outside the model"),
    ],
)
def test_a_broken_index_is_refused_by_name(data: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=rf"m\.safetensors\.index\.json.*{reason}"):
        parse_index("m.safetensors.index.json", data)
