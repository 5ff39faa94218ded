"""JSON as servers send it, read in one place: whatever it holds, a value or one error.

``json`` raises RecursionError at nesting, UnicodeDecodeError at bytes that are no text, takes
``NaN`` and makes infinity of ``1e999``, on which sums and comparisons go wrong much later.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

_DIGITS = 40
_HEAD = 8 * 1024
_TITLE = re.compile(r"(?i)<title>([^<]{0,200})</title>")


class NotJson(ValueError):
    """Bytes that are no JSON document, or one that no protocol has."""


def parsed(data: bytes | str) -> Any:
    """Return the value that a JSON document holds.

    Raises:
        NotJson: Not JSON, nested beyond measure, or with a number that is none.
    """
    try:
        return json.loads(data, parse_constant=_refuse, parse_float=_float, parse_int=_int)
    except NotJson:
        raise
    except RecursionError as error:
        raise NotJson("not JSON: it is nested too deeply") from error
    except (ValueError, MemoryError) as error:
        raise NotJson(_fault(data, error)) from error


def parsed_object(data: bytes | str) -> dict[str, Any]:
    """Return the JSON object that a document is.

    Raises:
        NotJson: Not JSON, or another value.
    """
    found = parsed(data)
    if not isinstance(found, dict):
        raise NotJson("not a JSON object")
    return found


def _fault(data: bytes | str, error: Exception) -> str:
    """Return what something is that is no JSON, in words of no parser."""
    head = data[:_HEAD].decode("utf-8", "replace") if isinstance(data, bytes) else data[:_HEAD]
    if head.lstrip().startswith("<"):
        title = _TITLE.search(head)
        named = " ".join(title[1].split()) if title else ""
        return f"not JSON but a web page{f', {named!r}' if named else ''}: is a login before it?"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON from byte {error.pos} on" if error.pos else "not JSON"
    return "not JSON: no text in UTF-8" if isinstance(error, UnicodeError) else "not JSON"


def _refuse(text: str) -> Any:
    raise NotJson(f"not JSON: {text} is no number")


def _float(text: str) -> float:
    return _checked(text, float(text))


def _int(text: str) -> int:
    if len(text) > _DIGITS:
        raise NotJson(f"not JSON: a number of {len(text)} digits")
    return int(text)


def _checked(text: str, number: float) -> float:
    if not math.isfinite(number):
        raise NotJson(f"not JSON: {text[:_DIGITS]} is beyond all numbers")
    return number
