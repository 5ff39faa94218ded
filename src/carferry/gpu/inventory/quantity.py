"""Kubernetes quantities: ``100Gi``, ``500m``, ``1e3``, ``2``."""

from __future__ import annotations

import re
from decimal import Decimal

from carferry.errors import InputError

_SUFFIX = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "Ki": Decimal(1 << 10),
    "Mi": Decimal(1 << 20),
    "Gi": Decimal(1 << 30),
    "Ti": Decimal(1 << 40),
    "Pi": Decimal(1 << 50),
}
_FORM = re.compile(r"([+-]?\d+(?:\.\d*)?|\.\d+)(?:[eE]([+-]?\d{1,2}))?([A-Za-z]{0,2})")


def parse_quantity(value: object) -> Decimal:
    """Return a Kubernetes quantity as a number.

    Raises:
        InputError: Not a quantity.

    Source: apimachinery ``pkg/api/resource/quantity.go``.
    """
    match = _FORM.fullmatch(str(value).strip())
    if not match or match[3] not in _SUFFIX:
        raise InputError("parse quantity", repr(value), "not a Kubernetes quantity")
    return Decimal(match[1]).scaleb(int(match[2] or 0)) * _SUFFIX[match[3]]
