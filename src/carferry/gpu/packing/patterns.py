"""Match the names of a quantization config: whole names, shorter ones, globs and ``re:`` patterns.

Sources: vLLM 0.33 ``layers/quantization`` (``compressed_tensors/utils.py``, ``modelopt.py``,
``utils/quant_utils.py``, ``utils/gptq_utils.py``, ``quark/utils.py``).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from carferry.gpu.packing.automaton import Matcher
from carferry.gpu.packing.modules import Module

_STEM = re.compile(r"(?:.*?\.)?(?:layers|h|blocks)\.(\d{1,6})(?=\.|$)")
_ASIDE = re.compile(r"(?i)visual|vision|audio|(?:^|\.)mtp(?:\.|$)|mm_|multi_modal|merger|projector")
_WRAPPERS = ("model.", "language_model.", "model.")
_INDEX = re.compile(r"(?:layers|h|blocks)\\?\.(\d{1,6})(?=\\?\.)")
_ALSO_CALLED = {
    "down_proj": ("w2",),
    "up_proj": ("w3", "gate_up_proj"),
}
_LEAVES = tuple(_ALSO_CALLED)
_SIGNS = re.compile(r"\*+|\?|\[!?\]?[^\]]*\]|.", re.S)
_MOST, _MOST_SEARCHED, _MOST_COMPILED = 1 << 20, 20, 2000


@dataclass(frozen=True, slots=True)
class NameSet:
    """Patterns that name modules.

    Attributes:
        anywhere: Names without an index; one stands for all below it, and for its last parts.
        inside: Names below a layer, by the layer's index; empty for the whole layer.
        general: Compiled patterns that no layer's index can matter to.
        numbered: Compiled patterns with a digit in them, by the layer they are for; None for any.
    """

    anywhere: frozenset[str]
    inside: Mapping[int, frozenset[str]]
    general: tuple[Matcher, ...]
    numbered: Mapping[int | None, tuple[Matcher, ...]]

    def layers_of(self, module: Module, stems: tuple[str, ...]) -> frozenset[int]:
        """Return the layers in which a module is named.

        Args:
            module: One linear layer.
            stems: What may stand before a layer's index in this checkpoint.
        """
        if self._everywhere(module, stems):
            return frozenset(module.layers)
        if module.part == "experts" and not module.names[0].endswith(_LEAVES):
            own = self._named_inside(module, stems)
            leaves = [self.layers_of(_leaf(module, name), stems) for name in _LEAVES]
            return own | frozenset.intersection(*leaves)
        return self._named_inside(module, stems)

    def _named_inside(self, module: Module, stems: tuple[str, ...]) -> frozenset[int]:
        own, some = module.layers, self.inside.keys() | self.numbered.keys()
        if None not in some and len(some) < len(own):
            own = tuple(layer for layer in some if layer in own)
        return frozenset(
            layer
            for layer in own
            if self._inside(module, layer) or self._numbered(module, stems, layer)
        )

    def names(self, module: Module) -> bool:
        """Return whether a module outside the layers is named."""
        return self._everywhere(module, ())

    def _everywhere(self, module: Module, stems: tuple[str, ...]) -> bool:
        if self.anywhere and any(run in self.anywhere for n in module.names for run in _runs(n)):
            return True
        first = module.layers[0] if module.layers else None
        return bool(self.general) and _searched(self.general, stems, module.names, first)

    def _inside(self, module: Module, layer: int) -> bool:
        named = self.inside.get(layer)
        if not named:
            return False
        return "" in named or any(part in named for n in module.names for part in _above(n))

    def _numbered(self, module: Module, stems: tuple[str, ...], layer: int) -> bool:
        if not self.numbered:
            return False
        patterns = (*self.numbered.get(layer, ()), *self.numbered.get(None, ()))
        return bool(patterns) and _searched(patterns, stems, module.names, layer)


def name_set(patterns: Iterable[str], *, regex: bool = False) -> NameSet:
    """Parse patterns; one that is none matches nothing.

    Args:
        patterns: As the config lists them.
        regex: All are regular expressions, not only those that start with ``re:``.
    """
    anywhere, inside = set[str](), defaultdict[int, set[str]](set)
    general = list[Matcher]()
    numbered = defaultdict[int | None, list[Matcher]](list)
    left = _MOST_COMPILED
    for text in islice(patterns, _MOST):
        is_regex = regex or text.startswith("re:")
        if not is_regex and not any(sign in text for sign in "*?["):
            layer, rest = _canonical(text)
            (anywhere if layer is None else inside[layer]).add(rest)
            continue
        if left and (compiled := _compiled(text.removeprefix("re:"), is_regex)):
            left -= 1
            found = _INDEX.search(text)
            has_digits = any(sign.isdigit() for sign in text)
            place = numbered[int(found[1]) if found else None] if has_digits else general
            if found or len(place) < _MOST_SEARCHED:
                place.append(compiled)
    by_layer = {layer: frozenset(names) for layer, names in inside.items()}
    indexed = {layer: tuple(each) for layer, each in numbered.items()}
    return NameSet(frozenset(anywhere - {""}), by_layer, tuple(general), indexed)


def _leaf(module: Module, name: str) -> Module:
    """Return one matrix of the experts: all of them are named, or the experts are not."""
    others = _ALSO_CALLED[name]
    names = (f"{each}{n}.{leaf}" for each in module.names for n in ("", ".0")
             for leaf in (name, *others))  # fmt: skip
    return replace(module, names=tuple(names))


def _compiled(text: str, is_regex: bool) -> Matcher | None:
    try:
        return Matcher(text if is_regex else _globbed(text))
    except ValueError:
        return None


def _globbed(text: str) -> str:
    """Return a glob as a regular expression; it stands for all below it, too."""
    signs = (sign[0] for sign in _SIGNS.finditer(text))
    return "".join(map(_sign, signs)) + r"(\..*)?$"


def _sign(sign: str) -> str:
    if sign[0] == "*":
        return ".*"
    if sign == "?":
        return "."
    if len(sign) > 1:
        inner = sign[1:-1].replace("\\", r"\\")
        return f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"
    return re.escape(sign)


def _canonical(name: str) -> tuple[int | None, str]:
    """Return the layer a name is in, and the name below it, without the wrappers above.

    Names of towers and of prediction layers stay whole: no module of the decoder is meant.
    """
    if _ASIDE.search(name):
        return None, name
    found = _STEM.match(name)
    if found:
        return int(found[1]), name[found.end() :].removeprefix(".")
    for wrapper in _WRAPPERS:
        name = name.removeprefix(wrapper)
    return None, name


def _above(name: str) -> Iterator[str]:
    """Yield a name and all that it lies in: ``a.b.c``, ``a.b``, ``a``."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def _runs(name: str) -> Iterator[str]:
    """Yield every run of a name's parts; an index alone says nothing."""
    parts = name.split(".")
    for start in range(len(parts)):
        for run in _above(".".join(parts[start:])):
            if not run.isdigit():
                yield run


def _searched(
    patterns: tuple[Matcher, ...],
    stems: tuple[str, ...],
    names: tuple[str, ...],
    layer: int | None,
) -> bool:
    before = ("",) if layer is None else tuple(f"{stem}.{layer}." for stem in stems)
    return any(
        pattern.match(prefix, name) for pattern in patterns for prefix in before for name in names
    )
