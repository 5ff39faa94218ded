"""Models made up for the benchmarks: real safetensors headers over bf16 of N(0, 0.02).

Gaussian weights compress by about a hundredth, as trained ones nearly do not either; a block of
them is repeated, further apart than any compressor's window.
"""

from __future__ import annotations

import array
import functools
import hashlib
import json
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
_BLOCK_BYTES = 8 * MIB
_COLUMNS = 1024
_TOKENIZER_BYTES = 5_900_000
_SMALL = ("README.md", "config.json", "generation_config.json", "special_tokens_map.json",
          "tokenizer_config.json", "vocab.json")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Model:
    """A model on disk.

    Attributes:
        name: Its repository is ``bench/<name>``.
        folder: Folder of its files.
        files: Path to (size in bytes, sha256).
    """

    name: str
    folder: Path
    files: dict[str, tuple[int, str]]

    @property
    def repo(self) -> str:
        """Name on the hub."""
        return f"bench/{self.name}"

    @property
    def size_bytes(self) -> int:
        """Length of all files together."""
        return sum(size for size, _ in self.files.values())


def make(root: Path, name: str, shards: int, shard_bytes: int) -> Model:
    """Return the model of that shape, written on first use and kept under ``root``."""
    folder = root / "models" / f"{name}-{shards}x{shard_bytes}"
    return _made(name, folder, lambda: _write(folder, shards, shard_bytes))


def make_small(root: Path, name: str, count: int, size_bytes: int) -> Model:
    """Return a model of one small shard and that many files that are no weights."""
    folder = root / "models" / f"{name}-{count}x{size_bytes}"

    def write() -> None:
        (folder / "parts").mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
        (folder / "model.safetensors").write_bytes(b"".join(_shard(0, MIB)))
        draw = random.Random(0)
        for number in range(count):
            text = json.dumps(draw.randbytes(size_bytes // 2 - 1).hex())
            (folder / "parts" / f"{number:05}.json").write_text(text)

    return _made(name, folder, write)


def _made(name: str, folder: Path, write: Callable[[], None]) -> Model:
    record = folder.with_suffix(".json")
    if not record.is_file():
        write()
        files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}
        known = {key: _identity(path) for key, path in files.items() if path.is_file()}
        record.write_text(json.dumps(known))
    pairs = json.loads(record.read_text())
    return Model(name, folder, {key: (size, digest) for key, (size, digest) in pairs.items()})


def _write(folder: Path, shards: int, shard_bytes: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(shards):
        path = folder / f"model-{number + 1:05}-of-{shards:05}.safetensors"
        with path.open("wb") as file:
            file.writelines(_shard(number, shard_bytes))
    for name in _SMALL:
        (folder / name).write_text(json.dumps({"file": name, "model_type": "llama"}))
    words = {f"word-{n:07}": n for n in range(_TOKENIZER_BYTES // 24)}
    (folder / "tokenizer.json").write_text(json.dumps(words))


def _shard(seed: int, size_bytes: int) -> Iterator[bytes]:
    """Yield a safetensors file of about this size: length, header, one tensor of bf16."""
    rows = max(1, size_bytes // (2 * _COLUMNS))
    end = rows * _COLUMNS * 2
    tensor = {"dtype": "BF16", "shape": [rows, _COLUMNS], "data_offsets": [0, end]}
    header = json.dumps({f"layers.{seed}.weight": tensor}).encode()
    header += b" " * (-len(header) % 8)
    yield struct.pack("<Q", len(header)) + header
    turn = (seed * 7919 * 64) % _BLOCK_BYTES
    block = _weights()[turn:] + _weights()[:turn]
    while end > 0:
        yield block[:end]
        end -= len(block)


@functools.cache
def _weights() -> bytes:
    """Return one block of bf16: the upper halves of little-endian float32."""
    draw = random.Random(0).gauss
    values = array.array("f", (draw(0, 0.02) for _ in range(_BLOCK_BYTES // 2))).tobytes()
    block = bytearray(_BLOCK_BYTES)
    block[0::2], block[1::2] = values[2::4], values[3::4]
    return bytes(block)


def _identity(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()
