"""The options of the pipelines' command, and which of them mean nothing together."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

from carferry.bundle.component import IMAGE_VARIABLE
from carferry.errors import InputError

_CHANGES = ("pause", "resume", "delete")
_ONE_SCHEDULE = {"metavar": "SCHEDULE", "default": ""}


def add(parser: argparse.ArgumentParser, engines: Iterable[str]) -> None:
    """Add all that is no action.

    Args:
        parser: Of the command.
        engines: Names of the pipelines there are.
    """
    parser.add_argument(
        "--engine",
        choices=sorted(engines),
        default="stream",
        help="pipeline to run; pvc follows from model=pvc://claim/path [stream]",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="for YAML [compiled; with --submit, none]"
    )
    parser.add_argument(
        "--image", default="", metavar="REF",
        help=f"image that steps run in, by digest: carferry runtime makes it [${IMAGE_VARIABLE}]",
    )  # fmt: skip
    here = parser.add_argument_group("with --local").add_argument
    here("--root", type=Path, default=Path("local_outputs"), metavar="FOLDER",
         help="of local runs, each in a folder of its own [local_outputs]")  # fmt: skip
    _add_server(parser.add_argument_group("with --submit and --schedules").add_argument)
    _add_submit(parser.add_argument_group("with --submit").add_argument)
    _add_schedules(parser.add_argument_group("with --schedules").add_argument)


def check(options: argparse.Namespace) -> None:
    """Refuse what means nothing together, before anything is read or sent.

    Raises:
        InputError: Names the option.
    """
    action = options.action
    if action in ("submit", "schedules") and not options.host:
        raise InputError(action, "--host", "missing", "see: oc get route -n PROJECT")
    if options.recurring and options.wait:
        raise InputError("submit", "--wait", "a recurring run does not end", "leave it out")
    if options.recurring and options.follow:
        reason = "it looks at a run that is there, and starts nothing"
        raise InputError("submit", "--follow", reason, "leave it or --recurring out")
    if action == "schedules" or options.follow:
        _no_parameters(options)
    for name in ("recurring", "follow"):
        _only_with(options, name, "submit")
    for name in _CHANGES:
        _only_with(options, name, "schedules")
    if len(given := [f"--{name}" for name in _CHANGES if getattr(options, name)]) > 1:
        raise InputError("schedules", " ".join(given), "one at a time")


def _no_parameters(options: argparse.Namespace) -> None:
    if options.parameters:
        what = "--schedules" if options.action == "schedules" else "--follow"
        reason = f"{what} starts nothing that could take it"
        raise InputError(options.action, options.parameters[0][:80], reason, "leave it out")


def _only_with(options: argparse.Namespace, name: str, action: str) -> None:
    if getattr(options, name) and options.action != action:
        reason = f"without --{action} it means nothing"
        raise InputError(options.action, f"--{name}", reason, f"give --{action}, or leave it out")


def _add_server(add: Callable[..., object]) -> None:
    add("--host", default="", metavar="URL", help="pipeline server: its route ds-pipeline-<dspa>")
    add("--namespace", default="", metavar="PROJECT", help="of the pipeline server")
    add("--token-file", type=Path, metavar="FILE", help="bearer token, as oc whoami -t prints it")
    add("--kubeconfig", type=Path, metavar="FILE", help="take the token of its current context")
    add("--ca", type=Path, metavar="FILE", help="certificates to trust, PEM")


def _add_submit(add: Callable[..., object]) -> None:
    add("--wait", action="store_true", help="follow the run; exit 1 when it fails")
    add("--follow", default="", metavar="RUN", help="start nothing, follow the run of this id")
    add("--timeout", type=float, default=7200, metavar="S", help="seconds to wait [7200]")
    add(
        "--recurring",
        default="",
        metavar="WHEN",
        help="start a run again and again, which ends in its first step if nothing changed: cron "
        "as '0 3 * * *' (six fields: seconds first), @daily, or 6h for every six hours; UTC. One "
        "for each image: another for the same image takes its place",
    )


def _add_schedules(add: Callable[..., object]) -> None:
    add("--pause", **_ONE_SCHEDULE, help="start no more runs; SCHEDULE is its image, name or id")
    add("--resume", **_ONE_SCHEDULE, help="start runs again")
    add("--delete", **_ONE_SCHEDULE, help="take it away; its runs stay")
