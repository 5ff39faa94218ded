"""Read the log of a start of vLLM, of any version from 0.8 to 0.33, whatever stands before a line.

A line is looked at if it holds one of a few words, so that a log of a day is read in seconds.
Time stamps and process names need no rule: a pattern is searched, not matched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from typing import Any

from carferry.errors import InputError
from carferry.gpu.log.formats import (
    FAILURES,
    FIXED_KV,
    GPUS,
    LINES,
    RESERVES,
    SETTINGS,
    VERSIONS,
)
from carferry.gpu.log.settings import read_settings
from carferry.gpu.log.started import StartLog
from carferry.shown import one_line

_LONGEST = 32_768  # bytes of one line; the configuration stands at its beginning
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_WORDS = tuple(
    dict.fromkeys(
        (
            *(word for word, _ in (*LINES, *FAILURES)),
            *SETTINGS, FIXED_KV, RESERVES, b"version ", b"(v", b"device_name=", b"GPU 0",
        )
    )
)  # fmt: skip
_ANY = re.compile(b"|".join(map(re.escape, _WORDS)))
_BLOCK = 1 << 16  # bytes
_LEAST = {"kv_gib", "tokens", "concurrency", "blocks"}
_LAST = {"max_model_len", "max_num_batched_tokens", "utilization"}
_KINDS = {each.name: str(each.type) for each in fields(StartLog)}
_V0_BLOCK = 16  # tokens, unless --block-size is given (config.py, CacheConfig)
_GENERAL = "the engine failed to start"


def parse_log(lines: Iterable[bytes], name: str = "the log") -> StartLog:
    """Return what a log says of the last start in it.

    Args:
        lines: Of the log, in any encoding; a very long one may come in parts.
        name: What to call it in errors.

    Raises:
        InputError: No line of a start of vLLM is among them.
    """
    start, starts, count = dict[str, Any](), 1, 0
    for line, words in _telling(lines):
        if "weights_gib" in start and _is_banner(line):
            start, starts = {}, starts + 1
        if found := dict(_told(line, words)):
            count += 1
            for field, value in found.items():
                start[field] = _kept(field, start.get(field), value)
    if not start.keys() - {"gpu", "failure"}:
        reason, remedy = "no line of a start of vLLM in it", "take the log from its first line on"
        raise InputError("read", name, reason, remedy)
    return _finished(StartLog(**start, starts=starts, lines=count))


def _telling(lines: Iterable[bytes]) -> Iterator[tuple[str, set[bytes]]]:
    """Yield the lines that may say something, without colours, and which words they hold."""
    for line in _worth(lines):
        if _ANY.search(line):
            held = {word for word in _WORDS if word in line}
            yield _COLOUR.sub("", line[:_LONGEST].decode("utf-8", "replace")), held


def _worth(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of each block that holds a word: most of a day's log is passed over so."""
    block, size = list[bytes](), 0
    for line in lines:
        block.append(line)
        size += len(line)
        if size >= _BLOCK:
            yield from block if _holds(block) else ()
            block, size = [], 0
    yield from block


def _holds(block: list[bytes]) -> bool:
    joined = b"".join(block)
    return any(word in joined for word in _WORDS)


def _told(line: str, words: set[bytes]) -> Iterator[tuple[str, Any]]:
    """Yield (field, value) for everything one line says."""
    for word, patterns in LINES:
        if word in words:
            for match in filter(None, (pattern.search(line) for pattern in patterns)):
                yield from (
                    (field, _number(field, text)) for field, text in match.groupdict().items()
                )
    yield from (("failure", why) for word, why in FAILURES if word in words)
    yield from _named(line, words)
    if words.intersection(SETTINGS):
        yield "has_settings", True
        yield from read_settings(line).items()
    if FIXED_KV in words:
        yield "fixed_kv", True
    if RESERVES in words:
        yield "reserves", "profiling is enabled" in line


def _named(line: str, words: set[bytes]) -> Iterator[tuple[str, Any]]:
    if words & {b"version ", b"(v"}:
        for match in filter(None, (pattern.search(line) for pattern in VERSIONS)):
            yield "version", match[1].removeprefix("v")
    if words & {b"device_name=", b"GPU 0"}:
        for match in filter(None, (pattern.search(line) for pattern in GPUS)):
            yield "gpu", one_line(match[1].replace("_", " ").strip())


def _is_banner(line: str) -> bool:
    """Return whether a server starts here; an engine that tells its version is a part of one."""
    return any(pattern.search(line) for pattern in (VERSIONS[0], VERSIONS[2]))


def _kept(field: str, held: Any, value: Any) -> Any:
    """Return what is kept: of ranks the least cache and the most of all else, of words the last."""
    if field == "failure":
        return held if held and value == _GENERAL else value
    if held is None or field in _LAST or not isinstance(value, int | float):
        return value
    return (min if field in _LEAST else max)(held, value)


def _number(field: str, text: str) -> int | float:
    plain = text.replace(",", "")
    return int(plain) if _KINDS[field].startswith("int") else float(plain)


def _finished(log: StartLog) -> StartLog:
    """Split what vLLM tells together since 0.27, and count what V0 tells in blocks."""
    if log.consumed_gib is not None and log.weights_gib is not None and log.non_torch_gib is None:
        log = replace(log, non_torch_gib=round(log.consumed_gib - log.weights_gib, 2))
    if log.peak_gib is not None and log.activation_gib is None:
        reserved = 0.0 if log.reserves is False else log.reserved_gib or 0.0
        log = replace(log, activation_gib=round(max(log.peak_gib - reserved, 0.0), 2))
    if log.blocks is not None and log.tokens is None:
        log = replace(log, tokens=log.blocks * (log.block or _V0_BLOCK))
    return log
