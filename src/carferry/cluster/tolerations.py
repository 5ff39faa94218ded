"""Tolerations of a pod, as parsed from settings or read of a node's taints.

Source: Kubernetes API reference, Toleration v1 core.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from carferry.errors import InputError

LABEL_KEY = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
)
"""Keys of labels and taints: an optional DNS prefix, then at most 63 characters."""

_EFFECTS = ("", "NoSchedule", "PreferNoSchedule", "NoExecute")


@dataclass(frozen=True, slots=True)
class Toleration:
    """One pod toleration; empty parts are left out of the object.

    Attributes:
        operator: ``Equal`` matches key and value, ``Exists`` the key alone.
        effect: Of the taint; empty matches every effect.
        seconds: How long a ``NoExecute`` taint is tolerated; None for ever.
    """

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""
    seconds: int | None = None

    def __post_init__(self) -> None:
        """Check what the API server would refuse."""
        if self.operator not in ("Equal", "Exists"):
            raise self._bad("operator is not Equal or Exists")
        if self.effect not in _EFFECTS:
            raise self._bad(f"unknown effect {self.effect!r}")
        if self.operator == "Exists" and self.value:
            raise self._bad("a value needs operator Equal")
        if self.operator == "Equal" and not self.key:
            raise self._bad("an empty key needs operator Exists")
        if self.seconds is not None and self.effect != "NoExecute":
            raise self._bad("seconds need effect NoExecute")
        if self.key and not LABEL_KEY.fullmatch(self.key):
            raise self._bad(f"malformed key {self.key!r}")

    @property
    def object(self) -> dict[str, Any]:
        """The object in a pod's spec, without empty parts."""
        parts: dict[str, Any] = {
            "key": self.key,
            "operator": self.operator,
            "value": self.value,
            "effect": self.effect,
        }
        kept = {name: text for name, text in parts.items() if text}
        return kept if self.seconds is None else kept | {"tolerationSeconds": self.seconds}

    @property
    def taint(self) -> dict[str, str]:
        """The taint it matches by key, value and effect; empty parts included."""
        return {"key": self.key, "value": self.value, "effect": self.effect}

    def __str__(self) -> str:
        """Return kubectl's form, ``key=value:effect``; ``*`` is every key or effect."""
        while_ = "" if self.seconds is None else f" for {self.seconds} s"
        equal = "=" if self.value else ""
        return f"{self.key or '*'}{equal}{self.value}:{self.effect or '*'}{while_}"

    def _bad(self, reason: str) -> InputError:
        return InputError("read toleration", repr(self.key), reason)
