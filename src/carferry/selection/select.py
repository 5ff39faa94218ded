"""From everything a source lists to the files that enter the image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from carferry.errors import InputError
from carferry.selection.checks import Choice, check_choice
from carferry.selection.credentials import hidden_credentials
from carferry.selection.kinds import PICKLE, is_index, is_text, is_weights, matches
from carferry.selection.leftovers import Leftover, leftovers
from carferry.selection.needs import Needs, find_needs
from carferry.selection.notes import arguments_of, notes_of
from carferry.selection.patterns import Patterns
from carferry.selection.reading import Reader
from carferry.selection.selection import LeftOut, Selection
from carferry.source.folder import FolderSource
from carferry.source.paths import check_path, check_paths, fault_of, path_bytes
from carferry.source.pieces import Pieces
from carferry.source.snapshot import Snapshot
from carferry.source.source import Source
from carferry.weights.layout import read_layout


def choose(
    source: Source, patterns: Patterns, *, for_image: bool = True, pieces: Pieces | None = None
) -> Selection:
    """Decide which files enter the image, from what the model says of itself.

    Args:
        source: The model.
        patterns: What the user says.
        for_image: Refuse a model without any weights; a plan can be made from its config alone.
        pieces: Reads the source, and keeps what it read for those who look at it next.

    Raises:
        NothingSelected: No file is admitted, or no weights.
        UnsafeWeights: Only pickled weights.
        UnsafePath: A name that must not enter an image.
        InputError: Something that no server could load.
        CarferryError: The source failed.
    """
    reader = Reader(pieces := pieces or Pieces(source))
    listing, files = pieces.listing, pieces.files
    if listing.image and not patterns.include:
        # Whoever made the image has chosen already.
        patterns = replace(patterns, every=True)
    place = _place(source, listing)
    origin = (place if isinstance(source, FolderSource) else listing.repo) or str(source)
    stays = leftovers(files)
    _refuse_layout(stays, origin)
    usable = {path: file for path, file in files.items() if path not in stays}
    for path in usable:
        # Before a byte is read: who sends such a name is not asked what the model needs.
        if fault_of(path) and _may_enter(path, patterns):
            check_path(path)
    needs = find_needs([path for path in usable if _may_decide(path, patterns)], reader)
    reasons = {path: _reason(path, needs, stays, patterns) for path in files}
    chosen = sorted((path for path, why in reasons.items() if why is None), key=path_bytes)
    unnamed = [path for path in chosen if not (patterns.names_exactly(path) or fault_of(path))]
    for path in hidden_credentials(unnamed, files, reader):
        chosen.remove(path)
        reasons[path] = Leftover.CREDENTIAL.value
    check_paths(chosen)
    known = {**usable, **{path: files[path] for path in chosen}}
    seen = [path for path in files if stays.get(path) in (None, Leftover.TRAINING)]
    # What an image's model was made of may lie otherwise than it does in the image.
    repo = "" if listing.image else listing.repo
    choice = Choice(origin, repo, place, seen, known, chosen, needs, patterns)
    check_choice(choice, for_image=for_image)
    left_out = tuple(LeftOut(p, files[p].size_bytes, why) for p, why in reasons.items() if why)
    return _selection(listing.only(chosen), left_out, needs, reader)


def select(source: Source, patterns: Patterns) -> Snapshot:
    """Return the files that enter the image, as the source lists them.

    Raises:
        CarferryError: As ``choose``.
    """
    return choose(source, patterns).files


def take(source: Source, patterns: Patterns) -> Snapshot:
    """Return the files that enter the image, each with its content id.

    Raises:
        CarferryError: As ``choose``, or the source failed.
    """
    return source.snapshot([file.path for file in select(source, patterns).files])


def _place(source: Source, listing: Snapshot) -> str:
    """Return what a model's folder is named by on a command line; empty if it has no such name."""
    if listing.image:
        return ""  # what an image says of its source is its maker's word
    place = listing.place.partition("?")[0]
    if place or not isinstance(source, FolderSource):
        return place
    return str(source) if source.root.is_absolute() else f"./{source}"


def _selection(
    files: Snapshot, left_out: tuple[LeftOut, ...], needs: Needs, reader: Reader
) -> Selection:
    sizes = {file.path: file.size_bytes for file in files.files}
    layout = read_layout(sizes, reader.range_of)
    arguments = arguments_of(sizes, layout)
    notes = tuple(notes_of(sizes, needs, arguments))
    return Selection(files, left_out, notes, arguments, needs.code.is_any, layout)


def _reason(
    path: str, needs: Needs, stays: Mapping[str, Leftover], patterns: Patterns
) -> str | None:
    """Return why a file stays out: empty if nobody needs to be told, None if it enters."""
    if patterns.excludes(path):
        return ""
    if why := stays.get(path):
        exact = why is Leftover.CREDENTIAL
        if patterns.names_exactly(path) if exact else patterns.names(path):
            return None
        return "" if why is Leftover.HIDDEN else why.value
    if (copy := needs.copies.get(path)) and not patterns.names(path, needs.layout.files):
        return copy
    if patterns.replaces:
        return None if patterns.includes(path) else ""
    return None if needs.wants(path) else _kind(path)


def _may_decide(path: str, patterns: Patterns) -> bool:
    """Return whether a file may say what a model needs; an index that a user leaves out is mute."""
    return not fault_of(path) and not (is_index(path) and patterns.excludes(path))


def _may_enter(path: str, patterns: Patterns) -> bool:
    if patterns.excludes(path):
        return False
    by_name = is_text(path) or path.endswith(".safetensors")
    return patterns.includes(path) if patterns.replaces else by_name


def _kind(path: str) -> str:
    if matches(path, PICKLE):
        return "pickled, which runs code when loaded"
    if is_weights(path):
        return "weights in another format"
    return "code that no config names" if path.endswith(".py") else "read by no server"


def _refuse_layout(stays: Mapping[str, Leftover], origin: str) -> None:
    if stays.get("oci-layout") is Leftover.LAYOUT:
        remedy = "package the model's own folder; carferry push copies images"
        raise InputError("package", origin, "an OCI layout and not a model", remedy)
