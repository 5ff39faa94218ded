"""A small registry in memory that keeps, forgets or misstates uploads, as real ones do.

Real registries differ in what is left of a broken upload and in what they say about it. Sources:
distribution 2.8 and 3 registry/handlers/blobupload.go, quay endpoints/v2/blob.py, zot
pkg/api/routes.go PatchBlobUpload, aws/containers-roadmap issue 2831, and distribution-spec v1.1
for everything they have in common.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import threading
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from servers.serving import Handler, Serving

_PATH = re.compile(r"/v2/(?P<name>.+)/(?P<kind>blobs/uploads|blobs|manifests|tags)/(?P<rest>.*)")
_PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Personality:
    """How one kind of registry treats a broken upload.

    Attributes:
        broken: What becomes of a PATCH that broke: its bytes are kept, forgotten, or the whole
            upload is deleted.
        offset: What GET on an upload says: the true offset, one byte too many (with Quay's
            prefix), always ``0-0``, half of the truth, or that the upload is gone (and cancels it).
        append: Whether a wrong Content-Range is appended silently instead of refused with 416.
        location: Form of the Location: with the host, from the root, or relative.
        patched: Status of a PATCH.
        put_cancels: Whether a refused PUT ends the upload.
    """

    broken: Literal["keep", "forget", "delete"] = "keep"
    offset: Literal["truth", "one more", "stuck", "half", "gone"] = "truth"
    append: bool = False
    location: Literal["host", "root", "relative"] = "host"
    patched: int = 202
    put_cancels: bool = False


PERSONALITIES = {
    "distribution 3": Personality(),
    "distribution 2.8": Personality(offset="gone", append=True),
    "zot": Personality(broken="delete", location="root"),
    "quay": Personality(broken="forget", offset="one more", location="root", put_cancels=True),
    "ecr": Personality(offset="stuck", patched=201),
    "half a truth": Personality(offset="half"),
    "half a truth, appended": Personality(offset="half", append=True),
    "one byte too many": Personality(offset="one more"),
    "one byte too many, appended": Personality(offset="one more", append=True),
    "relative": Personality(location="relative"),
}


@dataclass(slots=True)
class Repository:
    """What one repository holds."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


class PersonalRegistry(Serving):
    """A registry on a free port; a context manager.

    Attributes:
        host: ``127.0.0.1:port``.
        url: With the scheme.
        personality: Read anew for each request.
        deletes: Whether tags may be deleted.
        mounts: Whether blobs can be mounted from other repositories.
        uploads: Open upload sessions: id to the bytes they hold.
    """

    def __init__(self, personality: Personality | None = None) -> None:
        super().__init__(type("_Bound", (_PersonalHandler,), {"registry": self}))
        self.personality = personality or Personality()
        self.url, self.host = self.endpoint, self.endpoint.removeprefix("http://")
        self.deletes = self.mounts = True
        self.repositories: dict[str, Repository] = {}
        self.uploads: dict[str, bytearray] = {}
        self.guard = threading.RLock()
        self._ids = itertools.count(1)

    def repository(self, name: str) -> Repository:
        """Return a repository, made on first use."""
        with self.guard:
            return self.repositories.setdefault(name, Repository())

    def open(self) -> str:
        """Open an upload and return its id."""
        with self.guard:
            number = f"upload-{next(self._ids)}"
            self.uploads[number] = bytearray()
            return number


class _PersonalHandler(Handler):
    registry: PersonalRegistry

    def answer(self) -> None:
        parts = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        match = _PATH.fullmatch(parts.path)
        if match is None:
            self.reply(200 if parts.path == "/v2/" else 404)
            return
        self.name, self.rest = match["name"], match["rest"]
        self.held = self.registry.repository(self.name)
        {
            "blobs/uploads": self._upload,
            "blobs": self._blob,
            "manifests": self._manifest,
            "tags": self._tags,
        }[match["kind"]]()

    def _upload(self) -> None:
        if self.command == "POST":
            self._open_upload()
            return
        upload = self.registry.uploads.get(self.rest)
        if upload is None:
            self._discard()
            self._refuse(404, "BLOB_UPLOAD_UNKNOWN")
        elif self.command == "PATCH":
            self._patch(upload)
        elif self.command == "PUT":
            self._commit(upload)
        elif self.command == "DELETE":
            self._forget()
            self.reply(204)
        else:
            self._tell(upload)

    def _open_upload(self) -> None:
        origin = self.registry.repositories.get(self.query.get("from", ""), Repository())
        body = origin.blobs.get(self.query.get("mount", ""))
        if body is not None and self.registry.mounts:
            self.held.blobs[self.query["mount"]] = body
            self.reply(201, Location=f"/v2/{self.name}/blobs/{self.query['mount']}")
            return
        self.rest = self.registry.open()
        self.reply(202, Location=self._location(), Range="0-0")

    def _patch(self, upload: bytearray) -> None:
        personality, before = self.registry.personality, len(upload)
        asked = self.headers.get("Content-Range", "")
        if asked and int(asked.partition("-")[0]) != before and not personality.append:
            self._discard()
            self._refuse(416, "RANGE_INVALID", Location=self._location(), Range=_range(upload))
            return
        if self._receive(upload):
            self.reply(personality.patched, Location=self._location(), Range=_range(upload))
            return
        if personality.broken == "forget":
            del upload[before:]
        elif personality.broken == "delete":
            self._forget()
        self.close_connection = True

    def _receive(self, upload: bytearray) -> bool:
        """Add the body to the upload as it comes; return whether all of it came."""
        left = int(self.headers["Content-Length"])
        while left:
            try:
                piece = self.rfile.read1(min(_PIECE, left))
            except OSError:
                return False
            if not piece:
                return False
            with self.registry.guard:
                upload += piece
            self.exchange.received += len(piece)
            left -= len(piece)
        return True

    def _tell(self, upload: bytearray) -> None:
        size = len(upload)
        offset = {
            "truth": _range(upload),
            "one more": f"bytes=0-{size or -1}",
            "stuck": "0-0",
            "half": f"0-{max(0, size // 2 - 1)}",
        }
        if self.registry.personality.offset == "gone":
            self._forget()
            self._refuse(404, "BLOB_UPLOAD_INVALID")
            return
        self.reply(204, Location=self._location(), Range=offset[self.registry.personality.offset])

    def _commit(self, upload: bytearray) -> None:
        upload += self.body()
        digest = f"sha256:{hashlib.sha256(upload).hexdigest()}"
        if digest != self.query.get("digest"):
            if self.registry.personality.put_cancels:
                self._forget()
            self._refuse(400, "DIGEST_INVALID")
            return
        self.held.blobs[digest] = bytes(upload)
        self._forget()
        self.reply(201, Location=f"/v2/{self.name}/blobs/{digest}")

    def _blob(self) -> None:
        body = self.held.blobs.get(self.rest)
        if body is None:
            self._refuse(404, "BLOB_UNKNOWN")
        else:
            self.reply(200, body)

    def _manifest(self) -> None:
        if self.command == "PUT":
            self._put_manifest(self.body())
            return
        digest = self.held.tags.get(self.rest, self.rest)
        found = self.held.manifests.get(digest)
        if found is None:
            self._refuse(404, "MANIFEST_UNKNOWN")
        elif self.command == "DELETE":
            self._delete()
        else:
            self.reply(200, found[1], Content_Type=found[0], Docker_Content_Digest=digest)

    def _put_manifest(self, data: bytes) -> None:
        document = json.loads(data)
        named = [item["digest"] for item in document.get("layers", [])]
        named += [document["config"]["digest"]] if "config" in document else []
        if not set(named) <= set(self.held.blobs):
            self._refuse(400, "MANIFEST_BLOB_UNKNOWN")
            return
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if self.rest.startswith("sha256:") and self.rest != digest:
            self._refuse(400, "DIGEST_INVALID")
            return
        with self.registry.guard:
            self.held.manifests[digest] = (self.headers["Content-Type"], data)
            if not self.rest.startswith("sha256:"):
                self.held.tags[self.rest] = digest
        self.reply(201, Docker_Content_Digest=digest)

    def _delete(self) -> None:
        if not self.registry.deletes:
            self._refuse(405, "UNSUPPORTED")
            return
        with self.registry.guard:
            gone = {tag for tag, digest in self.held.tags.items() if self.rest in (tag, digest)}
            self.held.manifests.pop(self.rest, None)
            for tag in gone:
                del self.held.tags[tag]
        self.reply(202)

    def _tags(self) -> None:
        self.reply(200, json.dumps({"name": self.name, "tags": sorted(self.held.tags)}).encode())

    def _location(self) -> str:
        tail = f"{self.rest}?_state=signed"
        path = f"/v2/{self.name}/blobs/uploads/{tail}"
        # Relative to the request: POST asks below the folder itself, the others beside the upload.
        forms = {"host": self.registry.url + path, "root": path, "relative": tail}
        return forms[self.registry.personality.location]

    def _forget(self) -> None:
        self.registry.uploads.pop(self.rest, None)

    def _discard(self) -> None:
        """Read what the client still sends, so that it can hear the answer."""
        if "Content-Length" in self.headers:
            self._receive(bytearray())

    def _refuse(self, status: int, code: str, **headers: str) -> None:
        body = json.dumps({"errors": [{"code": code, "message": code.lower()}]}).encode()
        self.reply(status, body, **headers)


def _range(upload: bytearray) -> str:
    return f"0-{max(0, len(upload) - 1)}"
