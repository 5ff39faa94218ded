"""Popular repositories of the hub as small likenesses: every file, but tiny.

Each JSON file under ``tests/data/layouts`` describes one repository: the file list and the facts
of its configs, with their source, and what of it belongs into an image (``SOURCES.md`` there
explains the fields). Names may hold a range, ``model-{00001..00004}-of-00004.safetensors``.
`likeness` rebuilds the repository from such a file: the same paths, tensors and imports, with
contents that say nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from servers import models

FOLDER = Path(__file__).parent.parent / "data" / "layouts"
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
# A zip archive, which torch.save writes, ends with its directory's record.
_ZIP, _ZIP_END = b"PK\x03\x04", b"PK\x05\x06" + bytes(18)
# How a file of this kind begins, so that nobody takes it for text.
_MAGIC = {
    ".bin": _ZIP, ".pt": _ZIP, ".pth": _ZIP, ".gguf": b"GGUF",
    ".h5": b"\x89HDF\r\n\x1a\n", ".png": b"\x89PNG\r\n\x1a\n", ".jpg": b"\xff\xd8\xff\xe0",
    ".jpeg": b"\xff\xd8\xff\xe0", ".pdf": b"%PDF-1.4\n", ".wav": b"RIFF", ".onnx": b"\x08\x07",
    ".tflite": b"\x00\x00\x00\x00TFL3", ".ot": _ZIP, ".msgpack": b"\x81",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Weights:
    """One set of safetensors files, which together hold each of the tensors once.

    ``role`` is "weights" for what a server loads, else why the files are there; ``total_size``
    is whether the index says it.
    """

    files: tuple[str, ...]
    index: str | None
    dtype: str
    tensors: tuple[str, ...]
    role: str = "weights"
    total_size: bool = True


@dataclass(frozen=True, slots=True)
class Layout:
    """A repository of the hub, and what of it an image holds.

    Attributes:
        files: Paths to their sizes in bytes on the hub, None where not known.
        documents: JSON files that decide something, config.json among them.
        code: Python files to their relative imports.
        expected: Paths that enter an image by default, sorted by their bytes; none if refused.
        open: Paths that no rule decides, and what speaks for either side.
        other_repositories: Repositories that an ``auto_map`` takes code from.
        refused: Why no image is made by default, or None.
    """

    repo: str
    source: tuple[str, ...]
    files: Mapping[str, int | None]
    documents: Mapping[str, Any]
    weights: tuple[Weights, ...]
    code: Mapping[str, tuple[str, ...]]
    expected: tuple[str, ...]
    open: Mapping[str, str]
    trust_remote_code: bool
    other_repositories: tuple[str, ...]
    refused: str | None


def repositories() -> list[str]:
    """Return the names of all repositories that have a layout."""
    return sorted(path.stem.replace("--", "/", 1) for path in FOLDER.glob("*.json"))


def load(repo: str) -> Layout:
    """Read the layout of one repository."""
    given = json.loads((FOLDER / f"{repo.replace('/', '--')}.json").read_text())
    config = {} if given["config"] is None else {"config.json": given["config"]}
    return Layout(
        repo=given["repo"],
        source=tuple(given["source"]),
        files=_sizes(given["files"]),
        documents=config | given["documents"],
        weights=tuple(_weights(each) for each in given["weights"]),
        code={path: tuple(imports) for path, imports in given["code"].items()},
        expected=tuple(sorted(_spread(given["expected"]), key=str.encode)),
        open={path: why for glob, why in given["open"].items() for path in _spread([glob])},
        trust_remote_code=given["trust_remote_code"],
        other_repositories=tuple(given["other_repositories"]),
        refused=given["refused"],
    )


def likeness(repo: str) -> dict[str, bytes]:
    """Return every file of a repository with contents of its kind; the same on every call."""
    layout = load(repo)
    files = {path: _filler(repo, path) for path in layout.files}
    files |= {path: _code(path, imports) for path, imports in layout.code.items()}
    files |= {path: _json(document) for path, document in layout.documents.items()}
    files |= _pickle_indexes(layout.files)
    for weights in layout.weights:
        files |= _safetensors(weights)
    return files


def _spread(names: Sequence[str]) -> list[str]:
    """Return names with each range of numbers written out."""
    spread: list[str] = []
    for name in names:
        found = _RANGE.search(name)
        if found is None:
            spread.append(name)
            continue
        first, last = found.groups()
        width = len(first) if first.startswith("0") else 0
        head, tail = name[: found.start()], name[found.end() :]
        numbers = range(int(first), int(last) + 1)
        spread += _spread([f"{head}{number:0{width}}{tail}" for number in numbers])
    return spread


def _sizes(files: Sequence[str | list[Any]]) -> dict[str, int | None]:
    pairs = [(file, None) if isinstance(file, str) else (file[0], file[1]) for file in files]
    return {path: size for name, size in pairs for path in _spread([name])}


def _weights(given: dict[str, Any]) -> Weights:
    files, tensors = _spread([given["files"]]), _spread(given["tensors"])
    return Weights(**given | {"files": tuple(files), "tensors": tuple(tensors)})


def _safetensors(weights: Weights) -> dict[str, bytes]:
    """Return the files of one set, the tensors dealt out in order, and their index."""
    shards: dict[str, list[str]] = {path: [] for path in weights.files}
    for number, tensor in enumerate(weights.tensors):
        shards[weights.files[number * len(shards) // len(weights.tensors)]].append(tensor)
    files = {
        path: models.weights(dict.fromkeys(held, (4,)), dtype=weights.dtype, seed=number)
        for number, (path, held) in enumerate(shards.items())
    }
    if weights.index is not None:
        total = sum(len(file) - models.header_bytes(file) for file in files.values())
        places = {tensor: path for path, held in shards.items() for tensor in held}
        files[weights.index] = _json(
            {
                "metadata": {"total_size": total} if weights.total_size else {},
                "weight_map": dict(sorted(places.items())),
            }
        )
    return files


def _pickle_indexes(paths: Mapping[str, object]) -> dict[str, bytes]:
    """Return the indexes that name pickle shards, which stand beside them."""
    shards = sorted(path for path in paths if path.endswith(".bin") and "-of-" in path)
    document = {
        "metadata": {"total_size": 8 * len(shards)},
        "weight_map": {f"part.{number}.weight": path for number, path in enumerate(shards)},
    }
    return {path: _json(document) for path in paths if ".bin.index." in path}


def _code(path: str, imports: Sequence[str]) -> bytes:
    name = PurePosixPath(path).stem.title().replace("_", "")
    lines = [f'"""Stands for {path}."""', "", *imports, "", "", f"class {name}:", "    pass", ""]
    return "\n".join(lines).encode()


def _filler(repo: str, path: str) -> bytes:
    """Return a file of the right kind that says only what it stands for."""
    ending = PurePosixPath(path).suffix.lower()
    text = f"Stands for {path} of {repo}.\n"
    if path == ".gitattributes":
        return b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
    if path.rpartition("/")[2] == "tokenizer.json":
        return models.tiny()["tokenizer.json"]
    if ending == ".json":
        return _json({"stands_for": path})
    if path.endswith("README.md"):
        return f"---\nlicense: other\n---\n# {repo}\n\n{text}".encode()
    if ending == ".jinja":
        return b"{% for message in messages %}{{ message['content'] }}{% endfor %}\n"
    end = _ZIP_END if _MAGIC.get(ending) == _ZIP else b""
    return _MAGIC.get(ending, b"") + text.encode() + end


def _json(document: object) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()
