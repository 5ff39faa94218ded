"""Shards that number themselves, ``model-00001-of-00003.safetensors``: which is missing.

Only asked where no index says which files there are.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from carferry.errors import BrokenFile

_SHARD = re.compile(r"(?P<stem>.+-)(?P<number>[0-9]{1,6})(?P<of>-of-(?P<total>[0-9]{1,6})\.\w+)")
_MOST_SHARDS = 10_000
"""Above this the name is no count of shards."""


@dataclass(frozen=True, slots=True)
class Family:
    """Shards that count each other."""

    stem: str
    of: str
    total: int
    width: int

    def name(self, number: int) -> str:
        """Return the path of one of them."""
        return f"{self.stem}{number:0{self.width}}{self.of}"


def family_of(path: str) -> Family | None:
    """Return which shards a path belongs to; None if it is not numbered."""
    found = _SHARD.fullmatch(path)
    if not found:
        return None
    return Family(found["stem"], found["of"], int(found["total"]), len(found["number"]))


def missing_shards(paths: Iterable[str]) -> Iterator[BrokenFile]:
    """Yield each shard that its siblings count and that is not among the paths."""
    families: dict[Family, set[int]] = defaultdict(set)
    for path in paths:
        if family := family_of(path):
            families[family].add(int(path[len(family.stem) :][: family.width]))
    for family, numbers in families.items():
        if family.total <= _MOST_SHARDS:
            yield from _missing(family, numbers)


def _missing(family: Family, numbers: set[int]) -> Iterator[BrokenFile]:
    # Some writers count from 0.
    first = 0 if 0 in numbers else 1
    for number in range(first, first + family.total):
        if number not in numbers:
            yield BrokenFile(
                "check", family.name(number),
                f"missing: {family.name(min(numbers))} says that there are {family.total}",
                "download it, or leave out --exclude",
            )  # fmt: skip
