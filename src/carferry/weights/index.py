"""The index of sharded weights: which file holds which tensor.

Source: huggingface_hub ``save_torch_state_dict`` and transformers ``modeling_utils`` write
``{"metadata": {"total_size": bytes}, "weight_map": {tensor: file}}``; the files it names lie
beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from posixpath import dirname, join, normpath

from carferry.errors import BrokenFile
from carferry.weights.standins import check_page, check_pointer

SUFFIX = ".safetensors.index.json"
INDEX_CAP_BYTES = 64 * 1024 * 1024
"""Longest index that is read: DeepSeek-V3's, with 91,991 tensors, has 8.9 MB."""


@dataclass(frozen=True)  # no slots: the files are derived once
class WeightIndex:
    """One parsed index.

    Attributes:
        path: Of the index itself, in the repository.
        tensors: Tensor to the repository path of the file that holds it.
        total_size: Bytes of all tensors together, if the index says so.
    """

    path: str
    tensors: Mapping[str, str]
    total_size: int | None

    @cached_property
    def files(self) -> frozenset[str]:
        """Repository paths of the files it names."""
        return frozenset(self.tensors.values())


def parse_index(path: str, data: bytes) -> WeightIndex:
    """Parse an index.

    Args:
        path: Where it lies in the repository; its files are named relative to its folder.
        data: Its bytes.

    Raises:
        BrokenFile: Not an index, or a file outside the repository.
    """
    check_pointer(path, data)
    check_page(path, data)
    document = _object(path, data)
    found = document.get("weight_map")
    if not isinstance(found, dict) or not all(isinstance(file, str) for file in found.values()):
        raise _broken(path, "it has no weight_map of tensors to files")
    folder = dirname(path)
    tensors = {name: normpath(join(folder, file)) for name, file in found.items()}
    outside = next((file for file in tensors.values() if file.startswith(("/", ".."))), "")
    if outside:
        raise _broken(path, f"it names {outside!a}, outside the model")
    metadata = document.get("metadata")
    total = metadata.get("total_size") if isinstance(metadata, dict) else None
    return WeightIndex(path, tensors, _whole_number(total))


def _object(path: str, data: bytes) -> dict[str, object]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _broken(path, f"not JSON ({error})") from error
    if not isinstance(document, dict):
        raise _broken(path, "not a JSON object")
    return document


def _whole_number(value: object) -> int | None:
    """Return a size; some writers left a float of the same value."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _broken(path: str, reason: str) -> BrokenFile:
    return BrokenFile("read weight index", path, reason, "download it again or report it")
