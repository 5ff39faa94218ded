"""Readers: each makes of text, JSON or a Python value one value of its type, or refuses it.

The same field is filled in as text (a command line, NAME=VALUE), as JSON (a pipeline's
``settings``, whose numbers arrive as doubles) or by a Python caller. What has been read can be
read again and stays the same.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from carferry.cluster.quantity import Quantity
from carferry.cluster.tolerations import Toleration
from carferry.errors import InputError

Pairs = tuple[tuple[str, str], ...]
# An object of Kubernetes is at most 1.5 MB, and YAML of long lines takes long to write.
_LONGEST_TEXT = 100_000
_TOLERATION_KEYS = {"key", "operator", "value", "effect", "tolerationSeconds"}


def read_text(name: str, value: Any) -> str:
    """Return one value as text, without blanks around it; None is empty.

    Raises:
        InputError: A list, an object, true or false, or anything else that is no text or number.
    """
    if value is None:
        return ""
    if isinstance(value, str | Quantity):
        text = str(value).strip()
        if len(text) > _LONGEST_TEXT:
            raise InputError(f"read {name}", _short(text), f"{len(text)} characters long")
        return text
    if isinstance(value, int | float) and not isinstance(value, bool):
        return json.dumps(_whole(value))
    raise InputError(f"read {name}", _short(value), "not one value")


def read_count(name: str, value: Any) -> int:
    """Return a whole number of 0 or more.

    Raises:
        InputError: Anything else.
    """
    text = read_text(name, value)
    if re.fullmatch(r"[0-9]{16,}", text):
        raise InputError(f"read {name}", _short(text), "more than 15 digits")
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise InputError(f"read {name}", _short(text), "not a whole number of 0 or more")
    return int(text)


def read_open_count(name: str, value: Any) -> int:
    """Return a whole number, 0 for nothing: what is left open."""
    return read_count(name, value) if read_text(name, value) else 0


def read_gpu_count(name: str, value: Any) -> int:
    """Return GPUs per replica, at most 9999; 0 for nothing, which is left open.

    Raises:
        InputError: Anything else.
    """
    if (count := read_open_count(name, value)) > 9999:
        raise InputError(f"read {name}", count, "not a whole number of 0 to 9999")
    return count


def read_parallel(name: str, value: Any) -> int:
    """Return how many at once: 1 to 999.

    Raises:
        InputError: Anything else.
    """
    if not re.fullmatch("[1-9][0-9]{0,2}", text := read_text(name, value)):
        reason, remedy = "not a whole number of 1 to 999", "choose 1 to 64"
        raise InputError(f"read {name}", _short(text[:20]), reason, remedy)
    return int(text)


def read_switch(name: str, value: Any) -> bool:
    """Return true or false.

    Raises:
        InputError: Neither.
    """
    text = str(value).lower() if isinstance(value, bool) else read_text(name, value).lower()
    if text not in ("true", "false"):
        raise InputError(f"read {name}", _short(value), "not true or false")
    return text == "true"


def read_seconds(name: str, value: Any) -> float | None:
    """Return a whole number of seconds; None if nothing is given.

    Raises:
        InputError: Neither.
    """
    text = read_text(name, value)
    if text and not re.fullmatch(r"[0-9]{1,9}", text):
        raise InputError(f"read {name}", _short(text), "not a whole number of seconds")
    return float(text) if text else None


def read_path(name: str, value: Any) -> Path | None:
    """Return a path; None if nothing is given.

    Raises:
        InputError: Neither text nor a path.
    """
    if value is None:
        return None
    if not isinstance(value, str | Path) or "\0" in str(value):
        raise InputError(f"read {name}", _short(value), "not a path")
    return Path(os.path.expanduser(value)) if str(value) else None  # noqa: PTH111 - never raises


def read_list(name: str, value: Any) -> tuple[str, ...]:
    """Return texts without empty ones: a list of them, or one text split at commas and lines.

    Raises:
        InputError: A list of other things, or an object.
    """
    return split_lists([value] if isinstance(value, str) else read_texts(name, value))


def read_items(name: str, value: Any) -> tuple[str, ...]:
    """Return texts without empty ones: a list of them; a lone text is one of them.

    Raises:
        InputError: A list of other things, or an object.
    """
    return tuple(filter(None, map(str.strip, read_texts(name, value))))


def read_texts(name: str, value: Any) -> tuple[str, ...]:
    """Return a list of texts as it is; a lone text is one of them, None is none.

    Raises:
        InputError: A list of other things, an object, or a lone text that looks like several.
    """
    if value is None:
        return ()
    if isinstance(value, str):
        if split_list(value) not in ((), (value.strip(),)):
            raise InputError(f"read {name}", _short(value), "one text with commas", "pass a list")
        return (value,)
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise InputError(f"read {name}", _short(value), "not a list of texts, or text by comma")
    return tuple(value)


def read_arguments(name: str, value: Any) -> tuple[str, ...]:
    """Return a program's arguments: a list as it is, text split as a shell would.

    Raises:
        InputError: A quotation that does not end, or a list of other things than texts.
    """
    if not isinstance(value, str):
        return read_texts(name, value)
    try:
        return tuple(shlex.split(read_text(name, value)))
    except ValueError as error:
        raise InputError(f"read {name}", _short(value), str(error)) from error


def read_environment(name: str, value: Any) -> Pairs:
    """Return environment variables, sorted: an object, or NAME=value by line or in a list."""
    return _pairs(name, value, split=r"\n")


def read_labels(name: str, value: Any) -> Pairs:
    """Return labels, sorted: an object, or key=value by comma, by line or in a list."""
    return _pairs(name, value, split=r"[,\n]")


def read_tolerations(name: str, value: Any) -> tuple[Toleration, ...] | None:
    """Return tolerations: a list of them or JSON of one; None if nothing is given.

    Raises:
        InputError: Not a list of tolerations.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    items = _json(name, value) if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        raise InputError(f"read {name}", _short(value), "not a JSON list")
    return tuple(item if isinstance(item, Toleration) else _toleration(item) for item in items)


def read_model(value: Any) -> str:
    """Return what names a model: ``org/name`` as text, a folder as text or as a path.

    Raises:
        InputError: Neither.
    """
    if isinstance(value, Path):
        return str(value) if value.is_absolute() else f"./{value}"
    if not isinstance(value, str):
        raise InputError("read model", _short(value), "not org/name, nor a path")
    return value


def read_image(value: Any) -> str:
    """Return what names an image.

    Raises:
        InputError: Not text.
    """
    if not isinstance(value, str):
        remedy = "write docker://host/repository:tag or oci:path:tag"
        raise InputError("read image", _short(value), "not a reference", remedy)
    return value


def split_list(text: str) -> tuple[str, ...]:
    """Split text at commas and line ends; empty parts are left out."""
    return tuple(part.strip() for part in re.split(r"[,\n]", text) if part.strip())


def split_lists(texts: Sequence[str]) -> tuple[str, ...]:
    """Split each text, as of an option that is given several times."""
    return split_list("\n".join(texts))


def _pairs(name: str, value: Any, *, split: str) -> Pairs:
    if isinstance(value, str) and value.strip().startswith("{"):
        value = _json(name, value)
    if isinstance(value, Mapping):
        value = tuple(value.items())
    if not isinstance(value, list | tuple):
        text = read_text(name, value)
        value = [text]
    items = (part for item in value for part in _split(item, split))
    return tuple(sorted(_pair(name, item) for item in items))


def _split(item: Any, split: str) -> list[Any]:
    if not isinstance(item, str):
        return [item]
    return [part for part in map(str.strip, re.split(split, item)) if part]


def _pair(name: str, item: Any) -> tuple[str, str]:
    if isinstance(item, str):
        key, equals, text = item.partition("=")
        if not equals:
            raise InputError(f"read {name}", _short(item.split()[0]), "no '='", "write key=value")
        return key.strip(), text.strip()
    if not isinstance(item, tuple) or [*map(type, item)] != [str, str]:
        what = _short(item[0]) if isinstance(item, tuple) and item else type(item).__name__
        raise InputError(f"read {name}", what, "not a name with a text as its value")
    return item[0], item[1]


def _toleration(item: object) -> Toleration:
    if not isinstance(item, Mapping) or item.keys() - _TOLERATION_KEYS:
        raise InputError("read toleration", _short(item), "not a toleration object")
    texts = {key: item.get(key, "") for key in ("key", "value", "effect")}
    seconds = _whole(item.get("tolerationSeconds"))
    operator = item.get("operator") or "Equal"  # as the API reads an empty one
    if not all(isinstance(text, str) for text in (*texts.values(), operator)):
        raise InputError("read toleration", _short(item), "a part is not a string")
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int)):
        raise InputError("read toleration", _short(item), "seconds is not a number")
    return Toleration(**texts, operator=operator, seconds=seconds)


def _whole(value: Any) -> Any:
    """Return a double without a fraction as the integer that it was before JSON."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"read {name}", _short(text), f"not JSON ({error})") from error


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "..."
