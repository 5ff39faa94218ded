"""The ``carferry`` command: every step of the pipeline without the pipeline.

Results go to stdout (one JSON document with ``--json``), everything else to stderr. Exit codes:
0 done, 1 failed outside (network, registry, cluster), 2 wrong input, 130 interrupted (SIGINT),
143 terminated (SIGTERM).
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from functools import partial

from carferry import __version__
from carferry.errors import CarferryError, lines_of, one_line, redact
from carferry.io.interrupts import Ending, Terminated, held_back, signal_of

_EXAMPLES = """\
examples:
  carferry build ibm-granite/granite-3.1-2b-instruct docker://quay.io/me/granite:3.1-2b
  carferry build ./my-model oci:out:latest --base embedded     no registry, no network
  carferry plan meta-llama/Llama-3.1-405B docker://quay.io/me/llama:405b --workers 8
  carferry push oci:out:latest docker://quay.io/me/model:1
  carferry inspect docker://quay.io/me/model:1
  carferry runtime docker://quay.io/me/carferry-runtime:1
  carferry render quay.io/me/model@sha256:... --namespace demo > model.yaml
  carferry lint my-pipeline.yaml --target rhoai-3.4

logins come from REGISTRY_AUTH_FILE, DOCKER_CONFIG, or podman's and docker's own files;
hub access from HF_TOKEN and HF_ENDPOINT.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        argv: Its words; by default the process's own, whose signals are then handled too.
    """
    ending = Ending(_last_words)
    try:
        arguments = build_parser().parse_args(argv)
        ending = Ending(partial(_last_words, kept=getattr(arguments, "kept", "")))
        if argv is None:
            ending.install()
        return _run(arguments)
    except (KeyboardInterrupt, Terminated) as stopped:
        return ending.speak(signal_of(stopped))


def _last_words(number: int, kept: str = "") -> None:
    how = "terminated" if number == signal.SIGTERM else "interrupted"
    print(f"carferry: {how}{f'; {kept}' if kept else ''}", file=sys.stderr, flush=True)


def _run(arguments: argparse.Namespace) -> int:
    handler = logging.StreamHandler()
    handler.setFormatter(_Redacting("%(message)s"))
    level = logging.DEBUG if arguments.debug else logging.WARNING
    logging.basicConfig(level=level, handlers=[handler])
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()  # the reader went away
        return 1
    except Exception as error:
        if arguments.debug:
            print(lines_of(redact(traceback.format_exc())), end="", file=sys.stderr)
        for line in _lines(error):
            print(one_line(redact(f"carferry: {line}")), file=sys.stderr)
        return error.exit_code if isinstance(error, CarferryError) else 1
    return code


class _Redacting(logging.Formatter):
    """The libraries underneath log addresses, and some carry a signature."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines without credentials and without what a terminal would obey."""
        return lines_of(redact(super().format(record)))


def _lines(error: Exception) -> tuple[str, ...]:
    """Return an error's lines; an unexpected one asks to be reported."""
    if isinstance(error, CarferryError):
        return error.lines
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()
    words = f"unexpected {type(error).__name__}: {error}"
    return (f"{words}; please report it with --debug's output",)


def _drop_output() -> None:
    """Forget what could not be written: Python would try it again on its way out."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every command, whose modules take long enough to be interrupted."""
    with held_back():
        from carferry.cli.image import add_image_commands
        from carferry.cli.lint import add_lint_command
        from carferry.cli.plan import add_plan_command
        from carferry.cli.runtime import add_runtime_command
        from carferry.cli.serve import add_serve_commands

    parser = argparse.ArgumentParser(
        prog="carferry",
        description="Package a Hugging Face model as a ModelCar image, push it, deploy it with "
        "KServe.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"carferry {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add_plan_command(commands)
    add_image_commands(commands)
    add_serve_commands(commands)
    add_runtime_command(commands)
    add_lint_command(commands)
    return parser
