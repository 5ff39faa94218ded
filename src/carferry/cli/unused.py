"""Options that a question has no use for are refused: silently ignored they would mislead."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from carferry.cli.variables import long_name, names_of
from carferry.errors import InputError


def refuse_unused(
    parser: argparse.ArgumentParser,
    arguments: argparse.Namespace,
    unused: Sequence[str],
    needs: str,
) -> None:
    """Refuse options of which nothing is asked; variables are for many commands, and may stay.

    Args:
        parser: Of the command.
        arguments: What it made of the command line.
        unused: Long names of options, as in ``--workers``.
        needs: What must be given for any of them to mean something.

    Raises:
        InputError: Names those that were given another value than their default.
    """
    if named := [*given(parser, arguments, unused)]:
        reason = f"without {needs} it means nothing"
        if len(named) > 1:
            reason = f"without {needs} they mean nothing"
        raise InputError("plan", " ".join(named), reason, f"give {needs}, or leave it out")


def given(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace, names: Sequence[str]
) -> Iterator[str]:
    """Yield which of some options were given another value than their default, by no variable."""
    used = getattr(arguments, "variables", ())
    for action in parser._actions:
        if not action.option_strings or long_name(action) not in names:
            continue
        is_set = getattr(arguments, action.dest) != action.default
        if is_set and not {*names_of(action, "plan")} & {*used}:
            yield long_name(action)
