"""Text that is fit to be shown: without credentials, and without what a terminal would obey."""

from __future__ import annotations

import re

_NAMED = (
    "password|passwd|access_token|refresh_token|id_token|client_secret|api_?key|secret_access_key"
)
_SECRETS = (
    # Keys whose first letters say whose they are.
    re.compile(r"\bhf_[A-Za-z0-9]{6,}"),
    re.compile(r"\b(?:gh[oprsu]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|gl[a-z]{2,5}-[\w-]{16,})"),
    re.compile(r"\b(?:dckr_[a-z]{3}_[\w-]{10,}|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{50,})"),
    re.compile(r"\b(?:xox[abeprs]-[\w-]{10,}|nvapi-[\w-]{20,}|sk-(?:[a-z]+-)?[A-Za-z0-9_]{32,})"),
    re.compile(r"\b(?:AKC[pP][A-Za-z0-9]{40,}|cmVmdGtuO[A-Za-z0-9]{20,})"),  # Artifactory's
    re.compile(r"\bsha256~[A-Za-z0-9_-]{16,}"),  # OpenShift's
    re.compile(r"\beyJ[\w-]{8,4000}\.[\w-]{8,}(?:\.[\w-]*)?"),  # RFC 7519: JSON begins with {"
    # Headers (RFC 9110, section 11.6.2), whatever the scheme, quoted or not.
    re.compile(r"""(?i)\b((?:proxy-)?authorization["']?\s*[:=]\s*["']?(?:[a-z]+ +)?)[^\s"',]+"""),
    re.compile(r"(?i)(?<=\bbearer )(?!realm)(?=\S{20}|\S*[0-9])[A-Za-z0-9._~+/=-]+"),
    re.compile(r"(?i)(?<=\bx-auth-token: )[A-Za-z0-9._~+/=-]+"),
    re.compile(r"(?i)(?<=\bbasic )[A-Za-z0-9+/=]{6,}"),
    # Logins in addresses: up to the last @, a password may hold others; a slash in it too, unless
    # a port stands before it; without a scheme, as proxies are written; and percent-encoded.
    re.compile(r"(?<=://)[^/\s]+(?=@)"),
    re.compile(r"(?<=://)[^/\s:@]{1,200}:(?![0-9]{1,5}(?:/|$))[^\s@]{1,300}(?=@)"),
    re.compile(
        r"(?<![\w/.:@-])(?!mailto:)[\w.%+-]{1,100}:[^\s/@:]{1,200}(?=@(?!sha\d+:)[\w.-]+(?::\d+|\.[a-z]))"
    ),
    re.compile(r"(?i)(?<=%3A%2F%2F)[^\s&?#]{1,200}?(?=%40)"),
    # Values whose names say it: of an address's query, of a setting, of a JSON object.
    re.compile(
        r"(?i)(?<=[?&])(?:token|sig|signature|x-(?:amz|goog)-[a-z-]+|" + _NAMED + r")=[^&\s]+"
    ),
    re.compile(rf"(?i)((?:\b|_)(?:{_NAMED})=[\"']?)[^\s\"',;&*]+"),
    re.compile(
        rf"""(?i)(["'](?:auth|token|identitytoken|registrytoken|{_NAMED})["']\s*:\s*["'])[^"']+"""
    ),
)
_LONGEST = 2000


def redact(text: str) -> str:
    """Return text with anything that looks like a credential replaced by ``***``."""
    for pattern in _SECRETS:
        text = pattern.sub(rf"\g<{pattern.groups}>***" if pattern.groups else "***", text)
    return text


def printable(text: str) -> str:
    r"""Return text with what no terminal should obey or hide escaped (``\n``, ``\x1b``).

    Names and annotations come from strangers. Besides control characters these are marks that
    turn the direction of what follows, invisible ones, odd blanks and halves of pairs: all that
    Unicode calls format, separator, surrogate, private or unassigned.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def lines_of(text: str) -> str:
    """Return text of several lines, such as a traceback, each made printable."""
    return "\n".join(map(printable, text.split("\n")))


def one_line(text: str) -> str:
    r"""Return text on one printable line, as ``printable`` does, its length capped."""
    escaped = printable(text[: _LONGEST + 1])
    return escaped if len(escaped) <= _LONGEST else escaped[:_LONGEST] + "..."
