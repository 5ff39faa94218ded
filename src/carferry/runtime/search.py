"""Looking for files in a base's layers: bottom first, and no further than the last answer."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

from carferry.errors import TargetError
from carferry.image.base import Base
from carferry.oci.documents import LAYER, Descriptor
from carferry.registry.blobs import blob_file
from carferry.registry.target import Target

Question = Callable[[tarfile.TarInfo, tarfile.TarFile], Any]
"""Asked about each member; whatever is not None is the answer."""

_MODES = {LAYER: "r|", f"{LAYER}+gzip": "r|gz"}


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
    """Return whether every layer can be searched: none has a compression that Python lacks."""
    return base.home is not None and all(layer.media_type in _MODES for layer in base.layers)


def _members(base: Base) -> Generator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    for layer in base.layers:
        if base.home is not None and layer.media_type in _MODES:
            yield from _walk(base.name, base.home, layer)


def _walk(
    name: str, home: Target, layer: Descriptor
) -> Generator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """Yield a layer's members, reading no further than the last one taken."""
    with blob_file(home, layer.digest) as raw:
        mode = _MODES[layer.media_type]
        try:
            with tarfile.open(fileobj=raw, mode=mode) as tar:  # type: ignore[call-overload]
                for member in tar:
                    yield member, tar
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            reason = f"layer {layer.digest} is not a readable tar: {error}"
            raise TargetError("read base", name, reason) from error
