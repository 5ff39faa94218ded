"""A real answer made wrong, by a seed: its status, its headers, its length, its body, its JSON."""

# ruff: noqa: E501 - tables of odd values
from __future__ import annotations

import gzip
import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from servers.wire import Head

# How long a server that never ends goes on, if its client does not hang up before.
ENDLESS_S = 20.0
_PIECE = b"x" * 65536
Wire = Iterator[bytes]
Mutation = Callable[[random.Random, Head, bytes], Wire]

STATUSES = (
    *(
        200,
        201,
        202,
        204,
        206,
        300,
        301,
        302,
        304,
        307,
        308,
        400,
        401,
        402,
        403,
        404,
        405,
        406,
        407,
    ),
    *(
        408,
        409,
        410,
        411,
        412,
        413,
        414,
        415,
        416,
        418,
        422,
        425,
        426,
        429,
        431,
        451,
        499,
        500,
        501,
    ),
    *(502, 503, 504, 505, 507, 511, 599, 600, 999),
)
ADDRESSES = (
    "", " ", "/", "//", "?", "#", ".", "http:", "http://", "https://", "file:///etc/passwd",
    "javascript:alert(1)", "ftp://127.0.0.1/x", "gopher://x", "http://127.0.0.1:99999/x",
    "http://127.0.0.1:-1/", "http://127.0.0.1:port/", "http://[::1/", "http://[/", "http://]/",
    "http://ex\xe4mple.invalid/x", "http://\u2603.invalid/", "http://" + "a" * 300 + ".invalid/",
    "http://127.0.0.1:1/refused", "http://user:secret@127.0.0.1:1/x", "http:///nohost",
    "/\x01\x7f", "/a b", "/%", "/%zz", "/%00", "/\xff", "../../../..", "data:,x", "a" * 60_000,
    "http://127.0.0.1:1:2/", "http://.invalid", "http://a..b.invalid/", "http://-/", "\\\\host\\x",
)  # fmt: skip
HEADERS = (
    "", " ", "0", "-1", "+5", "1_000", "0x10", "1e400", "9" * 400, "NaN", "\u0663", "null", "a\xe4b",
    "\x01", "bytes 0-0/1", "bytes 5-1/2", "bytes 0-99999999999999999999/1", "bytes */*", "bytes",
    "0-0", "0-99999999999999", "bytes=0--1", ",", ";", "=", '"', "\\", "<", "<>; rel=\"next\"",
    "<http://[>; rel=\"next\"", "</x>; rel=next", "Bearer", "Basic", "Bearer realm", 'Bearer realm="',
    'Bearer realm="file:///x",service="y"', 'Bearer realm="http://[",service="y"', "Negotiate",
    'Bearer realm="http://127.0.0.1:99999/",service="y"', 'Bearer realm=""', "gzip", "br", "chunked",
    "sha256:" + "0" * 64, "sha256:xyz", "text/html", "application/json; charset=utf-7", "x" * 60_000,
    'W/"', "Wed, 32 Feb 99999 99:99:99 GMT", "99999999999999999999", "inf", "limit;r=0;t=999999999",
)  # fmt: skip
NAMES = (
    "Content-Length", "Content-Type", "Content-Range", "Content-Encoding", "Transfer-Encoding",
    "Location", "Link", "ETag", "X-Linked-ETag", "X-Linked-Size", "X-Repo-Commit", "Range",
    "Docker-Content-Digest", "WWW-Authenticate", "Retry-After", "RateLimit", "Docker-Upload-UUID",
    "X-Error-Code", "X-Error-Message", "Connection", "Set-Cookie", "Date", "Warning",
    "x-amz-bucket-region", "x-amz-request-id",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 1.5, 2**31, 2**63, 2**64, 10**30, "", " ", "x", "0", "-1", "NaN",
    "\u0663", "\ud800", "\x00", "\x1b[2J", "\u202e", "a/../../b", "/etc/passwd", "..", "a" * 5000,
    "\ue000" * 300, [], {}, [None], [[]], {"": None}, [1, "a"], {"a": {"b": [1]}}, "sha256:", "\n",
    "sha256:" + "0" * 64, "sha512:" + "0" * 128, "sha256:" + "\u0661" * 64, "true", "null", "1e400",
)  # fmt: skip
_RAW = (
    "NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 400, "9" * 5000, "1" + "0" * 100_000,
    "[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 50_000, '"\\ud800"', '"\\u0000"', '"\\x"',
    "01", "+1", ".5", "'x'", "undefined", "", '"' + "x" * 3_000_000 + '"', "{}{}", "-", "tru",
)  # fmt: skip
_BODIES = (
    b"", b" ", b"null", b"true", b"5", b'"x"', b"[]", b"{}", b"[null]", b"[[]]", b"[{}]", b"{", b"[",
    b"<!doctype html><html><body>log in</body></html>", b"<?xml version='1.0'?><a/>", b"<Error/>",
    b"\xff\xfe\x00", b"\x00" * 1000, b"\xef\xbb\xbf{}", b"\xef\xbb\xbf[]", b"[" * 100_000,
    b'{"a":' * 100_000, b'{"errors":null}', b'{"errors":[null]}', b'{"errors":[{"code":[1]}]}',
    b'{"errors":{"a":1}}', b'{"token":5}', b'{"token":""}', b'{"token":"a\\nb"}', b'{"token":null}',
    b'{"token":"x","expires_in":1e400}', b'{"access_token":[]}', b'{"token":"\\ud800"}',
    b'{"kind":"Status","message":[1],"details":[1]}', b'{"kind":"Status","status":5}',
    b'{"items":null}', b'{"items":{}}', b'{"items":[null]}', b'{"items":[{"metadata":null}]}',
    b"\x1b[2J\x1b]0;x\x07", ("\u202e" * 100).encode(), b"x" * 200_000, b"\r\n" * 5000,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Broken:
    """One mutation with the seed of what it draws.

    Attributes:
        name: Its function.
        seed: For its choices, the same for every answer.
    """

    name: str
    seed: int

    def wire(self, head: Head, body: bytes, method: str) -> Wire:
        """Yield what goes on the wire instead of an answer."""
        shown = b"" if method == "HEAD" else body
        return _MUTATIONS[self.name](random.Random(self.seed), head, shown)


def names() -> tuple[str, ...]:
    """Return every mutation; the more a kind of answer can be wrong, the more often."""
    often = ("json_value", "json_value", "json_value", "json_value", "header_value", "header_value")
    return (*_MUTATIONS, *often, "json_raw", "json_dropped", "other_body", "other_status")


def _sent(head: Head, body: bytes, *, length: str | None = "") -> Wire:
    head = head.without("Transfer-Encoding").without("Connection")
    if length is None:
        head = head.without("Content-Length")
    elif body or head.get("Content-Length") is None:
        head = head.with_("Content-Length", length or str(len(body)))
    yield _encoded(head) + body


def _encoded(head: Head) -> bytes:
    lines = [head.start, *(f"{name}: {value}" for name, value in head.headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def _with_status(head: Head, status: int | str) -> Head:
    return Head(f"HTTP/1.1 {status} Mutated", head.headers)


def other_status(rng: random.Random, head: Head, body: bytes) -> Wire:
    return _sent(_with_status(head, rng.choice(STATUSES)), rng.choice((body, b"", *_BODIES)))


def odd_status_line(rng: random.Random, head: Head, body: bytes) -> Wire:
    lines = ("HTTP/9.9 200 OK", "HTTP/1.1 abc OK", "HTTP/1.1 -5 X", "HTTP/1.1 20 X", "ICY 200 OK",
             "HTTP/1.1", "", "\x00\x01", "SSH-2.0-x", "HTTP/1.1 200 " + "y" * 70_000, "HTTP/1.0 200 OK",
             "HTTP/1.1 99999 X", "HTTP/1.1 \u0662\u0660\u0660 X")  # fmt: skip
    return _sent(Head(rng.choice(lines), head.headers), body)


def redirect(rng: random.Random, head: Head, body: bytes) -> Wire:
    status, place = rng.choice((301, 302, 303, 307, 308)), rng.choice(ADDRESSES)
    return _sent(_with_status(head, status).with_("Location", place), b"")


def odd_location(rng: random.Random, head: Head, body: bytes) -> Wire:
    name = rng.choice(("Location", "Link"))
    place = rng.choice(ADDRESSES)
    value = place if name == "Location" else f'<{place}>; rel="next"'
    return _sent(head.with_(name, value), body)


def challenge(rng: random.Random, head: Head, body: bytes) -> Wire:
    realm = rng.choice(ADDRESSES)
    texts = (f'Bearer realm="{realm}",service="x"', rng.choice(HEADERS), 'Basic realm="x"')
    status = rng.choice((401, 401, 403))
    return _sent(_with_status(head, status).with_("WWW-Authenticate", rng.choice(texts)), b"{}")


def header_value(rng: random.Random, head: Head, body: bytes) -> Wire:
    present = [name for name, _ in head.headers if name.lower() != "content-length"]
    name = rng.choice((*present, *NAMES)) if rng.random() < 0.5 else rng.choice(present or NAMES)
    changed = head.with_(name, rng.choice(HEADERS))
    if name.lower() in {"content-length", "transfer-encoding"}:
        return iter([_encoded(changed) + body])
    return _sent(changed, body)


def header_dropped(rng: random.Random, head: Head, body: bytes) -> Wire:
    name = rng.choice([name for name, _ in head.headers] or ["X"])
    if name.lower() == "content-length":
        return _sent(head, body, length=None)
    return _sent(head.without(name), body)


def header_twice(rng: random.Random, head: Head, body: bytes) -> Wire:
    name, value = rng.choice(head.headers or (("X", "y"),))
    other = rng.choice((value, *HEADERS))
    return iter([_encoded(Head(head.start, (*head.headers, (name, other)))) + body])


def header_junk(rng: random.Random, head: Head, body: bytes) -> Wire:
    junk = rng.choice((
        [("X" * 70_000, "y")], [("X", "y" * 70_000)], [(f"X-{n}", "y") for n in range(150)],
        [("bad name", "x")], [("", "x")], [("\xe4", "x")], [("X", "a\r b")], [("no colon", "")],
        [(f"X-{n}", "z" * 60_000) for n in range(90)], [("X", "\x00")],
    ))  # fmt: skip
    return _sent(Head(head.start, (*head.headers, *junk)), body)


def cut_short(rng: random.Random, head: Head, body: bytes) -> Wire:
    at = rng.randrange(len(body) + 1)
    return _sent(head, body[:at], length=str(len(body)))


def cut_clean(rng: random.Random, head: Head, body: bytes) -> Wire:
    """A proxy that ends early and says so."""
    return _sent(head, body[: rng.randrange(len(body) + 1)])


def head_cut(rng: random.Random, head: Head, body: bytes) -> Wire:
    data = _encoded(head)
    return iter([data[: rng.randrange(len(data))]])


def other_length(rng: random.Random, head: Head, body: bytes) -> Wire:
    lengths = ("0", "1", str(len(body) + 1), str(max(0, len(body) - 1)), "9" * 30, "-1", "", "x", "1_0",
               f"{len(body)}, {len(body)}", "+5", "0x5", "\u0663")  # fmt: skip
    changed = head.without("Transfer-Encoding").with_("Content-Length", rng.choice(lengths))
    return iter([_encoded(changed) + body])


def closes(rng: random.Random, head: Head, body: bytes) -> Wire:
    return iter(rng.choice(([], [b"\r\n"], [b"\x00" * 9], [b"HTTP/1.1 100 Continue\r\n\r\n"] * 5)))


def gzipped(rng: random.Random, head: Head, body: bytes) -> Wire:
    data = gzip.compress(body, mtime=0) if rng.random() < 0.7 else gzip.compress(bytes(50 << 20))
    if rng.random() < 0.3:
        data = body  # not gzip at all
    return _sent(head.with_("Content-Encoding", rng.choice(("gzip", "br", "zstd", "x"))), data)


def chunked_oddly(rng: random.Random, head: Head, body: bytes) -> Wire:
    head = head.without("Content-Length").with_("Transfer-Encoding", "chunked")
    whole = b"%x\r\n%b\r\n" % (len(body), body)
    odd = (
        whole + b"0\r\n\r\n", whole, b"zz\r\n" + body, b"-5\r\n" + body, b"", b"\r\n\r\n", b"F" * 70_000,
        whole + b"0\r\n" + b"T: x\r\n" * 500, b"%x;ext=%b\r\n%b\r\n0\r\n\r\n" % (len(body), b"x" * 999, body),
        b"7fffffffffffffff\r\n" + body, b"1_0\r\n" + body + b"\r\n0\r\n\r\n",
    )  # fmt: skip
    return iter([_encoded(head) + rng.choice(odd)])


def other_body(rng: random.Random, head: Head, body: bytes) -> Wire:
    return _sent(head, rng.choice(_BODIES))


def web_page(rng: random.Random, head: Head, body: bytes) -> Wire:
    page = b"<!doctype html><html><head><title>Sign in</title></head></html>"
    return _sent(_with_status(head, 200).with_("Content-Type", "text/html"), page)


def wrong_bytes(rng: random.Random, head: Head, body: bytes) -> Wire:
    data = bytearray(body)
    for _ in range(rng.randint(1, 8)):
        if data:
            data[rng.randrange(len(data))] = rng.choice(
                (0, 0xFF, 0x22, 0x7B, 0x5B, rng.randrange(256))
            )
    return _sent(head, bytes(data))


def more_bytes(rng: random.Random, head: Head, body: bytes) -> Wire:
    return _sent(head, body + rng.choice((b"\x00", b" ", b"{}", b"x" * 5000, body)))


def json_value(rng: random.Random, head: Head, body: bytes) -> Wire:
    """Another value at a random place of the document."""
    return _json(rng, head, body, lambda _: rng.choice(VALUES))


def json_shape(rng: random.Random, head: Head, body: bytes) -> Wire:
    """The value of one place in a list, in an object, as text, or twice."""
    wrap: tuple[Callable[[Any], Any], ...] = (
        lambda old: [old], lambda old: {"a": old}, lambda old: str(old), lambda old: [old, old],
        lambda old: old * 2 if isinstance(old, (str, list)) else [old],
        lambda old: list(old) if isinstance(old, (dict, str)) else old,
    )  # fmt: skip
    return _json(rng, head, body, rng.choice(wrap))


def json_dropped(rng: random.Random, head: Head, body: bytes) -> Wire:
    return _json(rng, head, body, None)


def json_raw(rng: random.Random, head: Head, body: bytes) -> Wire:
    """What no serialiser writes, in the place of one value."""
    marker = "\ue123marker\ue123"
    found = _changed(rng, body, lambda _: marker)
    if found is None:
        return other_body(rng, head, body)
    text = json.dumps(found).replace(json.dumps(marker), rng.choice(_RAW), 1)
    return _sent(head, text.encode())


def endless(rng: random.Random, head: Head, body: bytes) -> Wire:
    """More and more of something, for as long as the client listens."""
    kind = rng.choice(
        ("body", "chunks", "headers", "trailers", "interim", "drip", "drip head", "zeros")
    )
    plain = head.without("Content-Length").without("Transfer-Encoding")
    yield from {
        "body": lambda: _for_ever(_encoded(plain) + body, _PIECE),
        "zeros": lambda: _for_ever(_encoded(plain) + body, b" " * 65536),
        "chunks": lambda: _for_ever(_encoded(_chunked(plain)), b"10000\r\n" + _PIECE + b"\r\n"),
        "headers": lambda: _for_ever(_encoded(plain)[:-2], b"X: " + b"y" * 60_000 + b"\r\n"),
        "trailers": lambda: _for_ever(_encoded(_chunked(plain)) + b"0\r\n", b"T: x\r\n" * 99),
        "interim": lambda: _for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        "drip": lambda: _for_ever(_encoded(plain.with_("Content-Length", "99999")), b" ", 0.1),
        "drip head": lambda: _for_ever(_encoded(plain)[:-2] + b"X: ", b"y", 0.1),
    }[kind]()


def _chunked(head: Head) -> Head:
    return head.with_("Transfer-Encoding", "chunked")


def _for_ever(first: bytes, more: bytes, pause_s: float = 0.0) -> Wire:
    until = time.monotonic() + ENDLESS_S
    yield first
    while time.monotonic() < until:
        yield more
        if pause_s:
            time.sleep(pause_s)


def _json(rng: random.Random, head: Head, body: bytes, change: Callable[[Any], Any] | None) -> Wire:
    found = _changed(rng, body, change)
    if found is None:
        return wrong_bytes(rng, head, body)
    return _sent(head, json.dumps(found).encode())


def _changed(rng: random.Random, body: bytes, change: Callable[[Any], Any] | None) -> Any:
    """Return the document with one place changed or dropped; None if it is no JSON."""
    try:
        document = json.loads(body)
    except ValueError:
        return None
    places = list(_places(document))
    if not places:
        return change(document) if change else None
    holder, key = rng.choice(places)
    if change:
        holder[key] = change(holder[key])
    else:
        del holder[key]
    return document


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = (
        value.items() if isinstance(value, dict)
        else enumerate(value) if isinstance(value, list) else ()
    )  # fmt: skip
    for key, part in list(items):
        yield value, key
        yield from _places(part)


_MUTATIONS: dict[str, Mutation] = {
    each.__name__: each
    for each in (
        other_status, odd_status_line, redirect, odd_location, challenge, header_value,
        header_dropped, header_twice, header_junk, cut_short, cut_clean, head_cut, other_length,
        closes, gzipped, chunked_oddly, other_body, web_page, wrong_bytes, more_bytes, json_value,
        json_shape, json_dropped, json_raw, endless,
    )
}  # fmt: skip
