"""Fewer layers than the config counts: half a model, saved or copied as if it were whole.

Said only where the names leave no doubt, for nobody can insist: one stack of layers that ends
before the count, or reaches it with a hole, and no other numbered parts that could be the rest; or
no tensor but those around the layers. Why each doubt is one:
docs/adr/0028-whole-before-a-byte-moves.md.
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
# Lists of layers or parts of them that a model was made without.
_LEFT_OUT = re.compile(r"(?=.*(?:drop|skip|identity|no_?op))")
# Modules around the layers: a model's tensors may all be of these only if it has no layers.
_AROUND = frozenset(
    {
        "embed_in", "embed_out", "embed_positions", "embed_tokens", "final_layer_norm",
        "final_layernorm", "final_norm", "lm_head", "ln_f", "norm", "output",
        "position_embeddings", "shared", "tok_embeddings", "token_type_embeddings",
        "word_embeddings", "wpe", "wte",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Count:
    """How many layers a config counts.

    Attributes:
        key: What counts them there.
        layers: The least that it can mean; 0 if that is not said plainly.
        further: How many more may be counted, and stored, to predict further tokens.
    """

    key: str = ""
    layers: int = 0
    further: int = 0


@dataclass(slots=True)
class _Stack:
    """Numbered parts with one name before the number."""

    numbers: set[int] = field(default_factory=set)
    tensors: int = 0
    is_nested: bool = False
    has_modules: bool = False


def check_depth(
    names: Iterable[str], config: Mapping[str, Any], subject: str, source: str = "config.json"
) -> None:
    """Refuse tensors that lack layers which the config counts.

    More layers than the config counts are no fault: they predict further tokens.

    Args:
        names: Of every tensor that the server will load.
        config: config.json, or params.json of Mistral's layout.
        subject: What to name in the error.
        source: Which of the two it is.

    Raises:
        BrokenFile: Says which layers are there, or not.
    """
    count, every = _count(config), list(names)
    lacking = _lacking(every, count) if count.layers else ""
    if lacking:
        raise BrokenFile(
            "check", subject, f"{lacking} of the {count.layers} that {source} counts",
            f"download the model again, or correct {count.key} there: no server runs it as it is",
        )  # fmt: skip


def _lacking(every: list[str], count: _Count) -> str:
    """Return what layers there are, or not; empty where all are, or that is in doubt."""
    names = [name for name in every if not any(map(_TOWER.match, name.split(".")))]
    stacks = _stacks(names)
    known = {prefix: each for prefix, each in stacks.items() if _is_layers(prefix)}
    if not known:
        return "its tensors are of no layer" if all(map(_is_around, every)) else ""
    deepest = max(known, key=lambda prefix: len(known[prefix].numbers))
    main, held = known[deepest], len(known[deepest].numbers)
    missing = count.layers - sum(number < count.layers for number in main.numbers)
    others = sum(len(each.numbers) for prefix, each in stacks.items() if prefix != deepest)
    if main.is_nested or 2 * main.tensors <= len(names) or others >= missing:
        return ""
    if main.numbers == set(range(held)):
        return f"its tensors end with layer {held}"
    if _has_hole(main, count):
        first = next(number for number in range(count.layers) if number not in main.numbers)
        more = f" and {missing - 1} more" if missing > 1 else ""
        return f"its tensors lack {deepest}.{first}{more}"
    return ""


def _has_hole(stack: _Stack, count: _Count) -> bool:
    """Return whether what is missing lies between layers that are numbered as the config counts.

    Parts of a list that are no modules may have nothing to store between them, as activations.
    """
    last = count.layers - 1
    is_as_counted = last <= max(stack.numbers) <= last + 2 * count.further
    return stack.has_modules and is_as_counted and {0, last} <= stack.numbers


def _is_around(name: str) -> bool:
    parts = name.split(".")
    return parts[-2:-1] != [] and parts[-2] in _AROUND and not {*_CONTAINERS} & {*parts}


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
        stack.has_modules |= len(parts) > at + 2
        stack.is_nested |= parts[at + 1 : at + 2] != [] and parts[at + 1].isdecimal()
    return found


def _is_layers(prefix: str) -> bool:
    return prefix.rpartition(".")[2] in _CONTAINERS


def _count(config: Mapping[str, Any]) -> _Count:
    """Return what counts the text model's layers, none if code of the model's own may differ."""
    section = next((config[key] for key in _NESTED if isinstance(config.get(key), dict)), config)
    if not _counts(section, _NAMES):
        section = config
    counts = _counts(section, _NAMES)
    if not counts or "auto_map" in config or any(_is_uneven(each) for each in (config, section)):
        return _Count()
    further = sum(_counts(section, _FURTHER).values())
    least = min([*counts.values(), *_counts(section, _HALVES).values()])
    key = min(counts, key=lambda name: counts[name])
    return _Count(key, max(0, least - further), max(0, further))


def _counts(section: Mapping[str, Any], names: Iterable[str]) -> dict[str, int]:
    given = {name: section.get(name) for name in names}
    return {name: value for name, value in given.items() if type(value) is int}


def _is_uneven(section: Mapping[str, Any]) -> bool:
    return any(
        value and (_UNEVEN.match(key) or (isinstance(value, list) and _LEFT_OUT.match(key)))
        for key, value in section.items()
    )
