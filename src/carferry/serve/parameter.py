"""One field of a form, and how what is given for it becomes a value of its type.

The same field is filled in as text (a command line, NAME=VALUE), as JSON (a pipeline's
``settings``, whose numbers arrive as doubles) or by a Python caller; every one of them is read
here, once, and stays what it is from then on.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from carferry.cluster.tolerations import Toleration
from carferry.errors import InputError

Pairs = tuple[tuple[str, str], ...]
Read = Callable[[str, Any], Any]
_TOLERATION_KEYS = {"key", "operator", "value", "effect", "tolerationSeconds"}


def read_text(name: str, value: Any) -> str:
    """Return one value as text, without blanks around it.

    Raises:
        InputError: A list or an object.
    """
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, Mapping | list | tuple):
        raise InputError(f"read {name}", _short(value), "not one value")
    return json.dumps(_whole(value))


def read_count(name: str, value: Any) -> int:
    """Return a whole number of 0 or more.

    Raises:
        InputError: Anything else.
    """
    text = read_text(name, value)
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise InputError(f"read {name}", _short(text), "not a whole number of 0 or more")
    return int(text)


def read_switch(name: str, value: Any) -> bool:
    """Return true or false.

    Raises:
        InputError: Neither.
    """
    text = read_text(name, value).lower()
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


def read_list(name: str, value: Any) -> tuple[str, ...]:
    """Return texts: a list of them as it is, one text split at commas and line ends.

    Raises:
        InputError: A list of other things, or an object.
    """
    if isinstance(value, str):
        return split_list(value)
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise InputError(f"read {name}", _short(value), "not a list of texts, or text by comma")
    return tuple(item.strip() for item in value if item.strip())


def read_arguments(name: str, value: Any) -> tuple[str, ...]:
    """Return a program's arguments: a list as it is, text split as a shell would.

    Raises:
        InputError: A quotation that does not end, or a list of other things than texts.
    """
    if not isinstance(value, str):
        return read_list(name, value)
    try:
        return tuple(shlex.split(value))
    except ValueError as error:
        raise InputError(f"read {name}", _short(value), str(error)) from error


def read_pairs(name: str, value: Any, *, split: str) -> Pairs:
    """Return names with their texts, sorted: an object, or ``name=text`` parts.

    Args:
        name: Of the field.
        value: An object of texts, JSON of one, pairs, or text.
        split: Pattern between the parts of a text.

    Raises:
        InputError: A part without "=", or an object of other things than texts.
    """
    if isinstance(value, str) and value.strip().startswith("{"):
        value = _json(name, value)
    if isinstance(value, Mapping | tuple):
        pairs = list(value.items() if isinstance(value, Mapping) else value)
        if not all(isinstance(text, str) for _, text in pairs):
            raise InputError(f"read {name}", _short(value), "not a JSON object of strings")
        return tuple(sorted(pairs))
    parts = (part.strip() for part in re.split(split, read_text(name, value)))
    return tuple(sorted(_pair(name, part) for part in parts if part))


def read_lines(name: str, value: Any) -> Pairs:
    """Return environment variables: an object, or NAME=value by line."""
    return read_pairs(name, value, split=r"\n")


def read_labels(name: str, value: Any) -> Pairs:
    """Return labels: an object, or key=value by comma or line."""
    return read_pairs(name, value, split=r"[,\n]")


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


@dataclass(frozen=True, slots=True)
class Parameter:
    """One field of a form.

    Attributes:
        name: As forms, command lines and Python callers write it.
        default: As a form shows it, in text.
        help: One line.
        read: Makes a value of what is given.
    """

    name: str
    default: str
    help: str
    read: Read = read_text

    def value(self, given: Any = None) -> Any:
        """Return what is given as a value of this field's type; None is its default.

        Raises:
            InputError: It cannot be read.
        """
        return self.read(self.name, self.default if given is None else given)


def split_list(text: str) -> tuple[str, ...]:
    """Split text at commas and line ends; empty parts are left out."""
    return tuple(part.strip() for part in re.split(r"[,\n]", text) if part.strip())


def split_lists(texts: Sequence[str]) -> tuple[str, ...]:
    """Split each text, as of an option that is given several times."""
    return split_list("\n".join(texts))


def _pair(name: str, part: str) -> tuple[str, str]:
    key, equals, text = part.partition("=")
    if not equals:
        raise InputError(f"read {name}", repr(part), "no '='", "write key=value")
    return key.strip(), text.strip()


def _toleration(item: object) -> Toleration:
    if not isinstance(item, Mapping) or item.keys() - _TOLERATION_KEYS:
        raise InputError("read toleration", _short(item), "not a toleration object")
    texts = {key: item.get(key, "") for key in ("key", "value", "effect")}
    seconds = _whole(item.get("tolerationSeconds"))
    operator = item.get("operator", "Equal")
    if not all(isinstance(text, str) for text in (*texts.values(), operator)):
        raise InputError("read toleration", _short(item), "a part is not a string")
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int)):
        raise InputError("read toleration", _short(item), "seconds is not a number")
    return Toleration(**texts, operator=operator, seconds=seconds)


def _whole(value: Any) -> Any:
    """Kubeflow Pipelines hands every number over as a double."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"read {name}", _short(text), f"not JSON ({error})") from error


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "..."
