"""The runtime command: the image that steps run in, made here."""

from __future__ import annotations

import argparse
from typing import Any

from carferry.cli import options
from carferry.cli.display import displayed
from carferry.cli.following import NEXT, moved_line, tagged
from carferry.form.readers import split_list, split_lists
from carferry.io.show.terminal import human_bytes
from carferry.steps.defaults import DEFAULT_PLATFORM
from carferry.steps.runtime import DEFAULT_BASE, RuntimeImage, RuntimeSettings, runtime

_ABOUT = """\
Put kfp's executor, carferry and its packages on a Python image, as one layer, without a container
engine. A pipeline compiled with --image installs nothing when it runs, so it works on a cluster
without internet. pip fetches the wheels, as its own configuration says. The same base, by digest,
gives the same image everywhere.
"""


def add_runtime_command(commands: Any) -> None:
    """Add runtime."""
    parser = commands.add_parser(
        "runtime",
        help="make the image that pipeline steps run in",
        description=_ABOUT,
    )
    parser.add_argument(
        "image", metavar="IMAGE", help="docker://host/repository:tag or oci:path[:tag]"
    )
    parser.add_argument(
        "--base",
        default=DEFAULT_BASE,
        help="image with Python and glibc: a reference or oci:path:tag; default %(default)s",
    )
    parser.add_argument(
        "--platform",
        dest="platforms",
        default=DEFAULT_PLATFORM,
        help="comma-separated, as in linux/amd64,linux/arm64; two make an index",
    )
    parser.add_argument(
        "--python",
        default="",
        metavar="X.Y",
        help="version of the base's Python, if its Env names no PYTHON_VERSION",
    )
    options.add_access(parser)
    options.add_moving(parser, parallel=4, unit="blobs")
    options.finish(parser, _runtime)


def _runtime(arguments: argparse.Namespace) -> int:
    settings = RuntimeSettings(
        base=arguments.base,
        platforms=split_list(arguments.platforms),
        python=arguments.python,
        plain_http=split_lists(arguments.plain_http),
        ca_file=arguments.ca,
        parallel=arguments.parallel,
    )
    with displayed(arguments.progress, unit="blobs", place=arguments.image) as progress:
        made = runtime(arguments.image, settings, progress=progress)
    options.show(made, arguments, *_summary(made, arguments.image))
    return 0


def _summary(made: RuntimeImage, image: str) -> list[str]:
    return [
        made.reference,
        f"digest  {made.digest}",
        *tagged(image),
        *(f"runs    {run}" for run in made.runs),
        f"size    {human_bytes(made.size_bytes)} in {made.layers} layers",
        moved_line(made.moved_bytes, made.reused_bytes, made.seconds),
        f"{NEXT}{_next(made)}",
    ]


def _next(made: RuntimeImage) -> str:
    """Return the command that follows; a layout has to reach a registry first."""
    compile_ = "python pipelines/modelcar.py --compile --image"
    if "@sha256:" in made.reference:
        return f"{compile_} {made.reference}"
    registry = "REGISTRY/carferry-runtime"
    push = f"carferry push {made.reference} docker://{registry}:TAG"
    return f"{push} && {compile_} {registry}@{made.digest}"
