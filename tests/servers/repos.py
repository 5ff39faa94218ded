"""Repositories of the test hub: commits whose ids follow from what they hold, and moving refs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servers.content import Content, Declared, Given, Synthetic, content

LFS_BYTES = 10 << 20
LFS_SUFFIXES = (".safetensors", ".bin", ".gguf", ".pt", ".pth", ".onnx", ".h5", ".msgpack")

LfsRule = Callable[[str, int], bool]


def usual_lfs(path: str, size: int) -> bool:
    """Return whether the real hub's default attributes would put this file in LFS."""
    return size > LFS_BYTES or path.endswith(LFS_SUFFIXES)


@dataclass(frozen=True, slots=True)
class Commit:
    """One state of a repository.

    Attributes:
        sha: 40 hex digits, a function of the files and the parent.
        files: Path to content, in path order.
        title: First line of the commit message.
    """

    sha: str
    files: Mapping[str, Content]
    title: str


@dataclass(slots=True)
class Repo:
    """A model repository: who may read it, its commits and its refs.

    Attributes:
        repo_id: ``org/name``, or a bare name as old models have.
        gated: Files need a token that was granted access; the listing does not.
        private: Without a granted token the repository does not seem to exist.
        granted: Tokens that may read everything.
        card: What the model card's metadata says, as ``cardData``.
        lfs: Which files are in LFS.
    """

    repo_id: str
    gated: bool = False
    private: bool = False
    granted: frozenset[str] = frozenset()
    card: Mapping[str, Any] = field(default_factory=dict)
    lfs: LfsRule = usual_lfs
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Mapping[str, Given], branch: str = "main", title: str = "") -> str:
        """Add a commit that holds exactly these files, move the branch to it, return its id."""
        held = {path: self._content(path, files[path]) for path in sorted(files)}
        parent = self.branches.get(branch, "")
        lines = [f"{path}\0{held[path].blob_id}\0{held[path].sha256}" for path in held]
        sha = hashlib.sha1("\n".join([self.repo_id, parent, *lines]).encode()).hexdigest()
        self.commits[sha] = Commit(sha, held, title or f"Commit {len(self.commits) + 1}")
        self.branches[branch] = sha
        return sha

    def change(self, files: Mapping[str, Given | None], branch: str = "main") -> str:
        """Commit on top of the branch: these files added or replaced, those with None removed."""
        now = self.commits[self.branches[branch]].files
        kept = {path: held.given for path, held in now.items() if path not in files}
        changed = {path: given for path, given in files.items() if given is not None}
        return self.commit(kept | changed, branch)

    def find(self, revision: str) -> Commit | None:
        """Return the commit of a branch, tag, ``refs/...`` name or full id; None if unknown."""
        heads = {f"refs/heads/{name}": sha for name, sha in self.branches.items()}
        tags = {f"refs/tags/{name}": sha for name, sha in self.tags.items()}
        known = heads | tags | self.tags | self.branches
        return self.commits.get(known.get(revision, revision))

    def _content(self, path: str, given: Given) -> Content:
        size = given.stat().st_size if isinstance(given, Path) else _size(given)
        return content(given, self.lfs(path, size))


def _size(given: bytes | Synthetic | Declared) -> int:
    return len(given) if isinstance(given, bytes) else given.size


def read_folder(folder: Path) -> dict[str, Given]:
    """Return every file under a folder by its path in it, dot files left out."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: path for name, path in names.items() if "/." not in f"/{name}"}
