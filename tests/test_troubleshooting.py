"""Each entry of the troubleshooting page is held by a test and quotes what is really said."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="ascii")
_TEST = re.compile(r"tests/[\w/]+\.py::\w+")
_COMMAND = re.compile(
    r"`(?:export [A-Z_]+=|carferry |python pipelines/modelcar\.py |podman |git |oc )[^`]+`"
    r"|```sh\n"
)
OTHERS = {
    "Unschedulable:": "the scheduler",
    "Insufficient cpu": "the scheduler",
    "Insufficient memory": "the scheduler",
    "Insufficient nvidia.com/gpu": "the scheduler",
    "untolerated taint": "the scheduler",
    "exceeded quota": "the API server",
    "minimum memory usage per Container": "the API server",
    "Too long": "the API server",
    "unauthorized": "a registry",
    "OOMKilled": "the kubelet",
}
"""Words of programs that are not ours, and whose they are."""


@dataclass(frozen=True)
class Entry:
    """A symptom.

    Attributes:
        title: Its heading.
        seen: The line under it, in backquotes.
        tests: Those that hold it.
        words: What those tests must speak of; `seen` if the page names none.
        body: All of its text.
    """

    title: str
    seen: tuple[str, ...]
    tests: tuple[str, ...]
    words: tuple[str, ...]
    body: str


def entries(page: str) -> list[Entry]:
    """Return the entries of a page: what stands under each heading of the third level."""
    found = []
    for part in re.split(r"^### ", page, flags=re.MULTILINE)[1:]:
        title, _, body = re.split(r"^## ", part, flags=re.MULTILINE)[0].partition("\n")
        first = body.strip().partition("\n\n")[0]
        seen = re.findall(r"`([^`]+)`", first) if first.startswith("`") else []
        named = re.search(r"<!-- tested by (.*?) -->", body, re.DOTALL)
        tests = _TEST.findall(named[1]) if named else []
        words = re.findall(r'"([^"]+)"', named[1]) if named else []
        parts = tuple(words) or tuple(each for line in seen for each in _parts(line))
        found.append(Entry(title, tuple(seen), tuple(tests), parts, body))
    return found


def _parts(line: str) -> list[str]:
    """Return what stands between the "..." of a line."""
    return [part for part in re.split(r"\s*\.\.\.\s*", line) if part]


ENTRIES = entries(PAGE)


@cache
def said() -> str:
    """Return all that this version can say, strings that go on joined."""
    folders = (ROOT / "src", ROOT / "pipelines")
    text = "\n".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
    return re.sub(r'"\s+f?r?"', "", text)


def unsaid(words: str) -> list[str]:
    """Return the parts of a line that neither this version nor a program of `OTHERS` says."""
    return [part for part in _parts(words) if part not in said() and part not in OTHERS]


def spoken(test: str) -> str:
    """Return what a test says: its own text, what it names, the modules those come from.

    Raises:
        LookupError: There is no such test.
    """
    path, _, name = test.partition("::")
    file = ROOT / path
    tree = ast.parse(file.read_text()) if file.is_file() else ast.Module([], [])
    named = dict(_named(tree))
    if not isinstance(named.get(name), ast.FunctionDef):
        raise LookupError(test)
    return "\n".join(_text(node) for node in _reached(name, named))


def _named(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """Yield what a module defines or imports, by name."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.ImportFrom):
            yield from ((each.asname or each.name, node) for each in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            names = (each.id for each in ast.walk(node) if isinstance(each, ast.Name))
            yield from ((each, node) for each in names if each.isupper())


def _reached(name: str, named: dict[str, ast.stmt]) -> list[ast.stmt]:
    found: dict[str, ast.stmt] = {}
    waiting = [name]
    while waiting:
        if (each := waiting.pop()) in found or each not in named:
            continue
        found[each] = named[each]
        nodes = list(ast.walk(named[each]))
        waiting += [node.id for node in nodes if isinstance(node, ast.Name)]
        waiting += [node.arg for node in nodes if isinstance(node, ast.arg)]
    return list(found.values())


def _text(node: ast.stmt) -> str:
    """Return a statement's own text; of an import of the tests' own, the module's."""
    if not isinstance(node, ast.ImportFrom):
        return ast.unparse(node)
    module = ROOT / "tests" / f"{(node.module or '').replace('.', '/')}.py"
    return module.read_text() if module.is_file() else ""


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.title)
def test_an_entry_is_held_by_a_test_that_speaks_of_it(entry: Entry) -> None:
    assert entry.tests
    assert entry.words
    texts = [spoken(test) for test in entry.tests]
    assert [text for text in texts if not any(each in text for each in entry.words)] == []


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.title)
def test_an_entry_says_what_to_run(entry: Entry) -> None:
    assert _COMMAND.search(entry.body.partition("<!-- tested")[0])


@pytest.mark.parametrize(
    "entry", [each for each in ENTRIES if each.seen], ids=lambda entry: entry.title
)
def test_the_words_of_an_entry_are_said(entry: Entry) -> None:
    assert [part for words in entry.seen for part in unsaid(words)] == []


def test_words_of_others_are_none_of_ours_and_are_shown() -> None:
    assert [words for words in OTHERS if words not in PAGE] == []


def test_an_entry_without_a_test_or_with_words_of_before_is_found() -> None:
    """So would the page of a release that renamed a test or an error."""
    (entry,) = entries("### It fails\n\n`words that nobody has said so far`\n\nDo this.\n")
    assert entry.tests == ()
    assert unsaid(entry.seen[0])
    assert not _COMMAND.search(entry.body)
    for test in ("tests/test_fit.py::test_that_is_not_there", "tests/test_not_there.py::test_it"):
        with pytest.raises(LookupError):
            spoken(test)
    assert "a scheduled run" not in spoken(
        "tests/test_fit.py::test_what_the_user_pins_is_planned_for_and_kept"
    )
    assert len(ENTRIES) > 30
