"""Each entry of the troubleshooting page is held by a test and quotes what is really said."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="ascii")
_TEST = re.compile(r"tests/[\w/]+\.py::\w+")


@dataclass(frozen=True)
class Entry:
    """A symptom: its title, the line under it in backquotes, the tests that hold it."""

    title: str
    seen: tuple[str, ...]
    tests: tuple[str, ...]


def entries(page: str) -> list[Entry]:
    """Return the entries of a page: what stands under each heading of the third level."""
    found = []
    for part in re.split(r"^### ", page, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        first = body.strip().partition("\n\n")[0]
        seen = re.findall(r"`([^`]+)`", first) if first.startswith("`") else []
        named = re.search(r"<!-- tested by (.*?) -->", body, re.DOTALL)
        tests = _TEST.findall(named[1]) if named else []
        found.append(Entry(title, tuple(seen), tuple(tests)))
    return found


ENTRIES = entries(PAGE)


@cache
def said() -> str:
    """Return all that this version or its tests can say, strings that go on joined."""
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    text = "\n".join(path.read_text() for path in files if path.name != Path(__file__).name)
    return re.sub(r'"\s+f?r?"', "", text)


def missing(test: str) -> bool:
    """Return whether there is no such file, or no such function in it."""
    path, _, name = test.partition("::")
    file = ROOT / path
    return not file.is_file() or f"\ndef {name}(" not in file.read_text()


def unsaid(words: str) -> list[str]:
    """Return the parts of a line, between its "...", that nothing says."""
    return [part for part in re.split(r"\s*\.\.\.\s*", words) if part not in said()]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.title)
def test_an_entry_is_held_by_a_test(entry: Entry) -> None:
    assert entry.tests
    assert [test for test in entry.tests if missing(test)] == []


@pytest.mark.parametrize(
    "entry", [each for each in ENTRIES if each.seen], ids=lambda entry: entry.title
)
def test_the_words_of_an_entry_are_said(entry: Entry) -> None:
    assert [part for words in entry.seen for part in unsaid(words)] == []


def test_an_entry_without_a_test_or_with_words_of_before_is_found() -> None:
    """So would the page of a release that renamed a test or an error."""
    (entry,) = entries("### It fails\n\n`words that nobody has said so far`\n\nDo this.\n")
    assert entry.tests == ()
    assert unsaid(entry.seen[0])
    assert missing("tests/test_fit.py::test_that_is_not_there")
    assert missing("tests/test_that_is_not_there.py::test_it")
    assert len(ENTRIES) > 30
