"""The ``carferry`` command: every step of the pipeline without the pipeline.

Results go to stdout (one JSON document with ``--json``), everything else to stderr. Exit codes:
0 done, 1 failed in the world (network, registry, cluster), 2 wrong input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Sequence

from carferry import __version__
from carferry.cli.image import add_image_commands
from carferry.cli.plan import add_plan_command
from carferry.cli.serve import add_serve_commands
from carferry.errors import CarferryError, one_line, redact

_EXAMPLES = """\
examples:
  carferry build ibm-granite/granite-3.1-2b-instruct docker://quay.io/me/granite:3.1-2b
  carferry build ./my-model oci:out:latest --base embedded     no registry, no network
  carferry plan meta-llama/Llama-3.1-405B docker://quay.io/me/llama:405b --workers 8
  carferry push oci:out:latest docker://quay.io/me/model:1
  carferry inspect docker://quay.io/me/model:1
  carferry render quay.io/me/model@sha256:... --namespace demo > model.yaml

logins come from REGISTRY_AUTH_FILE, DOCKER_CONFIG, or podman's and docker's own files;
hub access from HF_TOKEN and HF_ENDPOINT.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = build_parser().parse_args(argv)
    logging.basicConfig(
        level=logging.DEBUG if arguments.debug else logging.WARNING, format="%(message)s"
    )
    try:
        code: int = arguments.run(arguments)
    except CarferryError as error:
        if arguments.debug:
            traceback.print_exc()
        print(one_line(redact(f"carferry: {error}")), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("carferry: interrupted; nothing was tagged", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output went away; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every command."""
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
    return parser
