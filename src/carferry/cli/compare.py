"""What of ``plan`` is about a log: a start of vLLM beside its prediction."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from carferry.cli import options
from carferry.cli.display import displayed
from carferry.cli.unused import given
from carferry.errors import InputError
from carferry.steps.calibrations import usual_file

if TYPE_CHECKING:
    from carferry.steps.compared import Compared

_USUAL = "carferry/calibration.json in $XDG_DATA_HOME or ~/.local/share"


def add_log(group: argparse._ArgumentGroup) -> None:
    """Add the log, and where what it teaches is kept."""
    group.add_argument(
        "--log", default="", metavar="LOG",
        help="vLLM's log from its first line on: a file, - or pod/NAME (of --namespace); MODEL's "
        "prediction with the log's own settings stands beside it, term by term. The GPU is --gpu, "
        "or the one that the log or the pod's node names",
    )  # fmt: skip
    group.add_argument(
        "--calibration", default="", metavar="FILE",
        help="what logs have corrected, per serving image (or version) and GPU: --log writes it, "
        f"plans use it and name it; none: neither (default: {_USUAL})",
    )  # fmt: skip


def calibration_file(arguments: argparse.Namespace) -> str:
    """Return the file that keeps calibrations: the one that was named, else this user's."""
    return arguments.calibration or usual_file()


def compare(
    parser: argparse.ArgumentParser,
    arguments: argparse.Namespace,
    wishes: dict[str, Any],
    unused: Sequence[str],
) -> int:
    """Compare the log that was named, and print it.

    Args:
        parser: Of the command.
        arguments: What it made of the command line.
        wishes: What ``fit`` would take.
        unused: Long names of options that mean nothing beside a log.
    """
    # A plan without a log pays for none of this.
    from carferry.steps.logged import compare_log

    _refuse(parser, arguments, unused)
    with displayed(arguments.progress) as progress, progress.phase(f"reading {arguments.log}"):
        found = compare_log(
            arguments.model,
            arguments.log,
            calibration=calibration_file(arguments),
            gpus=arguments.gpu,
            namespace=arguments.namespace,
            **wishes,
        )
    if arguments.json:
        options.show_document({"compared": found.as_json(), "fit": None, "move": None})
    else:
        options.show_lines(_lines(found, arguments))
    return 0


def _refuse(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace, unused: Sequence[str]
) -> None:
    others = (["IMAGE"] if arguments.image else []) + list(given(parser, arguments, unused))
    if others:
        reason = "a log is compared, nothing is planned or moved"
        raise InputError("plan", f"--log with {' '.join(others)}", reason, "leave one out")


def _lines(found: Compared, arguments: argparse.Namespace) -> list[str]:
    remarks = [] if arguments.quiet else [f"note: {remark}" for remark in found.remarks]
    return [*found.text.split("\n"), *remarks]
