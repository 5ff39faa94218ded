"""What a step reads of a model to say what it is: its choice of files, headers and config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from carferry.errors import InputError
from carferry.gpu.model.config import load_config
from carferry.io.net.retry import Retry
from carferry.selection.patterns import Patterns
from carferry.selection.select import choose
from carferry.selection.selection import Selection
from carferry.source.pieces import Pieces
from carferry.weights.check import check_whole
from carferry.weights.safetensors import Header
from carferry.weights.texts import CONFIG_CAP_BYTES

_CONFIG = "config.json"


@dataclass(frozen=True, slots=True)
class Seen:
    """A model, whole, as far as its small files and headers say.

    Attributes:
        pieces: Reads more of it.
        selection: Which files count.
        headers: Of its safetensors files, by path.
    """

    pieces: Pieces
    selection: Selection
    headers: Mapping[str, Header]

    @property
    def sizes(self) -> dict[str, int]:
        """The chosen files' lengths in bytes, by path."""
        return {file.path: file.size_bytes for file in self.selection.files.files}

    def config(self) -> dict[str, Any] | None:
        """Return its config.json; None if there is none.

        Raises:
            InputError: It is no JSON object, or longer than any config.
        """
        size = self.sizes.get(_CONFIG)
        if size is None:
            return None
        if size > CONFIG_CAP_BYTES:
            raise InputError("read", _CONFIG, f"{size} bytes long, no config is")
        return load_config(self.pieces.whole(_CONFIG))


def see(pieces: Pieces, wanted: Patterns, retry: Retry) -> Seen:
    """Choose a model's files and read their headers.

    Raises:
        IncompleteModel: A file is broken or missing.
        InputError: No server could load it.
    """
    selection = choose(pieces.source, wanted, for_image=False, pieces=pieces)
    headers = check_whole(pieces.source, selection.files, retry=retry, pieces=pieces)
    return Seen(pieces, selection, headers)
