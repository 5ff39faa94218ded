"""A model below a prefix of an S3 bucket.

Objects are listed once; every later request says which entity tag it expects, so that an object
which is replaced meanwhile is noticed and never mixed with what it was.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any

from urllib3.exceptions import HTTPError

from carferry.errors import InputError, SourceChanged, SourceError, SourceNotFound
from carferry.io.net.http import Http
from carferry.io.net.retry import Retry
from carferry.io.parallel import run_parallel
from carferry.io.shell import glob_of, option, word
from carferry.source.httpread import CHUNK, resumed
from carferry.source.paths import check_count, path_bytes
from carferry.source.s3.client import S3Client
from carferry.source.s3.connection import Connection
from carferry.source.s3.failures import archived
from carferry.source.s3.objects import (
    S3Object,
    etag_of,
    is_archived,
    is_worth_asking,
    read_object,
    sha256_of,
)
from carferry.source.s3.ref import S3Ref
from carferry.source.snapshot import ContentId, Snapshot, SourceFile

_THREADS = 8
_NEAR = 3


class S3Source:
    """Reads the objects below a prefix as they were when it listed them.

    Args:
        ref: Bucket and prefix.
        connection: How the server is reached; default the mounted one, or the environment's.
        http: Connection pool.
        retry: Policy for broken reads; share it with the target.
        ca_file: PEM certificates to trust.

    Raises:
        InputError: No bucket, no botocore, or settings that cannot be meant.
    """

    def __init__(
        self,
        ref: S3Ref,
        *,
        connection: Connection | None = None,
        http: Http | None = None,
        retry: Retry | None = None,
        ca_file: Path | None = None,
    ) -> None:
        found = connection or Connection.find()
        if not (ref.bucket or found.bucket):
            raise InputError("read", ref, "no bucket", "write s3://bucket/prefix, or AWS_S3_BUCKET")
        self.ref = replace(ref, bucket=ref.bucket or found.bucket)
        self._client = S3Client(found, http=http, retry=retry, ca_file=ca_file)

    def __str__(self) -> str:
        """Return ``s3://bucket/prefix``, with the server unless it is Amazon's."""
        host = self._client.connection.host
        return f"{self.ref} at {host}" if host else str(self.ref)

    @property
    def place(self) -> str:
        """The source as a URL: ``s3://bucket/prefix``, ``?endpoint=`` unless it is Amazon's."""
        host = self._client.connection.host
        return f"{self.ref}?endpoint={host}" if host else str(self.ref)

    @property
    def host(self) -> str:
        """The server that answers."""
        return self._client.connection.host.partition("://")[2] or "s3.amazonaws.com"

    @property
    def gated(self) -> bool | None:
        """None: it is not on the hub."""
        return None

    def listing(self) -> Snapshot:
        """List every object below the prefix.

        Raises:
            SourceNotFound: No such bucket, or nothing below the prefix; names what is near.
            SourceDenied: The credentials do not open it.
            Unreachable: The server does not answer.
        """
        return self._snapshot(sorted(self._objects, key=path_bytes), {})

    def snapshot(self, paths: Sequence[str]) -> Snapshot:
        """Return these objects: by sha256 where the server holds one, else by entity tag.

        Raises:
            SourceDenied: The credentials list but do not open them.
            SourceChanged: One was replaced since it was listed.
            InputError: One is archived.
        """
        objects = {path: self._objects[path] for path in paths}
        largest = max(objects, key=lambda path: objects[path].size_bytes, default="")
        asked = [
            path for path, found in objects.items() if path == largest or is_worth_asking(found)
        ]
        found = run_parallel(self._identify, asked, parallel=_THREADS, retry=self._client.retry)
        known = dict(zip(asked, found, strict=True))
        return self._snapshot(paths, known)

    def read(self, file: SourceFile, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the object's bytes from ``start`` to ``stop`` or its end.

        A broken connection is opened again at the byte it broke at.

        Raises:
            SourceChanged: It was replaced since it was listed.
            SourceDenied: The credentials no longer open it.
            SourceError: The server failed more often than the policy allows.
        """
        found = self._objects[file.path]
        end = found.size_bytes if stop is None else stop

        def once(at: int, end: int) -> Iterator[bytes]:
            return self._once(found, at, end)

        return resumed(once, start, end, self._client.retry)

    def _snapshot(self, paths: Sequence[str], known: Mapping[str, ContentId | None]) -> Snapshot:
        files = tuple(
            SourceFile(path, found.size_bytes, known.get(path) or self._content(found))
            for path, found in ((path, self._objects[path]) for path in paths)
        )
        return Snapshot("", "", files, place=self.place)

    def _content(self, found: S3Object) -> ContentId:
        server = self._client.connection.host
        return ContentId.of_etag(server, self.ref.bucket, found.key, found.etag)

    def _named(self, found: S3Object) -> str:
        return f"s3://{self.ref.bucket}/{found.key}"

    @cached_property
    def _objects(self) -> dict[str, S3Object]:
        start = self.ref.start
        # A key with a slash at its end is what consoles leave to show an empty folder.
        keys = (each for each in self._pages(start) if not each.key.endswith("/"))
        found = {each.key.removeprefix(start): each for each in keys if each.key.startswith(start)}
        if not found:
            raise self._nothing()
        return found

    def _pages(self, start: str) -> Iterator[S3Object]:
        more: dict[str, str] = {}
        count = 0
        while True:
            page = self._client.ask(
                "list_objects_v2", self.ref, Bucket=self.ref.bucket, Prefix=start, **more
            )
            count += len(page.get("Contents", ()))
            check_count(self.ref, count)
            yield from map(read_object, page.get("Contents", ()))
            token = page.get("NextContinuationToken", "")
            if not page.get("IsTruncated"):
                return
            if not token or token == more.get("ContinuationToken"):
                raise SourceError("list", self.ref, "the server's pages do not go on")
            more = {"ContinuationToken": token}

    def _nothing(self) -> SourceNotFound:
        """Return the error for a prefix with nothing below it, with what is beside it."""
        above, _, _ = self.ref.prefix.rpartition("/")
        start = f"{above}/" if above else ""
        page = self._client.ask(
            "list_objects_v2", self.ref, Bucket=self.ref.bucket, Prefix=start, Delimiter="/"
        )
        if any(each["Key"] == self.ref.prefix for each in page.get("Contents", ())):
            folder, name = S3Ref(self.ref.bucket, above), self.ref.prefix.rpartition("/")[2]
            remedy = f"name its folder: {word(str(folder))} {option('--include', glob_of(name))}"
            return SourceNotFound("read", self, "one object and no folder", remedy)
        beside = [str(each["Prefix"]).rstrip("/") for each in page.get("CommonPrefixes", ())]
        near = difflib.get_close_matches(self.ref.prefix, beside, _NEAR) or beside[:_NEAR]
        names = ", ".join(f"s3://{self.ref.bucket}/{each}" for each in near)
        remedy = f"near it: {names}" if names else "check the prefix"
        return SourceNotFound("read", self, "no object has this prefix", remedy)

    def _identify(self, path: str) -> ContentId | None:
        """Return the sha256 that the server holds of a whole object; None if it has none.

        Source: Amazon S3 API, HeadObject: a checksum of type COMPOSITE is one of the parts'
        checksums and says nothing of the bytes in one row.
        """
        found = self._objects[path]
        subject = self._named(found)
        match = {"IfMatch": f'"{found.etag}"'} if found.etag else {}
        answer = self._client.ask(
            "head_object", subject,
            Bucket=self.ref.bucket, Key=found.key, ChecksumMode="ENABLED", **match,
        )  # fmt: skip
        self._check_same(found, answer, int(answer.get("ContentLength", -1)))
        if is_archived(found, answer):
            raise archived(subject, found.storage_class or str(answer.get("ArchiveStatus", "")))
        if not found.etag:
            self._objects[path] = replace(found, etag=etag_of(answer))
        whole = answer.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"
        return sha256_of(str(answer.get("ChecksumSHA256", ""))) if whole else None

    def _check_same(self, found: S3Object, answer: Mapping[str, Any], size_bytes: int) -> None:
        """Compare an answer with the listing; some servers do not know If-Match."""
        etag = etag_of(answer)
        reason = ""
        if size_bytes != found.size_bytes:
            reason = f"{size_bytes} bytes long, the listing says {found.size_bytes}"
        elif not etag and not found.etag:
            reason = "the server names no etag, so nothing would tell that it changed"
        elif found.etag and etag and etag != found.etag:
            reason = "its etag is no longer that of the listing"
        if reason:
            remedy = "run again once nobody writes there"
            raise SourceChanged("read", self._named(found), reason, remedy)

    def _once(self, found: S3Object, at: int, end: int) -> Iterator[bytes]:
        parameters = {"IfMatch": f'"{found.etag}"'} if found.etag else {}
        if at or end < found.size_bytes:
            parameters["Range"] = f"bytes={at}-{end - 1}"
        subject = self._named(found)
        answer = self._client.call(
            "get_object", subject, Bucket=self.ref.bucket, Key=found.key, **parameters
        )
        body = answer["Body"]
        try:
            # A server may answer a Range with the whole.
            passed = self._check_answer(found, answer, at, end)
            while passed < end:
                self._client.retry.check()
                chunk = body.read(min(CHUNK, (at if passed < at else end) - passed))
                if not chunk:
                    raise _broken(subject, "it ended early")
                passed += len(chunk)
                if passed > at:
                    yield chunk
        except _reading_errors() as error:
            raise _broken(subject, str(error) or type(error).__name__) from error
        finally:
            body.close()

    def _check_answer(self, found: S3Object, answer: Mapping[str, Any], at: int, end: int) -> int:
        """Return the offset that an answer's body starts at."""
        if answer["ResponseMetadata"]["HTTPStatusCode"] != HTTPStatus.PARTIAL_CONTENT:
            self._check_same(found, answer, int(answer.get("ContentLength", found.size_bytes)))
            return 0
        expected = f"bytes {at}-{end - 1}/{found.size_bytes}"
        given = str(answer.get("ContentRange", ""))
        if given != expected:
            reason = f"asked for {expected}, was given {given or 'no range'}"
            raise SourceChanged("read", self._named(found), reason)
        self._check_same(found, answer, found.size_bytes)
        return at


def _broken(subject: str, reason: str) -> SourceError:
    failure = SourceError("read", subject, f"the connection broke: {reason}")
    failure.temporary = True
    return failure


def _reading_errors() -> tuple[type[Exception], ...]:
    """Return what a body raises; botocore is installed, since it has opened one."""
    from botocore.exceptions import BotoCoreError

    return BotoCoreError, HTTPError, OSError
