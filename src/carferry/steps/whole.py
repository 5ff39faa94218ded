"""Whether the model in an image is whole: the check of a source, asked of what is stored."""

from __future__ import annotations

from dataclasses import dataclass

from carferry.image.contract import Clause
from carferry.image.inspection import Inspection
from carferry.image.layers import ROOT
from carferry.image.stored import stored_files
from carferry.io.retry import Retry
from carferry.registry.target import Target
from carferry.weights.whole import Whole, examine

_NAME = "whole"


@dataclass(frozen=True, slots=True)
class Examined:
    """What looking at the files found.

    Attributes:
        clause: The result as a clause of the contract; None of it is known in layers that
            cannot be looked at.
        flaws: One line for each file that no server could load.
    """

    clause: Clause
    flaws: tuple[str, ...] = ()


def examine_image(target: Target, seen: Inspection, retry: Retry) -> Examined | None:
    """Look at the headers of an image's weights and at its small files.

    Args:
        target: Where it is.
        seen: What an inspection found there.
        retry: Policy for connections that break.

    Returns:
        What was found; None if there are no files.

    Raises:
        TargetError: The registry refused, or does not read in part.
    """
    files = stored_files(target, seen.models)
    sizes = {path: file.size_bytes for path, file in files.items() if file.place}
    if not files:
        return None
    if seen.unread:
        # Any of the files may lie there, or be covered by what does.
        return Examined(Clause(_NAME, None, f"as {seen.unread[0]}"))

    def read(path: str, start: int, end: int) -> bytes:
        return retry.call(lambda: files[path].read_range(start, end))

    packed = sorted(files.keys() - sizes.keys())
    return _judged(examine(sizes, read, beside=packed, retry=retry), len(sizes), packed)


def _judged(found: Whole, count: int, packed: list[str]) -> Examined:
    if found.faults:
        flaws = tuple(f"{ROOT}/{fault.subject}: {fault.reason}" for fault in found.faults)
        return Examined(Clause(_NAME, False, f"{len(flaws)} faults: {flaws[0]}"), flaws)
    detail = "; ".join([f"{count} files looked at", *found.remarks])
    if packed:
        return Examined(Clause(_NAME, None, f"{detail}; compressed is {packed[0]}"))
    return Examined(Clause(_NAME, True, detail))
