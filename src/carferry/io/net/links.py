"""The next page of a list, as a ``Link`` header names it.

Source: RFC 8288: ``rel`` may be quoted or not and hold several words, the address be relative;
distribution and the hub quote it, olareg does not.
"""

from __future__ import annotations

import re

_LINK = re.compile(
    r'<(?P<address>[^<>]*)>[^<]*?;\s*rel\s*=\s*(?:"(?P<quoted>[^"]*)"|(?P<plain>[^\s;,"]+))',
    re.IGNORECASE,
)
# A header of addresses without end would be searched again from each of them.
_LONGEST = 8 * 1024


def next_link(header: str) -> str:
    """Return the address of the next page; empty for none."""
    for found in _LINK.finditer(header[:_LONGEST]):
        if "next" in (found["quoted"] or found["plain"] or "").lower().split():
            return str(found["address"])
    return ""
