"""The page of the command line: each command's options, their variables and defaults."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from carferry.cli import EXAMPLES, build_parser
from carferry.cli.variables import is_switch, names_of
from carferry.pipelines import command as pipelines
from carferry.pipelines.reference.table import table

PAGE = Path("docs/reference/command-line.md")
_PIPELINES = """
## `python pipelines/modelcar.py`

The same rules, exit codes, `--json`, `-q` and `--debug`. The variables of its options are its own,
since a notebook's `CARFERRY_IMAGE` is the image that is built: `CARFERRY_PIPELINE_HOST` for
`--host`. `--json` makes a failure a [document](json.md#error) on stdout, and
`--schedules` a [list](json.md#schedules). The secret `run` of the plan step is shown as `***`:
whoever knows it can make a seal believe any layer. `NAME=VALUE` are
[pipeline parameters](pipelines.md).

`python pipelines/modelcar.py ACTION [options] [NAME=VALUE ...]`, where ACTION is one of
`--compile`, `--local`, `--submit` and `--schedules`.

"""
_HEAD = """\
# Command line

Every command with its options, their defaults and variables, and the exit codes; then the command
of the pipelines. Generated from the argument parsers by `python -m carferry.pipelines.reference`.
`carferry help COMMAND` prints the same in a terminal.

Options stand before or behind the command and its arguments, as `--name value` or `--name=value`,
and are never abbreviated. Each can be set by its variable too: `CARFERRY_PARALLEL=4` for
`--parallel 4` of every command, `CARFERRY_BUILD_PARALLEL` for that of `carferry build` alone, which
counts before the other; what the command line says wins over both. A switch is `1`, `true`, `yes`
or `on`, or `0`, `false`, `no` or `off`; several values stand in one variable with commas between
them; an empty variable is none. A secret (`--run`) is better in a variable: everybody on a machine
can read its command lines.

## Exit codes

| code | meaning | what a job does next |
| --- | --- | --- |
| 0 | done | go on |
| 1 | failed outside: network, registry, hub, cluster, disk | try again later |
| 2 | wrong input; or `inspect`, `lint`, `rights`, `delete` found a fault | change what was asked |
| 3 | the model does not fit (`plan --gpu`, `plan --cluster`) | other GPUs, or another model |
| 130, 143 | interrupted by Ctrl-C, terminated by SIGTERM | run it again: it goes on |

An image that is not in its registry, or not in its OCI layout, is a 1: somebody may be about to
push it. A job that tries again should do so a few times only, since a mistyped name is a 1 too.

A failure is one line on stderr: [errors](errors.md) has every kind with its remedy. With `--json`
it is on stdout too, as one [document](json.md#error). With `--progress json` the line on stderr is
an [event](progress.md) `error` like the others. A stdout that is closed or full is a failure with
code 1. [JSON documents](json.md) says what `--json` prints of each command, and
[environment](environment.md) every variable that is read.

## Files

`plan --html FILE` and `render --output FILE` replace a file at one stroke and keep its mode and
owner. A link, a device, a pipe and `/dev/stdout` are written through, and stay what they are; `-`
is stdout.

## Completion by Tab

<!-- not run: for an interactive shell -->
```sh
pip install 'argcomplete>=3'
eval "$(register-python-argcomplete carferry)"     # in ~/.bashrc or ~/.zshrc
```
"""


def page() -> str:
    """Return the page as Markdown."""
    (commands,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    abouts = {action.dest: action.help or "" for action in commands._choices_actions}
    parts = [_HEAD]
    for name, parser in commands.choices.items():
        if name != "help":
            about = f"\n## `carferry {name}`\n\n{_sentence(abouts[name])}\n\n{_synopsis(parser)}"
            parts += [about, _examples(name), f"\n{_options(name, parser)}"]
    return "".join([*parts, _PIPELINES, _options("pipeline", pipelines._parser())])


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _synopsis(parser: argparse.ArgumentParser) -> str:
    """Return the command with its arguments, as a person writes it."""
    shown = [_argument(a) for a in parser._actions if not a.option_strings]
    return f"`{' '.join([parser.prog, '[options]', *shown])}`\n"


def _argument(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest)
    return {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} ..."}.get(str(action.nargs), name)


def _examples(command: str) -> str:
    """Return the examples that the help of all commands has of this one."""
    lines = [line.strip() for line in EXAMPLES.split("\n")]
    found = [line for line in lines if line.startswith(f"carferry {command} ")]
    shown = [re.split(r" {3,}", line) for line in found]
    lines = [f"- `{words[0]}`{''.join(f': {note}' for note in words[1:])}\n" for words in shown]
    return "".join(["\nAs in:\n\n", *lines]) if lines else ""


def _options(command: str, parser: argparse.ArgumentParser) -> str:
    rows = [
        (
            ", ".join(f"`{name}`" for name in action.option_strings),
            f"`{names_of(action, command)[0 if command == 'pipeline' else 1]}`",
            "" if is_switch(action) or not action.default else f"`{_default(action)}`",
            _help(action),
        )
        for action in parser._actions
        if action.option_strings and action.dest != "help"
    ]
    needed = [
        (f"`{action.metavar or action.dest}`", "", "", _help(action))
        for action in parser._actions
        if not action.option_strings
    ]
    return table(("option", "variable", "default", "meaning"), [*needed, *rows])


def _default(action: argparse.Action) -> str:
    return ",".join(action.default) if isinstance(action.default, list) else str(action.default)


def _help(action: argparse.Action) -> str:
    return (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
