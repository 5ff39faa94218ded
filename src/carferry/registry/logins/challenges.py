"""What a server asks for in ``WWW-Authenticate``, read as its grammar says.

One header may hold several challenges and one answer several headers, in any order. What the
grammar does not know is passed over: a challenge behind it counts as if it stood alone.
Source: RFC 9110, sections 5.6 (lists, quoted strings) and 11.2 to 11.6.1; RFC 6750, section 3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

# Of one answer. Servers send two or three, hundreds of bytes long.
_MOST_CHARACTERS = 16 * 1024
_MOST_CHALLENGES = 16
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TOKEN68 = re.compile(r"[ \t\r\n]+([0-9A-Za-z._~+/-]+=*)(?=[ \t\r\n]*(?:,|\Z))")
_EQUALS = re.compile(r"[ \t\r\n]*=[ \t\r\n]*")
# A string without its end reaches to the end of the header.
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|\\?\Z)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
# Many servers leave out the quotes around an address, which no token can hold.
_UNQUOTED = re.compile(r'[^ \t\r\n,"]*')
_SEPARATORS = re.compile(r"[ \t\r\n,;]+")
_UNKNOWN = re.compile(r'(?:[^," \t\r\n]|"(?:[^"\\]|\\.)*(?:"|\\?\Z))+', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to log in that a server offers.

    Attributes:
        scheme: In lower case: ``bearer``, ``basic``, ``negotiate``, ...
        parameters: Their names in lower case; of a name that is there twice, the first.
        token68: What some schemes send in their place.
    """

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    token68: str = ""

    def __getitem__(self, name: str) -> str:
        """Return a parameter, or an empty string."""
        return self.parameters.get(name, "")


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Return the challenges of all ``WWW-Authenticate`` headers of an answer, in their order.

    Args:
        headers: The value of each header; an empty one, or one without sense, offers nothing.
    """
    found: list[Challenge] = []
    for header in headers:
        found += _parse(header[:_MOST_CHARACTERS])
    return tuple(found[:_MOST_CHALLENGES])


def _parse(text: str) -> list[Challenge]:
    found: list[tuple[str, dict[str, str], str]] = []
    at = 0
    while (at := _behind(_SEPARATORS, text, at)) < len(text):
        name = _TOKEN.match(text, at)
        if name is None:
            at = _behind(_UNKNOWN, text, at)
        elif equals := _EQUALS.match(text, name.end()):
            value, at = _value(text, equals.end())
            if found:
                found[-1][1].setdefault(name[0].lower(), value)
        else:
            token68 = _TOKEN68.match(text, name.end())
            at = (token68 or name).end()
            found.append((name[0].lower(), {}, token68[1] if token68 else ""))
    return [
        Challenge(scheme, MappingProxyType(parameters), token68)
        for scheme, parameters, token68 in found
    ]


def _value(text: str, at: int) -> tuple[str, int]:
    """Return the value that begins there, and where it ends."""
    if quoted := _QUOTED.match(text, at):
        return _ESCAPED.sub(r"\1", quoted[1]), quoted.end()
    end = _behind(_UNQUOTED, text, at)
    return text[at:end], end


def _behind(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
