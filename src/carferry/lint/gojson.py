"""JSON as Go's ``encoding/json`` writes it, since sizes of Argo's objects are sizes of that text.

Go escapes ``<``, ``>`` and ``&`` (six bytes each, seven once nested in another string), and writes
no space. Source: https://pkg.go.dev/encoding/json#Marshal.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

_HTML = (
    ("<", "\\u003c"),
    (">", "\\u003e"),
    ("&", "\\u0026"),
    ("\u2028", "\\u2028"),
    ("\u2029", "\\u2029"),
)


def marshal(value: Any) -> str:
    """Return a value as Go would write it, whole floats as the reader made them: integers."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character, escape in _HTML:
        if character in text:
            text = text.replace(character, escape)
    return text


@lru_cache(maxsize=256)
def unmarshal(text: str) -> Any:
    """Return the value of a text that ``marshal`` wrote; the callers do not change it."""
    return json.loads(text)


def byte_length(text: str) -> int:
    """Return the length in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def size(value: Any) -> int:
    """Return how many bytes a value takes as JSON."""
    return byte_length(marshal(value))
