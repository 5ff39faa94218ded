"""Whether an index and the headers of its files agree.

What differs without harm was seen in public repositories, and is no fault:

- The hub's converter keeps the index of the ``.bin`` files and notes in a file's metadata which
  names it left out, since another holds the bytes (safetensors ``bindings/python/convert.py``).
- A tied output layer, and buffers that are computed anew, are named and not stored.
- ``total_size`` comes from another precision or counts a tied tensor twice, or the length of
  whole files; saving with offloaded weights counts too little (transformers issue 33209).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from carferry.errors import BrokenFile
from carferry.weights.index import WeightIndex
from carferry.weights.safetensors import Header

_AGAIN = "download it again or report it"
_TIED = frozenset(
    {"lm_head", "embed_tokens", "embed_out", "shared", "word_embeddings", "wte", "decoder"}
)
_F32_BYTES = 4
_COMPUTED = ("inv_freq", "masked_bias", "position_ids")


def missing_files(index: WeightIndex, there: Collection[str]) -> Iterator[BrokenFile]:
    """Yield each file that the index names and that is not there."""
    for path in sorted(index.files - set(there)):
        yield BrokenFile(
            "check", path, f"missing: {index.path} names it",
            "download it, or leave out --exclude",
        )  # fmt: skip


def misplaced_tensors(
    index: WeightIndex, headers: Mapping[str, Header], config: Mapping[str, Any]
) -> Iterator[BrokenFile]:
    """Yield each file that lacks tensors which the index puts into it.

    Args:
        index: What should be where.
        headers: Of the files that were looked at; nothing is said about others.
        config: The model's; whether its output layer is tied.
    """
    places = {tensor.name: path for path, header in headers.items() for tensor in header.tensors}
    noted = {name for header in headers.values() for name in header.noted}
    expected: dict[str, list[str]] = defaultdict(list)
    for name, path in index.tensors.items():
        expected[path].append(name)
    for path in sorted(expected):
        if path not in headers:
            continue
        held = {tensor.name for tensor in headers[path].tensors}
        lacking = [name for name in expected[path] if name not in held and name not in noted]
        elsewhere = [name for name in lacking if name in places]
        nowhere = [n for n in lacking if n not in places and not _is_left_out(n, config)]
        if nowhere:
            reason = f"lacks {_count(nowhere)} that {index.path} puts into it"
            yield BrokenFile("check", path, reason, _AGAIN)
        elif elsewhere:
            reason = f"{_count(elsewhere)} that {index.path} puts into it is in "
            yield BrokenFile("check", path, reason + places[elsewhere[0]], _AGAIN)


def compare_total(
    index: WeightIndex,
    headers: Mapping[str, Header],
    files: Mapping[str, int],
    config: Mapping[str, Any],
) -> tuple[BrokenFile | None, str]:
    """Compare the index's sum with the headers', where every tensor is there.

    Returns:
        A fault if bytes are missing that nothing explains, and a remark on any other difference.
    """
    held = sum(headers[path].size_bytes for path in index.files)
    if index.total_size is None or index.total_size == held:
        return None, ""
    words = f"total_size is {index.total_size}, the tensors of its files are {held} bytes"
    tensors = [tensor for path in index.files for tensor in headers[path].tensors]
    largest = max((tensor.size_bytes for tensor in tensors), default=0)
    # Files count whole where a writer added up their lengths; a tied tensor counts twice; the
    # sum of F32 stays where tensors were converted one by one and the index was kept.
    before = _F32_BYTES * sum(tensor.count for tensor in tensors)
    most = max(sum(files[path] for path in index.files), held + 2 * largest, before)
    if index.total_size <= most or _is_quantized(config):
        return None, f"{index.path}: {words}; nothing is missing"
    return BrokenFile("check", index.path, words, _AGAIN), ""


def _is_left_out(name: str, config: Mapping[str, Any]) -> bool:
    tied = config.get("tie_word_embeddings", True) is not False
    return name.endswith(_COMPUTED) or (tied and not _TIED.isdisjoint(name.split(".")[-2:]))


def _is_quantized(config: Mapping[str, Any]) -> bool:
    return any(config.get(key) for key in ("quantization_config", "quantization"))


def _count(names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"tensor {names[0]!a}{more}"
