"""JSON as servers send it, read in one place: whatever it holds, a value or one error.

``json`` raises RecursionError at nesting, UnicodeDecodeError at bytes that are no text, takes
``NaN`` and makes infinity of ``1e999``, on which sums and comparisons go wrong much later.
"""

from __future__ import annotations

import json
import math
from typing import Any

_DIGITS = 40


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
        raise NotJson(f"not JSON: {error or type(error).__name__}") from error


def parsed_object(data: bytes | str) -> dict[str, Any]:
    """Return the JSON object that a document is.

    Raises:
        NotJson: Not JSON, or another value.
    """
    found = parsed(data)
    if not isinstance(found, dict):
        raise NotJson("not a JSON object")
    return found


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
