"""Sizes, rates and times in words that a person reads at a glance."""

from __future__ import annotations

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def human_bytes(size: float) -> str:
    """Return a size with three or four digits and a binary unit: ``1.5 GiB``."""
    for unit in _UNITS[:-1]:
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} {_UNITS[-1]}"


def human_seconds(seconds: float) -> str:
    """Return a time in the units that matter: ``45 s``, ``3 min``, ``2 h 05 min``, ``1 d 3 h``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < _HOUR - _MINUTE / 2:
        return f"{seconds / _MINUTE:.0f} min"
    minutes = round(seconds / _MINUTE)
    if minutes < _DAY / _MINUTE:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(seconds / _HOUR)
    return f"{hours // 24} d {hours % 24} h"
