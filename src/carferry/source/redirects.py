"""Where a hub keeps small files: learned from its own redirects, so that each costs one request.

The public hub answers ``/resolve/`` of a file that is not in LFS with 307 to its resolve cache on
the same host, one round trip more for every file. The address holds repository, commit and path
and no signature, so that of the next file follows from that of the last. It is nowhere promised:
an answer counts only if its ETag is the file's own git id, and anything else is asked for in the
documented way. Source: docs/adr/0026-small-files.md.
"""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from carferry.source.snapshot import SourceFile

# A hub that refuses what it redirected to a moment ago does not mean it to be asked for.
_REFUSALS = 3
_ADDRESS, _ID = "{address}", "{id}"


class Redirects:
    """The form of one repository's redirects at one commit; shared by all who read from it."""

    def __init__(self) -> None:
        self._prefix = ""
        self._query = ""
        self._refusals = 0

    def guess(self, file: SourceFile, url: str) -> str:
        """Return the address that ``url`` would be redirected to; empty if it is not known.

        Args:
            file: What is read; only a file with a git id, since links to LFS files are signed.
            url: Its documented address.
        """
        if not self._prefix or self._refusals >= _REFUSALS or file.content.kind != "git":
            return ""
        query = self._query.replace(_ADDRESS, _address(url)).replace(_ID, file.content.hex)
        return f"{self._prefix}{quote(file.path)}{query}"

    def learn(self, file: SourceFile, url: str, found: str) -> None:
        """Note where ``url`` was redirected to on its own host.

        Args:
            file: What was read there.
            url: Its documented address.
            found: The address that answered.
        """
        address, mark, query = found.partition("?")
        name = quote(file.path)
        if file.content.kind != "git" or not address.endswith(f"/{name}"):
            return
        query = query.replace(_address(url), _ADDRESS).replace(file.content.hex, _ID)
        self._prefix, self._query = address.removesuffix(name), mark + query

    def refused(self) -> None:
        """Note that a guess was wrong; after a few there are no more."""
        self._refusals += 1


def _address(url: str) -> str:
    """Return the form in which the public hub repeats the first address in the query."""
    return quote(urlsplit(url).path, safe="")
