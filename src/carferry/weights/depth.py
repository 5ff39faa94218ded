"""Fewer layers than the config says: half a model, saved or copied as if it were whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from carferry.errors import BrokenFile

# T5 numbers the parts of a block too: encoder.block.11.layer.0; so every number is looked at.
_LAYER = re.compile(r"(?<![^.])(?:layers|layer|h|blocks|block)\.(?P<number>[0-9]{1,5})\.")
_NAMES = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_NESTED = ("text_config", "llm_config")


def check_depth(names: Iterable[str], config: Mapping[str, Any], subject: str) -> None:
    """Refuse tensors that end before the config's last layer.

    Asked of the deepest stack that the names show, so a short second one (a decoder, a tower)
    is no fault; more layers than the config says are none either: they predict further tokens.

    Args:
        names: Of every tensor that the server will load.
        config: config.json.
        subject: What to name in the error.

    Raises:
        BrokenFile: Says how many layers there are.
    """
    layers = _layers(config)
    numbers = (int(found["number"]) for name in names for found in _LAYER.finditer(name))
    deepest = max(numbers, default=-1) + 1
    if 0 < deepest < layers:
        raise BrokenFile(
            "check", subject,
            f"its tensors end with layer {deepest} of the {layers} that config.json counts",
            "download the model again or report it",
        )  # fmt: skip


def _layers(config: Mapping[str, Any]) -> int:
    """Return how many layers the text model has; 0 if that is not said plainly."""
    nested = [config[key] for key in _NESTED if isinstance(config.get(key), dict)]
    for section in (*nested, config):
        for name in _NAMES:
            value = section.get(name)
            if isinstance(value, int) and not isinstance(value, bool):
                return value
    return 0
