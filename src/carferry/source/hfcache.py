"""Hugging Face's cache on disk: ``models--org--name/{blobs,refs,snapshots/COMMIT,trees}``.

A snapshot's files are links to blobs that are named by their ETag: the sha256 of an LFS file,
the git blob id of another. Repository and commit are in the path.
Source: huggingface_hub, docs/source/en/guides/manage-cache.md; ``_tree_cache.py`` for ``trees``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from carferry.errors import SourceNotFound
from carferry.io.shell import word
from carferry.refs import ModelRef
from carferry.source.snapshot import ContentId

_REPO = re.compile(r"models--(.+)")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHOWN = 3


def content_id(etag: str) -> ContentId | None:
    """Return the content id that a hub's ETag is; None for an ETag of another server."""
    kind = {40: "git", 64: "sha256"}.get(len(etag), "")
    return ContentId(kind, etag) if kind and re.fullmatch("[0-9a-f]+", etag) else None


@dataclass(frozen=True, slots=True)
class Cached:
    """A snapshot in a cache.

    Attributes:
        store: The folder ``models--org--name``, without links.
        repo: ``org/name``.
        commit: 40 hex digits.
    """

    store: Path
    repo: str
    commit: str

    @property
    def folder(self) -> Path:
        """The folder with the snapshot's links."""
        return self.store / "snapshots" / self.commit

    @property
    def blobs(self) -> Path:
        """The only folder outside that its links may lead to."""
        return (self.store / "blobs").resolve()

    @property
    def fetch(self) -> str:
        """The command that completes the snapshot."""
        return f"hf download {word(self.repo)} --revision {self.commit}"

    def claim(self, path: str) -> ContentId | None:
        """Return what the cache says a file's bytes are; None if it does not."""
        target = (self.folder / path).resolve()
        if target.parent == self.blobs:
            return content_id(target.name)
        return self._tree().get(path)

    def check(self) -> None:
        """Refuse a snapshot whose download has not finished.

        Raises:
            SourceNotFound: Names the part file that is there.
        """
        tree = set(map(str, self._tree().values()))
        for part in sorted(self.blobs.glob("*.incomplete")):
            etag = part.name.partition(".")[0]
            of_this = not tree or str(content_id(etag)) in tree
            if of_this and not (self.blobs / etag).exists():
                raise SourceNotFound(
                    "read",
                    self.folder,
                    f"its download has not finished: blobs/{part.name}",
                    f"run {self.fetch}; or remove that file if it is of another revision",
                )

    def _tree(self) -> Mapping[str, ContentId]:
        """Return the ids of the commit's files, if the cache holds the hub's listing."""
        return listed(self.store, self.commit)


def listed(store: Path, commit: str) -> dict[str, ContentId]:
    """Return the ids in a listing that huggingface_hub keeps; empty if there is none."""
    try:
        files = json.loads((store / "trees" / f"{commit}.json").read_text("utf-8"))["files"]
        named = {path: info.get("lfs_sha256") or info["blob_id"] for path, info in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    ids = {path: content_id(str(etag)) for path, etag in named.items()}
    return {path: found for path, found in ids.items() if found}


def cached(folder: Path) -> Cached | None:
    """Return the snapshot that a folder is, or lies in."""
    real = folder.resolve()
    for place in (real, *real.parents):
        repo = _REPO.fullmatch(place.parent.parent.name)
        if repo and place.parent.name == "snapshots" and _COMMIT.fullmatch(place.name):
            return Cached(place.parent.parent, repo[1].replace("--", "/"), place.name)
    return None


def check_place(folder: Path) -> None:
    """Refuse a cache, or a repository of one, that is given instead of a snapshot.

    Raises:
        SourceNotFound: Names the snapshot to give.
    """
    real = folder.resolve()
    store = real.parent if real.name in {"snapshots", "blobs", "refs", "trees"} else real
    if _REPO.fullmatch(store.name) and (store / "snapshots").is_dir():
        raise _misplaced(folder, "one model of a", [store])
    if (real / "config.json").exists():
        return  # a model that somebody keeps a cache in
    for place in (real, real / "hub"):
        if stores := sorted(found.parent for found in place.glob("models--*/snapshots")):
            raise _misplaced(folder, "a whole", stores)


def find(ref: ModelRef, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the snapshot of a repository at a revision in this account's cache."""
    store = root(environ) / f"models--{ref.repo.replace('/', '--')}"
    commit = ref.revision if _COMMIT.fullmatch(ref.revision) else _ref(store, ref.revision)
    snapshot = store / "snapshots" / commit
    return snapshot if commit and snapshot.is_dir() else None


def root(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the cache of this account, as huggingface_hub finds it."""
    named = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE")
    home = environ.get("HF_HOME") or f"{environ.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    text = named or f"{home}/hub"
    return Path(os.path.expandvars(os.path.expanduser(text)))  # noqa: PTH111 - never raises


def _ref(store: Path, revision: str) -> str:
    try:
        text = (store / "refs" / revision).read_text("utf-8").strip()
    except (OSError, ValueError):
        return ""
    return text if _COMMIT.fullmatch(text) else ""


def _best(store: Path) -> Iterator[Path]:
    """Yield the snapshot that main points to, else the newest; none if there is none."""
    snapshots = [path for path in (store / "snapshots").iterdir() if path.is_dir()]
    main = _ref(store, "main")
    chosen = [path for path in snapshots if path.name == main]
    yield from chosen or sorted(snapshots, key=lambda path: path.stat().st_mtime)[-1:]


def _misplaced(folder: Path, what: str, stores: list[Path]) -> SourceNotFound:
    snapshots = [word(str(path)) for store in stores for path in _best(store)]
    more = f" (or one of {len(snapshots) - _SHOWN} more)" if len(snapshots) > _SHOWN else ""
    remedy = f"give {' or '.join(snapshots[:_SHOWN])}{more}" if snapshots else "download it again"
    return SourceNotFound("read", folder, f"{what} Hugging Face cache, not a snapshot", remedy)
