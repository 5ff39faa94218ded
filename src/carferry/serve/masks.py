"""Values of objects as they may be shown: what is a secret, or is named as one, is hidden."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from carferry.serve.secrets import is_secret
from carferry.shown import printable

HIDDEN = "(hidden)"
_LONGEST = 160


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
    if flag.startswith("--") and sign:
        return f"{flag}={HIDDEN}" if is_secret(_word(flag), value) else text
    return HIDDEN if is_secret(_word(name), text) else text


def _after_flags(items: list[Any]) -> Iterator[tuple[str, Any]]:
    """Return each item with the argument before it, if that is a flag without a value."""
    before = ""
    for item in items:
        yield before, item
        is_flag = isinstance(item, str) and item.startswith("--") and "=" not in item
        before = item if is_flag else ""


def _word(flag: str) -> str:
    return flag.lstrip("-").replace("-", "_")
