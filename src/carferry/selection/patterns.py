"""What a user says about files: globs that replace the choice, and globs that take away."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from carferry.errors import InputError
from carferry.io.shell import glob_of

_ENDING = re.compile(r"\.[^./]*$")
_WILD = re.compile(r"\[[^]]*\]|[*?/.]")


@dataclass(frozen=True, slots=True)
class Patterns:
    """Globs over repository paths.

    Attributes:
        include: Take only these; empty means what the model's servers need.
        exclude: Leave these out.
        allow_no_weights: Make an image that no server could load.
        every: Take whatever is there but credentials: somebody has chosen already.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    allow_no_weights: bool = False
    every: bool = False

    @classmethod
    def parse(
        cls,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        allow_no_weights: bool = False,
    ) -> Patterns:
        """Check and keep globs.

        Raises:
            InputError: A pattern that can match no repository path.
        """
        return cls(_globs(include), _globs(exclude), allow_no_weights)

    @property
    def replaces(self) -> bool:
        """Whether they replace the choice of what the model's servers need."""
        return self.every or bool(self.include)

    def includes(self, path: str) -> bool:
        """Return whether a user's own pattern matches a path."""
        return self.every or any(_match(glob, path) for glob in self.include)

    def excludes(self, path: str) -> bool:
        """Return whether a user takes a path away."""
        return any(_match(glob, path) for glob in self.exclude)

    def names(self, path: str, beside: Collection[str] = ()) -> bool:
        """Return whether a user's pattern means this file, and not just all of its ending.

        Args:
            path: A file that stays out unless it is named.
            beside: Files that a pattern for this one does not match.
        """
        return self.every or any(
            _match(glob, path)
            and _says_more(glob, path)
            and not any(_match(glob, other) for other in beside)
            for glob in self.include
        )

    def names_exactly(self, path: str) -> bool:
        """Return whether a user spelled the path, or its last part, without any wildcard."""
        return not {path, path.rsplit("/", 1)[-1]}.isdisjoint(self.include)

    def names_ending(self, path: str) -> bool:
        """Return whether a user's own pattern spells out this file's ending."""
        ending = PurePosixPath(path).suffix
        return self.every or (
            bool(ending)
            and any(glob.endswith(ending) and _match(glob, path) for glob in self.include)
        )


def cover(paths: Iterable[str], by_ending: Iterable[str] = ()) -> str:
    """Return globs that match these paths, joined by commas as a user would write them.

    Args:
        paths: What each glob must match.
        by_ending: Endings, as in ``.json``, that one glob may stand for.
    """
    endings = set(by_ending)
    globs = {
        f"*{PurePosixPath(path).suffix}" if PurePosixPath(path).suffix in endings else glob_of(path)
        for path in paths
    }
    return ",".join(sorted(globs, key=lambda glob: (glob.startswith("*"), glob)))


def _globs(globs: Sequence[str]) -> tuple[str, ...]:
    for glob in globs:
        if glob.startswith("/") or ".." in glob.split("/"):
            raise InputError(
                "read pattern", ascii(glob), "paths are relative to the repository's root"
            )
    return tuple(globs)


def _match(glob: str, path: str) -> bool:
    return fnmatchcase(path, glob) or fnmatchcase(path.rsplit("/", 1)[-1], glob)


def _says_more(glob: str, path: str) -> bool:
    """Return whether a glob has text beside wildcards and an ending; ``.git*`` has."""
    if glob in {path, path.rsplit("/", 1)[-1]} or glob.startswith("."):
        return True
    return bool(_WILD.sub("", _ENDING.sub("", glob)))
