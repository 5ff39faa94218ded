"""Options that several commands share, and how they become settings."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from carferry.form.readers import split_list, split_lists
from carferry.steps.settings import DEFAULT_BASE, DEFAULT_PLATFORM, BuildKeywords


class Shown(Protocol):
    """What every step returns can be printed."""

    def as_json(self) -> Mapping[str, Any]:
        """Return the result as plain values."""


Command = Callable[[argparse.Namespace], int]


def finish(parser: argparse.ArgumentParser, run: Command) -> None:
    """Give a command the options every command has."""
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    parser.set_defaults(run=run)


def show(result: Shown, arguments: argparse.Namespace, text: str) -> None:
    """Print a result for a program, or its text for a person."""
    print(json.dumps(result.as_json(), indent=2) if arguments.json else text)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add what every step of a build takes alike."""
    add_model(parser)
    parser.add_argument(
        "image", metavar="IMAGE", help="docker://host/repository:tag or oci:path[:tag]"
    )
    add_image(parser)


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add where the model is."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="org/name[@revision], hf://..., ./folder, or s3://bucket/prefix (keys and endpoint "
        "from AWS_ variables, a profile or the instance; pip install 'carferry[s3]')",
    )


def add_image(parser: argparse.ArgumentParser) -> None:
    """Add what enters the image, what it stands on, and how registries are reached."""
    parser.add_argument("--revision", default="", help="branch, tag or commit (default: main)")
    parser.add_argument(
        "--format",
        default="modelcar",
        choices=("modelcar", "modelpack"),
        help="modelcar: tar layers over a base, for every KServe (default); modelpack: CNCF "
        "ModelPack, raw files, for native image volumes and artifact mounts",
    )
    parser.add_argument(
        "--base",
        default=DEFAULT_BASE,
        help="image under the model: a reference, oci:path:tag, 'embedded' (no registry needed) "
        "or 'scratch' (native image volumes only); default %(default)s",
    )
    parser.add_argument(
        "--platform",
        dest="platforms",
        default=DEFAULT_PLATFORM,
        help="comma-separated; two make an index that shares every model layer",
    )
    parser.add_argument(
        "--mount-from",
        action="append",
        default=[],
        metavar="IMAGE",
        help="take layers that host/repository:tag of the same registry holds; repeat for more",
    )
    add_patterns(parser)
    add_access(parser)


def add_moving(parser: argparse.ArgumentParser, *, parallel: int, unit: str) -> None:
    """Add what commands that move bytes have."""
    parser.add_argument(
        "--parallel", type=int, default=parallel, metavar="N",
        help=f"{unit} at once, about 20 MiB of memory each (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--progress",
        default="auto",
        choices=("auto", "bars", "lines", "json", "none"),
        help="on stderr; auto is bars on a terminal and lines elsewhere",
    )


def add_patterns(parser: argparse.ArgumentParser) -> None:
    """Add --include and --exclude."""
    parser.add_argument(
        "--include",
        action="append",
        default=[],
        metavar="GLOB",
        help="take only these files (repeat, or separate with commas); pickle-based weights "
        "must be named, as in '*.bin'",
    )
    parser.add_argument(
        "--exclude", action="append", default=[], metavar="GLOB", help="leave these files out"
    )


def add_access(parser: argparse.ArgumentParser) -> None:
    """Add how registries are reached."""
    parser.add_argument(
        "--plain-http",
        action="append",
        default=[],
        metavar="HOST",
        help="speak HTTP to this registry host[:port]; repeat for more",
    )
    parser.add_argument("--ca", default="", metavar="FILE", help="PEM certificates to trust")


def settings(arguments: argparse.Namespace) -> BuildKeywords:
    """Return the settings a command line gives."""
    return {
        "revision": arguments.revision,
        "engine": getattr(arguments, "engine", "stream"),
        "format": arguments.format,
        "base": arguments.base,
        "platforms": split_list(arguments.platforms),
        "include": split_lists(arguments.include),
        "exclude": split_lists(arguments.exclude),
        "plain_http": split_lists(arguments.plain_http),
        "ca_file": arguments.ca,
        "mount_from": split_lists(arguments.mount_from),
        "parallel": getattr(arguments, "parallel", 2),
        "workdir": getattr(arguments, "workdir", ""),
    }
