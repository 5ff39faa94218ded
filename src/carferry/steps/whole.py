"""Whether the model in an image is whole: the check of a source, asked of what is stored."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from carferry.image.contract import Clause
from carferry.image.inspection import Inspection
from carferry.image.layers import ROOT
from carferry.image.stored import stored_files
from carferry.io.net.retry import Retry
from carferry.registry.target import Target
from carferry.selection.kinds import ADAPTERS, is_weights, matches
from carferry.weights.whole import Unseen, Whole, examine

_NAME = "whole"


@dataclass(frozen=True, slots=True)
class Examined:
    """What looking at the files found.

    Attributes:
        clause: The result as a clause of the contract; None if a layer was not looked at, or a
            header in a compressed one is longer than what was kept of its file.
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
    if not files:
        return None
    if seen.unread:
        # Any of the files may lie there, or be covered by what does.
        return Examined(Clause(_NAME, None, f"as {seen.unread[0]}"))

    def read(path: str, start: int, end: int) -> bytes:
        data = retry.call(lambda: files[path].read_range(start, end))
        if data is None:
            raise Unseen("check", path, "it is compressed, and too little of it was kept")
        return data

    sizes = {path: file.size_bytes for path, file in files.items()}
    return _judged(examine(sizes, read, retry=retry), sizes)


def _judged(found: Whole, files: Collection[str]) -> Examined:
    if found.faults:
        flaws = tuple(f"{ROOT}/{fault.subject}: {fault.reason}" for fault in found.faults)
        return Examined(Clause(_NAME, False, f"{len(flaws)} faults: {flaws[0]}"), flaws)
    looked_at = f"{len(files) - len(found.unseen)} files looked at"
    detail = "; ".join([looked_at, *_without_weights(files), *found.remarks])
    if found.unseen:
        rest = f"{len(found.unseen)} are compressed and longer than what was kept of them"
        return Examined(Clause(_NAME, None, f"{detail}; {rest}: {found.unseen[0]}"))
    return Examined(Clause(_NAME, True, detail))


def _without_weights(files: Collection[str]) -> list[str]:
    """Say that there are none: ``--allow-no-weights`` packs such an image on purpose."""
    weights = sorted(filter(is_weights, files))
    if not weights:
        return ["no weights among them"]
    if all(matches(path, ADAPTERS) for path in weights):
        return [f"no weights of a model among them, only a LoRA adapter: {weights[0]}"]
    return []
