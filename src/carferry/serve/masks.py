"""Values of objects as they may be shown: what is a secret, or is named as one, is hidden."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from carferry.serve.secrets import is_secret
from carferry.shown import printable

HIDDEN = "(hidden)"
_LONGEST = 160
_QUOTE = r"""\\?["']"""
_WORD = r"""(?:"(?:\\.|[^"\\])*(?:"|$)|'[^']*(?:'|$)|\\.|[^\s"'\\])+"""
_FLAG = re.compile(rf"(--[A-Za-z][\w.-]*)(\s*=\s*|\s+)({_WORD}(?:\s+(?!-){_WORD})*)", re.DOTALL)
"""Of a command line: some flags take more than one value."""
_SET = re.compile(rf"(?<![\w-])([A-Za-z_]\w*)(=)({_WORD})", re.DOTALL)
_ENTRY = re.compile(rf"{_QUOTE}([\w-]+){_QUOTE}(\s*:\s*)({_QUOTE}(?:(?!\\?[\"']).)*)", re.DOTALL)
"""Of JSON, which may stand in a text as its own."""


def shown(value: Any, name: str) -> str:
    """Return a value on one line, as JSON but for the quotes of a text.

    Args:
        value: Of a field, as JSON has it.
        name: Of the field, or of the variable whose value it is.
    """
    text = json.dumps(_masked(value, name), ensure_ascii=False)
    if isinstance(value, str):
        text = text[1:-1] or '""'
    text = printable(text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _masked(value: Any, name: str) -> Any:
    if isinstance(value, str):
        return _masked_text(value, name)
    if isinstance(value, list):
        return [_masked(part, flag or name) for flag, part in _after_flags(value)]
    if isinstance(value, Mapping):
        named = str(value.get("name", ""))
        return {k: _masked(v, named if k == "value" else str(k)) for k, v in value.items()}
    return value


def _masked_text(text: str, name: str) -> str:
    flag, sign, value = text.partition("=")
    if flag.startswith("--") and sign and is_secret(_word(flag), value):
        return f"{flag}={HIDDEN}"
    for pattern in (_FLAG, _SET, _ENTRY):
        text = pattern.sub(_hidden, text)
    return HIDDEN if is_secret(_word(name), text) else text


def _hidden(found: re.Match[str]) -> str:
    """Return a name and its value inside a longer text, the value hidden if it is a secret."""
    name, value = _word(found[1]), found[3]
    if not is_secret(name, value.strip("\\\"'")):
        return found[0]
    return found[0][: found.start(3) - found.start()] + HIDDEN


def _after_flags(items: list[Any]) -> Iterator[tuple[str, Any]]:
    """Return each item with the flag before it that may have more than one value."""
    before = ""
    for item in items:
        is_flag = isinstance(item, str) and item.startswith("--")
        yield "" if is_flag else before, item
        if is_flag:
            before = "" if "=" in item else item


def _word(flag: str) -> str:
    return flag.lstrip("-").replace("-", "_")
