"""Which files of a model a server needs, and which must never enter an image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from carferry.errors import InputError, NothingSelected, UnsafeWeights
from carferry.source.paths import path_bytes

# What Hugging Face servers read: weights, configuration, tokenizer, chat template, licence, card.
DEFAULT_INCLUDE = (
    "*.safetensors",
    "*.json",
    "*.txt",
    "*.jinja",
    "*.model",
    "*.tiktoken",
    "tekken*",
    "vocab*",
    "merges*",
    "README*",
    "LICENSE*",
    "LICENCE*",
    "NOTICE*",
    "USE_POLICY*",
)
# Second copies of the weights in other layouts, and what download tools leave behind.
ALWAYS_EXCLUDE = ("original/*", "consolidated*", "*/consolidated*", "metal/*")
# Weights that vLLM does not read from a ModelCar unless it is asked to.
OTHER_WEIGHTS = ("*.gguf", "*.onnx", "*.h5", "*.msgpack", "consolidated*.safetensors")
PICKLE = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")


@dataclass(frozen=True, slots=True)
class Patterns:
    """Globs over repository paths; empty ``include`` means the default set."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @classmethod
    def parse(cls, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Patterns:
        """Check and keep globs.

        Raises:
            InputError: A pattern that can match no repository path.
        """
        return cls(_globs(include), _globs(exclude))

    def admits(self, path: str) -> bool:
        """Return whether a path enters the image."""
        if _hidden(path) or _any(path, ALWAYS_EXCLUDE) or _any(path, self.exclude):
            return False
        return _any(path, self.include or DEFAULT_INCLUDE)

    def select(self, paths: Iterable[str], origin: object) -> list[str]:
        """Return the admitted paths, sorted by their bytes.

        Raises:
            NothingSelected: No path is admitted.
            UnsafeWeights: Pickle files are admitted by a pattern that does not name their
                ending, or the model has no other weights.
        """
        every = list(paths)
        chosen = sorted((path for path in every if self.admits(path)), key=path_bytes)
        self._refuse_pickle(every, chosen, origin)
        self._refuse_no_weights(every, chosen, origin)
        if not chosen:
            raise NothingSelected(
                "select files of",
                origin,
                f"no file of {len(every)} matches {', '.join(self.include or DEFAULT_INCLUDE)}",
                "widen --include or drop --exclude",
            )
        return chosen

    def _refuse_pickle(self, every: list[str], chosen: list[str], origin: object) -> None:
        unnamed = [p for p in chosen if _any(p, PICKLE) and not self._names_ending(p)]
        weights = [p for p in chosen if p.endswith(".safetensors") or self._names_ending(p)]
        pickled = [p for p in every if _any(p, PICKLE) and not _hidden(p)]
        only = bool(pickled) and not weights and not self.include
        if unnamed or only:
            raise UnsafeWeights(
                "take",
                f"{(unnamed or pickled)[0]} of {origin}",
                "pickle-based weights run code when loaded",
                "use a safetensors revision, or name them: --include '*.bin,*.json'",
            )

    def _refuse_no_weights(self, every: list[str], chosen: list[str], origin: object) -> None:
        left_out = [path for path in every if _any(path, OTHER_WEIGHTS) and not _hidden(path)]
        if left_out and not self.include and not any(p.endswith(".safetensors") for p in chosen):
            raise NothingSelected(
                "select weights of",
                origin,
                f"no safetensors, and {left_out[0]} is not taken by default",
                "use a safetensors revision, or name them: --include '*.gguf,*.json'",
            )

    def _names_ending(self, path: str) -> bool:
        """Return whether a caller's own pattern spells out this file's ending."""
        ending = PurePosixPath(path).suffix
        return bool(ending) and any(
            glob.endswith(ending) and fnmatchcase(path, glob) for glob in self.include
        )


def _globs(globs: Sequence[str]) -> tuple[str, ...]:
    for glob in globs:
        if glob.startswith("/") or ".." in glob.split("/"):
            raise InputError(
                "read pattern", ascii(glob), "paths are relative to the repository's root"
            )
    return tuple(globs)


def _hidden(path: str) -> bool:
    return any(part.startswith(".") and not _hostile(part) for part in path.split("/"))


def _hostile(part: str) -> bool:
    # Kept, so that it is refused by name later: no repository has such a file by accident.
    return part in {".", ".."} or part.startswith(".wh.")


def _any(path: str, globs: Iterable[str]) -> bool:
    name = path.rsplit("/", 1)[-1]
    return any(fnmatchcase(path, glob) or fnmatchcase(name, glob) for glob in globs)
