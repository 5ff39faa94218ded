"""Looking for files in a base's layers: bottom first, and no further than the last answer."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

from carferry.errors import TargetError
from carferry.image.base import Base
from carferry.image.unpack import Budget, unpacked
from carferry.oci.documents import LAYER_TYPES, Descriptor
from carferry.oci.headers import Member, read_members
from carferry.registry.target import Target

Question = Callable[[Member], Any]
"""Asked about each member; whatever is not None is the answer. One of them may read its content."""

_BUFFER = 256 * 1024
_GIB = 1024**3


def search(base: Base, *questions: Question) -> list[Any]:
    """Return an answer to each question, None if no readable layer has one; one pass for all.

    Raises:
        TargetError: A layer is not a readable tar.
    """
    answers: list[Any] = [None] * len(questions)
    with closing(_members(base)) as members:
        for member in members:
            for number, ask in enumerate(questions):
                if answers[number] is None:
                    answers[number] = ask(member)
            if None not in answers:
                break
    return answers


def is_readable(base: Base) -> bool:
    """Return whether every layer can be searched: each is a tar, compressed or not."""
    return base.home is not None and all(layer.media_type in LAYER_TYPES for layer in base.layers)


def _members(base: Base) -> Generator[Member]:
    for layer in base.layers:
        if base.home is not None and layer.media_type in LAYER_TYPES:
            yield from _walk(base.name, base.home, layer)


def _walk(name: str, home: Target, layer: Descriptor) -> Generator[Member]:
    """Yield a layer's members, reading no further than the last one taken."""
    # A runtime's base holds all of Python's world: more than a look at an image is worth.
    budget = Budget(packed_bytes=8 * _GIB, unpacked_bytes=32 * _GIB)
    try:
        with unpacked(home, layer, budget) as raw:
            yield from read_members(io.BufferedReader(raw, _BUFFER))
    except TargetError as error:
        if error.temporary or error.action != "read layer":
            raise
        reason = f"layer {layer.digest} is {error.reason}"
        raise TargetError("read base", name, reason) from error
