"""Answers that must go on: heads that end, bodies that keep a least rate.

A read timeout counts from byte to byte, so that a server which sends one byte a minute would
hold a reader for ever; and http.client takes a hundred header lines of 64 KiB, interim answers
and trailers without end. Only the time spent waiting for the server counts here, never what the
reader does with what has come.
"""

from __future__ import annotations

import http.client
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HeaderParsingError
from urllib3.util.response import assert_header_parsing

HEAD_BYTES = 256 * 1024
LEAST_BYTES_PER_S = 1024
# What a small document that is on its way may take longer than the time of all.
DOCUMENT_BYTES_PER_S = 64 * 1024
_LONGEST_S = 60.0
_MAX_LINE = 65536
_TRAILERS = 100
# A chunk is read into memory that is taken at once; servers send some KiB each.
_LONGEST_CHUNK = 256 * 1024 * 1024


class TooSlow(OSError):
    """A server that sends, but so little that it would never be done."""


class TooLong(OSError):
    """An answer beyond what it may be."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What all answers of a pool keep to.

    Attributes:
        body_bytes: Longest body; 0 for any length.
        is_document: Whether bodies are documents, which are whole within a time; else they
            only keep the least rate.
    """

    body_bytes: int = 0
    is_document: bool = False


def paced(manager: urllib3.PoolManager, limits: Limits | None = None) -> urllib3.PoolManager:
    """Hold every answer of a pool manager to the limits and return it.

    Args:
        manager: Of ours, or inside another library's client.
        limits: Of bodies; without, streams of any length.
    """
    response = _response_class(limits or Limits())
    plain = type("HTTPConnection", (HTTPConnection,), {"response_class": response})
    secure = type("HTTPSConnection", (HTTPSConnection,), {"response_class": response})
    manager.pool_classes_by_scheme = {
        "http": type("_HttpPool", (urllib3.HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("_HttpsPool", (urllib3.HTTPSConnectionPool,), {"ConnectionCls": secure}),
    }
    return manager


def _response_class(limits: Limits) -> type[http.client.HTTPResponse]:
    return type("_Response", (_Response,), {"limits": limits})


class _Response(http.client.HTTPResponse):
    """http.client's, whose bytes come through a ``Paced``."""

    limits = Limits()

    def __init__(self, sock: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        patience_s = min(_LONGEST_S, sock.gettimeout() or _LONGEST_S)
        raw = self.fp.detach()
        self._paced = Paced(raw, patience_s, self.limits)
        self.fp = io.BufferedReader(self._paced)

    def begin(self) -> None:
        super().begin()
        if self._paced.is_cut:
            raise http.client.HTTPException("its headers were cut off")
        try:
            assert_header_parsing(self.msg)
        except HeaderParsingError as error:
            # What follows a malformed line is lost, the body's length perhaps; urllib3 goes on
            # and logs a traceback.
            raise http.client.HTTPException("its headers are malformed") from error
        if self.limits.body_bytes and (self.length or 0) > self.limits.body_bytes:
            raise TooLong(f"it is {self.length} bytes long")
        self._paced.head_ended()

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]
        if not 0 <= size <= _LONGEST_CHUNK:
            raise ValueError("no chunk's length")  # as http.client's of one that is no number
        return size

    def _read_and_discard_trailer(self) -> None:
        """As http.client's, which reads on for as long as lines come."""
        for _ in range(_TRAILERS):
            line = self.fp.readline(_MAX_LINE + 1)
            if len(line) > _MAX_LINE:
                raise http.client.LineTooLong("trailer line")
            if line in (b"\r\n", b"\n", b""):
                return
        raise http.client.HTTPException(f"more than {_TRAILERS} trailers")


class Paced(io.RawIOBase):
    """A connection's bytes as they come, while they come fast enough.

    Args:
        raw: The socket's.
        patience_s: How long a head may take from its first byte on; a body's rate is measured
            over twice that.
        limits: Of the body.
        clock: Monotonic seconds.

    Attributes:
        is_cut: Whether the connection ended inside a head.
    """

    def __init__(
        self,
        raw: Any,
        patience_s: float,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._raw = raw
        self._patience_s = patience_s
        self._limits = limits
        self._clock = clock
        self._in_head, self._begun = True, False
        self.is_cut = False
        self._waited_s = self._window_s = 0.0
        self._came = self._window_bytes = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the socket's."""
        return int(self._raw.fileno())

    def close(self) -> None:
        """Close the socket's file too."""
        if not self.closed:
            self._raw.close()
        super().close()

    def head_ended(self) -> None:
        """Count anew: what comes now is the body."""
        self._in_head = False
        self._waited_s = self._window_s = 0.0
        self._came = self._window_bytes = 0

    def readinto(self, buffer: Any) -> int | None:
        """Read what has come, after waiting for it.

        Raises:
            TooSlow: It comes too slowly.
            TooLong: It is more than the limits allow.
        """
        started = self._clock()
        count = self._raw.readinto(buffer)
        waited_s = self._clock() - started
        if self._in_head and not self._begun:
            self._begun, waited_s = True, 0.0  # a server may think before it answers
        self._waited_s += waited_s
        self._came += count or 0
        if self._in_head:
            self.is_cut = not count
            self._check_head()
        else:
            self._check_body(waited_s, count or 0)
        return cast("int | None", count)

    def _check_head(self) -> None:
        if self._came > HEAD_BYTES:
            raise TooLong(f"its headers are longer than {HEAD_BYTES} bytes")
        if self._waited_s > self._patience_s:
            raise TooSlow(f"its headers did not end within {self._patience_s:g} s")

    def _check_body(self, waited_s: float, count: int) -> None:
        self._window_s += waited_s
        self._window_bytes += count
        longest = 2 * self._patience_s
        if self._window_s > longest:
            if self._window_bytes < LEAST_BYTES_PER_S * self._window_s:
                raise TooSlow(f"only {self._window_bytes} bytes came in {self._window_s:.3g} s")
            self._window_s, self._window_bytes = 0.0, 0
        if 0 < self._limits.body_bytes < self._came:
            raise TooLong(f"it is longer than {self._limits.body_bytes} bytes")
        granted_s = self._patience_s + self._came / DOCUMENT_BYTES_PER_S
        if self._limits.is_document and self._waited_s > granted_s:
            raise TooSlow(f"it was not whole within {self._patience_s:g} s")
