"""The entries of one layer that count for a model: headers by Range, or a layer read through.

A base has tens of thousands of others, which are passed over. A file of an uncompressed layer can
be asked for in part later; of a compressed one its first and last bytes are kept while it passes,
since reading them again would mean unpacking from the start.
"""

from __future__ import annotations

import hashlib
import io
import stat
from collections.abc import Iterator
from dataclasses import replace

from carferry.image.contract import TOOL_PATHS, Entry, Place
from carferry.image.layers import ROOT
from carferry.image.links import Links
from carferry.image.unpack import Budget, NotLookedAt, readable, unpacked
from carferry.image.whiteouts import is_whiteout, taken_by
from carferry.oci.documents import LAYER, LAYER_TYPES, Descriptor
from carferry.oci.headers import Member, path_in_image, read_members
from carferry.registry.ranged import Ranged
from carferry.registry.target import Target
from carferry.source.snapshot import ContentId

_RANGE_BYTES = 64 * 1024
_CHUNK = 1024 * 1024
# What one kept entry takes beside its texts, measured; a link beside the model is less.
_ENTRY_BYTES = 500
_LINK_BYTES = 200
_HEAD_BYTES = 256 * 1024
_TAIL_BYTES = 1024
# Servers and checks parse these whole: DeepSeek-V3's index has 8.9 MB.
_WHOLE = ("config.json", "params.json", ".index.json")
_WHOLE_BYTES = 16 * 1024 * 1024


def read_entries(
    target: Target, layer: Descriptor, budget: Budget, links: Links, *, hashing: bool = False
) -> tuple[list[Entry], str]:
    """Return the entries of a layer that count, and the digest of its uncompressed bytes.

    Args:
        target: Where it is.
        layer: Which.
        budget: What it may cost.
        links: Those of the layers below, outside of the model; this layer's are added.
        hashing: Compute the sha256 of files of a compressed layer, which pass anyway.

    Raises:
        NotLookedAt: It is no tar, or costs more than the budget.
        DamagedLayer: No runtime could unpack it.
        OtherBytes: It is compressed, and not what its digest promises.
        TargetError: The registry failed.
    """
    if layer.media_type not in LAYER_TYPES:
        raise NotLookedAt("read layer", layer.digest, f"it is no tar ({layer.media_type})")
    reading = _Reading(layer, budget, links, hashing)
    if layer.media_type == LAYER:
        ranged = Ranged(target, layer, asked=lambda: budget.spend("requests", 1, layer))
        with readable(layer):
            return list(reading.entries(io.BufferedReader(ranged, _RANGE_BYTES))), str(layer.digest)
    with unpacked(target, layer, budget) as raw:
        kept = list(reading.entries(io.BufferedReader(raw, _CHUNK)))
        return kept, str(raw.finish())


def in_model(path: str) -> bool:
    """Return whether a path of an image lies at or under ``/models``."""
    return path == ROOT or path.startswith(f"{ROOT}/")


class _Reading:
    """One pass over a layer."""

    def __init__(self, layer: Descriptor, budget: Budget, links: Links, hashing: bool) -> None:
        self._layer = layer
        self._budget = budget
        self._links = links
        self._hashing = hashing

    def entries(self, file: io.BufferedReader) -> Iterator[Entry]:
        can_seek = file.seekable()
        for member in read_members(file):
            self._budget.spend("entries", 1, self._layer)
            path, link = path_in_image(member.info.name), member.info.linkname
            reached = self._reached(path)
            if reached or in_model(path) or path in TOOL_PATHS or is_whiteout(path):
                # Every folder above a path is kept too.
                texts = len(path) * (1 + path.count("/")) + len(link)
                self._budget.spend("kept_bytes", _ENTRY_BYTES + texts, self._layer)
                entry = _entry(member, path, reached)
                is_readable = entry.kind == "file" and member.is_file and in_model(path)
                yield self._placed(entry, member, can_seek) if is_readable else entry
            elif member.info.issym():
                self._budget.spend("kept_bytes", _LINK_BYTES + len(path + link), self._layer)
                self._links.add(path, link)

    def _reached(self, path: str) -> str:
        """Return what of the model an entry puts or takes away through a link; else empty."""
        real = self._links.resolve(path)
        if real == path or in_model(path):
            return ""
        found = taken_by(real) if is_whiteout(real) else real
        return (found if in_model(found) else "") if found else ROOT

    def _placed(self, entry: Entry, member: Member, can_seek: bool) -> Entry:
        """Say where a file lies; reads it where it cannot be asked for again."""
        if can_seek:
            return replace(entry, place=Place(self._layer, member.offset))
        size = member.info.size
        is_whole = size <= _WHOLE_BYTES and entry.path.endswith(_WHOLE)
        wanted = size if is_whole else min(size, _HEAD_BYTES)
        is_kept = self._budget.has("head_bytes", wanted + _TAIL_BYTES) if wanted else False
        if not is_kept and not self._hashing:
            return replace(entry, place=Place(self._layer, member.offset, is_packed=True))
        head, tail, digest = _passed(member, wanted if is_kept else 0, self._hashing)
        place = Place(
            self._layer, member.offset, is_packed=True, head=head, tail=tail if is_kept else b""
        )
        return replace(
            entry, place=place, content=ContentId("sha256", digest) if self._hashing else None
        )


def _passed(member: Member, head_bytes: int, hashing: bool) -> tuple[bytes, bytes, str]:
    """Read a file to its end; return its first bytes, its last ones, and its sha256."""
    head, tail = bytearray(), b""
    hasher = hashlib.sha256()
    while chunk := member.read(_CHUNK):
        head += chunk[: head_bytes - len(head)] if len(head) < head_bytes else b""
        tail = (tail + chunk[-_TAIL_BYTES:])[-_TAIL_BYTES:]
        if hashing:
            hasher.update(chunk)
    return bytes(head), tail, hasher.hexdigest()


def _entry(member: Member, path: str, reached: str) -> Entry:
    info = member.info
    mode, owner = stat.S_IMODE(info.mode), (info.uid, info.gid)
    if reached:
        # Some runtimes put it there, others where it says: nobody can tell what is served.
        return Entry(reached, 0, mode, "link", owner, path)
    kind = "directory" if info.isdir() else "file" if info.isreg() else "link"
    return Entry(path, info.size if info.isreg() else 0, mode, kind, owner, info.linkname)
