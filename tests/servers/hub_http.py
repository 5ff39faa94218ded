"""The hub's two faces over HTTP: the API with its errors, and the CDN with its signed links."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from servers import files, hub_api
from servers.content import Content
from servers.mirror import LOGIN_PAGE
from servers.repos import Commit, Repo
from servers.serving import Handler

if TYPE_CHECKING:
    from servers.hub import Hub

_API = re.compile(
    r"/api/models/(?P<repo>[^/]+(?:/(?!(?:refs|auth-check)$)[^/]+)?)"
    r"(?:/(?P<what>revision|tree|refs|auth-check|paths-info)(?:/(?P<rev>[^/]+))?(?P<path>/.*)?)?"
)
_RESOLVE = re.compile(r"/(?P<repo>[^/]+(?:/[^/]+)?)/resolve/(?P<rev>[^/]+)/(?P<path>.+)")
_CACHED = re.compile(r"/api/resolve-cache/models/(.+)/([0-9a-f]{40})/(.+)")


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply; what a hook returns to answer in the hub's place."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """A request ends here with an error reply."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class HubHandler(Handler):
    """The hub: information, trees, files and refusals."""

    hub: Hub

    def answer(self) -> None:
        body = self.body()
        time.sleep(self.hub.latency_s)
        instead = self.hub.before(self.exchange)
        if instead is not None:
            headers = {name.replace("-", "_"): value for name, value in instead.headers.items()}
            self.reply(instead.status, instead.body, **headers)
            return
        try:
            self._route(body)
        except Refused as refusal:
            headers = {"X_Error_Message": refusal.message, "X_Error_Code": refusal.code}
            headers = {name: value for name, value in headers.items() if value}
            self._json({"error": refusal.message}, headers, refusal.status)

    def head(self, status: int, headers: dict[str, str]) -> None:
        lacks = self.hub.mirror.lacks
        super().head(status, {n: v for n, v in headers.items() if n.lower() not in lacks})

    def _route(self, body: bytes) -> None:
        path = urlsplit(self.path).path
        mirror = self.hub.mirror
        if mirror.prefix:
            if not path.startswith(f"{mirror.prefix}/"):
                raise Refused(404, "", "nothing here")
            path = path.removeprefix(mirror.prefix)
        if self._answered_by_mirror(path):
            return
        self.token = self._login()
        if path == "/api/whoami-v2":
            self._whoami()
        elif match := _API.fullmatch(path):
            self._api(match, body)
        elif match := _CACHED.fullmatch(path):
            self._resolve_cached(*(unquote(part) for part in match.groups()))
        elif match := _RESOLVE.fullmatch(path):
            self._resolve(*(unquote(part) for part in match.groups()))
        else:
            raise Refused(404, "", "Sorry, we can't find the page you are looking for.")

    def _answered_by_mirror(self, path: str) -> bool:
        mirror = self.hub.mirror
        kind = "file" if "/resolve" in path else "tree" if "/tree/" in path else "info"
        if mirror.moved:
            same_path = mirror.moved.count("/") == 2
            self.reply(308, Location=mirror.moved + (self.path if same_path else ""))
        elif kind in mirror.pages:
            self.reply(200, LOGIN_PAGE, Content_Type="text/html")
        elif kind in mirror.refuses:
            self.reply(mirror.refuses[kind], b"no")
        elif self.command == "HEAD" and not mirror.heads:
            self.reply(405)
        else:
            return False
        return True

    def _login(self) -> str:
        if login := self.hub.mirror.login:
            if self.headers.get("Authorization") != login:
                raise Refused(403, "", "who are you?")
            return ""
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        if kind and (kind.lower() != "bearer" or not self.hub.knows(token)):
            raise Refused(401, "", "Invalid credentials in Authorization header")
        return token

    def _whoami(self) -> None:
        if not self.token:
            raise Refused(401, "", "Invalid username or password.")
        self._json({"type": "user", "name": "tester", "fullname": "Tester", "orgs": []})

    def _repo(self, repo_id: str) -> Repo:
        repo = self.hub.repos.get(self.hub.renamed.get(repo_id, repo_id))
        if repo is None or (repo.private and self.token not in repo.granted):
            if self.token:
                raise Refused(404, "RepoNotFound", "Repository not found")
            raise Refused(401, "RepoNotFound", "Invalid username or password.")
        return repo

    def _may_read(self, repo: Repo) -> None:
        if not repo.gated or self.token in repo.granted:
            return
        restricted = f"Access to model {repo.repo_id} is restricted."
        if self.token:
            raise Refused(403, "GatedRepo", f"{restricted} You are not in the authorized list.")
        raise Refused(401, "GatedRepo", f"{restricted} Please log in.")

    def _commit(self, repo: Repo, revision: str) -> Commit:
        commit = repo.find(revision)
        if commit is None:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    def _api(self, match: re.Match[str], body: bytes) -> None:
        repo_id = unquote(match["repo"])
        repo = self._repo(repo_id)
        if repo_id in self.hub.renamed:
            now = self.path.replace(repo_id, repo.repo_id, 1)
            self.reply(307, Location=now)
            return
        query = parse_qs(urlsplit(self.path).query)
        if match["what"] == "auth-check":
            self._may_read(repo)
            self._json({})
        elif match["what"] == "refs":
            self._json(hub_api.refs(repo))
        else:
            commit = self._commit(repo, unquote(match["rev"] or "main"))
            if match["what"] == "tree":
                self._tree(commit, unquote(match["path"] or "").strip("/"), query)
            elif match["what"] == "paths-info":
                self._json(_paths_info(commit, body, self.headers.get("Content-Type", "")))
            else:
                info = hub_api.model_info(repo, commit, query)
                self._json(self.hub.mirror.edit("info", info))

    def _tree(self, commit: Commit, folder: str, query: Mapping[str, list[str]]) -> None:
        recursive, expand = _flag(query, "recursive"), _flag(query, "expand")
        entries = hub_api.tree(commit, folder, recursive, expand)
        if entries is None:
            raise Refused(404, "EntryNotFound", f"{folder} does not exist on this revision")
        limit = min(self.hub.page_size, int(query.get("limit", [str(self.hub.page_size)])[0]))
        rows, more = hub_api.page(entries, query.get("cursor", [""])[0], limit)
        link = ""
        if more:
            plain = urlsplit(self.path).path
            kept = f"recursive={str(recursive).lower()}&expand={str(expand).lower()}"
            base = f"http://{self.headers['Host']}{plain}?{kept}&limit={limit}"
            address = self.hub.mirror.link(f"{base}&cursor={quote(more)}")
            link = f'<{address}>; rel="next"' if address else ""
        self._json(self.hub.mirror.edit("tree", rows), {"Link": link} if link else {})

    def _resolve(self, repo_id: str, revision: str, path: str) -> None:
        repo_id = self.hub.renamed.get(repo_id, repo_id)
        commit, held = self._file(repo_id, revision, path)
        extra = {"X-Repo-Commit": commit.sha, "X-Linked-Etag": held.etag}
        extra |= {"X-Linked-Size": str(held.size)}
        if not self.hub.redirects:
            files.send(self, held, extra, self.hub.bytes_per_s)
            return
        near = f"/api/resolve-cache/models/{repo_id}/{commit.sha}/{quote(path)}"
        near = self.hub.mirror.prefix + near
        target = self.hub.link(held) if held.lfs else f"{near}?etag={quote(held.etag)}"
        extra |= {"Location": target, "Content-Length": "0", "Accept-Ranges": "bytes"}
        self.head(302 if held.lfs else 307, extra)

    def _resolve_cached(self, repo_id: str, revision: str, path: str) -> None:
        commit, held = self._file(repo_id, revision, path)
        files.send(self, held, {"X-Repo-Commit": commit.sha}, self.hub.bytes_per_s)

    def _file(self, repo_id: str, revision: str, path: str) -> tuple[Commit, Content]:
        repo = self._repo(repo_id)
        commit = self._commit(repo, revision)
        self._may_read(repo)
        held = commit.files.get(path)
        if held is None:
            raise Refused(404, "EntryNotFound", "Entry not found")
        return commit, held

    def _json(
        self, document: Any, headers: Mapping[str, str] | None = None, status: int = 200
    ) -> None:
        body = json.dumps(document).encode()
        sent = {"Content_Type": "application/json; charset=utf-8", **(headers or {})}
        self.reply(status, body, **sent)


class CdnHandler(Handler):
    """The CDN with LFS files: signed links only."""

    hub: Hub

    def answer(self) -> None:
        time.sleep(self.hub.latency_s)
        parts = urlsplit(self.path)
        sha256 = parts.path.removeprefix("/cdn/")
        held = self.hub.stored.get(sha256)
        if "Authorization" in self.headers:
            self.reply(400, b"Only one auth mechanism allowed")
        elif held is None or parts.query != f"Signature={self.hub.signature(sha256)}":
            self.reply(403, b"<Error><Code>AccessDenied</Code></Error>")
        else:
            files.send(self, held, {}, self.hub.bytes_per_s)


def _flag(query: Mapping[str, list[str]], name: str) -> bool:
    return query.get(name, ["false"])[0].lower() in ("true", "1")


def _paths_info(commit: Commit, body: bytes, content_type: str) -> list[dict[str, Any]]:
    if "json" in content_type:
        paths = json.loads(body)["paths"]
    else:
        paths = parse_qs(body.decode())["paths"]
    return [hub_api.tree_file(p, commit.files[p]) for p in paths if p in commit.files]
