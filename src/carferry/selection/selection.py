"""A choice of files: what enters, what stays out and why, what a server must be told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from carferry.source.snapshot import Snapshot
from carferry.weights.layout import Layout


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that stays out.

    Attributes:
        path: Which.
        size_bytes: Its length.
        reason: Why, in words.
    """

    path: str
    size_bytes: int
    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a model enters its image.

    Attributes:
        files: The chosen files, as the source lists them.
        left_out: The others that nobody excluded.
        notes: What a person should know, a line each.
        arguments: What vLLM must be told to load these files.
        trust_remote_code: Whether it must be allowed to run code of the model.
        layout: How the chosen weights lie.
    """

    files: Snapshot = field(default_factory=lambda: Snapshot("", "", ()))
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    trust_remote_code: bool = False
    layout: Layout = field(default_factory=Layout)

    def left_out_by_reason(self) -> Iterator[tuple[str, tuple[LeftOut, ...]]]:
        """Yield each reason with its files, the most bytes first."""
        groups: dict[str, list[LeftOut]] = {}
        for each in self.left_out:
            groups.setdefault(each.reason, []).append(each)
        sizes = {reason: sum(e.size_bytes for e in group) for reason, group in groups.items()}
        for reason in sorted(groups, key=lambda r: (-sizes[r], r)):
            yield reason, tuple(sorted(groups[reason], key=lambda e: (-e.size_bytes, e.path)))
