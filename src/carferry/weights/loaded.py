"""What the tensors that a server loads are together: some at all, every layer, no shard twice.

vLLM ``model_loader/default_loader.py`` loads the shards that no index names one after another, and
the ``weight_loader`` of each parameter asserts the shape.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from carferry.errors import BrokenFile
from carferry.weights import formats
from carferry.weights.depth import check_depth
from carferry.weights.index import WeightIndex
from carferry.weights.layout import CONFIG, PARAMS, Layout, layout_of
from carferry.weights.numbered import family_of
from carferry.weights.safetensors import Header, Tensor

_AGAIN = "download it again or report it"


def judge_loaded(
    files: Collection[str],
    indices: Mapping[str, WeightIndex],
    headers: Mapping[str, Header],
    documents: Mapping[str, Mapping[str, Any]],
) -> tuple[list[BrokenFile], list[str]]:
    """Judge weights of which each file is right by itself.

    Args:
        files: Every path of the model.
        indices: Each index by its path.
        headers: Of every safetensors file.
        documents: JSON objects by path, config.json and params.json among them.

    Returns:
        Faults, and remarks on what is odd and does no harm.
    """
    if faults := _empty(files, headers):
        return faults, []
    layout = layout_of(files, indices)
    paths = [path for path in layout.files if path in headers]
    paths = [path for path in paths if not path.startswith("adapter_")]
    remarks: list[str] = []
    if not paths or _may_be_unused(files, layout):
        return [], []
    if not layout.index:
        faults, remarks = _repeated({path: headers[path].tensors for path in paths})
    if not faults:
        source = PARAMS if layout.mistral else CONFIG
        faults = list(_shallow(paths, headers, documents.get(source, {}), source))
    return faults, remarks


def _empty(files: Collection[str], headers: Mapping[str, Header]) -> list[BrokenFile]:
    """Return a fault for each file if none holds a tensor; weights of another format may."""
    has_tensors = any(header.tensors for header in headers.values())
    if has_tensors or any(path.endswith(formats.ENDINGS) for path in files):
        return []
    return [BrokenFile("check", path, "holds no tensor", _AGAIN) for path in sorted(headers)]


def _may_be_unused(files: Collection[str], layout: Layout) -> bool:
    """Return whether transformers would load weights of another format instead.

    Of safetensors it knows the index and model.safetensors; vLLM takes any before another format.
    """
    is_known = layout.mistral or layout.index or "model.safetensors" in layout.files
    return not is_known and any("/" not in p and p.endswith(formats.ENDINGS) for p in files)


def _shallow(
    paths: list[str], headers: Mapping[str, Header], config: Mapping[str, Any], source: str
) -> Iterator[BrokenFile]:
    names = [tensor.name for path in paths for tensor in headers[path].tensors]
    try:
        check_depth(names, config, paths[0] if len(paths) == 1 else "the weights", source)
    except BrokenFile as error:
        yield error


def _repeated(shards: Mapping[str, tuple[Tensor, ...]]) -> tuple[list[BrokenFile], list[str]]:
    """Return what numbered shards hold that others of the same family hold too."""
    families: dict[object, list[str]] = defaultdict(list)
    for path in sorted(shards):
        if family := family_of(path):
            families[family].append(path)
    faults, remarks = list[BrokenFile](), list[str]()
    for paths in families.values():
        first: dict[str, tuple[str, Tensor]] = {}
        whole = dict[frozenset[str], str]()
        for path in paths:
            tensors = {tensor.name: tensor for tensor in shards[path]}
            again = [(*first[name], each) for name, each in tensors.items() if name in first]
            copied = whole.setdefault(frozenset(tensors), path)
            if again and (reason := _clash(again) or _copy(copied, path)):
                faults.append(BrokenFile("check", path, reason, _AGAIN))
            elif again:
                remarks.append(_remark(path, again))
            first |= {name: (path, each) for name, each in tensors.items()}
    return faults, remarks


def _clash(again: list[tuple[str, Tensor, Tensor]]) -> str:
    """Return the tensor of two shapes, if any; one number may be stored as a list of one."""
    for path, before, after in again:
        if before.shape != after.shape and not before.count == after.count == 1:
            shapes = f"{list(after.shape)}, in {path} {list(before.shape)}"
            return f"tensor {after.name!a} is {shapes}"
    return ""


def _copy(copied: str, path: str) -> str:
    return f"holds the tensors of {copied} again, and none of its own" if copied != path else ""


def _remark(path: str, again: list[tuple[str, Tensor, Tensor]]) -> str:
    where, tensor, _ = again[0]
    more = f" and {len(again) - 1} more" if len(again) > 1 else ""
    return f"{path}: tensor {tensor.name!a}{more} is in {where} too; servers take the last"
