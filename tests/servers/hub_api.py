"""The JSON the hub's API answers: model information, tree pages, refs; pure functions."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from servers.content import Content
from servers.repos import Commit, Repo

WHEN = "2026-01-02T03:04:05.000Z"


def model_info(repo: Repo, commit: Commit, query: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return what ``GET /api/models/{repo}`` says about one commit."""
    info = {
        "_id": hashlib.sha1(repo.repo_id.encode()).hexdigest()[:24],
        "id": repo.repo_id,
        "modelId": repo.repo_id,
        "author": repo.repo_id.rpartition("/")[0],
        "sha": commit.sha,
        "lastModified": WHEN,
        "createdAt": WHEN,
        "private": repo.private,
        "gated": "manual" if repo.gated else False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [f"license:{repo.card['license']}"] if "license" in repo.card else [],
        "cardData": dict(repo.card),
        "siblings": [
            {"rfilename": path} | (_blob(held) if "blobs" in query else {})
            for path, held in commit.files.items()
        ],
    }
    wanted = query.get("expand") or query.get("expand[]")
    kept = {"_id", "id", *wanted} if wanted else set(info)
    return {name: value for name, value in info.items() if name in kept}


def _blob(held: Content) -> dict[str, Any]:
    blob: dict[str, Any] = {"size": held.size, "blobId": held.blob_id}
    if held.lfs:
        blob["lfs"] = {
            "sha256": held.sha256,
            "size": held.size,
            "pointerSize": held.pointer_size,
        }
    return blob


def tree(commit: Commit, folder: str, recursive: bool, expand: bool) -> list[dict[str, Any]] | None:
    """Return the entries under a folder in path order, or None if there is no such folder."""
    inside = f"{folder}/" if folder else ""
    below = {path: held for path, held in commit.files.items() if path.startswith(inside)}
    if folder and not below:
        return None
    entries = {name: _directory(name) for name in _folders(below, inside)}
    entries |= {path: tree_file(path, held) for path, held in below.items()}
    if expand:
        last = {"id": commit.sha, "title": commit.title, "date": WHEN}
        entries = {path: entry | {"lastCommit": last} for path, entry in entries.items()}
    if not recursive:
        entries = {path: e for path, e in entries.items() if "/" not in path[len(inside) :]}
    return [entries[path] for path in sorted(entries)]


def tree_file(path: str, held: Content) -> dict[str, Any]:
    """Return the tree entry of one file."""
    entry: dict[str, Any] = {
        "type": "file",
        "oid": held.blob_id,
        "size": held.size,
        "path": path,
    }
    if held.lfs:
        entry["lfs"] = {
            "oid": held.sha256,
            "size": held.size,
            "pointerSize": held.pointer_size,
        }
    return entry


def _folders(files: Mapping[str, Content], inside: str) -> Iterator[str]:
    for path in files:
        parts = path[len(inside) :].split("/")[:-1]
        for depth in range(len(parts)):
            yield inside + "/".join(parts[: depth + 1])


def _directory(path: str) -> dict[str, Any]:
    oid = hashlib.sha1(path.encode()).hexdigest()
    return {"type": "directory", "oid": oid, "size": 0, "path": path}


def page(entries: list[dict[str, Any]], cursor: str, limit: int) -> tuple[list[Any], str]:
    """Return one page and the cursor of the next, empty at the end."""
    start = int(base64.urlsafe_b64decode(cursor)) if cursor else 0
    stop = start + limit
    more = base64.urlsafe_b64encode(str(stop).encode()).decode() if stop < len(entries) else ""
    return entries[start:stop], more


def refs(repo: Repo) -> dict[str, Any]:
    """Return what ``GET /api/models/{repo}/refs`` says."""
    return {
        "branches": [_ref("heads", name, sha) for name, sha in repo.branches.items()],
        "tags": [_ref("tags", name, sha) for name, sha in repo.tags.items()],
        "converts": [],
    }


def _ref(kind: str, name: str, sha: str) -> dict[str, str]:
    return {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": sha}
