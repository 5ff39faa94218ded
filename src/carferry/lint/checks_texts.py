"""Names, lengths and characters; and what must never stand in a pipeline."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from carferry.lint.document import CompiledPipeline
from carferry.lint.rules import Finding, error, warning
from carferry.shown import redact

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LONGEST_NAME = 128
_LONGEST_TEXT = 255
_STARS = "***"
_PLACEHOLDER = re.compile(r"[{}$<>*]")
_LAST_BASIC = 0xFFFF
_SECRET_NAME = re.compile(r"(?i)(?:^|[_-])(?:token|password|passwd|secret[_-]?key|api[_-]?key)$")


def check_texts(document: CompiledPipeline) -> Iterator[Finding]:
    """Yield names and texts that a server or a form refuses."""
    name = document.pipeline_name
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        why = f"{name[:140]!r} is not a-z, 0-9, - and . in at most {_LONGEST_NAME} characters"
        yield error("pipeline-name", "pipelineInfo.name", why, "rename the pipeline")
    info = document.pipeline["pipelineInfo"]
    for field in ("displayName", "description"):
        yield from _long(f"pipelineInfo.{field}", info.get(field, ""))
    for key, spec in document.root.get("inputDefinitions", {}).get("parameters", {}).items():
        yield from _long(f"root.{key}", spec.get("description", ""))
        yield from _long(f"root.{key} (name)", key)
    yield from _characters(document.text)


def _long(where: str, text: str) -> Iterator[Finding]:
    if len(text) > _LONGEST_TEXT:
        why = f"{len(text)} characters, of {_LONGEST_TEXT}"
        yield warning("text-length", where, why, "shorten it")


def _characters(text: str) -> Iterator[Finding]:
    """Yield the first line with a character that is not ASCII, and of the worse kind first."""
    if text.isascii():
        return
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if not line.isascii()]
    far = [n for n, line in lines if max(map(ord, line)) > _LAST_BASIC]
    number = far[0] if far else lines[0][0]
    why = f"{len(lines)} lines hold characters outside ASCII" + (
        ", and of the kind MySQL's utf8 cannot hold" if far else ""
    )
    made = error if far else warning
    yield made("not-ascii", f"line {number}", why, "write it in ASCII")


def check_credentials(document: CompiledPipeline) -> Iterator[Finding]:
    """Yield the places of texts that look like credentials, and nothing of the texts."""
    for part in (document.pipeline, document.platforms):
        for path, text in _texts(part, ""):
            if any(map(_is_credential, _redacted(text))) or _is_secret(path, text):
                why = "looks like a token or password (not shown)"
                yield error("credential", path, why, "take it from a Secret; revoke this one")


def _redacted(text: str) -> Iterator[str]:
    """Yield what ``redact`` takes out of a text."""
    first, *others = redact(text).split(_STARS)
    start = len(first)
    for kept in others:
        found = text.find(kept, start) if kept else len(text)
        end = found if found >= 0 else len(text)
        yield text[start:end]
        start = end + len(kept)


def _is_credential(text: str) -> bool:
    """Return whether it may be one, and no name in code or words after "basic"."""
    return not _PLACEHOLDER.search(text) and (":" in text or (len(text) > 11 and _has_digit(text)))


def _has_digit(text: str) -> bool:
    return any(character.isdigit() for character in text)


def _is_secret(path: str, text: str) -> bool:
    """Return whether a default or variable is named for a secret and holds more than a name."""
    owner = path.removesuffix(".defaultValue").removesuffix(".constant").rsplit(".", 1)[-1]
    named = path != owner and path.endswith((".defaultValue", ".constant"))
    return named and bool(_SECRET_NAME.search(owner)) and bool(text)


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        if isinstance(value.get("name"), str) and isinstance(value.get("value"), str):
            yield f"{path}.{value['name']}.constant", value["value"]
        for key, inner in value.items():
            yield from _texts(inner, f"{path}.{key}".removeprefix("."))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, f"{path}[{index}]")
    elif isinstance(value, str):
        yield path, value
