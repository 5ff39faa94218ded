"""The parser of the command line: argparse's help and types, our rules and errors (ADR 37).

Options stand before, between and behind the arguments, and before the command too. They are
never abbreviated: what ``--par`` meant would change with the next release. What is mistyped is
answered with what was probably meant, on one line.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from carferry.cli.streams import say
from carferry.cli.variables import (
    is_switch,
    long_name,
    names_of,
    read_boolean,
    read_variable,
)
from carferry.errors import InputError
from carferry.form.closest import did_you_mean
from carferry.shown import printable

_FILLED = "look at the variable or the command that was to fill it"
COMPLETING = "_ARGCOMPLETE"
"""Set by the shell while it asks how a line may go on."""


class Parser(argparse.ArgumentParser):
    """A parser whose every complaint is an InputError."""

    environ: Mapping[str, str] = os.environ
    """Where variables are read."""
    own_variables: str = ""
    """What the variables of this parser alone begin with; empty: as those of all commands."""

    def __init__(self, *given: Any, **settings: Any) -> None:
        super().__init__(*given, **{"allow_abbrev": False, "exit_on_error": False} | settings)

    @property
    def command(self) -> str:
        """The command that this one parses, as a person writes it; empty for all of them."""
        return self.prog.partition(" ")[2]

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse words that were put into argparse's order, so that none is left over."""
        if COMPLETING in os.environ:
            return super().parse_known_args(args, namespace)
        args, used = sys.argv[1:] if args is None else args, tuple[str, ...]()
        if self._subparsers:
            words = self._led(args)
        else:
            words, used = _arranged(self, args)
        try:
            found, rest = super().parse_known_args(words, namespace)
        except argparse.ArgumentError as error:
            self.error(str(error))
        if used:
            found.variables = used
        return found, rest

    def variables_of(self, action: argparse.Action) -> tuple[str, ...]:
        """Return the variables of an option, the one that counts first."""
        found = names_of(action, self.own_variables or self.command)
        return found[:1] if self.own_variables else found

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        raise self.refusal("", message)

    def refusal(self, subject: str, reason: str, remedy: str = "") -> InputError:
        """Return the error for a word that this command does not take."""
        return InputError(self.command, subject, reason, remedy or f"see: {self.prog} --help")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help and version; argparse would be silent about a full disk."""
        say(message.rstrip("\n"))

    def _led(self, args: Sequence[str]) -> list[str]:
        """Return the command first: options before it are its own."""
        words = list(args)
        place = next((i for i, word in enumerate(words) if not word.startswith("-")), len(words))
        before, rest = words[:place], words[place:]
        if not rest and set(before) <= set(self._option_string_actions):
            return words
        if not rest:
            raise self.refusal(before[0], "no command", f"see: {self.prog} --help")
        self._check_command(rest[0])
        own = [word for word in before if word in ("-h", "--help", "--version")]
        return own or [rest[0], *before, *rest[1:]]

    def _check_command(self, word: str) -> None:
        (chosen,) = (a for a in self._actions if isinstance(a, argparse._SubParsersAction))
        if word not in chosen.choices:
            meant = did_you_mean(word, chosen.choices, f"see: {self.prog} --help")
            raise self.refusal(repr(word[:80]), "no such command", meant)


def _arranged(parser: Parser, args: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Return options first, each with its value, then the arguments; and the variables used."""
    read = list(_read(parser, args))
    words = [text for action, text in read if action is None]
    options = [_put(parser, action, long_name(action), text) for action, text in read if action]
    used: tuple[str, ...] = ()
    if not {"--help", "--version"} & {*options}:
        given = {action.dest for action, _ in read if action}
        more, used = _from_variables(parser, given)
        options = [*more, *options]
        _count(parser, words)
        _demand(parser, options)
    return [
        *options,
        *(["--"] if any(word.startswith("-") for word in words) else []),
        *words,
    ], used


def _from_variables(parser: Parser, given: set[str]) -> tuple[list[str], tuple[str, ...]]:
    """Return the options that variables set and the command line does not, and these variables."""
    words, used = [], []
    for action in parser._actions:
        if not action.option_strings or action.dest in given:
            continue
        name, text = read_variable(parser.variables_of(action), parser.environ)
        if not name:
            continue
        used.append(name)
        if not is_switch(action) or read_boolean(name, text):
            words.append(_put(parser, action, name, text))
    return words, tuple(used)


def _put(parser: Parser, action: argparse.Action, name: str, text: str) -> str:
    """Return an option as one word, its value checked; ``name`` is what gave the value."""
    if is_switch(action):
        return long_name(action)
    _check(parser, action, name, text)
    return f"{long_name(action)}={text}"


def _read(parser: Parser, args: Sequence[str]) -> Iterator[tuple[argparse.Action | None, str]]:
    """Yield each option with its value, and each argument with None.

    The word behind an option is its value even if it begins with a dash, unless it is an option.
    """
    known, words = parser._option_string_actions, iter(args)
    for word in words:
        name, equals, text = word.partition("=")
        if word == "--":
            yield from ((None, rest) for rest in words)
        elif word == "-" or not word.startswith("-"):
            yield None, word
        elif name not in known:
            meant = did_you_mean(name, known, f"see: {parser.prog} --help")
            raise parser.refusal(printable(name[:80]), "no such option", meant)
        elif is_switch(known[name]):
            if equals:
                raise parser.refusal(name, "takes no value")
            yield known[name], ""
        else:
            value = text if equals else next(words, None)
            if value is None or (not equals and value.partition("=")[0] in known):
                raise parser.refusal(name, "its value is missing")
            yield known[name], value


def _check(parser: Parser, action: argparse.Action, name: str, text: str) -> None:
    """Refuse a value that is none of the choices, or not of the type.

    Args:
        parser: Of the command.
        action: The option.
        name: What gave the value: the option or a variable.
        text: The value.
    """
    choices = [str(choice) for choice in action.choices or ()]
    if choices and text not in choices:
        known = ", ".join(filter(None, choices))
        meant = did_you_mean(text, choices, f"see: {parser.prog} --help")
        raise parser.refusal(name, f"{text[:80]!r} is none of {known}", meant)
    if callable(action.type):
        try:
            action.type(text)
        except (argparse.ArgumentTypeError, TypeError, ValueError, OverflowError) as error:
            raise parser.refusal(name, f"{text[:80]!r} is {error}") from None


def _count(parser: Parser, words: Sequence[str]) -> None:
    """Refuse arguments that are missing, too many, or empty: ``"$(...)"`` of what has failed."""
    wanted = [action for action in parser._actions if not action.option_strings]
    needed = [str(a.metavar or a.dest) for a in wanted if a.nargs in (None, "+")]
    if missing := needed[len(words) :]:
        raise parser.refusal(" ".join(missing), "missing")
    if len(words) > len(wanted) and not any(a.nargs in ("+", "*") for a in wanted):
        extra = printable(words[len(wanted)][:80])
        raise parser.refusal(repr(extra), "one argument too many")
    for number, word in enumerate(words):
        action = wanted[min(number, len(wanted) - 1)]
        if not word and action.nargs != "?":
            what = f"{action.metavar or action.dest} is empty"
            raise InputError(parser.command, "", what, f"{_FILLED}, or see: {parser.prog} --help")


def _demand(parser: Parser, options: Sequence[str]) -> None:
    """Refuse an option that must be given and is not, by a variable neither."""
    given = {option.partition("=")[0] for option in options}
    for action in parser._actions:
        if action.required and action.option_strings and long_name(action) not in given:
            raise parser.refusal(long_name(action), "missing")
