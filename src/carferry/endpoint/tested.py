"""The result of a test: what answered, how fast, and whether that is what was planned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from carferry.endpoint.answer import Answer
from carferry.endpoint.load import Level
from carferry.endpoint.numbers import Spread

COLUMNS = (
    "at once", "answered", "failed", "first token", "95 %", "whole answer", "95 %",
    "tokens/s each", "tokens/s in all",
)  # fmt: skip
_PLANS_ERROR = 0.10
"""How far the KV cache may lie from the plan: its own error on published logs is below."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What was known of a deployment before it was asked.

    Attributes:
        max_model_len: Longest sequence, tokens; 0: unknown.
        kv_tokens: That the GPU plan expects in the KV cache; 0: unknown.
    """

    max_model_len: int = 0
    kv_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """A model server that answered.

    Attributes:
        name: What was tested: ``namespace/name``, or an address.
        url: Where it answered.
        through: What stood between; empty for nothing.
        answer: To one request.
        levels: Of the load; empty if none was laid on.
        kv_tokens: That vLLM's KV cache holds; 0 if it does not say.
        expected: Before.
        notes: What a reader should know, a line each.
    """

    name: str
    url: str
    through: str
    answer: Answer
    levels: tuple[Level, ...] = ()
    kv_tokens: int = 0
    expected: Expected = field(default_factory=Expected)
    notes: tuple[str, ...] = ()

    @property
    def failures(self) -> int:
        """Requests of the load that failed."""
        return sum(level.failures for level in self.levels)

    @property
    def headline(self) -> str:
        """The answer in one line."""
        answer = self.answer
        way = f" through {self.through}" if self.through else ""
        return (
            f"{self.name} answers{way}: {answer.task.name}, {answer.said}, "
            f"in {seconds(answer.seconds)}"
        )

    @property
    def facts(self) -> Iterator[str]:
        """Yield what else was found, a line each."""
        answer = self.answer
        length = answer.model.max_model_len
        tokens = f", up to {length} tokens" if length else ""
        yield f"model {answer.model.name}{tokens}"
        others = [name for name in answer.models if name != answer.model.name]
        if others:
            yield f"also served: {', '.join(others[:10])}"
        yield from self.comparison
        if self.failures:
            said = next(level.failure for level in self.levels if level.failure)
            yield f"{self.failures} requests failed, the first with: {said}"
        yield from self.notes

    @property
    def comparison(self) -> Iterator[str]:
        """Yield how the KV cache compares with the plan, if both are known."""
        if not self.kv_tokens:
            return
        planned = self.expected.kv_tokens
        if not planned:
            yield f"the KV cache holds {self.kv_tokens} tokens"
            return
        off = self.kv_tokens / planned - 1
        verdict = "as planned" if abs(off) <= _PLANS_ERROR else "not as planned"
        yield (
            f"the KV cache holds {self.kv_tokens} tokens, the plan said {planned} "
            f"({off:+.0%}): {verdict}"
        )

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield the cells of the load's levels, in the order of COLUMNS."""
        for level in self.levels:
            yield (
                str(level.streams),
                str(level.requests),
                str(level.failures),
                *_spread(level.first),
                *_spread(level.whole),
                "-" if level.stream_rate is None else f"{level.stream_rate:.1f}",
                f"{level.tokens_per_s:.1f}" if level.first else "-",
            )

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers, for charts over many runs; seconds and tokens per second."""
        found: dict[str, float | None] = {"answer_seconds": self.answer.seconds}
        if self.kv_tokens:
            found["kv_tokens"] = self.kv_tokens
        for level in self.levels:
            at = f"at_{level.streams}"
            found[f"first_token_seconds_{at}"] = level.first.median if level.first else None
            found[f"first_token_seconds_p95_{at}"] = level.first.p95 if level.first else None
            found[f"tokens_per_second_{at}"] = level.tokens_per_s if level.first else None
            found[f"requests_per_second_{at}"] = level.requests_per_s
            found[f"failures_{at}"] = level.failures
        return {name: float(value) for name, value in found.items() if value is not None}

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        answer = self.answer
        return {
            "name": self.name,
            "url": self.url,
            "through": self.through,
            "model": answer.model.name,
            "models": list(answer.models),
            "max_model_len": answer.model.max_model_len,
            "task": answer.task.name,
            "said": answer.said,
            "seconds": answer.seconds,
            "levels": [asdict(level) for level in self.levels],
            "kv_tokens": self.kv_tokens,
            "expected": asdict(self.expected),
            "failures": self.failures,
            "notes": list(self.notes),
        }


def seconds(value: float) -> str:
    """Return a time as people read it: ``8 ms``, ``0.42 s``, ``12 s``."""
    if value < 0.1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def _spread(spread: Spread | None) -> tuple[str, str]:
    return (seconds(spread.median), seconds(spread.p95)) if spread else ("-", "-")
