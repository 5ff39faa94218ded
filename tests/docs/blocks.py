"""The fenced blocks of a page: what is run, what is a file, what a command prints."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

_FENCE = re.compile(
    r"^(?P<indent> *(?:(?:[-*+]|\d+[.)]) +)?)(?P<ticks>`{3,}|~{3,}) *(?P<info>[^`]*)$"
)
_TITLE = re.compile(r'title="([^"]*)"')
_NOT_RUN = re.compile(r"<!-- not run: (?P<reason>.*\S) -->")
_EXIT = re.compile(r"<!-- exit: (?P<code>\d+) -->")
PRINTS = "prints"
LANGUAGES = {
    "bash", "dockerfile", "groovy", "ini", "json", "jsonc", "markdown", "mermaid", "python", "rego",
    "sh", "text", "toml", "yaml",
}  # fmt: skip
_WANTED = (
    "PROJECT|NAME|NAMESPACE|IMAGE|MODEL|FOLDER|FILE|HOST|REF|TOKEN|USER|PASSWORD|DIGEST|REGISTRY"
)
PLACEHOLDERS = (
    re.compile(r"(?<![.\w])\.\.\.(?![.\w])"),
    re.compile(r"(?<![<\w])<[A-Za-z][\w -]*>"),
    re.compile(rf"(?<![$\w{{-])(?<!\bs/)(?:{_WANTED}|YOUR[-_]\w+)(?![\w=])"),
)
_SCRIPT = r"""(?:'[^']*'|"[^"]*"|\S+)"""
# What sed, jq or awk is told to look for: s/PROJECT/models/ needs nothing of the reader.
_PROGRAM = re.compile(rf"\b(?:sed|jq|awk)(?:\s+-\S+)*\s+{_SCRIPT}(?:\s+-e\s+{_SCRIPT})*")


class Fault(Exception):
    """A page breaks the form of a page; says where."""


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Attributes:
        line: Of its opening fence, from one.
        language: First word after the fence.
        title: Name of a file, `PRINTS`, or empty.
        text: Its lines without their common indentation.
        reason: Why it is not run; empty if it is.
        code: The exit status that the last command of it must have.
        prints: What it must print, a block of its own; None to look only at the exit status.
    """

    line: int
    language: str
    title: str
    text: str
    reason: str = ""
    code: int = 0
    prints: Block | None = field(default=None, repr=False)

    @property
    def runs(self) -> bool:
        """Whether a shell or Python gets it."""
        return not self.reason and self.language in ("sh", "python") and not self.title

    @property
    def is_file(self) -> bool:
        """Whether it is a file that later commands read."""
        return bool(self.title) and self.title != PRINTS


def read(page: Path) -> list[Block]:
    """Return the blocks of a page, what is printed with its command.

    Raises:
        Fault: No language, no command before an output, no end.
    """
    return parse(page.read_text())


def parse(text: str) -> list[Block]:
    """Return the blocks of a text, see `read`."""
    return _joined(list(_fences(text.split("\n"))), text.split("\n"))


def _fences(lines: Sequence[str]) -> Iterator[Block]:
    at = 0
    while at < len(lines):
        opening = _FENCE.match(lines[at])
        if opening is None:
            at += 1
            continue
        end = _end(lines, at, opening["ticks"])
        yield _block(lines, at, end, opening)
        at = end + 1


def _end(lines: Sequence[str], start: int, ticks: str) -> int:
    for at in range(start + 1, len(lines)):
        words = lines[at].strip()
        if words.startswith(ticks) and not words.strip(ticks[0]):
            return at
    raise Fault(f"line {start + 1}: the block has no end")


def _block(lines: Sequence[str], at: int, end: int, opening: re.Match[str]) -> Block:
    info, line = opening["info"].strip(), at + 1
    if not info:
        raise Fault(f"line {line}: the block names no language")
    language = info.split()[0]
    title, indent = _TITLE.search(info), len(opening["indent"])
    text = "\n".join(each[min(indent, _indent(each)) :] for each in lines[at + 1 : end])
    above = lines[at - 1] if at else ""
    reason, code = _NOT_RUN.search(above), _EXIT.search(above)
    return Block(
        line,
        language,
        title[1] if title else "",
        text + "\n" if text else "",
        reason["reason"] if reason else "",
        int(code["code"]) if code else 0,
    )


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _joined(found: list[Block], lines: Sequence[str]) -> list[Block]:
    """Give every output to the block that stands right before it."""
    joined: list[Block] = []
    for block in found:
        if block.title != PRINTS:
            joined.append(block)
            continue
        if not joined or not _adjacent(joined[-1], block, lines):
            raise Fault(f"line {block.line}: what prints this does not stand right before it")
        joined[-1] = replace(joined[-1], prints=block)
    return joined


def _adjacent(block: Block, output: Block, lines: Sequence[str]) -> bool:
    if block.prints is not None or not (block.runs or block.reason):
        return False
    end = block.line + block.text.count("\n") + 1
    return not "".join(lines[end : output.line - 1]).strip()


def placeholder(block: Block) -> str:
    """Return what of a block that runs a reader would have to replace; empty if nothing."""
    if not block.runs or block.language != "sh":
        return ""
    code = re.sub(r"(?m)(?:^|(?<=\s))#.*$", "", block.text)  # comments may say what they like
    code = _PROGRAM.sub("", code)
    found = (pattern.search(code) for pattern in PLACEHOLDERS)
    return next((each[0] for each in found if each), "")


def check(blocks: Sequence[Block]) -> None:
    """Refuse what a reader could not paste, and documents that are none.

    Raises:
        Fault: Names the line.
    """
    for block in blocks:
        if block.language not in LANGUAGES:
            raise Fault(f"line {block.line}: {block.language} is no language of these pages")
        if said := placeholder(block):
            raise Fault(f"line {block.line}: {said} is a placeholder; mark the block as not run")
        if "\x1b" in block.text or not block.text.isascii():
            raise Fault(f"line {block.line}: the block is not plain ASCII")
        try:
            _load(block)
        except (ValueError, yaml.YAMLError) as error:
            raise Fault(f"line {block.line}: no {block.language}: {error}") from None


def _load(block: Block) -> None:
    if block.language == "yaml":
        list(yaml.load_all(block.text, Loader=_Loose))
    elif block.language == "json":
        json.loads(block.text)
    elif block.language == "toml":
        tomllib.loads(block.text)


class _Loose(yaml.SafeLoader):
    """Reads tags that it does not know, as GitLab's files have them."""


_Loose.add_multi_constructor("!", lambda loader, tag, node: None)
