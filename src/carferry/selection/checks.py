"""What no image is made of: no weights, a mere adapter, unnamed pickles, no config at the root."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from carferry.errors import InputError, NothingSelected, UnsafeWeights
from carferry.io.shell import glob_of, option, word
from carferry.selection.folders import are_out_of_reach, is_beside, right_folder
from carferry.selection.hints import include, root_config, weights_of
from carferry.selection.kinds import ADAPTERS, PICKLE, is_weights, matches
from carferry.selection.needs import Needs
from carferry.selection.notes import some
from carferry.selection.patterns import Patterns
from carferry.selection.sentence import MODULES
from carferry.source.snapshot import SourceFile
from carferry.weights.layout import ADAPTER_CONFIG, CONFIG, PARAMS

_DIFFUSERS = "model_index.json"
_CHECK_PLACE = "check that a model lies there (in an image: under /models)"
_INSIST = "--allow-no-weights to insist"


@dataclass(frozen=True, slots=True)
class Choice:
    """A choice to check.

    Attributes:
        origin: What the model is called.
        repo: Its repository on the hub; empty if there is none.
        place: What a folder of it is named by, if that is a model too: a path, ``s3://...``.
        listed: Where a model may lie: also in what training left over.
        files: What of it may enter an image, by path.
        chosen: What does.
        needs: What its servers read.
        patterns: What the user said.
    """

    origin: str
    repo: str
    place: str
    listed: Collection[str]
    files: Mapping[str, SourceFile]
    chosen: Collection[str]
    needs: Needs
    patterns: Patterns

    @property
    def left(self) -> Mapping[str, SourceFile]:
        """What no --exclude takes away."""
        return {p: file for p, file in self.files.items() if not self.patterns.excludes(p)}

    @property
    def wanted(self) -> list[str]:
        """What is taken by default."""
        return [p for p in self.left if self.needs.wants(p) and p not in self.needs.copies]

    def hint(self, more: Collection[str]) -> str:
        """Return the --include that takes more files, and all that is taken now."""
        config = [] if self._has_root else root_config(self.left)
        return include(self.wanted, [*more, *config], self.patterns.include)

    @property
    def _has_root(self) -> bool:
        return not self.patterns.include or CONFIG in self.chosen or PARAMS in self.chosen


def check_choice(choice: Choice, *, for_image: bool = True) -> None:
    """Refuse what no server could load.

    Args:
        choice: What to check.
        for_image: Refuse a model that has no weights at all, too.

    Raises:
        NothingSelected: No file, or no weights among them.
        UnsafeWeights: Pickled weights that no pattern names by their ending.
        InputError: A mere LoRA adapter, a module without weights, no config at the root, or no
            weights there.
    """
    _check_pickles(choice)
    if not choice.chosen:
        _refuse_nothing(choice)
    weightless = not for_image and not any(map(is_weights, choice.files))
    if choice.patterns.allow_no_weights or weightless:
        return
    weights = [p for p in choice.chosen if is_weights(p) and not matches(p, ADAPTERS)]
    if not weights:
        _refuse_no_weights(choice)
    _check_modules(choice)
    _check_root(choice)
    _check_reach(choice, weights)


def _check_pickles(choice: Choice) -> None:
    unnamed = [
        path
        for path in choice.chosen
        if matches(path, PICKLE) and not choice.patterns.names_ending(path)
    ]
    if unnamed:
        raise _unsafe(choice, unnamed[0], unnamed)


def _unsafe(choice: Choice, path: str, pickled: Collection[str]) -> UnsafeWeights:
    return UnsafeWeights(
        "take",
        f"{path} of {choice.origin}",
        "pickle-based weights run code when loaded",
        f"use a safetensors revision, or name them: {choice.hint(pickled)}",
    )


def _refuse_nothing(choice: Choice) -> None:
    if not choice.listed:
        raise NothingSelected("select files of", choice.origin, "no file is there", _CHECK_PLACE)
    weights = _weights(choice)
    if not choice.patterns.include:
        _refuse_no_weights(choice) if weights else _check_folders(choice)
    remedy = "widen --include or drop --exclude"
    at_root = bool(root_config(choice.files)) or any(map(_is_gguf, weights))
    if weights and at_root:
        every = [*weights, *_pickled_heads(choice, {*choice.wanted, *weights})]
        remedy = f"widen --include, as in {include(choice.wanted, every)}"
    said = f"matches {', '.join(choice.patterns.include)}"
    said = said if choice.patterns.include else "is weights, a config, a tokenizer or a text"
    raise NothingSelected(
        "select files of",
        choice.origin,
        f"no file of {len(choice.files)} {said}",
        remedy,
    )


def _refuse_no_weights(choice: Choice) -> None:
    weights = _weights(choice)
    adapters = [path for path in choice.files if matches(path, ADAPTERS)]
    if not weights and adapters and ADAPTER_CONFIG in choice.files:
        raise _only_adapter(choice)
    if not root_config(choice.files):
        _check_pipeline(choice)
    if not weights or ("/" in weights[0] and not root_config(choice.files)):
        _check_folders(choice)
    if not choice.needs.layout.index:
        _check_reach(choice, weights)
    weights += _pickled_heads(choice, {*choice.wanted, *weights})
    if weights and matches(weights[0], PICKLE) and not choice.patterns.include:
        raise _unsafe(choice, weights[0], weights)
    raise NothingSelected(
        "select weights of", choice.origin, _none(choice, weights), _remedy(choice, weights)
    )


def _weights(choice: Choice) -> list[str]:
    """Return the weights there are, other than a LoRA adapter's."""
    others = {path: file for path, file in choice.left.items() if not matches(path, ADAPTERS)}
    return weights_of(others, choice.needs.layout)


def _is_gguf(path: str) -> bool:
    return path.lower().endswith(".gguf") and "/" not in path


def _none(choice: Choice, weights: list[str]) -> str:
    if choice.needs.layout.index and not choice.needs.layout.files:
        return f"no file that {choice.needs.layout.index} names is there"
    if not weights:
        return f"no weights in the {len(choice.chosen)} files of the image"
    if choice.patterns.include:
        return f"no weights among the {len(choice.chosen)} files that its patterns take"
    return f"no safetensors, and {weights[0]} is not taken by default"


def _remedy(choice: Choice, weights: list[str]) -> str:
    layout = choice.needs.layout
    if weights and weights[0].endswith(".safetensors"):
        if layout.index and not layout.files:
            without = option("--exclude", glob_of(layout.index))
            return f"if it is left over from other weights: {without}"
        return f"name them too: {choice.hint(weights)}"
    if weights:
        return f"use a safetensors revision, or name them: {choice.hint(weights)}"
    taken = [path for path in choice.files if is_weights(path) and choice.patterns.excludes(path)]
    return f"drop the --exclude that takes {taken[0]}" if taken else _INSIST


def _only_adapter(choice: Choice) -> InputError:
    config = choice.needs.configs.get(ADAPTER_CONFIG, {})
    base = config.get("base_model_name_or_path") or "a base that it does not name"
    return InputError(
        "package",
        choice.origin,
        f"only a LoRA adapter, of {base}",
        f"package that model, or one with the adapter merged; {_INSIST}",
    )


def _check_modules(choice: Choice) -> None:
    """Refuse a sentence encoder that would load without one of its heads."""
    if MODULES not in choice.chosen:
        return
    for module in choice.needs.modules:
        gap = module.gap(choice.files, choice.chosen) if module.folder else None
        if gap is None:
            continue
        every = _pickled_heads(choice, choice.chosen)
        kind = module.kind.rpartition(".")[2]
        if not gap:
            reason = f"{MODULES} names {module.folder} ({kind}), which has no weights in the image"
            raise InputError("package", choice.origin, reason, "take a complete revision")
        raise UnsafeWeights(
            "package",
            choice.origin,
            f"{MODULES} names {module.folder} ({kind}), whose weights are pickled: {gap[0]}",
            f"name them: {choice.hint(every)}",
        )


def _pickled_heads(choice: Choice, chosen: Collection[str]) -> list[str]:
    """Return the pickled weights of modules that such a choice would still lack."""
    heads = [module for module in choice.needs.modules if module.folder]
    return [path for head in heads for path in head.gap(choice.files, chosen) or ()]


def _check_root(choice: Choice) -> None:
    """Refuse an image whose root says nothing of the weights; GGUF says it in itself."""
    chosen = choice.chosen
    if CONFIG in chosen or PARAMS in chosen or _is_meant_pipeline(choice):
        return
    if any(map(_is_gguf, chosen)):
        return
    if config := root_config(choice.files):
        reason = f"{config[0]} would not be in the image, and servers look for it"
        is_excluded = choice.patterns.excludes(config[0])
        take = f"take it too: {choice.hint(())}"
        remedy = f"drop the --exclude that takes {config[0]}" if is_excluded else take
        raise InputError("package", choice.origin, reason, remedy)
    _check_pipeline(choice)
    _check_folders(choice)
    if any(path.endswith(".safetensors") for path in chosen):
        reason = f"no {CONFIG}, so no server knows what its weights are"
        raise InputError("package", choice.origin, reason, f"add it; {_INSIST}")


def _is_meant_pipeline(choice: Choice) -> bool:
    """Return whether a diffusers pipeline was named, or put into an image, for another server."""
    is_packed = choice.patterns.every and _DIFFUSERS in choice.chosen
    return is_packed or choice.patterns.names_exactly(_DIFFUSERS)


def _check_pipeline(choice: Choice) -> None:
    if _DIFFUSERS in choice.files:
        rest = [path for path in choice.wanted if path != _DIFFUSERS]
        remedy = f"for another server name it: {include(rest, [_DIFFUSERS])}"
        reason = f"a diffusers pipeline ({_DIFFUSERS}), which vLLM does not load"
        raise InputError("package", choice.origin, reason, remedy)


def _check_folders(choice: Choice) -> None:
    """Refuse a model that lies in a folder of its own, with all that describes it."""
    if folder := right_folder(_not_excluded(choice)):
        reason = f"{CONFIG} and the weights must lie at its root, and lie in {folder}"
        raise InputError("package", choice.origin, reason, _go_to(choice, folder))


def _check_reach(choice: Choice, weights: Collection[str]) -> None:
    """Refuse a model whose config lies at the root, and all its weights in folders below."""
    if _is_meant_pipeline(choice) or not are_out_of_reach(weights, choice.needs):
        return
    _check_pipeline(choice)
    first = min(weights, key=lambda path: (path.count("/"), path))
    reason = f"no server finds its weights ({some(weights)}): they must lie at its root"
    beside = [path for path in _not_excluded(choice) if is_beside(path, weights)]
    if folder := right_folder(beside):
        remedy = _go_to(choice, folder)
    else:
        got = f"hf download {choice.repo} --local-dir model, then " if choice.repo else ""
        remedy = f"{got}move {first} and what is beside it there"
    raise InputError("package", choice.origin, reason, f"{remedy}; {_INSIST}")


def _not_excluded(choice: Choice) -> list[str]:
    return [path for path in choice.listed if not choice.patterns.excludes(path)]


def _go_to(choice: Choice, folder: str) -> str:
    if choice.place:
        return f"package {word(choice.place.rstrip('/') + '/' + folder)}"
    if not choice.repo:
        return f"put what lies in {folder} into a folder of its own, and package that"
    taken = option("--include", f"{glob_of(folder)}/*")
    there = word(f"./model/{folder}")
    return f"hf download {choice.repo} {taken} --local-dir model, then package {there}"
