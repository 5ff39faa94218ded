"""Step: a model's files into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from carferry.errors import InputError
from carferry.form.readers import (
    read_items,
    read_model,
    read_parallel,
    read_path,
    read_switch,
    read_text,
)
from carferry.io.net.retry import Retry
from carferry.io.show.progress import Progress
from carferry.selection.patterns import Patterns
from carferry.selection.select import choose
from carferry.selection.selection import Selection
from carferry.source.download import download as fetch
from carferry.source.pieces import Pieces
from carferry.source.source import Source
from carferry.steps.access import open_access, shown
from carferry.steps.models import open_model
from carferry.steps.remarks import remarks
from carferry.steps.results import Downloaded
from carferry.weights.check import check_whole


def download(
    model: str | Path,
    folder: str | Path,
    *,
    revision: str = "",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    allow_no_weights: bool = False,
    plain_http: Sequence[str] = (),
    ca_file: str | Path | None = None,
    parallel: int = 4,
    progress: Progress | bool = False,
) -> Downloaded:
    """Download a model's files at one commit into a folder, verified.

    Files that are there already are checked and kept.

    Args:
        model: ``org/name[@revision]`` on the hub, a folder as ``./path``, or an image that holds
            it, as ``oci://host/repository:tag``.
        folder: Where the files go; made if it is missing.
        revision: Branch, tag or commit, if ``model`` names none.
        include: Globs; empty means what a server needs.
        exclude: Globs.
        allow_no_weights: Also take files that no server could load.
        plain_http: Registry hosts without TLS, for a model in an image.
        ca_file: PEM certificates to trust, of any server: a file or a folder.
        parallel: Files at once; of those up to 1 MiB, 16 if that is more.
        progress: True shows bars on a terminal and lines elsewhere, on stderr.

    Returns:
        The folder, the commit and the sizes in bytes.

    Raises:
        IncompleteModel: A file is broken or missing; nothing was written.
        InputError: No such model, revision or file, or the token does not open it.
        SourceError: The hub failed, or sent other bytes than it promised.

    Example:
        >>> import carferry
        >>> got = carferry.download("./model", "copy", exclude=["README*"])
        >>> got.path
        'copy'
    """
    place = _folder(folder)
    at_once, display = read_parallel("parallel", parallel), shown(progress)
    wanted = _patterns(include, exclude, allow_no_weights)
    access = open_access(plain_http, ca_file).reporting(display)
    access = replace(access, connections=max(access.connections, at_once))
    source = open_model(read_model(model), read_text("revision", revision), access, display)
    with display.phase(f"reading what {source} holds", source.host):
        selection = _chosen(source, wanted, access.retry)
        snapshot = source.snapshot([file.path for file in selection.files.files])
    moved = fetch(source, snapshot, place, parallel=at_once, retry=access.retry, progress=display)
    return Downloaded(
        str(folder),
        snapshot.repo,
        snapshot.commit,
        len(snapshot.files),
        snapshot.size_bytes,
        moved,
        **remarks(selection),
        place=snapshot.place,
    )


def _folder(folder: str | Path) -> Path:
    place = read_path("folder", folder)
    if place is None:
        remedy = "name one; it is made if missing"
        raise InputError("download to", repr(folder), "no folder", remedy)
    return place


def _patterns(include: Sequence[str], exclude: Sequence[str], allow_no_weights: bool) -> Patterns:
    return Patterns.parse(
        read_items("include", include),
        read_items("exclude", exclude),
        read_switch("allow_no_weights", allow_no_weights),
    )


def _chosen(source: Source, wanted: Patterns, retry: Retry) -> Selection:
    """Return the files to download, each of them whole.

    Whoever names files gets those: a single shard is no fault then, a cut one is.
    """
    pieces = Pieces(source)
    selection = choose(source, wanted, pieces=pieces)
    beside = pieces.files if wanted.include or wanted.exclude else ()
    check_whole(source, selection.files, beside=beside, retry=retry, pieces=pieces)
    return selection
