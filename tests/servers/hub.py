"""A hub that speaks Hugging Face's protocol, for the real ``huggingface_hub`` client.

It answers the API under ``/api/models``, resolves files, and redirects LFS files to a second
server as the real hub redirects to its CDN: another origin, signed links, no credentials welcome.
It sends no Xet headers, so clients take plain HTTP.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from servers.content import Content, Given
from servers.hub_http import CdnHandler, HubHandler, Reply
from servers.mirror import Mirror
from servers.repos import LfsRule, Repo, usual_lfs
from servers.serving import Exchange, Handler, Serving

__all__ = ["VISITOR", "Hub", "Reply"]

VISITOR = "hf_" + "visitor" * 4  # a valid login that no repository has granted anything


class Hub:
    """The hub and its CDN, two servers on two ports.

    Attributes:
        endpoint: What ``HF_ENDPOINT`` or ``HfApi(endpoint=...)`` takes.
        cdn_endpoint: Target of links to LFS files; set it to a proxy's endpoint to sit between.
        redirects: Whether files are redirected as the real hub does it, LFS files to the CDN (302)
            and others to its resolve cache on the same host (307), or sent at once (200).
        renamed: Old repository id to the one it moved to.
        bytes_per_s: Rate of each connection's file bodies; None for as fast as it goes.
        latency_s: What every answer of hub and CDN is late, as if they were far away.
        page_size: Entries in one page of a tree.
        before: Called with each request to the hub; a Reply answers in the hub's place.
        mirror: What it does otherwise than the real hub.
    """

    def __init__(
        self,
        *,
        redirects: bool = True,
        bytes_per_s: int | None = None,
        page_size: int = 1000,
        port: int = 0,
    ) -> None:
        self.redirects, self.bytes_per_s, self.page_size = redirects, bytes_per_s, page_size
        self.latency_s = 0.0
        self.before: Callable[[Exchange], Reply | None] = lambda exchange: None
        self.mirror = Mirror()
        self.repos: dict[str, Repo] = {}
        self.renamed: dict[str, str] = {}
        self.stored: dict[str, Content] = {}
        self.epoch = 0
        self._front = Serving(_bound(HubHandler, self), port)
        self._cdn = Serving(_bound(CdnHandler, self))
        self.endpoint, self.cdn_endpoint = self._front.endpoint, self._cdn.endpoint

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._front)
            stack.enter_context(self._cdn)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def add(
        self,
        repo_id: str,
        contents: Mapping[str, Given],
        *,
        gated: bool = False,
        private: bool = False,
        token: str | None = None,
        card: Mapping[str, Any] | None = None,
        lfs: LfsRule = usual_lfs,
    ) -> Repo:
        """Add a repository whose main branch holds these files; token is the one granted access.

        More commits, branches and tags: `Repo.commit`, `Repo.change`, ``repo.tags[...] = sha``.
        """
        granted = frozenset([token] if token else [])
        repo = Repo(repo_id, gated, private, granted, card or {}, lfs)
        repo.commit(contents)
        self.repos[repo_id] = repo
        return repo

    @property
    def log(self) -> list[Exchange]:
        """Requests that reached the hub itself."""
        return self._front.log

    @property
    def busiest(self) -> int:
        """Most requests that the hub itself had under way at one time."""
        return self._front.busiest

    @property
    def cdn_log(self) -> list[Exchange]:
        """Requests that reached the CDN."""
        return self._cdn.log

    def body_bytes(self) -> int:
        """Return how many bytes of files were sent, by hub and CDN together."""
        files_of_hub = [e for e in self.log if "/resolve" in e.path]
        return sum(exchange.sent for exchange in [*files_of_hub, *self.cdn_log])

    def read_twice(self) -> list[str]:
        """Return what was read more than once: a model is looked at before its bytes move."""
        asked = [e.path for e in [*self.log, *self.cdn_log] if e.method == "GET" and e.sent]
        files = [path for path in asked if "/api/" not in path]
        return sorted({path for path in files if files.count(path) > 1})

    def reads(self) -> Counter[tuple[str, str | None]]:
        """Return how often each part of a file was sent: by address and Range, None for all."""
        asked = [e for e in [*self.log, *self.cdn_log] if e.method == "GET" and e.sent]
        files = ("/resolve", "/api/resolve-cache/", "/cdn/")
        return Counter((e.path, e.range) for e in asked if any(part in e.path for part in files))

    def clear_log(self) -> None:
        """Forget all requests so far."""
        self._front.clear_log()
        self._cdn.clear_log()

    def expire_links(self) -> None:
        """Make every CDN link given out so far answer 403, as old signed links do."""
        self.epoch += 1

    def link(self, held: Content) -> str:
        """Return a signed CDN link, and keep the content there."""
        self.stored[held.sha256] = held
        return f"{self.cdn_endpoint}/cdn/{held.sha256}?Signature={self.signature(held.sha256)}"

    def signature(self, sha256: str) -> str:
        """Return what signs a link at this time."""
        return hashlib.sha256(f"{sha256} {self.epoch}".encode()).hexdigest()[:32]

    def knows(self, token: str) -> bool:
        """Return whether the token is a login."""
        return token == VISITOR or any(token in repo.granted for repo in self.repos.values())


def _bound(handler: type[Handler], hub: Hub) -> type[Handler]:
    return type(handler.__name__, (handler,), {"hub": hub})
