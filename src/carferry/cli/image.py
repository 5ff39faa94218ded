"""Commands that make and move images: build, stream, seal, download, push, inspect."""

from __future__ import annotations

import argparse
from typing import Any

from carferry.cli import options
from carferry.cli.display import displayed
from carferry.cli.following import NEXT, after_download, after_image, moved_line, tagged
from carferry.form.readers import split_lists
from carferry.io.show.terminal import human_bytes
from carferry.steps.build import build
from carferry.steps.download import download
from carferry.steps.inspect import inspect
from carferry.steps.push import push
from carferry.steps.results import Built, Streamed
from carferry.steps.stream import seal, stream

# None is a clause whose answer may lie in a layer that was not looked at, or in no id.
_MARKS = {True: "ok", False: "BROKEN", None: "unread"}


def add_image_commands(commands: Any) -> None:
    """Add them in the order in which a person meets them."""
    _add_build(commands)
    _add_stream(commands)
    _add_seal(commands)
    _add_download(commands)
    _add_push(commands)
    _add_inspect(commands)


def _add_build(commands: Any) -> None:
    parser = commands.add_parser(
        "build",
        help="package a model as an image",
        description="Resolve the model, plan the layers, move what is not there yet, tag.",
    )
    options.add_settings(parser)
    parser.add_argument(
        "--engine",
        default="stream",
        choices=("stream", "buildah"),
        help="stream needs no container engine, no privilege and no disk (default)",
    )
    parser.add_argument("--workdir", default="", help="scratch folder of the buildah engine")
    parser.add_argument(
        "--if-changed",
        action="store_true",
        help="do nothing if the tag names this very image already (this commit, files, base), by "
        "its manifest alone: seconds, whatever the model's size; --json says changed",
    )
    options.add_moving(parser, parallel=2, unit="layers")
    options.finish(parser, _build)


def _add_stream(commands: Any) -> None:
    parser = commands.add_parser(
        "stream",
        help="move one worker's share of a build",
        description="Move the layers of worker I of N and pin them with a shard manifest; "
        "carferry seal completes the image. Safe to kill and to run again.",
    )
    options.add_settings(parser)
    parser.add_argument("--worker", required=True, metavar="I/N", help="which share, as in 1/4")
    options.add_moving(parser, parallel=2, unit="layers")
    options.finish(parser, _stream)


def _add_seal(commands: Any) -> None:
    parser = commands.add_parser(
        "seal",
        help="complete and tag what the workers moved",
        description="Check every layer, write the manifest by digest, tag, remove shard tags. "
        "Without --run, layers are read back first.",
    )
    options.add_settings(parser)
    options.add_moving(parser, parallel=2, unit="layers read back")
    options.finish(parser, _seal)


def _add_download(commands: Any) -> None:
    parser = commands.add_parser(
        "download",
        help="fetch a model's files into a folder, verified",
        description="First step of the staged path; build reads the folder afterwards.",
    )
    options.add_model(parser)
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument("--revision", default="", help="branch, tag or commit (default: main)")
    options.add_patterns(parser)
    options.add_access(parser)
    options.add_moving(parser, parallel=4, unit="files")
    options.finish(parser, _download)


def _add_push(commands: Any) -> None:
    parser = commands.add_parser(
        "push",
        help="copy a finished image, digest unchanged",
        description="Copy an image between an OCI layout and a registry, byte for byte.",
    )
    parser.add_argument("origin", metavar="ORIGIN", help="oci:path[:tag] or docker://...")
    parser.add_argument("image", metavar="IMAGE", help="docker://... or oci:path[:tag]")
    options.add_access(parser)
    options.add_moving(parser, parallel=4, unit="blobs")
    options.finish(parser, _push)


def _add_inspect(commands: Any) -> None:
    parser = commands.add_parser(
        "inspect",
        help="check an image against what KServe needs",
        description="Read manifest, config and tar headers (not the weights) and check them; "
        "with --verify read everything and compare every file. Exit 2 if a clause is broken, or if "
        "it is no image; the clauses are those of modelcar mode, which oci:// means by default, so "
        "an image on 'scratch' breaks 'tools'; 'unread' is what a layer that was not looked at may "
        "hold, and what files are compared with of an image that carries no ids: give --model.",
    )
    parser.add_argument("image", metavar="IMAGE", help="docker://... or oci:path[:tag]")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="look whether the model is whole (truncated or missing shards, pointers), read every "
        "layer, and compare every file with the id that the image carries",
    )
    parser.add_argument(
        "--model",
        default="",
        help="compare with the ids of this model instead, as in hf://org/name@commit or ./folder: "
        "what an image says of itself, whoever made it wrote",
    )
    parser.add_argument("--revision", default="", help="of --model (default: main)")
    options.add_moving(parser, parallel=4, unit="layers")
    options.add_access(parser)
    options.finish(parser, _inspect)


def _build(arguments: argparse.Namespace) -> int:
    how = options.settings(arguments)
    # Buildah packs every layer anew.
    unit = "layers" if arguments.engine == "stream" else ""
    with displayed(arguments.progress, unit=unit, place=arguments.image) as progress:
        built = build(
            arguments.model,
            arguments.image,
            if_changed=arguments.if_changed,
            progress=progress,
            **how,
        )
    lines = [*_summary(built, arguments.image), *_after(built, arguments)]
    if arguments.if_changed and not built.changed:
        lines[-1:0] = [f"nothing to do: {arguments.image} names this very image already"]
    options.show(built, arguments, *lines)
    return 0


def _stream(arguments: argparse.Namespace) -> int:
    how = options.settings(arguments)
    with displayed(arguments.progress, unit="layers", place=arguments.image) as progress:
        done = stream(arguments.model, arguments.image, arguments.worker, progress=progress, **how)
    text = f"{done.layers} layers, {human_bytes(done.moved_bytes)} moved, {_reused(done)}"
    step = f"{NEXT}carferry seal, same arguments, when all {done.workers} workers are done"
    lines = [f"worker {arguments.worker}: {text}", f"commit {done.commit}", step]
    options.show(done, arguments, *lines)
    return 0


def _seal(arguments: argparse.Namespace) -> int:
    how = options.settings(arguments)
    with displayed(arguments.progress) as progress:
        built = seal(arguments.model, arguments.image, progress=progress, **how)
    options.show(built, arguments, *_summary(built, arguments.image), *_after(built, arguments))
    return 0


def _download(arguments: argparse.Namespace) -> int:
    with displayed(arguments.progress, unit="files", place=arguments.folder) as progress:
        done = download(
            arguments.model,
            arguments.folder,
            revision=arguments.revision,
            include=split_lists(arguments.include),
            exclude=split_lists(arguments.exclude),
            allow_no_weights=arguments.allow_no_weights,
            plain_http=split_lists(arguments.plain_http),
            ca_file=arguments.ca,
            parallel=arguments.parallel,
            progress=progress,
        )
    text = f"{done.files} files, {human_bytes(done.size_bytes)}, in {done.path}"
    step = after_download(done.path)
    lines = [f"commit {done.commit or 'unknown'}", *options.remarks(done), step]
    options.show(done, arguments, text, *lines)
    return 0


def _push(arguments: argparse.Namespace) -> int:
    with displayed(arguments.progress, unit="blobs", place=arguments.image) as progress:
        pushed = push(
            arguments.origin,
            arguments.image,
            plain_http=split_lists(arguments.plain_http),
            ca_file=arguments.ca,
            parallel=arguments.parallel,
            progress=progress,
        )
    step = after_image(pushed.reference, is_served=True)
    options.show(pushed, arguments, *_summary(pushed, arguments.image), step)
    return 0


def _inspect(arguments: argparse.Namespace) -> int:
    hosts = split_lists(arguments.plain_http)
    with displayed(arguments.progress) as progress:
        found = inspect(
            arguments.image,
            plain_http=hosts,
            ca_file=arguments.ca,
            verify=arguments.verify,
            model=arguments.model,
            revision=arguments.revision,
            parallel=arguments.parallel,
            progress=progress,
        )
    rules = [rule for rule in found.rules if not arguments.quiet or rule[1] is False]
    marks = [f"{_MARKS[ok]:>6}  {name:<10}  {text}" for name, ok, text in rules]
    flaws = [f"{'':>6}  {'':<10}  {flaw}" for flaw in found.flaws]
    size = (
        f"{human_bytes(found.size_bytes)} in {len(found.layers)} layers, {len(found.files)} files"
    )
    what = [found.kind] if found.kind else []
    origin = f"{found.source or 'unknown source'} {found.commit}".rstrip()
    about = () if arguments.quiet else (*what, origin, size)
    options.show_all(found, arguments, found.reference, *about, *marks, *flaws)
    return 0 if found.ok else 2


def _summary(built: Built, image: str) -> list[str]:
    moved, reused = built.moved_bytes, built.reused_bytes
    how = {"checked_bytes": built.checked_bytes, "retries": built.retries}
    return [
        built.uri,
        f"digest  {built.digest}",
        *tagged(image, built.previous if built.changed else ""),
        f"size    {human_bytes(built.size_bytes)} in {built.layers} layers",
        moved_line(moved, reused, built.seconds, **how),
        *options.remarks(built),
    ]


def _after(built: Built, arguments: argparse.Namespace) -> list[str]:
    """Return the command that follows; none for an image of which inspect says what it lacks."""
    is_tarred, reference = arguments.format == "modelcar", built.reference
    is_served = is_tarred and arguments.base != "scratch"
    if is_tarred and not is_served and "@sha256:" in reference and not reference.startswith("oci:"):
        return []
    hosts = split_lists(arguments.plain_http)
    return [after_image(reference, is_served=is_served, plain_http=hosts, ca=arguments.ca)]


def _reused(done: Streamed) -> str:
    read = f" ({human_bytes(done.checked_bytes)} read back)" if done.checked_bytes else ""
    return f"{human_bytes(done.reused_bytes)} reused{read}"
