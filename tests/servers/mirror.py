"""What a mirror of the hub does otherwise: serves under a path, leaves out, sends pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

LOGIN_PAGE = b"<!doctype html><html><body><form>Sign in</form></body></html>"


def _same(kind: str, document: Any) -> Any:
    return document


@dataclass(frozen=True, slots=True)
class Mirror:
    """A mirror's ways; the kinds of questions are ``info``, ``tree`` and ``file``.

    Attributes:
        prefix: Path it serves under, such as ``/api/huggingface``.
        lacks: Headers it does not pass on, in lower case.
        pages: Kinds that it answers with a login page and 200.
        refuses: Kinds that it answers with a status and no word of the hub's.
        moved: Address it sends every question to, with the path if it has none; empty for none.
        edit: Called with the kind and the document of each answer; returns what is sent.
        link: Called with the address of the next page; returns what is sent, empty for none.
        heads: Whether it answers HEAD.
        login: The one ``Authorization`` it takes; empty for the hub's tokens.
    """

    prefix: str = ""
    lacks: frozenset[str] = frozenset()
    pages: frozenset[str] = frozenset()
    refuses: Mapping[str, int] = field(default_factory=dict)
    moved: str = ""
    edit: Callable[[str, Any], Any] = _same
    link: Callable[[str], str] = str
    heads: bool = True
    login: str = ""
