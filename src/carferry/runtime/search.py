"""Looking for files in a base's layers: bottom first, and no further than the last answer."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

from carferry.errors import TargetError
from carferry.image.base import Base
from carferry.image.unpack import Budget, unpacked
from carferry.oci.documents import LAYER_TYPES, Descriptor
from carferry.oci.headers import BoundedInfo
from carferry.registry.target import Target

Question = Callable[[tarfile.TarInfo, tarfile.TarFile], Any]
"""Asked about each member; whatever is not None is the answer."""

_GIB = 1024**3


def search(base: Base, *questions: Question) -> list[Any]:
    """Return an answer to each question, None if no readable layer has one; one pass for all.

    Raises:
        TargetError: A layer is not a readable tar.
    """
    answers: list[Any] = [None] * len(questions)
    with closing(_members(base)) as members:
        for member, tar in members:
            for number, ask in enumerate(questions):
                if answers[number] is None:
                    answers[number] = ask(member, tar)
            if None not in answers:
                break
    return answers


def is_readable(base: Base) -> bool:
    """Return whether every layer can be searched: each is a tar, compressed or not."""
    return base.home is not None and all(layer.media_type in LAYER_TYPES for layer in base.layers)


def _members(base: Base) -> Generator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    for layer in base.layers:
        if base.home is not None and layer.media_type in LAYER_TYPES:
            yield from _walk(base.name, base.home, layer)


def _walk(
    name: str, home: Target, layer: Descriptor
) -> Generator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """Yield a layer's members, reading no further than the last one taken."""
    # A runtime's base holds all of Python's world: more than a look at an image is worth.
    budget = Budget(packed_bytes=8 * _GIB, unpacked_bytes=32 * _GIB)
    try:
        with (
            unpacked(home, layer, budget) as raw,
            tarfile.open(fileobj=raw, mode="r|", tarinfo=BoundedInfo) as tar,
        ):
            for member in tar:
                yield member, tar
                # tarfile keeps every member for a second pass that a stream cannot have.
                tar.members.clear()  # type: ignore[attr-defined]
    except TargetError as error:
        if error.temporary or error.action != "read layer":
            raise
        reason = f"layer {layer.digest} is {error.reason}"
        raise TargetError("read base", name, reason) from error
