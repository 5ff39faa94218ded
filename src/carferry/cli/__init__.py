# PYTHON_ARGCOMPLETE_OK
"""The ``carferry`` command: every step of the pipeline without the pipeline.

Results go to stdout (one JSON document with ``--json``, of a failure too), everything else to
stderr. Exit codes: 0 done, 1 failed outside (network, registry, cluster), 2 wrong input, 3 the
model does not fit, 130 interrupted (SIGINT), 143 terminated (SIGTERM).
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module

from carferry import __version__
from carferry.cli import streams
from carferry.cli.failures import Wishes, tell, tell_notes
from carferry.cli.parser import COMPLETING, Parser
from carferry.io.interrupts import Ending, Terminated, held_back, signal_of
from carferry.shown import lines_of, redact

EXAMPLES = """\
examples:
  carferry build ibm-granite/granite-3.1-2b-instruct docker://quay.io/me/granite:3.1-2b
  carferry build ./my-model oci:out:latest --base embedded     no registry, no network
  carferry plan meta-llama/Llama-3.1-405B docker://quay.io/me/llama:405b --workers 8
  carferry push oci:out:latest docker://quay.io/me/model:1
  carferry inspect docker://quay.io/me/model:1
  carferry runtime docker://quay.io/me/carferry-runtime:1
  carferry render quay.io/me/model@sha256:... --namespace demo > model.yaml
  carferry test granite --namespace demo --load short
  carferry lint my-pipeline.yaml --target rhoai-3.4

exit codes:
  0  done              1  failed outside: network, registry, cluster
  2  wrong input       3  the model does not fit the GPUs       130  interrupted
                                                             143  terminated

every option can be set by a variable: CARFERRY_PARALLEL=4 for --parallel 4, and
CARFERRY_BUILD_PARALLEL for that of one command; what the command line says wins.

logins come from REGISTRY_AUTH_FILE, DOCKER_CONFIG, or podman's and docker's own files;
hub access from HF_TOKEN and HF_ENDPOINT.
"""


_COMMANDS = {
    ("plan", "add_plan_command"): ("plan",),
    ("image", "add_image_commands"): (
        "build",
        "stream",
        "seal",
        "download",
        "push",
        "inspect",
    ),
    ("serve", "add_serve_commands"): (
        "render",
        "deploy",
        "delete",
        "rights",
    ),
    ("endpoint", "add_endpoint_commands"): (
        "test",
        "warm",
    ),
    ("runtime", "add_runtime_command"): ("runtime",),
    ("lint", "add_lint_command"): ("lint",),
}
"""Module and function that add commands, and their names, in the order of the help."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        argv: Its words; by default the process's own, whose signals are then handled too.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    wishes = Wishes.of(words)
    ending = Ending(partial(_last_words, wishes))
    try:
        streams.ready()
        code = _run(words, ending if argv is None else None)
        streams.flush()
    except (KeyboardInterrupt, Terminated) as stopped:
        tell_notes(stopped)
        code = ending.speak(signal_of(stopped))
    except Exception as error:
        code = tell(error, wishes)
    streams.finish()
    return code


def _last_words(wishes: Wishes, number: int) -> None:
    tell(KeyboardInterrupt() if number == signal.SIGINT else Terminated(number), wishes)


def _run(words: list[str], ending: Ending | None) -> int:
    parser = build_parser(words)
    if COMPLETING in os.environ:
        # Only a shell that completes a line has set it; no pod needs the package.
        import_module("argcomplete").autocomplete(parser)
    if not words:
        parser.print_help()
        return 0
    try:
        arguments = parser.parse_args(words)
    except SystemExit as shown:  # help, or the version
        return int(shown.code or 0)
    if ending:
        ending.install()
    return _do(arguments)


def _do(arguments: argparse.Namespace) -> int:
    _prepare(arguments)
    try:
        code: int = arguments.run(arguments)
    except ValueError as error:
        if used := getattr(arguments, "variables", ()):
            error.add_note(f"note: {', '.join(used)} came from the environment")
        raise
    return code


def _prepare(arguments: argparse.Namespace) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_Redacting("%(message)s"))
    level = logging.INFO if arguments.verbose else logging.WARNING
    level = logging.DEBUG if arguments.debug else level
    logging.basicConfig(level=level, handlers=[handler])
    if used := getattr(arguments, "variables", ()):
        logging.getLogger(__name__).info("from the environment: %s", ", ".join(used))
    if arguments.quiet and getattr(arguments, "progress", "") == "auto":
        arguments.progress = "none"


class _Redacting(logging.Formatter):
    """The libraries underneath log addresses, and some carry a signature."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines without credentials and without what a terminal would obey."""
        return lines_of(redact(super().format(record)))


def build_parser(words: Sequence[str] | None = None) -> Parser:
    """Return the parser of the command that words ask for, or of every command.

    The modules of all commands take long enough to be interrupted, and twice as long as most
    commands themselves: a command that is named is loaded alone.

    Args:
        words: Of a command line; None for every command.
    """
    parser = Parser(
        prog="carferry",
        description="Package a Hugging Face model as a ModelCar image, push it, deploy it with "
        "KServe.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"carferry {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    with held_back():
        for module, function in _loaded(words):
            getattr(import_module(f"carferry.cli.{module}"), function)(commands)
    _add_help(parser, commands)
    return parser


def _loaded(words: Sequence[str] | None) -> list[tuple[str, str]]:
    """Return the modules to load, and what adds their commands: one's, or all in help's order."""
    named = next((word for word in words or () if not word.startswith("-")), "")
    helped = {"-h", "--help", "--version"} & {*(words or ())}
    one = [place for place, names in _COMMANDS.items() if named in names]
    return one if one and not helped and COMPLETING not in os.environ else list(_COMMANDS)


def _add_help(parser: Parser, commands: argparse._SubParsersAction[Parser]) -> None:
    about = commands.add_parser("help", help="show the help of a command")
    about.add_argument("topic", nargs="?", metavar="COMMAND", help="default: all commands")

    def show(arguments: argparse.Namespace) -> int:
        words = [arguments.topic] if arguments.topic else []
        parser.parse_args([*words, "--help"])
        return 0

    about.set_defaults(run=show, verbose=False, debug=False, quiet=False)
