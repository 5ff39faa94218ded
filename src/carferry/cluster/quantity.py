"""Kubernetes resource quantities: ``100Gi``, ``500m``, ``1e3``, ``2``.

Source: apimachinery ``pkg/api/resource/quantity.go``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from carferry.errors import InputError

_SUFFIX = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(1 << 10),
    "Mi": Decimal(1 << 20),
    "Gi": Decimal(1 << 30),
    "Ti": Decimal(1 << 40),
    "Pi": Decimal(1 << 50),
    "Ei": Decimal(1 << 60),
}
_FORM = re.compile(
    r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))"
    r"(?:[eE]([+-]?[0-9]{1,2})|(" + "|".join(_SUFFIX) + r"))?"
)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A Kubernetes resource quantity, kept as written (``500m``, ``16Gi``)."""

    text: str

    def __post_init__(self) -> None:
        """Check the form."""
        if not _FORM.fullmatch(self.text):
            raise InputError("parse quantity", repr(self.text), "not a Kubernetes quantity")

    @classmethod
    def of(cls, value: object) -> Quantity:
        """Return a quantity as the API serves it: text or a number, zero and below included.

        Raises:
            InputError: Not a quantity.
        """
        return cls(str(value).strip())

    @classmethod
    def parse(cls, text: str, *, what: str) -> Quantity:
        """Parse an amount to ask for: above zero, without a sign.

        Args:
            text: As in ``16Gi``.
            what: Names the setting in the error.

        Raises:
            InputError: Not a quantity, or zero.
        """
        if not _FORM.fullmatch(text) or text.startswith(("+", "-")) or text.endswith(("n", "u")):
            raise InputError(f"read {what}", repr(text), "not a quantity", "write 4, 500m or 16Gi")
        quantity = cls(text)
        if not quantity.amount:
            raise InputError(f"read {what}", repr(text), "zero", "write more than 0")
        return quantity

    @property
    def amount(self) -> Decimal:
        """The quantity as a number, in units of the resource (bytes, cores, GPUs)."""
        match = _FORM.fullmatch(self.text)
        number, exponent, suffix = match.groups() if match else ("0", None, None)
        return Decimal(number).scaleb(int(exponent or 0)) * _SUFFIX.get(suffix or "", Decimal(1))

    def __int__(self) -> int:
        """Return the amount, rounded towards zero."""
        return int(self.amount)

    def __str__(self) -> str:
        """Return the quantity as written."""
        return self.text
