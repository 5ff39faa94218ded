"""JSON that servers read: whole, and of the right kind."""

from __future__ import annotations

import json
from typing import Any

from carferry.errors import BrokenFile
from carferry.weights.safetensors import ReadRange
from carferry.weights.standins import check_page, check_pointer

CONFIG = "config.json"
PARAMS = "params.json"
SERVED = frozenset(
    {
        CONFIG,
        "added_tokens.json",
        "generation_config.json",
        "modules.json",
        PARAMS,
        "preprocessor_config.json",
        "processor_config.json",
        "special_tokens_map.json",
        "tekken.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
    }
)
"""What transformers, sentence-transformers and vLLM parse; other JSON may be anything."""

_GENERATION = "generation_config.json"
CONFIG_CAP_BYTES = 16 * 1024 * 1024
"""No config is longer; one that claims to be is not read."""

_WHOLE_BYTES = 256 * 1024
_END_BYTES = 1024
_PAIRS = {b"{": b"}", b"[": b"]"}


def is_harmless(path: str, size_bytes: int) -> bool:
    """Return whether a file of no bytes stops no server.

    transformers' GenerationConfig.from_pretrained raises OSError for what is no JSON, as if it
    were not there; vLLM (``transformers_utils/config.py``, try_get_generation_config) and
    transformers then make one from config.json.
    """
    return not size_bytes and path.rpartition("/")[2] == _GENERATION


def check_json(
    path: str, size_bytes: int, read: ReadRange, *, is_config: bool = False
) -> dict[str, Any] | None:
    """Check a JSON file; of one over 256 KiB only the two ends, as a tokenizer has many MiB.

    Args:
        path: Where it lies.
        size_bytes: Its length.
        read: Reads a range of it.
        is_config: Whether servers know the model by it, as by config.json.

    Returns:
        What it says, if it was read whole and is an object.

    Raises:
        BrokenFile: Not JSON, or cut short.
    """
    is_config |= path == CONFIG
    if size_bytes > (CONFIG_CAP_BYTES if is_config else _WHOLE_BYTES):
        _check_ends(path, size_bytes, read)
        return None
    data = read(path, 0, size_bytes)
    check_pointer(path, data)
    check_page(path, data)
    document = _parsed(path, data)
    if (is_config or path.endswith(CONFIG)) and not isinstance(document, dict):
        raise _broken(path, "not a JSON object")
    return document if isinstance(document, dict) else None


def _parsed(path: str, data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _broken(path, f"not JSON ({error})") from error


def _check_ends(path: str, size_bytes: int, read: ReadRange) -> None:
    head = read(path, 0, _END_BYTES)
    check_page(path, head)
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if first not in _PAIRS:
        raise _broken(path, f"not JSON: it begins with {head[:8]!r}")
    tail = read(path, size_bytes - _END_BYTES, size_bytes)
    if not tail.rstrip(b" \t\r\n").endswith(_PAIRS[first]):
        raise _broken(path, f"JSON cut short: no {_PAIRS[first].decode()} at its end")


def _broken(path: str, reason: str) -> BrokenFile:
    return BrokenFile("check", path, reason, "download it again or report it")
