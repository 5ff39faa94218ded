"""Blobs of targets: written, copied and checked, proved to be there, read as files."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import IO

from carferry.errors import CarferryError, TargetError
from carferry.io.net.retry import Retry
from carferry.io.parallel import SMALL_BYTES, run_parallel
from carferry.io.undoing import undone_at_the_end
from carferry.oci.documents import MANIFEST_CAP_BYTES, Descriptor
from carferry.refs import Digest
from carferry.registry.target import Target, Upload

_BUFFER = 1024 * 1024
# An artifact may have thousands of layers: as many questions at once as connections are kept.
_THREADS = 16


class OtherBytes(TargetError):
    """What was sent under a digest is not what the digest promises."""


@contextmanager
def open_upload(target: Target, size_bytes: int) -> Iterator[Upload]:
    """Begin an upload, which an error in the block cancels; the block commits it."""
    upload = target.start_upload(size_bytes)
    with undone_at_the_end(upload.cancel):
        try:
            yield upload
        except BaseException:
            upload.cancel()
            raise


def put_blob(target: Target, data: bytes) -> Digest:
    """Write a small blob if it is not there yet and return its digest."""
    digest = Digest.of(data)
    if target.blob_size(digest) != len(data):
        with open_upload(target, len(data)) as upload:
            upload.send([data])
            upload.commit(digest)
    return digest


def send_blob(target: Target, data: bytes) -> Digest:
    """Write a small blob, whatever the target says it holds, with one request after the POST."""
    digest = Digest.of(data)
    with open_upload(target, len(data)) as upload:
        upload.put(data, digest)
    return digest


def copy_blob(
    blob: Descriptor,
    origin: Target,
    target: Target,
    *,
    moved: Callable[[int], None] = lambda _: None,
) -> None:
    """Copy a blob and check its digest before it is committed.

    Args:
        blob: What to copy.
        origin: Where it is.
        target: Where it goes.
        moved: Called with the length of each chunk.

    Raises:
        TargetError: The origin sent other bytes than the digest promises.
    """
    if blob.size_bytes <= SMALL_BYTES:
        send_blob(target, _read_small(blob, origin, moved))
        return

    def counted(chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            moved(len(chunk))
            yield chunk

    with open_upload(target, blob.size_bytes) as upload:
        with closing(proved_blob(origin, blob, action="copy")) as chunks:
            upload.send(counted(chunks))
            # An upload stops at its length; only the end of the blob proves its digest.
            for _ in chunks:
                pass
        upload.commit(blob.digest)


def _read_small(blob: Descriptor, origin: Target, moved: Callable[[int], None]) -> bytes:
    parts = []
    with closing(proved_blob(origin, blob, action="copy")) as chunks:
        for chunk in chunks:
            moved(len(chunk))
            parts.append(chunk)
    return b"".join(parts)


def proved_blob(origin: Target, blob: Descriptor, *, action: str = "read") -> Generator[bytes]:
    """Yield a blob's bytes, at most as many as it announces; at its end they are proved.

    Args:
        origin: Where it is; not trusted.
        blob: What to read.
        action: What an error says was being done.

    Raises:
        OtherBytes: Or more of them than digest and size promise.
    """
    hasher, left = hashlib.sha256(), blob.size_bytes
    with closing(origin.open_blob(blob.digest)) as chunks:
        for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                break
            hasher.update(chunk)
            yield chunk
    if left < 0 or Digest(hasher.hexdigest()) != blob.digest:
        raise OtherBytes(action, blob.digest, f"{origin.ref} sent other bytes under it")


def read_small(origin: Target, blob: Descriptor, cap_bytes: int = MANIFEST_CAP_BYTES) -> bytes:
    """Return a small blob whole.

    Raises:
        TargetError: Longer than the cap, not there, or other bytes than promised.
    """
    if blob.size_bytes > cap_bytes:
        raise TargetError("read", blob.digest, f"{blob.size_bytes} bytes, over {cap_bytes}")
    with closing(proved_blob(origin, blob)) as chunks:
        return b"".join(chunks)


def read_blob(target: Target, digest: Digest, retry: Retry, *, size_bytes: int) -> Generator[bytes]:
    """Yield a blob's bytes; after a break go on where it broke. The caller checks the digest.

    Args:
        target: Where it is.
        digest: Which.
        retry: Policy for each break.
        size_bytes: Its length; a server may send on and on.

    Raises:
        OtherBytes: It is longer.
        TargetError: Not there, or not readable.
        Unreachable: It broke again and again without a byte in between.
    """
    at, tries = 0, retry.tries()
    while True:
        try:
            with closing(target.open_blob(digest, at)) as chunks:
                for chunk in chunks:
                    at += len(chunk)
                    tries.progressed()
                    if at > size_bytes:
                        raise OtherBytes("read", digest, "other bytes were sent under its digest")
                    yield chunk
            return
        except CarferryError as error:
            tries.again(error)


def check_blobs(target: Target, blobs: Sequence[Descriptor], retry: Retry) -> None:
    """Prove that each blob is there in its full length.

    Args:
        target: Where they should be.
        blobs: Of an image.
        retry: The target's own policy, which a signal stops.

    Raises:
        TargetError: Names the first that is not.
    """
    digests = list(dict.fromkeys(blob.digest for blob in blobs))
    every = run_parallel(target.blob_size, digests, parallel=_THREADS, retry=retry)
    sizes = dict(zip(digests, every, strict=True))
    for blob in blobs:
        size = sizes[blob.digest]
        if size != blob.size_bytes:
            found = "missing" if size is None else f"{size} bytes long, not {blob.size_bytes}"
            raise TargetError(
                "seal", target.ref, f"layer {blob.digest} is {found}", "run the build again"
            )


@contextmanager
def blob_file(target: Target, digest: Digest) -> Iterator[IO[bytes]]:
    """Open a blob as a file, for readers such as tarfile and gzip.

    Its connection or file is given back at the end of the block: an error's traceback may keep
    the reader alive for long.

    Raises:
        TargetError: Not there or not readable.
    """
    with closing(target.open_blob(digest)) as chunks:
        yield as_file(chunks)


def as_file(chunks: Iterable[bytes]) -> io.BufferedReader:
    """Return chunks as a file that is read once, forwards."""
    return io.BufferedReader(_Chunks(chunks), _BUFFER)


class _Chunks(io.RawIOBase):
    def __init__(self, chunks: Iterable[bytes]) -> None:
        super().__init__()
        self._chunks = iter(chunks)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if not self._left:
            self._left = memoryview(next(self._chunks, b""))
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
