"""One section of a config.json, with its family's defaults; every value is checked when read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from carferry.errors import InputError

_LARGEST = 1 << 24
_MOST_LAYERS = 1024
CONFIG = "config.json"


@dataclass(frozen=True, slots=True)
class Fields:
    """A config section; in errors ``subject`` names the model, ``file`` where the values stand."""

    values: Mapping[str, Any]
    subject: str
    file: str = CONFIG

    def number(self, *keys: str, default: int | None = None) -> int:
        """Return the first key that is set, as a positive integer.

        Raises:
            InputError: Missing without a default, not an integer, or beyond any real model.
        """
        return self.integer(*keys, default=default, least=1)

    def integer(self, *keys: str, default: int | None = None, least: int = 0) -> int:
        """Return the first key that is set, as an integer not below ``least``.

        Raises:
            InputError: Missing without a default, not an integer, or out of range.
        """
        found = next(
            (self.values[key] for key in keys if self.values.get(key) is not None), default
        )
        whole = isinstance(found, int) and not isinstance(found, bool)
        if not isinstance(found, int) or not whole or not least <= found <= _LARGEST:
            bad = f"is {found!r}, not an integer from {least} to {_LARGEST}"
            reason = f"{keys[0]} {'is missing' if found is None else bad}"
            raise self.refused(reason)
        return found

    def layers(self, *keys: str, default: int | None = None, least: int = 1) -> int:
        """Return a count of layers: of a decoder, a tower, or what drafts.

        Raises:
            InputError: As ``integer``, or more than any model has.
        """
        count = self.integer(*keys, default=default, least=least)
        if count > _MOST_LAYERS:
            name = next((key for key in keys if self.values.get(key) is not None), keys[0])
            reason = f"{name} is {count}, over {_MOST_LAYERS} layers"
            raise self.refused(reason)
        return count

    def maybe(self, *keys: str) -> int | None:
        """Return the number, or None if no key is set or it is zero."""
        return self.number(*keys) if any(self.values.get(key) for key in keys) else None

    def flag(self, key: str, default: bool = False) -> bool:
        """Return a boolean field."""
        found = self.values.get(key)
        return default if found is None else bool(found)

    def text(self, *keys: str) -> str:
        """Return the first key that is set, as text; empty if none is."""
        return next((str(self.values[key]) for key in keys if self.values.get(key)), "")

    def items(self, *keys: str) -> tuple[Any, ...]:
        """Return the first key that is set, as a list; empty if none is.

        Raises:
            InputError: Not a list.
        """
        found: Any = next((self.values[key] for key in keys if self.values.get(key)), ())
        if not isinstance(found, list | tuple):
            reason = f"{keys[0]} is {found!r}, not a list"
            raise self.refused(reason)
        return tuple(found)

    def section(self, *keys: str) -> Fields:
        """Return the first nested section that is set; an empty one if none is.

        Raises:
            InputError: Not an object.
        """
        found: Any = next((self.values[key] for key in keys if self.values.get(key)), {})
        if not isinstance(found, Mapping):
            reason = f"{keys[0]} is {found!r}, not an object"
            raise self.refused(reason)
        return self.with_(found)

    def side(self, key: str, default: int) -> int:
        """Return a length that may be given per side (``[14, 14]``): the longest."""
        found = self.values.get(key)
        if not isinstance(found, list) or not found:
            return self.number(key, default=default)
        return max(self.with_({key: one}).number(key) for one in found)

    def with_(self, values: Mapping[str, Any]) -> Fields:
        """Return other values of the same file."""
        return replace(self, values=values)

    def refused(self, reason: str) -> InputError:
        """Return the error of a value that cannot be meant."""
        return InputError("read config", self.subject, reason, f"take {self.file} from the hub")
