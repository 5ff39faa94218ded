"""Comparing every file of an image, bundles included, with the id that it should have.

The ids are those of a source, or those that the image carries. Whoever made the image wrote the
latter: they prove that nothing was damaged or swapped since, not that the model is the hub's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from carferry.errors import InvalidReference
from carferry.image.compose import CONTENT_KEY, LAYER_PATH, file_ids
from carferry.image.contract import Clause
from carferry.image.hashing import Hashed, Held, Kinds, read_ids
from carferry.image.kinds import images_of
from carferry.image.layers import ROOT
from carferry.image.modelpack import CONFIG as MODELPACK_CONFIG
from carferry.image.modelpack import RAW, file_path
from carferry.image.provenance import COMMIT, SOURCE
from carferry.image.whiteouts import Laid, Overlay
from carferry.io.net.retry import Retry
from carferry.io.parallel import advance, run_parallel
from carferry.io.shell import word
from carferry.io.show.progress import Progress
from carferry.oci.documents import Descriptor, Document
from carferry.registry.read import read_image, read_manifests
from carferry.registry.target import Target
from carferry.source.snapshot import ContentId

Promises = Mapping[str, ContentId]
"""Path in the model to the id of its bytes."""
_NO_ID = "no id says what it should be"
_NO_IDS = "it carries no ids of its files; --model SOURCE compares with a source's"
_OURS = "dev.carferry."


@dataclass(frozen=True, slots=True)
class Verified:
    """What comparing the files found.

    Attributes:
        files: How many there are under ``/models``; of an index, in its first image.
        size_bytes: What was read.
        flaws: One line for each file or layer that is not what it should be.
        basis: What the ids are.
        unknown: How many files nothing is known of, since the image carries no ids at all.
    """

    files: int
    size_bytes: int
    flaws: tuple[str, ...]
    basis: str
    unknown: int = 0

    @property
    def clause(self) -> Clause:
        """The result as a clause of the contract; None if no id says what any file should be."""
        if self.flaws:
            return Clause("files", False, f"{len(self.flaws)} wrong{self._by('by')}")
        if self.unknown:
            return Clause("files", None, f"{self.unknown} not compared{self._by()}")
        return Clause("files", self.files > 0, f"{self.files} compared{self._by('with')}")

    def _by(self, how: str = "") -> str:
        return f"; {_NO_IDS}" if self.basis == _NO_IDS else f" {how} {self.basis}"


@dataclass(frozen=True, slots=True)
class _Part:
    """One layer with what decides how it is read; the same in several images, it is read once."""

    layer: Descriptor
    raw_path: str

    @property
    def key(self) -> tuple[object, ...]:
        return (self.layer.digest, self.raw_path, *sorted(self.layer.annotations.items()))

    @property
    def name(self) -> str:
        return self.layer.annotations.get(LAYER_PATH) or f"layer {self.layer.digest.hex[:12]}"


def verify(
    target: Target,
    promises: Promises | None,
    *,
    source: str = "",
    parallel: int,
    retry: Retry,
    progress: Progress,
) -> Verified:
    """Read every layer of an image and compare every file.

    Args:
        target: Where the image is, at the tag or digest of its reference.
        promises: A source's own ids; None takes those that the image carries.
        source: Names that source, for people.
        parallel: Layers read at once, about 4 MiB of memory each.
        retry: Policy for connections that break.
        progress: Receives every layer.

    Raises:
        ManifestMissing: Nothing there.
        TargetError: Its documents cannot be read.
        Unreachable: The registry broke off again and again.
    """
    top = read_image(target)
    listed = top.manifests if top.is_index else ()
    manifests = images_of(read_manifests(target, top), listed)
    images = [[*map(partial(_part, manifest), manifest.layers)] for manifest in manifests]
    distinct = list({part.key: part for image in images for part in image}.values())
    size = sum(part.layer.size_bytes for part in distinct)
    progress.expect(size, len(distinct))

    def read(part: _Part) -> _Found:
        return _read(target, part, promises, retry, progress)

    with progress.phase("reading layers", target.ref.host):
        found = run_parallel(read, distinct, parallel=parallel, retry=retry)
    by_key = {part.key: each for part, each in zip(distinct, found, strict=True)}
    files = [_topmost([by_key[part.key] for part in image]) for image in images]
    flaws = [line for each in found for line in each.flaws]
    is_foreign = promises is None and not any(map(_has_ids, manifests))
    quiet = ("", _NO_ID) if is_foreign else ("",)
    flaws += [f"{p}: {each[p]}" for each in files for p in sorted(each) if each[p] not in quiet]
    unknown = sum(flaw == _NO_ID for flaw in files[0].values()) if is_foreign else 0
    basis = _NO_IDS if is_foreign else source or _own_basis(manifests[0])
    return Verified(len(files[0]), size, tuple(dict.fromkeys(flaws)), basis, unknown)


def _has_ids(manifest: Document) -> bool:
    """Return whether an image carries ids, or is carferry's, which lost them.

    A file without one is suspicious there, since whoever put it there may not have had one.
    """
    every = [manifest.annotations, *(layer.annotations for layer in manifest.layers)]
    return any(key.startswith(_OURS) for each in every for key in each)


def _part(manifest: Document, layer: Descriptor) -> _Part:
    is_raw = manifest.config.media_type == MODELPACK_CONFIG and layer.media_type.endswith(RAW)
    return _Part(layer, f"{ROOT}/{file_path(layer)}" if is_raw else "")


@dataclass(frozen=True, slots=True)
class _Found:
    """What comparing one layer found.

    Attributes:
        entries: What it holds, with what is wrong with each file: empty if nothing is, None of
            folders and of what takes others away.
        flaws: What is wrong with the layer as a whole.
    """

    entries: Sequence[Laid[str | None]]
    flaws: tuple[str, ...]


def _read(
    target: Target, part: _Part, promises: Promises | None, retry: Retry, progress: Progress
) -> _Found:
    layer, name = part.layer, part.name
    try:
        ids = file_ids(layer)
    except InvalidReference as error:
        flaw = f"layer {layer.digest}: its ids cannot be read: {error.reason}"
        return _Found((), (flaw,))
    progress.begin(name, layer.size_bytes)
    contents = read_ids(
        target,
        layer,
        _kinds(ids, promises),
        retry=retry,
        moved=partial(advance, progress, retry, name),
        raw_path=part.raw_path,
        framed=CONTENT_KEY in layer.annotations and not part.raw_path,
    )
    progress.end(name, "read")
    files, flaw = _compared(contents, ids, promises)
    flaws = tuple(f"layer {layer.digest}: {each}" for each in (contents.flaw, flaw) if each)
    entries = [Laid(e.path, files.get(e.path), e.is_folder) for e in contents.entries]
    return _Found(entries, flaws[:1])


def _kinds(ids: Sequence[ContentId], promises: Promises | None) -> Kinds:
    every = {each.kind for each in ids}
    if promises is None:
        return lambda _: every
    return lambda path: {promises[path].kind} if path in promises else ()


def _compared(
    contents: Hashed, ids: Sequence[ContentId], promises: Promises | None
) -> tuple[dict[str, str], str]:
    """Return what is wrong with each file, and with their number."""
    held = [entry for entry in contents.entries if entry.is_file]
    flaws = {entry.path: entry.flaw for entry in contents.entries if entry.flaw}
    if promises is not None:
        return flaws | {e.path: _flaw_of(e, promises.get(e.in_model)) for e in held}, ""
    if not ids:
        return flaws | {entry.path: _NO_ID for entry in held}, ""
    # The ids are in path order; whoever packed the layer may have had another.
    held.sort(key=lambda entry: entry.in_model.encode("utf-8", "surrogatepass"))
    flaws |= {entry.path: _flaw_of(entry, each) for entry, each in zip(held, ids, strict=False)}
    return flaws, "" if len(held) == len(ids) else f"{len(held)} files for {len(ids)} ids"


def _flaw_of(held: Held, promised: ContentId | None) -> str:
    if promised is None:
        return _NO_ID
    if promised in held.ids:
        return ""
    found = next((each for each in held.ids if each.kind == promised.kind), None)
    return f"is {found}, should be {promised}"


def _topmost(layers: Sequence[_Found]) -> dict[str, str]:
    """Return what a container sees: a later layer covers an earlier one, or takes away from it."""
    overlay = Overlay[str | None]()
    for layer in layers:
        overlay.add(layer.entries)
    return {path: flaw for path, flaw in overlay.seen.items() if flaw is not None}


def _own_basis(manifest: Document) -> str:
    said = manifest.annotations.get(SOURCE, "")
    commit = manifest.annotations.get(COMMIT, "")
    basis = "the image's own ids, which whoever made it wrote"
    if not said.startswith("hf://"):
        # A bucket's address lacks its endpoint, and entity tags prove nothing; a folder has none.
        return f"{basis}; --model compares with a source's"
    named = f"--model {word(f'{said}@{commit}' if commit else said)}"
    return f"{basis}; {named} compares with the source's"
