"""Planning a build: everything is resolved, chosen and checked before a byte moves."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from carferry.assembly import shards
from carferry.assembly.foresee import check_seal
from carferry.assembly.options import Options
from carferry.assembly.plan import (
    Claim,
    Plan,
    check_lengths,
    layers_key,
    make_plan,
)
from carferry.assembly.reuse import Given, find_claims
from carferry.errors import InputError
from carferry.image import base
from carferry.image.layers import Format, Layer, arrange
from carferry.image.source import ImageSource
from carferry.refs import Digest, LayoutRef
from carferry.registry.access import Access
from carferry.registry.target import Target
from carferry.selection.select import choose
from carferry.selection.selection import Selection
from carferry.source.folder import FolderSource
from carferry.source.pieces import Pieces
from carferry.source.snapshot import Snapshot
from carferry.source.source import Source
from carferry.weights.check import check_whole


def plan_build(
    source: Source,
    target: Target,
    options: Options,
    access: Access,
    *,
    whole: bool = True,
    pieces: Pieces | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Plan:
    """Resolve everything and say what would move; nothing is written.

    Args:
        source: The model.
        target: Where the image would go.
        options: How it would be made.
        access: How the registries of base and ``mount_from`` are reached.
        whole: Look whether the model is whole first; else its caller does, or moves nothing.
        pieces: Reads the source, and keeps what it read for that caller.
        note: Told of what may not be read and is done without.

    Raises:
        IncompleteModel: A file is broken or missing.
        InputError: The image would become part of what it is made of, or a layer is too long.
        CarferryError: The source or a registry failed.
    """
    _check_apart(source, target)
    selection = _chosen(source, options, access, pieces or Pieces(source), whole=whole)
    snapshot = source.snapshot([file.path for file in selection.files.files])
    bases = open_bases(options, access)
    base.check_apart(bases, target.ref)
    layers = arrange(
        snapshot.files,
        base_layers=max(len(each.layers) for each in bases),
        format=options.format,
        large_bytes=options.large_bytes,
    )
    given = Given(source.target, source.manifest) if isinstance(source, ImageSource) else None
    claims = _find_claims(snapshot, layers, target, options, access, given, note, shared=not whole)
    made = make_plan(snapshot, bases, layers, claims, target.ref, options.format)
    plan = replace(made, selection=selection)
    check_lengths(plan, target.largest_blob_bytes, target.ref)
    check_seal(plan, options.engine, target)
    return plan


def _chosen(
    source: Source, options: Options, access: Access, pieces: Pieces, *, whole: bool
) -> Selection:
    selection = choose(source, options.patterns, pieces=pieces)
    if whole:
        check_whole(source, selection.files, retry=access.retry, pieces=pieces)
    return selection


def _find_claims(
    snapshot: Snapshot,
    layers: Sequence[Layer],
    target: Target,
    options: Options,
    access: Access,
    given: Given | None,
    note: Callable[[str], None],
    *,
    shared: bool,
) -> dict[Digest, tuple[Claim, ...]]:
    if options.engine != "stream":
        # Buildah's tar bytes are its own: its layers are neither reused nor offered for reuse.
        return {}
    return find_claims(
        target,
        layers,
        (access.open(ref) for ref in options.mount_from),
        reuse=options.reuse,
        run=options.run,
        prefix=shards.prefix_of(layers_key(snapshot, options.format, layers)),
        retry=access.retry,
        shared=shared or bool(options.run),
        given=given,
        note=note,
    )


def open_bases(options: Options, access: Access, *, prove: bool = True) -> tuple[base.Base, ...]:
    """Resolve the base for every platform; ModelPack stands on none and has no platform.

    Args:
        options: How the image is made.
        access: How the base's registry is reached.
        prove: As for ``carferry.image.base.open_bases``.
    """
    if options.format is Format.MODELPACK:
        return base.open_bases(base.SCRATCH, options.platforms[:1], access.open)
    return base.open_bases(options.base, options.platforms, access.open, access.retry, prove=prove)


def _check_apart(source: Source, target: Target) -> None:
    """Refuse a layout in the model's folder, or around it: the next build would take it in."""
    if not isinstance(source, FolderSource) or not isinstance(target.ref, LayoutRef):
        return
    # Path.resolve would raise at a loop of links, which has an error of its own later.
    try:
        folder, layout = (Path(os.path.realpath(path)) for path in (source.root, target.ref.path))
    except OSError as error:
        # A relative path, and the folder that it is relative to is gone.
        reason, remedy = error.strerror or str(error), "go to another folder"
        raise InputError("write", target.ref, reason, remedy) from error
    if layout.is_relative_to(folder):
        reason = f"it lies in the model's folder {source.root}"
    elif folder.is_relative_to(layout):
        reason = f"the model's folder {source.root} lies in it"
    else:
        return
    raise InputError("write", target.ref, reason, "choose a folder beside the model")
