"""Fewer layers than the config counts: half a model, saved or copied as if it were whole.

Said only where the names leave no doubt, for nobody can insist: one stack of layers, numbered from
0 without a gap, that ends before the count, and no other numbered parts that could be the rest.
Why each doubt is one: docs/adr/0028-whole-before-a-byte-moves.md.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from carferry.errors import BrokenFile

_CONTAINERS = ("layers", "layer", "h", "blocks", "block")
_NAMES = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_HALVES = (
    "encoder_layers", "decoder_layers", "num_encoder_layers", "num_decoder_layers",
    "encoder_num_hidden_layers", "decoder_num_hidden_layers",
)  # fmt: skip
_FURTHER = ("num_nextn_predict_layers", "mtp_num_hidden_layers")
_NESTED = ("text_config", "llm_config")
# Parts that see and hear; their layers are counted elsewhere.
_TOWER = re.compile(r"vis|vit|vpm|ima?ge?|audio|speech|apm")
# A config that says its layers are shared, repeated, pruned or each of another kind.
_UNEVEN = re.compile(
    r"(?!num_kv_)(?=.*(?:shar|repeat|recur|loop|map|group|config|prun|cut))(?=.*(?:layer|block|hidden_group))"
)


@dataclass(slots=True)
class _Stack:
    """Numbered parts with one name before the number."""

    numbers: set[int] = field(default_factory=set)
    tensors: int = 0
    is_nested: bool = False


def check_depth(names: Iterable[str], config: Mapping[str, Any], subject: str) -> None:
    """Refuse tensors that end before the config's last layer.

    More layers than the config counts are no fault: they predict further tokens.

    Args:
        names: Of every tensor that the server will load.
        config: config.json.
        subject: What to name in the error.

    Raises:
        BrokenFile: Says how many layers there are.
    """
    key, layers = _count(config)
    seen = [name for name in names if not any(map(_TOWER.match, name.split(".")))]
    held = _depth(seen, layers)
    if held < layers:
        raise BrokenFile(
            "check", subject,
            f"its tensors end with layer {held} of the {layers} that config.json counts",
            f"download the model again, or correct {key} there: no server starts as it is",
        )  # fmt: skip


def _depth(names: list[str], layers: int) -> int:
    """Return how many layers there are; ``layers`` where that is in doubt."""
    stacks = _stacks(names)
    known = {prefix: each for prefix, each in stacks.items() if _is_layers(prefix)}
    if not known:
        return layers
    deepest = max(known, key=lambda prefix: len(known[prefix].numbers))
    main, held = known[deepest], len(known[deepest].numbers)
    others = sum(len(each.numbers) for prefix, each in stacks.items() if prefix != deepest)
    is_certain = (
        main.numbers == set(range(held))
        and not main.is_nested
        and 2 * main.tensors > len(names)
        and others < layers - held
    )
    return held if is_certain else layers


def _stacks(names: Iterable[str]) -> dict[str, _Stack]:
    """Return the numbered parts by what stands before the first number of a name."""
    found: dict[str, _Stack] = defaultdict(_Stack)
    for name in names:
        parts = name.split(".")
        at = next((at for at, part in enumerate(parts) if part.isdecimal()), 0)
        if not at:
            continue
        stack = found[".".join(parts[:at])]
        stack.numbers.add(int(parts[at][:6]))
        stack.tensors += 1
        stack.is_nested |= parts[at + 1 : at + 2] != [] and parts[at + 1].isdecimal()
    return found


def _is_layers(prefix: str) -> bool:
    return prefix.rpartition(".")[2] in _CONTAINERS


def _count(config: Mapping[str, Any]) -> tuple[str, int]:
    """Return the key that counts the text model's layers, and the least that it can mean.

    0 if that is not said plainly, or if code of the model's own may read it otherwise.
    """
    section = next((config[key] for key in _NESTED if isinstance(config.get(key), dict)), config)
    if not _counts(section, _NAMES):
        section = config
    counts = _counts(section, _NAMES)
    if not counts or "auto_map" in config or any(_is_uneven(each) for each in (config, section)):
        return "", 0
    further = sum(_counts(section, _FURTHER).values())
    key = min(counts, key=lambda name: counts[name])
    return key, min([*counts.values(), *_counts(section, _HALVES).values()]) - further


def _counts(section: Mapping[str, Any], names: Iterable[str]) -> dict[str, int]:
    given = {name: section.get(name) for name in names}
    return {name: value for name, value in given.items() if type(value) is int}


def _is_uneven(section: Mapping[str, Any]) -> bool:
    return any(value and _UNEVEN.match(key) for key, value in section.items())
