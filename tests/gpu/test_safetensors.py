from __future__ import annotations

import json

import pytest
from gpu.samples import LLAMA, header, llama_file
from safetensors import deserialize

from carferry.errors import InputError
from carferry.weights.safetensors import bytes_by_dtype, read_header, read_tensors

ONE = {"a": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}}


class Remote:
    """Files served by byte range; counts what was asked for."""

    def __init__(self, **files: bytes) -> None:
        self.files = {name.replace("__", "."): data for name, data in files.items()}
        self.served = 0

    @property
    def sizes(self) -> dict[str, int]:
        return {name: len(data) for name, data in self.files.items()}

    def read(self, path: str, start: int, end: int) -> bytes:
        data = self.files[path][start:end]
        self.served += len(data)
        return data


def test_headers_agree_with_the_safetensors_library() -> None:
    data = llama_file(LLAMA)

    ours = read_tensors({"model.safetensors": len(data)}, Remote(model__safetensors=data).read)

    theirs = {name: (tuple(t["shape"]), len(t["data"])) for name, t in deserialize(data)}
    assert {tensor.name: (tensor.shape, tensor.size_bytes) for tensor in ours} == theirs


def test_only_the_header_of_a_large_file_is_read() -> None:
    data = llama_file(LLAMA | {"hidden_size": 512, "vocab_size": 8000})
    remote = Remote(model__safetensors=data)

    tensors = read_tensors(remote.sizes, remote.read)

    assert sum(bytes_by_dtype(tensors).values()) + 300_000 > len(data)
    assert remote.served <= 1 << 18 < len(data)


def test_header_longer_than_the_first_read_is_completed() -> None:
    names = {f"t{i:06}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for i in range(6000)}
    data = header(names)
    remote = Remote(m__safetensors=data)

    assert len(read_tensors(remote.sizes, remote.read)) == 6000


def spoiled(**changes: object) -> bytes:
    return header({"a": ONE["a"] | changes}, 12)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x01\x00", "too short for a header"),
        ((1 << 40).to_bytes(8, "little") + b"{}", "claims a header of"),
        ((200_000_000).to_bytes(8, "little") + b"{}", "claims a header of"),
        ((100).to_bytes(8, "little") + b"{}", "claims a header of 100 bytes"),
        (header(ONE, 12)[:-20], "claims a header of"),
        ((7).to_bytes(8, "little") + b"not js}", "not JSON"),
        ((2).to_bytes(8, "little") + b"[]", "not a JSON object"),
        (b"\x1a" + bytes(7) + b'{"a":{"x":1},"a":{"x":2}} ', "a key appears twice"),
        (header({"a": 7}), "is not an object"),
        (spoiled(dtype=7), "unknown dtype 7"),
        (spoiled(shape=[2, -3]), "malformed shape"),
        (spoiled(shape=[True, 6]), "malformed shape"),
        (spoiled(shape=[1 << 60]), "malformed shape"),
        (spoiled(shape=None), "malformed shape"),
        (spoiled(data_offsets=[0, 11]), "spans 11 bytes, its shape needs 12"),
        (spoiled(data_offsets=[0, 12, 12]), "malformed shape or offsets"),
        (spoiled(data_offsets=[4, 16]), "starts at 4, expected 0"),
        (header(ONE, 13), "tensors cover 12 of 13 bytes"),
        (header(ONE, 11), "tensors cover 12 of 11 bytes"),
        (header(ONE | {"b": ONE["a"]}, 12), "starts at 0, expected 12"),
    ],
)
def test_hostile_header_is_refused_in_one_line(data: bytes, reason: str) -> None:
    remote = Remote(m__safetensors=data)

    with pytest.raises(InputError) as refused:
        read_header("m.safetensors", len(data), remote.read)

    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_dtype_of_tomorrow_is_no_fault_of_the_file_but_cannot_be_planned() -> None:
    data = spoiled(dtype="F7")
    remote = Remote(m__safetensors=data)

    (tensor,) = read_header("m.safetensors", len(data), remote.read).tensors
    assert (tensor.dtype, tensor.size_bytes) == ("F7", 12)
    with pytest.raises(InputError, match="unknown dtype 'F7'"):
        read_tensors(remote.sizes, remote.read)


def test_metadata_entry_is_no_tensor() -> None:
    data = header(ONE | {"__metadata__": {"format": "pt"}}, 12)

    tensors = read_header("m.safetensors", len(data), Remote(m__safetensors=data).read).tensors

    assert [tensor.name for tensor in tensors] == ["a"]


def test_tensor_in_two_files_counts_once_and_in_two_shapes_is_refused() -> None:
    """A server has one parameter of that name, whichever file fills it last."""
    data = header(ONE, 12)
    remote = Remote(x__safetensors=data, y__safetensors=data)
    assert [each.size_bytes for each in read_tensors(remote.sizes, remote.read)] == [12]

    other = header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, 4)
    remote = Remote(x__safetensors=data, y__safetensors=other)
    with pytest.raises(InputError, match="tensor 'a' is in two files, in two shapes"):
        read_tensors(remote.sizes, remote.read)


def test_repository_without_safetensors_is_refused() -> None:
    with pytest.raises(InputError, match=r"no \.safetensors file that a server loads"):
        read_tensors({}, Remote().read)


def test_deeply_nested_header_is_refused() -> None:
    text = b"[" * 200_000
    data = len(text).to_bytes(8, "little") + text

    with pytest.raises(InputError, match="not JSON"):
        read_header("m.safetensors", len(data), Remote(m__safetensors=data).read)


def test_every_dtype_is_counted_in_bytes() -> None:
    entries = {
        "f4": {"dtype": "F4", "shape": [4], "data_offsets": [0, 2]},
        "f32": {"dtype": "F32", "shape": [1], "data_offsets": [2, 6]},
    }
    data = header(json.loads(json.dumps(entries)), 6)

    tensors = read_header("m.safetensors", len(data), Remote(m__safetensors=data).read).tensors

    assert bytes_by_dtype(tensors) == {"F4": 2, "F32": 4}
