"""What a model's servers need of its files, as the model itself says."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from carferry.selection.code import CONFIGS, Code, find_code
from carferry.selection.kinds import COPIES, OTHER_RUNTIMES, is_index, is_text, matches
from carferry.selection.reading import Reader
from carferry.selection.sentence import MODULES, Module, find_modules, own_classes
from carferry.weights.index import INDEX_CAP_BYTES
from carferry.weights.layout import ADAPTER_CONFIG, CONFIG, Layout, index_paths, read_layout

_MOST_FOLDERS = 16
_PRECISION = re.compile(r"(?:fp|bf|int|float|bfloat)\d+")


@dataclass(frozen=True, slots=True)
class Needs:
    """What a server reads.

    Attributes:
        layout: How the weights lie.
        code: Code that the configs name.
        modules: Of a sentence encoder.
        configs: The parsed JSON objects at the root that say so, by path.
        copies: What stays out unless it is named, and why: the same weights once more.
    """

    layout: Layout = field(default_factory=Layout)
    code: Code = field(default_factory=Code)
    modules: tuple[Module, ...] = ()
    configs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    copies: Mapping[str, str] = field(default_factory=dict)

    def wants(self, path: str) -> bool:
        """Return whether a file enters an image unless a user says otherwise."""
        if path in self.layout.files or path in self.code.files:
            return True
        if matches(path, OTHER_RUNTIMES):
            return False
        if path.endswith(".safetensors"):
            return path not in self.layout.copies
        return is_text(path) and (not is_index(path) or ".safetensors.index" in path)


def find_needs(paths: Collection[str], reader: Reader) -> Needs:
    """Read what a model says of itself.

    Args:
        paths: Every file that may enter the image.
        reader: Reads the few that are needed.

    Raises:
        InputError: An index that is none, or a file far too long for what it is.
        CarferryError: The source failed.
    """
    there = set(paths)
    reader.bytes_of(index_paths(there), INDEX_CAP_BYTES)
    sizes = {path: reader.files[path].size_bytes for path in there}
    layout = read_layout(sizes, reader.range_of)
    read = reader.documents_of(p for p in (*CONFIGS, ADAPTER_CONFIG, MODULES) if p in there)
    configs = {path: value for path, value in read.items() if isinstance(value, dict)}
    modules = find_modules(reader) if MODULES in there else ()
    classes = own_classes(modules, there)
    code = find_code([*configs.values(), {"auto_map": classes}], reader)
    copies = _copies(there, layout, configs.get(CONFIG, {}), modules, reader)
    return Needs(layout, code, modules, configs, copies)


def _copies(
    paths: set[str],
    layout: Layout,
    config: Mapping[str, Any],
    modules: Collection[Module],
    reader: Reader,
) -> dict[str, str]:
    unread = "an index of weights that stay out"
    found = {path: unread for path in index_paths(paths) if path != layout.index}
    found |= {path: "a copy for other programs" for path in paths if matches(path, COPIES)}
    found |= layout.copies
    named = {module.folder for module in modules} | {path.rpartition("/")[0] for path in found}
    named |= {path.rpartition("/")[0] for path in layout.files}
    folders = sorted({p.rpartition("/")[0] for p in paths if p.endswith(".safetensors")} - named)
    for folder in _second_models(folders[:_MOST_FOLDERS], config, reader):
        why = f"another copy of the model, in {folder}"
        found |= {path: why for path in paths if path.startswith(f"{folder}/")}
    return found


def _second_models(folders: list[str], config: Mapping[str, Any], reader: Reader) -> list[str]:
    """Return the folders that hold the model of the root once more, perhaps more precisely."""
    configs = reader.documents_of(f"{folder}/{CONFIG}" for folder in folders)
    kinds = {path: _architecture(value) for path, value in configs.items()}
    root = _architecture(config)
    return [
        folder
        for folder in folders
        if _PRECISION.fullmatch(folder.lower())
        or (root and kinds.get(f"{folder}/{CONFIG}") == root)
    ]


def _architecture(config: object) -> str:
    names = config.get("architectures") if isinstance(config, Mapping) else None
    return repr(names) if names else ""
