"""What an image's layers hold together: tar headers, read by Range or by unpacking, within limits.

Only the entries that the contract asks about are kept; a base has tens of thousands of others.
"""

from __future__ import annotations

import io
import stat
import tarfile
from collections.abc import Iterator, Sequence
from typing import IO

from carferry.image.contract import TOOL_PATHS, Contents, Entry, Place
from carferry.image.layers import ROOT
from carferry.image.unpack import Budget, NotLookedAt, readable, unpacked
from carferry.image.whiteouts import Whiteouts, is_whiteout
from carferry.oci.documents import LAYER, LAYER_TYPES, Descriptor
from carferry.oci.headers import path_in_image, read_headers
from carferry.registry.ranged import Ranged
from carferry.registry.target import Target

# Container engines stop at about 125; more are not worth a request each.
_MOST_LAYERS = 500
_RANGE_BYTES = 64 * 1024
# What one kept entry takes beside its texts, measured.
_ENTRY_BYTES = 500


def look(
    target: Target, layers: Sequence[Descriptor], diff_ids: Sequence[str], budget: Budget
) -> Contents:
    """Look into layers, bottom first.

    Args:
        target: Where they are.
        layers: As the manifest lists them.
        diff_ids: As the config lists them; may be too few.
        budget: What it may cost.

    Raises:
        TargetError: A layer is no tar, or other bytes than promised.
    """
    found, unread, wrong = _Overlay(), list[str](), ""
    for number, layer in enumerate(layers):
        try:
            if number >= _MOST_LAYERS:
                raise NotLookedAt("read layer", layer.digest, f"beyond {_MOST_LAYERS} layers")
            entries, diff_id = _entries(target, layer, budget)
        except NotLookedAt as error:
            unread.append(f"layer {layer.digest.hex[:12]} was not looked at: {error.reason}")
            found.hide()
            continue
        found.add(entries)
        said = diff_ids[number] if number < len(diff_ids) else diff_id
        if said != diff_id and not wrong:
            wrong = f"the config has {said} for layer {layer.digest}, whose content is {diff_id}"
    return found.contents(tuple(unread), wrong)


class _Overlay:
    """Entries by path, as a union of layers shows them."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._covered: set[str] = set()

    def hide(self) -> None:
        """Note that a layer which was not looked at lies over all that was found so far."""
        self._covered |= self._entries.keys()

    def add(self, layer: Sequence[Entry]) -> None:
        """Lay one layer over the others: its whiteouts first, which never hide its own."""
        if taken := Whiteouts.among(entry.path for entry in layer):
            self._entries = {p: e for p, e in self._entries.items() if not taken.hide(p)}
        for entry in layer:
            if not is_whiteout(entry.path):
                self._entries[entry.path] = entry
                self._covered.discard(entry.path)

    def contents(self, unread: tuple[str, ...], wrong: str) -> Contents:
        """Return what the contract asks about."""
        paths = sorted(filter(_is_model, self._entries), key=_in_bytes)
        return Contents(
            tuple(self._entries[path] for path in paths),
            TOOL_PATHS & self._entries.keys(),
            frozenset(self._covered),
            unread,
            wrong,
        )


def _entries(target: Target, layer: Descriptor, budget: Budget) -> tuple[list[Entry], str]:
    """Return the entries that count, and the digest of the uncompressed layer."""
    if layer.media_type not in LAYER_TYPES:
        raise NotLookedAt("read layer", layer.digest, f"it is no tar ({layer.media_type})")
    if layer.media_type == LAYER:
        ranged = io.BufferedReader(
            Ranged(target, layer, asked=lambda: budget.spend("requests", 1, layer)), _RANGE_BYTES
        )
        with readable(layer):
            return list(_kept(ranged, layer, budget)), str(layer.digest)
    with unpacked(target, layer, budget) as raw:
        kept = list(_kept(io.BufferedReader(raw, _RANGE_BYTES), layer, budget))
        return kept, str(raw.finish())


def _kept(file: IO[bytes], layer: Descriptor, budget: Budget) -> Iterator[Entry]:
    for member in read_headers(file):
        budget.spend("entries", 1, layer)
        is_here = file.seekable() and member.isreg()
        entry = _entry(member, Place(layer, file.tell()) if is_here else None)
        if _counts(entry.path):
            texts = len(entry.path) + len(entry.link)
            budget.spend("kept_bytes", _ENTRY_BYTES + texts, layer)
            yield entry


def _counts(path: str) -> bool:
    return _is_model(path) or path in TOOL_PATHS or is_whiteout(path)


def _is_model(path: str) -> bool:
    return path == ROOT or path.startswith(f"{ROOT}/")


def _entry(member: tarfile.TarInfo, place: Place | None) -> Entry:
    kind = "directory" if member.isdir() else "file" if member.isreg() else "link"
    return Entry(
        path_in_image(member.name),
        member.size if member.isreg() else 0,
        stat.S_IMODE(member.mode),
        kind,
        (member.uid, member.gid),
        member.linkname,
        place,
    )


def _in_bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")
