"""Read safetensors headers by Range: what the loader will load, without loading it.

A header is untrusted input, so it is checked before it is used: the length is
capped, keys are unique, offsets tile the data without gap or overlap and end with the file.
A dtype that is not known yet is no fault of the file; its length then is what the offsets say.

Source: safetensors format description (``safetensors/README.md``), 100 MB header limit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, TypeGuard

from carferry.errors import BrokenFile, InputError

ReadRange = Callable[[str, int, int], bytes]
"""Reads bytes [start, end) of a file, shorter only at the end of the file."""

_LENGTH = 8
_LARGEST_HEADER = 100_000_000
FIRST_READ = 1 << 16
"""Bytes that hold most headers whole: one request for each file."""

_MOST_DIMENSIONS = 64  # PyTorch's limit; the product of a million would take minutes
_BITS = {
    "F64": 64, "I64": 64, "U64": 64, "C64": 64,
    "F32": 32, "I32": 32, "U32": 32,
    "F16": 16, "BF16": 16, "I16": 16, "U16": 16,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I8": 8, "U8": 8, "BOOL": 8,
    "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tensor:
    """One stored tensor; ``dtype`` is the header's name for it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int

    @property
    def count(self) -> int:
        """Elements as stored (packed integers count as their container)."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Header:
    """What one file holds.

    Attributes:
        tensors: In the order of their bytes.
        noted: Keys of its metadata. Writers note the names there that they left out because
            another name shares the bytes (safetensors ``save_model``; the hub's converter).
    """

    tensors: tuple[Tensor, ...]
    noted: frozenset[str] = frozenset()

    @property
    def size_bytes(self) -> int:
        """Length of all tensors together."""
        return sum(tensor.size_bytes for tensor in self.tensors)


def read_tensors(
    files: Mapping[str, int], read: ReadRange, headers: Mapping[str, Header] | None = None
) -> tuple[Tensor, ...]:
    """Read the headers of the files a server loads; what two of them hold is counted once.

    Args:
        files: Their paths, as ``layout`` found them, to sizes in bytes.
        read: Reads a byte range of one of them.
        headers: Those that have been read already.

    Raises:
        InputError: No file, a header that does not add up, an unknown dtype, or two shapes.
    """
    if not files:
        raise InputError("read weights", "model", "no .safetensors file that a server loads")
    found = {path: (headers or {}).get(path) or read_header(path, files[path], read)
             for path in sorted(files)}  # fmt: skip
    seen: dict[str, Tensor] = {}
    for path, header in found.items():
        for tensor in header.tensors:
            _check_known(path, tensor)
            if seen.get(tensor.name, tensor).shape != tensor.shape:
                reason = f"tensor {tensor.name!r} is in two files, in two shapes"
                raise InputError("read weights", "model", reason)
            seen[tensor.name] = tensor
    return tuple(seen.values())


def read_header(path: str, size_bytes: int, read: ReadRange) -> Header:
    """Read and check the header of one file.

    Raises:
        InputError: Names what does not add up.
    """
    return parse_header(path, size_bytes, read(path, 0, min(FIRST_READ, size_bytes)), read)


def parse_header(path: str, size_bytes: int, head: bytes, read: ReadRange) -> Header:
    """Check the header of a file whose first ``FIRST_READ`` bytes have been read.

    Raises:
        InputError: Names what does not add up.
    """
    if len(head) < _LENGTH:
        raise _corrupt(path, f"{len(head)} bytes, too short for a header")
    length = int.from_bytes(head[:_LENGTH], "little")
    end = _LENGTH + length
    if length > _LARGEST_HEADER or end > size_bytes:
        raise _corrupt(path, f"claims a header of {length} bytes in a file of {size_bytes}")
    if len(head) < end:
        head += read(path, len(head), end)
    if len(head) < end:
        raise _corrupt(path, f"ends after {len(head)} bytes of a {end}-byte header")
    return _parse(path, head[_LENGTH:end], size_bytes - end)


def bytes_by_dtype(tensors: Iterable[Tensor]) -> dict[str, int]:
    """Return stored bytes per dtype."""
    totals: dict[str, int] = {}
    for tensor in tensors:
        totals[tensor.dtype] = totals.get(tensor.dtype, 0) + tensor.size_bytes
    return totals


def _parse(path: str, data: bytes, body: int) -> Header:
    try:
        header = json.loads(data, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _corrupt(path, f"header is not JSON ({error})") from error
    if not isinstance(header, dict):
        raise _corrupt(path, "header is not a JSON object")
    noted = header.pop("__metadata__", None)
    spans = sorted(_entry(path, name, entry) for name, entry in header.items())
    _check_tiling(path, spans, body)
    names = frozenset(noted) if isinstance(noted, dict) else frozenset()
    return Header(tuple(tensor for _, _, _, tensor in spans), names)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key appears twice")
    return dict(pairs)


def _entry(path: str, name: str, entry: Any) -> tuple[int, int, str, Tensor]:
    """Return (start, end, name, tensor) of one header entry."""
    if not isinstance(entry, dict):
        raise _corrupt(path, f"tensor {name!r} is not an object")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str):
        raise _corrupt(path, f"tensor {name!r} has unknown dtype {dtype!r}")
    if not (_naturals(shape) and _naturals(offsets)) or len(offsets) != 2:
        raise _corrupt(path, f"tensor {name!r} has a malformed shape or offsets")
    start, end = offsets
    size = -(-prod(shape) * _BITS[dtype] // 8) if dtype in _BITS else max(0, end - start)
    if end - start != size:
        raise _corrupt(path, f"tensor {name!r} spans {end - start} bytes, its shape needs {size}")
    return start, end, name, Tensor(name, dtype, tuple(shape), size)


def _naturals(value: Any) -> TypeGuard[list[int]]:
    return (
        isinstance(value, list)
        and len(value) <= _MOST_DIMENSIONS
        and all(
            isinstance(item, int) and not isinstance(item, bool) and 0 <= item < 1 << 48
            for item in value
        )
    )


def _check_tiling(path: str, spans: list[tuple[int, int, str, Tensor]], body: int) -> None:
    position = 0
    for start, end, name, _ in spans:
        if start != position:
            raise _corrupt(path, f"tensor {name!r} starts at {start}, expected {position}")
        position = end
    if position != body:
        cut = ": the file was cut short" if position > body else ""
        raise _corrupt(path, f"tensors cover {position} of {body} bytes{cut}")


def _check_known(path: str, tensor: Tensor) -> None:
    if tensor.dtype not in _BITS:
        raise _corrupt(path, f"tensor {tensor.name!r} has unknown dtype {tensor.dtype!r}")


def _corrupt(path: str, reason: str) -> BrokenFile:
    return BrokenFile("read safetensors", path, reason, "download the file again or report it")
