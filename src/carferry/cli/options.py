"""Options that several commands share, and how they become settings."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from carferry.cli.following import NEXT
from carferry.cli.streams import columns, say
from carferry.cli.variables import PREFIX
from carferry.form.readers import split_list, split_lists
from carferry.io.show.cells import folded
from carferry.shown import printable
from carferry.steps.defaults import DEFAULT_BASE, DEFAULT_PLATFORM

if TYPE_CHECKING:
    from carferry.steps.settings import BuildKeywords


class Shown(Protocol):
    """What every step returns can be printed."""

    def as_json(self) -> Mapping[str, Any]:
        """Return the result as plain values."""


class Remarked(Protocol):
    """What a step that chooses files returns."""

    @property
    def left_out(self) -> tuple[str, ...]:
        """What stayed out, a line per reason."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a server must be told, a line each."""


Command = Callable[[argparse.Namespace], int]
MOST_PARALLEL = 64
"""Layers, files or blobs at once."""


def finish(parser: argparse.ArgumentParser, run: Command, variables: str = PREFIX) -> None:
    """Give a command the options every command has.

    Args:
        parser: Of the command.
        run: Does it.
        variables: What its variables begin with.
    """
    group = parser.add_argument_group(
        "every command",
        f"each option can be set by a variable: {variables}JSON=1 for --json;\n"
        "the command line wins",
    )
    group.add_argument(
        "--json", action="store_true", help="print one JSON document on stdout, of a failure too"
    )
    group.add_argument("-v", "--verbose", action="store_true", help="say more of what is done")
    group.add_argument(
        "-q", "--quiet", action="store_true", help="no progress and no notes: the result alone"
    )
    group.add_argument("--debug", action="store_true", help="show tracebacks, and what is asked")
    parser.set_defaults(run=run)


def show(result: Shown, arguments: argparse.Namespace, answer: str, *lines: str) -> None:
    """Print a result for a program, or its lines for a person: with ``--quiet`` the answer."""
    if arguments.json:
        show_document(result.as_json())
    else:
        show_lines((answer,) if arguments.quiet else (answer, *lines), indent=8)


def show_all(result: Shown, arguments: argparse.Namespace, *lines: str) -> None:
    """Print a result for a program, or its lines for a person, ``--quiet`` or not."""
    if arguments.json:
        show_document(result.as_json())
    else:
        show_lines(lines)


def show_document(document: object) -> None:
    """Print a result for a program."""
    say(json.dumps(document, indent=2))


def show_lines(lines: Iterable[str], *, indent: int = 0) -> None:
    """Print lines, each on one: a stranger's name in it neither begins another nor is obeyed.

    Args:
        lines: Of a result.
        indent: On a terminal those that are too long are broken between words, and go on behind
            so many blanks; 0: they are not, nor is a command that follows, which is copied.
    """
    width = columns() if indent else 0
    for line in map(printable, lines):
        is_whole = not width or line.startswith(NEXT)
        for row in [line] if is_whole else folded(line, width, indent):
            say(row)


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return the type of an option that is a whole number within bounds."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"not a whole number of {low} to {high}")
        return int(text)

    return read


def number(low: float, high: float) -> Callable[[str], float]:
    """Return the type of an option that is a number within bounds."""

    def read(text: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", text) or not low <= float(text) <= high:
            raise argparse.ArgumentTypeError(f"not a number of {low:g} to {high:g}")
        return float(text)

    return read


def remarks(result: Remarked) -> list[str]:
    """Return what a person should know of the choice of files, a line each."""
    noted = [f"note    {note}" for note in result.notes]
    return noted + [f"left    {line}" for line in result.left_out]


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
        help="org/name[@revision], a page of the hub, ./folder, oci://host/repository:tag (an "
        "image that holds it), or s3://bucket/prefix (keys and endpoint from AWS_ variables, a "
        "profile or the instance; needs botocore)",
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
    _add_reuse(parser)
    add_patterns(parser)
    add_access(parser)


def _add_reuse(parser: argparse.ArgumentParser) -> None:
    """Add which layers need not move, and whose word on them counts."""
    parser.add_argument(
        "--mount-from",
        action="append",
        default=[],
        metavar="IMAGE",
        help="take layers that host/repository:tag of the same registry holds; repeat for more",
    )
    parser.add_argument(
        "--reuse",
        default="none",
        choices=("none", "tag", "repository"),
        help="whose word is believed that a layer is there already: none: nobody's, it is read "
        "back and compared first (default); tag: IMAGE's own, if you alone push it; repository: "
        "any tag's there, and that of --mount-from",
    )
    parser.add_argument(
        "--run",
        dest="run_secret",
        default="",
        metavar="SECRET",
        help="16 characters or more that the workers and the seal of one run share, as from "
        "'openssl rand -hex 16': what they moved is then not read back",
    )


def add_moving(parser: argparse.ArgumentParser, *, parallel: int, unit: str) -> None:
    """Add what commands that move bytes have."""
    parser.add_argument(
        "--parallel", type=whole(1, MOST_PARALLEL), default=parallel, metavar="N",
        help=f"{unit} at once, about 20 MiB of memory each (default %(default)s)",
    )  # fmt: skip
    add_progress(parser)


def add_progress(parser: argparse.ArgumentParser) -> None:
    """Add how what takes long is shown."""
    parser.add_argument(
        "--progress",
        default="auto",
        choices=("auto", "bars", "lines", "json", "none"),
        help="on stderr; auto is bars on a terminal and lines elsewhere",
    )


def add_patterns(parser: argparse.ArgumentParser) -> None:
    """Add --include, --exclude and --allow-no-weights."""
    parser.add_argument(
        "--include",
        action="append",
        default=[],
        metavar="GLOB",
        help="take only these files, and not what the model's servers need (repeat, or separate "
        "with commas); pickle-based weights must be named, as in '*.bin'; second copies and "
        "leftovers come with a pattern that says more than an ending, as in 'original/*'",
    )
    parser.add_argument(
        "--exclude", action="append", default=[], metavar="GLOB", help="leave these files out"
    )
    parser.add_argument(
        "--allow-no-weights",
        action="store_true",
        help="also take files that no server could load, as a tokenizer alone",
    )


def add_access(parser: argparse.ArgumentParser) -> None:
    """Add how registries are reached."""
    parser.add_argument(
        "--plain-http",
        action="append",
        default=[],
        metavar="HOST",
        help="speak HTTP to this registry host[:port], of IMAGE or of a model oci://...; repeat "
        "for more; not needed for localhost and 127.0.0.1",
    )
    add_ca(parser)


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Add how a cluster is reached."""
    parser.add_argument("--kubeconfig", default="", metavar="FILE", help="default: the usual ones")
    parser.add_argument("--context", default="", help="kubeconfig context")
    add_ca(parser)


def add_ca(parser: argparse.ArgumentParser) -> None:
    """Add whose certificates are believed besides."""
    parser.add_argument(
        "--ca",
        default="",
        metavar="FILE",
        help="PEM certificates to trust besides, a file or a folder of .crt files: of a hub, a "
        "registry, an S3 server, a cluster or a proxy. Always trusted: the system's, "
        "SSL_CERT_FILE, REQUESTS_CA_BUNDLE and their like, and for one host "
        "/etc/containers/certs.d/HOST",
    )


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
        "allow_no_weights": arguments.allow_no_weights,
        "plain_http": split_lists(arguments.plain_http),
        "ca_file": arguments.ca,
        "mount_from": split_lists(arguments.mount_from),
        "reuse": arguments.reuse,
        "run": arguments.run_secret,
        "parallel": getattr(arguments, "parallel", 2),
        "workdir": getattr(arguments, "workdir", ""),
    }
