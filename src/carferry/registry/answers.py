"""What the body of a refusal says: in whatever shape it comes, one short sentence.

The specification has one shape, ``{"errors": [{"code", "message", "detail"}]}``; what stands before
or around a registry has others. Shapes were read in the sources or the documentation that
``tests/registry_answers.py`` names beside each.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from carferry.io.documents import NotJson, parsed
from carferry.refs import Digest

_LONGEST = 300
# Of a page only its start is looked through: its title stands there, and a search stays short.
_HEAD = 8 * 1024
_MOST_DIGESTS = 10_000
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})(?![0-9a-f])")
_UNKNOWN_BLOBS = {"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"}
# Quay and Artifactory call it an invalid manifest and say in words that a blob is missing.
_BLOB_IN_WORDS = re.compile(
    r"(?i)\b(?:blob|layer|config)s?\b.{0,120}"
    r"\b(?:unknown|missing|not (?:be )?found|not exist|no longer)"
    r"|\b(?:unknown|missing)\b.{0,40}\b(?:blob|layer)"
)
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_]{2,63}")
_TOO_DEEP = "something nested too deep to be read"
_NO_CODES = {"Failure", "error"}
# distribution's file system driver shows Go's error as a number: ENOSPC.
_DISK_FULL = re.compile(r'"Err": 28\b')
_HEADINGS = tuple(re.compile(rf"(?is)<{tag}\b[^>]*>(.*?)</{tag}") for tag in ("title", "h1", "h2"))
_HIDDEN = re.compile(r"(?is)<(script|style)\b.*?(?:</\1|\Z)")
_TAG = re.compile(r"<[^<>]*>?")
# Two searches: one with two open ends would try all pairs of what a stranger repeats.
_XML_CODE = re.compile(r"(?i)<Code>([^<]{0,100})</Code>")
_XML_MESSAGE = re.compile(r"(?i)<Message>([^<]{0,1000})</Message>")
# Where registries, their gateways and Kubernetes put words, best first.
_TEXTS = (
    "message",
    "errorMessage",
    "error_description",
    "details",
    "detail",
    "description",
    "reason",
    "error",
    "title",
)


@dataclass(frozen=True, slots=True)
class Said:
    """What a refusal says.

    Attributes:
        code: The registry's own code, as ``DENIED``; empty if it gave none.
        text: Its message on one line, of bounded length; empty if there is none.
        is_page: It came as a web page: something that is no registry answered.
        lacks_blobs: A manifest was refused since blobs that it names are not there.
        digests: What it names of those.
    """

    code: str = ""
    text: str = ""
    is_page: bool = False
    lacks_blobs: bool = False
    digests: tuple[Digest, ...] = ()

    def __str__(self) -> str:
        """Return ``CODE: text``, or what there is of it."""
        return ": ".join(part for part in (self.code, self.text) if part)


def read_answer(body: str) -> Said:
    """Return what a refusal's body says; a body that makes no sense says its own start.

    Args:
        body: As it came, not trusted.
    """
    try:
        found = parsed(body)
        if not isinstance(found, dict | list):
            return Said(text="" if found is None else _short(str(found)))
        return _of_errors(list(_errors(found)))
    except RecursionError:  # of writing it again, which takes a little more than reading it
        return Said(text=_TOO_DEEP)
    except NotJson as error:
        if isinstance(error.__cause__, RecursionError):
            return Said(text=_TOO_DEEP)
        return _of_markup(body) if body.lstrip()[:1] == "<" else Said(text=_short(body))


def page_title(data: bytes) -> str:
    """Return what a web page that came as a document says first; empty if it is none."""
    said = (
        read_answer(data[:_HEAD].decode("utf-8", "replace"))
        if data.lstrip()[:1] == b"<"
        else Said()
    )
    return said.text or "without words" if said.is_page else ""


def _errors(found: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects that speak of the error, whatever they are wrapped in."""
    every = found.get("errors") if isinstance(found, dict) else found
    named = [each for each in every if isinstance(each, dict)] if isinstance(every, list) else []
    if named:
        yield from named
    elif isinstance(every, list) and every:
        yield {"message": every[0]}
    elif isinstance(found, dict):
        inner = found.get("error")
        yield inner if isinstance(inner, dict) else found


def _of_errors(errors: list[dict[str, Any]]) -> Said:
    if not errors:
        return Said()
    first = errors[0]
    code, text = _code(first), _text(first)
    lacking = [each for each in errors if _lacks_blobs(each)]
    digests = tuple(dict.fromkeys(_digests(lacking)))[:_MOST_DIGESTS]
    if lacking and digests:
        more = f" and {len(digests) - 1} more" if len(digests) > 1 else ""
        text = f"{text.partition('sha256:')[0].strip(' :')} {digests[0]}{more}".strip()
    return Said(code, text, lacks_blobs=bool(lacking), digests=digests)


def _code(error: dict[str, Any]) -> str:
    """Return a code in letters; numbers repeat the status."""
    for name in ("code", "status", "reason"):
        found = error.get(name)
        if isinstance(found, str) and _CODE.fullmatch(found) and found not in _NO_CODES:
            return found
    return ""


def _text(error: dict[str, Any]) -> str:
    texts = (error.get(name) for name in _TEXTS)
    message = next((_short(text) for text in texts if isinstance(text, str) and text.strip()), "")
    detail = error.get("detail")
    if _DISK_FULL.search(_words(error)):
        detail = "no space left on its disk"
    if isinstance(detail, dict):
        detail = next((detail[n] for n in _TEXTS if isinstance(detail.get(n), str)), "")
    if isinstance(detail, str) and detail.strip() and _short(detail) != message:
        return _short(f"{message} {detail}")
    return message


def _lacks_blobs(error: dict[str, Any]) -> bool:
    code = _code(error).upper()
    if code in _UNKNOWN_BLOBS:
        return True
    return code == "MANIFEST_INVALID" and bool(_BLOB_IN_WORDS.search(_words(error)))


def _words(error: dict[str, Any]) -> str:
    return json.dumps(error)[:_HEAD]


def _digests(errors: Iterable[dict[str, Any]]) -> Iterator[Digest]:
    for error in errors:
        for found in _DIGEST.finditer(json.dumps(error)):
            yield Digest(found[1])


def _of_markup(body: str) -> Said:
    """Return the title of a page, its first heading, or its words; of XML its code."""
    head = body[:_HEAD]
    code, message = _XML_CODE.search(head), _XML_MESSAGE.search(head)
    if code and message:
        return Said(_plain(code[1]), _plain(message[1]))
    headings = (pattern.search(head) for pattern in _HEADINGS)
    texts = [text for found in headings if found and (text := _plain(found[1]))]
    return Said(text=texts[0] if texts else _plain(_HIDDEN.sub(" ", head)), is_page=True)


def _plain(markup: str) -> str:
    return _short(html.unescape(_TAG.sub(" ", markup)))


def _short(text: str) -> str:
    line = " ".join(text[: 4 * _LONGEST].split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
