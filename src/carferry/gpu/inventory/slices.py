"""MIG slices: what a profile such as ``3g.20gb`` is of which GPU, and what it holds.

Sources: NVIDIA MIG User Guide, supported profiles; memory as ``nvidia-smi mig -lgip`` prints it
(A100, H100, H100 NVL, GH200, H200 1g, RTX PRO 6000 1g); NVIDIA device plugin (resource names).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_EIGHTHS = ("1g", "1g", "2g", "3g", "4g", "7g")
_QUARTERS = ("1g", "2g", "4g")
_SIZES = {
    "A30": (6, 12, 24),
    "A100-40GB": (5, 10, 10, 20, 20, 40),
    "A800-40GB": (5, 10, 10, 20, 20, 40),
    "A100-64GB": (8, 16, 16, 32, 32, 64),
    "A100-80GB": (10, 20, 20, 40, 40, 80),
    "A800-80GB": (10, 20, 20, 40, 40, 80),
    "H100-80GB": (10, 20, 20, 40, 40, 80),
    "H800": (10, 20, 20, 40, 40, 80),
    "H100-NVL": (12, 24, 24, 47, 47, 94),
    "H100-96GB": (12, 24, 24, 48, 48, 96),
    "GH200-96GB": (12, 24, 24, 48, 48, 96),
    "H20": (12, 24, 24, 48, 48, 96),
    "GH200-144GB": (18, 36, 36, 72, 72, 144),
    "H200": (18, 35, 35, 71, 71, 141),
    "H20-141GB": (18, 35, 35, 71, 71, 141),
    "B200": (23, 45, 45, 90, 90, 180),
    "GB200": (24, 47, 47, 93, 93, 186),
    "B300": (34, 67, 67, 135, 135, 269),
    "GB300": (35, 70, 70, 139, 139, 278),
    "RTX-PRO-6000": (24, 48, 96),
}
"""GPU to the GB in the names of its profiles, in the order of ``_EIGHTHS`` or ``_QUARTERS``."""

_A100_40 = {5: 4.75, 10: 9.62, 20: 19.5, 40: 39.25}
_A100_80 = {10: 9.5, 20: 19.5, 40: 39.25, 80: 78.75}
_H100_80 = {10: 9.62, 20: 19.62, 40: 39.38, 80: 79.0}
_LISTED = {
    "A100-40GB": _A100_40,
    "A800-40GB": _A100_40,
    "A100-80GB": _A100_80,
    "A800-80GB": _A100_80,
    "H100-80GB": _H100_80,
    "H800": _H100_80,
    "H100-NVL": {12: 10.62, 24: 21.5},
    "GH200-96GB": {12: 11.0, 24: 23.0},
    "H200": {18: 16.0},
    "RTX-PRO-6000": {24: 23.5},
}
"""GPU to the GB in a name to the GiB that such a slice holds."""

_LEAST = 0.88
"""Share of the GB in its name that a slice holds, GiB: the least of those that are listed."""

_PROFILE = re.compile(r"(?:[1-7]c\.)?([1-7])g\.([0-9]{1,3})gb((?:[.+-](?:me|gfx|all))*)")


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of slice.

    Attributes:
        compute: Of the seven (or four) compute slices of its GPU.
        named_gb: Memory as its name says it; a slice holds less.
        extras: Media engines and graphics, as a resource's name has them: ``.me``.
    """

    compute: int
    named_gb: int
    extras: str = ""

    @classmethod
    def parse(cls, text: str) -> Profile | None:
        """Return ``1g.10gb``, ``1c.3g.40gb`` or ``1g.10gb.me`` read; None if it is none of them.

        Media engines and graphics (``+me``, ``.me``, ``.gfx``, ``-me``) do not change memory.
        """
        match = _PROFILE.fullmatch(text.lower())
        return cls(int(match[1]), int(match[2]), match[3].replace("+", ".")) if match else None

    @property
    def resource(self) -> str:
        """What the device plugin's mixed strategy offers it as."""
        return f"nvidia.com/mig-{self}{self.extras}"

    def __str__(self) -> str:
        """Return NVIDIA's short name, ``3g.20gb``."""
        return f"{self.compute}g.{self.named_gb}gb"


def profiles_of(gpu: str) -> tuple[str, ...]:
    """Return the names of a product's profiles, smallest first; none if it has no MIG."""
    sizes = _SIZES.get(gpu, ())
    parts = _QUARTERS if len(sizes) == len(_QUARTERS) else _EIGHTHS
    return tuple(f"{part}.{size}gb" for part, size in zip(parts, sizes, strict=False))


def parents_of(profile: Profile) -> tuple[str, ...]:
    """Return the products that such a slice can be of."""
    return tuple(gpu for gpu in _SIZES if str(profile) in profiles_of(gpu))


def compute_slices(gpu: str) -> int:
    """Return into how many compute slices a product divides."""
    return 4 if len(_SIZES.get(gpu, ())) == len(_QUARTERS) else 7


def listed_gib(gpu: str, profile: Profile) -> float:
    """Return what a slice holds, GiB, where no label of a node says it."""
    return _LISTED.get(gpu, {}).get(profile.named_gb, profile.named_gb * _LEAST)
