"""A model on the Hugging Face hub.

huggingface_hub resolves and authenticates (``HF_TOKEN``, ``HF_TOKEN_PATH``, ``HF_ENDPOINT``);
the bytes are read here, by plain HTTP Range requests, because its own downloader writes to
disk and its streaming file neither checks 206 nor bounds its memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TypeVar

import httpx2
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import ModelInfo, RepoFile

# Documented, yet not in __all__.
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from carferry.errors import (
    CarferryError,
    InvalidReference,
    SourceDenied,
    SourceError,
    SourceNotFound,
    Unreachable,
)
from carferry.io.http import Http, retry_after
from carferry.io.retry import Retry
from carferry.refs import ModelRef
from carferry.source.httpread import RangeReader
from carferry.source.paths import fault_of, path_bytes
from carferry.source.redirects import Redirects
from carferry.source.snapshot import ContentId, Snapshot, SourceFile

Result = TypeVar("Result")
_COMMIT = re.compile(r"[0-9a-f]{40}")
# As many as two bundles read ahead at once, beside the streams of large files.
_CONNECTIONS = 64
_IDS = {"sha256": "sha256", "git": "git blob id"}
_FAILURES = (
    HfHubHTTPError,
    HFValidationError,
    EntryNotFoundError,
    httpx2.HTTPError,
    httpx2.InvalidURL,
)


class HubSource:
    """Reads a repository at the commit it was first resolved to.

    Args:
        ref: Repository and revision.
        endpoint: Hub address; default ``HF_ENDPOINT`` or the public hub.
        http: Connection pool for file bodies.
        retry: Policy for broken reads; share it with the target.
    """

    def __init__(
        self,
        ref: ModelRef,
        *,
        endpoint: str | None = None,
        http: Http | None = None,
        retry: Retry | None = None,
    ) -> None:
        self.ref = ref
        self._api = HfApi(endpoint=endpoint)
        self._http = http or Http(connections=_CONNECTIONS)
        self._retry = retry or Retry()
        self._redirects = Redirects()

    @cached_property
    def info(self) -> ModelInfo:
        """The repository at its commit; asked for once, so that a moving branch cannot mix two."""
        return self._asked(lambda: self._api.model_info(self.ref.repo, revision=self.ref.revision))

    @property
    def commit(self) -> str:
        """The 40-hex commit everything is read from."""
        if not _COMMIT.fullmatch(self.info.sha or ""):
            raise SourceError("resolve", self.ref, "the hub named no commit of 40 hex digits")
        return str(self.info.sha)

    @cached_property
    def _files(self) -> dict[str, SourceFile]:
        entries = [entry for entry in self._asked(self._list) if isinstance(entry, RepoFile)]
        return {entry.path: _source_file(entry) for entry in entries}

    def listing(self) -> Snapshot:
        """List the commit's files, and prove that they may be read.

        Raises:
            SourceNotFound: No such repository or revision.
            SourceDenied: Gated or private, and the token does not open it.
            Unreachable: The hub does not answer.
        """
        files = tuple(sorted(self._files.values(), key=lambda file: path_bytes(file.path)))
        safe = [file for file in files if not fault_of(file.path)]
        if safe:
            # The largest: a gated repository may still show its card to everybody.
            largest = max(safe, key=lambda file: file.size_bytes)
            self._asked(lambda: self._api.get_hf_file_metadata(url=self._url(largest.path)))
        return Snapshot(self.ref.repo, self.commit, files, _license(self.info))

    def snapshot(self, paths: Sequence[str]) -> Snapshot:
        """Return these files of the commit; the hub knows every id."""
        files = tuple(self._files[path] for path in paths)
        return Snapshot(self.ref.repo, self.commit, files, _license(self.info))

    def read(self, file: SourceFile, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the file's bytes from ``start`` to ``stop`` or its end.

        A broken connection is reopened at the byte it broke at.

        Raises:
            SourceChanged: The hub now serves something else under this commit.
            SourceDenied: The token no longer opens it.
            SourceError: The hub failed more often than the policy allows.
        """
        reader = RangeReader(
            self._http,
            self._url(file.path),
            file,
            headers=self._headers,
            retry=self._retry,
            redirects=self._redirects,
        )
        return reader.read(start, stop)

    def _list(self) -> list[object]:
        return list(self._api.list_repo_tree(self.ref.repo, revision=self.commit, recursive=True))

    def _url(self, path: str) -> str:
        return hf_hub_url(self.ref.repo, path, revision=self.commit, endpoint=self._api.endpoint)

    def _headers(self) -> dict[str, str]:
        """Build them for each request: a token file may have been rotated."""
        return build_hf_headers(library_name="carferry")

    def _asked(self, question: Callable[[], Result]) -> Result:
        return self._retry.call(lambda: self._translated(question), first=lambda: True)

    def _translated(self, question: Callable[[], Result]) -> Result:
        try:
            return question()
        except _FAILURES as error:
            raise _failure(self.ref, error) from error


def _source_file(entry: RepoFile) -> SourceFile:
    """Return what the hub says of a file; an id that is none would only fail after hours."""
    kind, found = ("sha256", entry.lfs.sha256) if entry.lfs else ("git", entry.blob_id)
    size: object = entry.size
    try:
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise SourceError("list", ascii(entry.path), f"the hub says it has {size!a} bytes")
        return SourceFile(entry.path, size, ContentId.parse(f"{kind}:{found}"))
    except InvalidReference as error:
        reason = f"the hub gives {str(found)[:80]!a} as its id, which is no {_IDS[kind]}"
        raise SourceError("list", ascii(entry.path), reason, "report it to the hub") from error


def _license(info: ModelInfo) -> str:
    card = info.card_data
    named = card.get("license") if card else None
    return named if isinstance(named, str) else ""


def _failure(ref: ModelRef, error: Exception) -> CarferryError:
    """Return the error for a failed request; gated first, since it is also a not-found error."""
    if isinstance(error, GatedRepoError):
        return SourceDenied(
            "read",
            ref,
            "the repository is gated and this token has no access",
            "accept its terms on the hub and set HF_TOKEN to a token of that account",
        )
    if isinstance(error, RevisionNotFoundError):
        return SourceNotFound("resolve", ref, "no such branch, tag or commit", "check --revision")
    if isinstance(error, RepositoryNotFoundError):
        return SourceNotFound(
            "resolve",
            ref,
            "no such repository, or it is private and the token does not open it",
            "check the name; for a private one set HF_TOKEN",
        )
    if isinstance(error, HFValidationError):
        return InvalidReference("resolve", ref, str(error))
    if isinstance(error, EntryNotFoundError):
        return SourceNotFound("read", ref, "a listed file is not there")
    return _http_failure(ref, error)


def _http_failure(ref: ModelRef, error: Exception) -> CarferryError:
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", 0)
    if status in {401, 403}:
        return SourceDenied(
            "read", ref, f"the hub refused the token ({status})", "set HF_TOKEN to a valid token"
        )
    if status == 0:
        return Unreachable("reach the hub for", ref, str(error), "check the network or HF_ENDPOINT")
    failure = SourceError("resolve", ref, f"the hub answered {status}")
    failure.temporary = status == 429 or status >= 500
    failure.retry_after_s = retry_after(getattr(response, "headers", {}))
    return failure
