"""Sentence encoders: the modules that ``modules.json`` puts together, each with its weights.

Source: sentence-transformers ``SentenceTransformer.py``: a list of objects with ``path``, empty
for the transformer at the root, and ``type``, a class of the library or of the repository.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection
from dataclasses import dataclass

from carferry.selection.kinds import PICKLE, matches
from carferry.selection.reading import Reader

MODULES = "modules.json"
_OWN = "sentence_transformers."
_WEIGHTED = {"Dense", "CNN", "LSTM", "LayerNorm", "WeightedLayerPooling", "StaticEmbedding"}


@dataclass(frozen=True, slots=True)
class Module:
    """One module: its folder, and the class that reads it."""

    folder: str
    kind: str

    def gap(self, there: Collection[str], chosen: Collection[str]) -> list[str] | None:
        """Return pickled files that hold the weights it lacks; None if it lacks none.

        Args:
            there: Every file of the model.
            chosen: Those that enter the image.
        """
        inside = [path for path in there if path.startswith(f"{self.folder}/")]
        if any(path in chosen and _is_loaded(path) for path in inside):
            return None
        pickled = [path for path in inside if matches(path, PICKLE)]
        weighted = pickled or any(_is_loaded(path) for path in inside)
        return pickled if weighted or self.kind.rpartition(".")[2] in _WEIGHTED else None


def find_modules(reader: Reader) -> tuple[Module, ...]:
    """Return the modules beside the transformer; none if the model is no sentence encoder."""
    listed = reader.documents_of([MODULES]).get(MODULES)
    if not isinstance(listed, list):
        return ()
    entries = [entry for entry in listed if isinstance(entry, dict)]
    return tuple(
        Module(_folder(entry.get("path")), str(entry.get("type") or "")) for entry in entries
    )


def _folder(path: object) -> str:
    """Return a module's folder; empty for the root, which model2vec writes as a dot."""
    folder = posixpath.normpath(str(path or "").strip("/"))
    return "" if folder == "." else folder


def own_classes(modules: Collection[Module], files: Collection[str]) -> list[str]:
    """Return the classes of modules whose code lies in the repository."""
    own = [module.kind for module in modules if not module.kind.startswith(_OWN)]
    return [kind for kind in own if "--" in kind or _file_of(kind) in files]


def _file_of(kind: str) -> str:
    return f"{kind.rpartition('.')[0].replace('.', '/')}.py"


def _is_loaded(path: str) -> bool:
    return path.endswith(".safetensors") or matches(path, PICKLE)
