"""Progress as JSON, one object per line and event, for programs (docs/reference/progress.md)."""

from __future__ import annotations

import json
from typing import IO

from carferry.io.show.display import write
from carferry.io.show.lines import SILENT_S
from carferry.io.show.tally import Phase, Tally
from carferry.shown import redact

_EVERY_S = 1.0


class Events:
    """One JSON object per line and event; chunks are summed to one event a second per name.

    Args:
        out: A text stream.
    """

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._pending: dict[str, int] = {}
        self._sent: dict[str, float] = {}
        self._told_s = SILENT_S

    def expected(self, size_bytes: int, items: int, tally: Tally) -> None:
        """Emit ``expect``."""
        self._emit("expect", size_bytes=size_bytes, items=items, total_bytes=tally.size_bytes)

    def begun(self, name: str, size_bytes: int, tally: Tally) -> None:
        """Emit ``begin``."""
        self._pending.pop(name, None)
        self._emit("begin", name=redact(name), size_bytes=size_bytes, total_bytes=tally.size_bytes)

    def moved(self, name: str, size_bytes: int, tally: Tally, now: float) -> None:
        """Emit ``advance`` with what has moved since the last one."""
        self._told_s = SILENT_S
        self._pending[name] = self._pending.get(name, 0) + size_bytes
        if now - self._sent.get(name, -_EVERY_S) >= _EVERY_S:
            self._sent[name] = now
            tally.measure(now)
            self._advance(name, tally)

    def ended(self, name: str, size_bytes: int, note: str, tally: Tally) -> None:
        """Emit ``end``, after what was still pending."""
        self._told_s = SILENT_S
        self._sent.pop(name, None)
        if self._pending.get(name):
            self._advance(name, tally)
        counts = {"items_ended": tally.ended.total(), "items": tally.expected_items}
        self._emit("end", name=redact(name), how=note, **counts)

    def noted(self, text: str, tally: Tally) -> None:
        """Emit ``note``."""
        self._emit("note", text=redact(text))

    def entered(self, phase: Phase, tally: Tally) -> None:
        """Emit ``phase``."""
        self._emit("phase", text=redact(phase.text), host=redact(phase.host))

    def ticked(self, tally: Tally, now: float) -> None:
        """Emit ``wait`` when nothing has come for long."""
        tally.measure(now)
        silent_s = tally.silent_s(now)
        if silent_s >= self._told_s:
            self._told_s *= 2
            phase = tally.phases[-1]
            words = {"text": redact(phase.text), "host": redact(phase.host)}
            self._emit("wait", **words, silent_s=round(silent_s))

    def closed(self, tally: Tally) -> None:
        """Emit nothing: the result says that it is over."""
        self._told_s = SILENT_S

    def _advance(self, name: str, tally: Tally) -> None:
        self._emit(
            "advance",
            name=redact(name),
            size_bytes=self._pending.pop(name),
            done_bytes=tally.done_bytes,
            total_bytes=tally.size_bytes,
            bytes_per_s=round(tally.rate),
            seconds_left=round(tally.seconds_left),
        )

    def _emit(self, event: str, **fields: object) -> None:
        write(self._out, json.dumps({"event": event, **fields}) + "\n")
