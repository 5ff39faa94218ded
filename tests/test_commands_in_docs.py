"""Every command that the README and the docs show is one that this version takes."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from docs.blocks import Fault, read

from carferry.cli import build_parser
from carferry.errors import CarferryError
from carferry.pipelines import command
from carferry.pipelines.arguments import form
from carferry.pipelines.pods import HERE, Site

ROOT = Path(__file__).parents[1]
GENERATED = ("command-line.md", "components.md", "python.md")
PAGES = [
    ROOT / "README.md",
    *sorted(page for page in (ROOT / "docs").rglob("*.md") if page.name not in GENERATED),
]
CURRENT = [page for page in PAGES if page.parent.name != "adr"]  # which tell of what is not, too
PIPELINES = ["python", "pipelines/modelcar.py"]
_EXPORTED = re.compile(r"(?:export |^|\s)([A-Z_]+)=[\"']?([^\s\"']+)", re.M)
_ENDS = {">", ">>", "|", "||", "&&", ";", "&", "2>"}


def shown(text: str) -> Iterator[list[str]]:
    """Yield the words of each command in the blocks of a page; continued lines are one."""
    for line in text.replace("\\\n", " ").split("\n"):
        if not re.match(r"\s*(?:\$ )?(?:\S*/)?(?:carferry|python \S*modelcar\.py)\s", line):
            continue
        lexer = shlex.shlex(line.strip().removeprefix("$ "), posix=True, punctuation_chars="|&;>")
        lexer.whitespace_split = True
        words = list(lexer)
        end = next((i for i, word in enumerate(words) if word in _ENDS), len(words))
        yield words[:end]


def text_of(page: Path, *, ran: bool) -> str:
    """Return the shell blocks of a page that run, or those that do not, variables filled in."""
    try:
        found = read(page)
    except Fault:  # which the test of its form says
        return ""
    given = dict(match.groups() for block in found for match in _EXPORTED.finditer(block.text))
    chosen = [each.text for each in found if each.language == "sh" and each.runs is ran]
    return re.sub(r"\$\{?(\w+)\}?", lambda name: given.get(name[1], name[0]), "\n".join(chosen))


def spans(page: Path) -> list[list[str]]:
    """Return the commands within sentences and tables."""
    found = re.findall(r"`((?:carferry|python pipelines/modelcar\.py) [^`]+)`", page.read_text())
    return [re.split(r"\s+", each) for each in found]


NOT_RUN = [(page.name, words) for page in PAGES for words in shown(text_of(page, ran=False))]
"""All others run, in ``tests/docs``."""


@cache
def commands() -> dict[str, argparse.ArgumentParser]:
    (chosen,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(chosen.choices)


@cache
def known() -> dict[str, form.Field]:
    here = Site(HERE, folder=".")
    return {k: v for make in command.ENGINES.values() for k, v in form.fields(make(here)).items()}


def fault(words: list[str]) -> str:
    """Return what this version has against a command; empty if nothing."""
    try:
        if words[:2] != PIPELINES:
            build_parser().parse_args(words[1:])
            return ""
        given = command._parser().parse_args(words[2:])
    except CarferryError as error:
        return str(error)
    except SystemExit as stopped:
        return "" if not stopped.code else "refused"
    names = [text.partition("=")[0].partition(".")[0] for text in given.parameters]
    return ", ".join(name for name in names if name not in known() and name != "...")


def test_the_pages_show_commands_of_both_kinds() -> None:
    every = [
        words for page in PAGES for ran in (True, False) for words in shown(text_of(page, ran=ran))
    ]
    assert len(every) > 20
    for name in ("plan", "build", "inspect", "render", "deploy", "push", "runtime", "rights"):
        assert any(words[1:2] == [name] for words in every), name
    assert sum(words[:2] == PIPELINES for words in every) > 5


@pytest.mark.parametrize(("page", "words"), NOT_RUN, ids=lambda each: str(each)[:60])
def test_a_command_that_is_not_run_is_taken_as_written(page: str, words: list[str]) -> None:
    assert fault(words) == ""


@pytest.mark.parametrize("page", CURRENT, ids=lambda page: page.name)
def test_a_command_within_a_sentence_has_options_that_there_are(page: Path) -> None:
    for words in spans(page):
        parser = commands()[words[1]] if words[0] == "carferry" else command._parser()
        names = {word.partition("=")[0] for word in words if word.startswith("-")}
        assert names <= {*parser._option_string_actions}, words


def test_an_option_that_there_is_not_is_found() -> None:
    """So would the docs of a release that renamed one."""
    (words,) = shown("    carferry build a/b oci:x:1 --paralell 3 > log\n")
    assert "no such option" in fault(words)
    (words,) = shown("    python pipelines/modelcar.py --local \\\n        modle=x\n")
    assert fault(words) == "modle"


@pytest.mark.parametrize(
    "pattern",
    [
        r"carferry plan \S+/\S+\n",
        r"carferry\.look\(model\)",
        r"3 the model\s+does not fit",
        r"completed by Tab",
        r"CARFERRY_\w+",
    ],
)
def test_the_readme_tells_of_the_command_line(pattern: str) -> None:
    assert re.search(pattern, (ROOT / "README.md").read_text())
