"""The ``--include`` that takes a model's weights, made from the very files it has."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Mapping
from itertools import takewhile
from pathlib import PurePosixPath

from carferry.io.shell import option
from carferry.selection.kinds import COPIES, OTHER_RUNTIMES, OTHER_WEIGHTS, PICKLE, matches
from carferry.selection.patterns import cover
from carferry.source.snapshot import SourceFile
from carferry.weights.layout import CONFIG, PARAMS, Layout

_FEW = 3
_TEXT_ENDINGS = (".json", ".txt", ".jinja", ".model")
_ONNX_DATA = re.compile(r"\.onnx[._]data(?:_\d+)?$")
_GGUF_SHARD = re.compile(r"-\d+-of-\d+(?=\.gguf$)")
# The size most people serve: https://github.com/ggml-org/llama.cpp tools/quantize/README.md.
_USUAL = "q4_k_m"


def weights_of(files: Mapping[str, SourceFile], layout: Layout) -> list[str]:
    """Return the weights that a model has, of the format that a server is likeliest to read.

    Args:
        files: What may enter an image, by path.
        layout: How its safetensors lie.
    """
    if loaded := [path for path in layout.files if path in files]:
        return loaded
    groups = [
        [p for p in files if matches(p, PICKLE) and not matches(p, (*COPIES, *OTHER_RUNTIMES))],
        _one_gguf(files),
        *(
            [p for p in files if matches(p, (glob,))]
            for glob in OTHER_WEIGHTS
            if "gguf" not in glob
        ),
        [p for p in files if matches(p, PICKLE)],
        [p for p in files if p.endswith(".safetensors")],
    ]
    found = next((group for group in groups if group), [])
    least = min((path.count("/") for path in found), default=0)
    nearest = {path for path in found if path.count("/") == least}
    return sorted(nearest | {path for path in files if _other_half(path) & nearest})


def _other_half(path: str) -> set[str]:
    """Return what a file holds the other half of: ONNX's data, or the graph of OpenVINO's."""
    stem, ending = posixpath.splitext(path)
    if ending in {".xml", ".bin"}:
        return {f"{stem}.bin", f"{stem}.xml"}
    return {_ONNX_DATA.sub(".onnx", path)}


def include(texts: Iterable[str], weights: Collection[str], given: Collection[str] = ()) -> str:
    """Return the option that takes these weights, and all the rest.

    Args:
        texts: What is taken beside them.
        weights: What is not taken yet.
        given: Patterns that a user gave; they are kept.
    """
    rest = ",".join(given) or cover(sorted(texts), (*_TEXT_ENDINGS, ".safetensors"))
    globs = ",".join(part for part in (_glob(weights), rest) if part)
    return option("--include", globs)


def root_config(files: Collection[str]) -> list[str]:
    """Return the file at the root that says what the weights are, if there is one."""
    return [name for name in (CONFIG, PARAMS) if name in files][:1]


def _glob(paths: Collection[str]) -> str:
    """Return few paths as they are, many of one name and ending as one pattern."""
    start, endings = _start(paths), {PurePosixPath(path).suffix for path in paths}
    if len(paths) <= _FEW or not start or len(endings) > 1:
        return cover(sorted(paths), endings if len(paths) > _FEW else ())
    return f"{cover([start])}*{endings.pop()}"


def _start(paths: Collection[str]) -> str:
    pairs = zip(min(paths, default=""), max(paths, default=""), strict=False)
    return "".join(first for first, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _one_gguf(files: Mapping[str, SourceFile]) -> list[str]:
    """Return one model of those in GGUF, whole: a server loads a single one."""
    named: dict[str, list[str]] = {}
    for path in files:
        if path.lower().endswith(".gguf") and not re.search("mmproj|imatrix", path.lower()):
            named.setdefault(_GGUF_SHARD.sub("", path), []).append(path)
    if not named:
        return []
    usual = [name for name in sorted(named) if _USUAL in name.lower()]
    smallest = min(named, key=lambda n: (sum(files[p].size_bytes for p in named[n]), n))
    return named[usual[0] if usual else smallest]
