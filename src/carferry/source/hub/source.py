"""A model on the Hugging Face hub, or on a mirror of it.

Answers are read here, by plain HTTP, and the bytes by Range requests: huggingface_hub's
downloader writes to disk and its streaming file neither checks 206 nor bounds its memory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub.hf_api import RepoFile

from carferry.errors import InvalidReference, SourceError
from carferry.io.net.http import Http
from carferry.io.net.retry import Retry
from carferry.io.parallel import run_parallel
from carferry.refs import ModelRef
from carferry.source.hfcache import content_id
from carferry.source.httpread import RangeReader
from carferry.source.hub.api import HubApi, NotAsked, Row
from carferry.source.hub.login import Endpoint
from carferry.source.paths import fault_of, path_bytes
from carferry.source.redirects import Redirects
from carferry.source.snapshot import PUBLIC_HUB, ContentId, Snapshot, SourceFile

Item = TypeVar("Item")
_COMMIT = re.compile(r"[0-9a-f]{40}")
# As many as two bundles read ahead at once, beside the streams of large files.
_CONNECTIONS = 64
_IDS = {"sha256": "sha256", "git": "git blob id"}
_ASKED_AT_ONCE = 8
# The hub keeps longer files, and these kinds of any length, in LFS: one that comes without an
# LFS id is one whose id a mirror left out. Source: docs/hub/repositories-getting-started.md and
# the .gitattributes of a new repository.
_LONGEST_IN_GIT = 10 * 1024 * 1024
_IN_LFS = (".safetensors", ".bin", ".gguf", ".pt", ".pth", ".onnx", ".h5", ".msgpack", ".model")


class HubSource:
    """Reads a repository at the commit it was first resolved to.

    Args:
        ref: Repository and revision.
        endpoint: Hub address; default ``HF_ENDPOINT`` or the public hub.
        http: Connection pool.
        retry: Policy for broken reads; share it with the target.
        ca_file: PEM certificates to trust, beside all others.

    Raises:
        InputError: ``HF_ENDPOINT`` is no address, or certificates cannot be read.
    """

    def __init__(
        self,
        ref: ModelRef,
        *,
        endpoint: str | None = None,
        http: Http | None = None,
        retry: Retry | None = None,
        ca_file: Path | None = None,
    ) -> None:
        self.ref = ref
        self._retry = retry or Retry()
        self._http = http or Http(ca_file=ca_file, connections=_CONNECTIONS, retry=self._retry)
        self._redirects = Redirects()
        text = os.environ.get("HF_ENDPOINT", "") if endpoint is None else endpoint
        self._endpoint = Endpoint.parse(text)
        self._api = HubApi(self._endpoint, self._http, self._retry)

    def __str__(self) -> str:
        """Return ``org/name[@revision]``."""
        return str(self.ref)

    @property
    def host(self) -> str:
        """The hub, or its mirror."""
        return self._endpoint.host

    @property
    def gated(self) -> bool | None:
        """Whether its owner asks people to accept terms first."""
        return bool(self.info.get("gated"))

    @cached_property
    def info(self) -> Row:
        """The repository at its commit; asked for once, so that a moving branch cannot mix two."""
        return self._api.info(self.ref)

    @cached_property
    def commit(self) -> str:
        """The 40-hex commit everything is read from."""
        named = (lambda: self.info.get("sha"), lambda: self.ref.revision, self._commit_of_a_file)
        for name in named:
            if _COMMIT.fullmatch(commit := str(name() or "")):
                return commit
        reason = "the hub named no commit of 40 hex digits"
        raise SourceError("resolve", self.ref, reason, "name a commit: org/name@COMMIT")

    @cached_property
    def _now(self) -> ModelRef:
        """The repository by the name it has now: a renamed one is recorded and read by that."""
        try:
            return replace(self.ref, repo=ModelRef.parse(str(self.info.get("id") or "")).repo)
        except InvalidReference:
            return self.ref

    @cached_property
    def _files(self) -> dict[str, SourceFile]:
        files = self._named(_entries(self._now, self._api.tree(self._now, self.commit) or []))
        # A proxy that drops the link to the next page cuts the tree short without a word.
        if not files or {row["rfilename"] for row in _siblings(self.info)} - set(files):
            return self._siblings() | files
        return files

    def listing(self) -> Snapshot:
        """List the commit's files, and prove that they may be read.

        Raises:
            SourceNotFound: No such repository or revision.
            SourceDenied: Gated or private, and the token does not open it.
            SourceError: The hub failed, or is none.
            Unreachable: The hub does not answer.
        """
        files = tuple(sorted(self._files.values(), key=lambda file: path_bytes(file.path)))
        safe = [file for file in files if not fault_of(file.path)]
        if safe:
            # The largest: a gated repository may still show its card to everybody.
            self._head(max(safe, key=lambda file: file.size_bytes).path)
        return self._snapshot(files)

    def snapshot(self, paths: Sequence[str]) -> Snapshot:
        """Return these files of the commit; the hub knows every id.

        Raises:
            SourceError: It does not: a mirror that leaves out ids of LFS files.
        """
        listed = [self._files[path] for path in paths]
        return self._snapshot(tuple(self._asked_at_once(self._identified, listed)))

    def read(self, file: SourceFile, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the file's bytes from ``start`` to ``stop`` or its end.

        A broken connection is reopened at the byte it broke at.

        Raises:
            SourceChanged: The hub now serves something else under this commit.
            SourceDenied: The token no longer opens it.
            SourceError: The hub failed more often than the policy allows.
        """
        url = self._endpoint.file(self._now.repo, self.commit, file.path)
        reader = RangeReader(
            self._http,
            url,
            file,
            headers=self._endpoint.headers,
            retry=self._retry,
            redirects=self._redirects,
        )
        return reader.read(start, stop)

    def _snapshot(self, files: tuple[SourceFile, ...]) -> Snapshot:
        url = self._endpoint.url
        elsewhere = "" if url == PUBLIC_HUB else url
        return Snapshot(self._now.repo, self.commit, files, _license(self.info), elsewhere)

    def _siblings(self) -> dict[str, SourceFile]:
        """Return the files as a mirror without trees lists them, some only by name."""
        named = _siblings(self._api.info(replace(self._now, revision=self.commit), blobs=True))
        rows = map(_row_of_sibling, named)
        whole = [row for row in rows if isinstance(row["size"], int) and row["oid"]]
        files = self._named(_entries(self._now, whole))
        bare = [row["rfilename"] for row in named if row["rfilename"] not in files]
        return files | {file.path: file for file in self._asked_at_once(self._asked, bare)}

    def _asked_at_once(
        self, ask: Callable[[Item], SourceFile], each: Sequence[Item]
    ) -> list[SourceFile]:
        """Ask several questions at once; a signal stops them all."""
        return run_parallel(ask, each, parallel=_ASKED_AT_ONCE, retry=self._retry)

    def _named(self, entries: Sequence[RepoFile]) -> dict[str, SourceFile]:
        return {entry.path: _source_file(entry) for entry in entries}

    def _asked(self, path: str) -> SourceFile:
        """Return a file as its own headers describe it."""
        headers = self._head(path)
        size = headers.get("x-linked-size") or headers.get("content-length", "")
        if not size.isdecimal():
            reason = f"the mirror does not say how long {path!a} is"
            raise SourceError("read", self._now, reason, _NO_MIRROR)
        return SourceFile(path, int(size), _id_in(headers) or ContentId("git", ""))

    def _identified(self, file: SourceFile) -> SourceFile:
        """Return a listed file, with its id from its own headers where the list left it out."""
        path = file.path
        in_lfs = file.size_bytes > _LONGEST_IN_GIT or path.lower().endswith(_IN_LFS)
        if file.content.kind == "sha256" or (_COMMIT.fullmatch(file.content.hex) and not in_lfs):
            return file
        if found := _id_in(self._head(path)):
            return SourceFile(path, file.size_bytes, found)
        reason = f"the mirror does not say what identifies {path!a}: no LFS id, no ETag of the hub"
        raise SourceError("read", self._now, reason, _NO_MIRROR)

    def _head(self, path: str) -> dict[str, str]:
        try:
            return dict(self._api.head(self._now, self.commit, path))
        except NotAsked as error:
            if error.status == 404:
                raise
            return {}  # a mirror that answers GET alone

    def _commit_of_a_file(self) -> str:
        for row in _siblings(self.info)[:1]:
            return self._api.head(self.ref, self.ref.revision, row["rfilename"]).get(
                "x-repo-commit", ""
            )
        return ""


_NO_MIRROR = "use another HF_ENDPOINT, or download the model and give its folder"


def _entries(ref: ModelRef, rows: Sequence[Row]) -> list[RepoFile]:
    """Return the files among the rows of a list.

    Raises:
        SourceError: A row of another form.
    """
    files = [row for row in rows if row.get("type", "file") == "file"]
    for row in files:
        lfs = row.get("lfs")
        large = lfs is None or (isinstance(lfs, dict) and isinstance(lfs.get("oid"), str))
        texts = isinstance(row.get("path"), str) and isinstance(row.get("oid"), str)
        # type, not isinstance: JSON's true would be a length of 1.
        if not (large and texts and type(row.get("size")) is int and row["size"] >= 0):
            reason = f"its list of files holds something else: {ascii(row)[:80]}"
            raise SourceError("resolve", ref, reason, "check HF_ENDPOINT")
    return [_entry(row) for row in files]


def _entry(row: Row) -> RepoFile:
    lfs = row.get("lfs")
    return RepoFile(  # type: ignore[no-untyped-call]
        path=row["path"],
        size=row["size"],
        oid=row["oid"],
        lfs=lfs and {"size": row["size"], "pointerSize": 0, **lfs},
    )


def _siblings(info: Row) -> list[Row]:
    found = info.get("siblings")
    rows: list[Any] = found if isinstance(found, list) else []
    return [row for row in rows if isinstance(row, dict) and isinstance(row.get("rfilename"), str)]


def _row_of_sibling(row: Row) -> Row:
    """Return a sibling as a tree would list it."""
    lfs = row.get("lfs")
    large = isinstance(lfs, dict) and {**lfs, "oid": lfs.get("sha256")}
    return {
        "path": row["rfilename"],
        "size": row.get("size"),
        "oid": str(row.get("blobId") or ""),
        **({"lfs": large} if large else {}),
    }


def _id_in(headers: dict[str, str]) -> ContentId | None:
    etag = headers.get("x-linked-etag") or headers.get("etag") or ""
    return content_id(etag.removeprefix("W/").strip('"'))


def _source_file(entry: RepoFile) -> SourceFile:
    """Return what the hub says of a file; an id that is none would only fail after hours."""
    kind, found = ("sha256", entry.lfs.sha256) if entry.lfs else ("git", entry.blob_id)
    try:
        return SourceFile(entry.path, entry.size, ContentId.parse(f"{kind}:{found}"))
    except InvalidReference as error:
        reason = f"the hub gives {str(found)[:80]!a} as its id, which is no {_IDS[kind]}"
        raise SourceError("list", ascii(entry.path), reason, "report it to the hub") from error


def _license(info: Row) -> str:
    card = info.get("cardData")
    named = card.get("license") if isinstance(card, dict) else None
    return named if isinstance(named, str) else ""
