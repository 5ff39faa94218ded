"""The command that checks compiled pipelines against the releases they are to run on."""

from __future__ import annotations

import argparse
from textwrap import fill
from typing import Any

from carferry.cli import options
from carferry.lint.rules import RULES
from carferry.lint.targets import TARGETS, WORKERS, choose

_MOST_WORKERS = 1000
_DESCRIPTION = """\
Read any compiled KFP YAML, simulate the Workflow that a run of it becomes, and name every limit it
breaks and every field that a release refuses or drops. Reads the file only.
"""
_EPILOG = f"""\
targets:
{fill(", ".join(TARGETS), 96, initial_indent="  ", subsequent_indent="  ")}, all

rules (docs/reference/lint.md says why, and whence it is known):
{fill(", ".join(RULES), 96, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)}

Sizes are of a finished run, simulated: every condition met, nothing cached, each step run once.
A loop over a list that only a run can know counts --workers iterations; a constant list its own.
Above 1 MiB unpacked the run's steps are not shown any more; above 1 MiB packed it fails. The
simulation came out within 6 % of live runs (docs/reference/lint.md); 3 % below a limit it warns.

exit codes:
  0  no rule is broken; warnings may remain
  2  a rule is broken, or a file is no compiled pipeline

examples:
  carferry lint compiled/modelcar.yaml
  carferry lint my.yaml --target rhoai-2.22 --target rhoai-3.4 --workers 32
  carferry lint my.yaml --target all --json | jq '.[0].targets[] | {{target, sizes}}'
"""


def add_lint_command(commands: Any) -> None:
    """Add lint."""
    parser = commands.add_parser(
        "lint",
        help="check a compiled pipeline against the limits of the releases it is to run on",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="YAML that kfp compiled")
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="RELEASE",
        help="repeat, or separate with commas (default: every OpenShift AI release)",
    )
    parser.add_argument(
        "--workers",
        type=options.whole(1, _MOST_WORKERS),
        default=WORKERS,
        metavar="N",
        help="iterations of a loop over a run's own list (default %(default)s)",
    )
    options.finish(parser, _lint)


def _lint(arguments: argparse.Namespace) -> int:
    """Lint the files; the YAML reader is imported here, so that other commands start faster."""
    from carferry.lint.report import lines, lint

    named = [name for given in arguments.target for name in given.split(",") if name]
    targets = choose(named)
    reports = [lint(path, targets, arguments.workers) for path in arguments.files]
    if arguments.json:
        options.show_document([report.as_json() for report in reports])
    else:
        options.show_lines(line for report in reports for line in lines(report))
    return 0 if all(report.is_clean for report in reports) else 2
