"""How long servers ask to be left alone, and the hosts that have asked.

Sources: RFC 9110, section 10.2.3 (Retry-After: seconds, or a date);
draft-ietf-httpapi-ratelimit-headers, whose later form (``"api";r=0;t=55``) the public hub sends and
whose earlier ones are older gateways'; huggingface.co/docs/hub/rate-limits for the hub's buckets;
Docker Hub's ``RateLimit-Remaining: 0;w=21600`` and ``X-RateLimit-Reset``, a time since 1970.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

Place = tuple[str, str]
"""Host with port, and the part of it whose requests are counted by themselves."""

_SECONDS = re.compile(r"[0-9]{1,18}")
_ITEM = re.compile(r'(?:"[^"]*"|[^",])+')
_PAIR = re.compile(r"\b(r|t|remaining|reset)\s*=\s*([0-9]{1,18})\b")
_NAMES = {"remaining": "r", "reset": "t"}
# A reset above is a time since 1970, below it seconds from now: 1e9 s are 31 years.
_SINCE_1970_S = 1_000_000_000
_BUSY = {429, 503}
# An hour in all at the public hub, whose windows are five minutes.
_MOST_GRANTED = 12


def place_of(url: str) -> Place:
    """Return what a pause holds for: the hub counts its API and its files by themselves."""
    parts = urlsplit(url)
    is_file, is_api = "/resolve/" in parts.path, parts.path.startswith("/api/")
    return parts.netloc.rpartition("@")[2].lower(), "files" if is_file else "api" if is_api else ""


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds a server that refused asks to wait; 0 if it does not say.

    Args:
        headers: Of its answer, their names in any case.
    """
    lower = {name.lower(): text for name, text in headers.items()}
    text = lower.get("retry-after", "").strip() or lower.get("x-retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return _from_now(float(text))
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return max(_used_up_s(lower), _window_s(lower))


def pause_after(status: int, headers: Mapping[str, str]) -> float:
    """Return the seconds until the next request is welcome, by any answer; 0 for at once.

    An answer that was the last of its window says so: the next request would be refused.
    """
    if status in _BUSY:
        return retry_after(headers)
    return _used_up_s({name.lower(): text for name, text in headers.items()})


class Pauses:
    """Until when each place wants to be left alone; shared by all threads that ask there."""

    def __init__(self) -> None:
        self._until: dict[Place, float] = {}
        self._granted: Counter[Place] = Counter()
        self._lock = threading.Lock()

    def until(self, place: Place) -> float:
        """Return the time, on the caller's clock, from which the place may be asked."""
        return self._until.get(place, 0.0)

    def hold(self, place: Place, until: float, *, refused: bool = True) -> bool:
        """Keep everybody away until then; return whether that is longer than was known.

        Args:
            place: Who asks for it.
            until: On the caller's clock.
            refused: Whether a request failed over it. If none did, no try is counted, and a place
                that asks for a pause with every answer would be waited for without end.
        """
        with self._lock:
            if not refused and self._granted[place] >= _MOST_GRANTED:
                return False
            # Sixteen threads that are refused at once are told the same pause sixteen times.
            is_news = until > self._until.get(place, 0.0) + 1.0
            self._granted[place] += is_news and not refused
            self._until[place] = max(until, self._until.get(place, 0.0))
        return is_news


def _used_up_s(lower: Mapping[str, str]) -> float:
    """Return when a limit of which nothing remains is filled again; 0 if some remains."""
    joined = lower.get("ratelimit", "")
    named = [dict(_pairs(item)) for item in _ITEM.findall(joined)]
    if "=" in joined and "remaining" in joined:
        named = [dict(_pairs(joined))]  # the earlier form: limit=100, remaining=0, reset=50
    for prefix in ("ratelimit", "x-ratelimit"):
        found = lower.get(f"{prefix}-remaining", ""), lower.get(f"{prefix}-reset", "")
        numbers = [_SECONDS.match(text.strip()) for text in found]
        if numbers[0] and numbers[1]:
            named.append({"r": float(numbers[0][0]), "t": float(numbers[1][0])})
    return max((_from_now(each["t"]) for each in named if _is_used_up(each)), default=0.0)


def _is_used_up(limit: Mapping[str, float]) -> bool:
    return limit.get("r") == 0 and "t" in limit


def _pairs(item: str) -> Iterator[tuple[str, float]]:
    for name, number in _PAIR.findall(re.sub(r'"[^"]*"', "", item)):
        yield _NAMES.get(name, name), float(number)


def _window_s(lower: Mapping[str, str]) -> float:
    """Return the window of a used-up limit that does not say when it ends: at worst so long."""
    found = re.fullmatch(r"\s*0\s*;\s*w=([0-9]{1,18})\s*", lower.get("ratelimit-remaining", ""))
    return float(found[1]) if found else 0.0


def _from_now(number: float) -> float:
    return max(0.0, number - time.time()) if number > _SINCE_1970_S else number
