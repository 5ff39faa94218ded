"""Checking an image against the contract without pulling its weights.

Tar headers are read by Range, so a 900 GB image costs a few requests per file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from carferry.image.contents import look
from carferry.image.contract import (
    Clause,
    Contents,
    Entry,
    Place,
    check_modelcar,
    check_modelpack,
    not_an_image,
)
from carferry.image.kinds import first_image, is_modelpack, kind_of
from carferry.image.layers import ROOT
from carferry.image.modelpack import RAW, file_path
from carferry.image.unpack import Budget
from carferry.oci.documents import Descriptor, Document, image_size
from carferry.registry.read import read_config, read_image, read_manifests
from carferry.registry.target import Target


@dataclass(frozen=True, slots=True)
class Inspection:
    """What an inspection found.

    Attributes:
        document: What the reference names.
        clauses: The contract, clause by clause; of an index, as its first image meets it.
        models: What lies under ``/models``.
        size_bytes: All different blobs.
        layers: Descriptors of the first image's layers, base first.
        annotations: Of the manifest.
        kind: What it is if it is no image; empty for an image.
        unread: Why each layer that was not looked at was not.
    """

    document: Document
    clauses: tuple[Clause, ...]
    models: tuple[Entry, ...]
    size_bytes: int
    layers: tuple[Descriptor, ...]
    annotations: dict[str, str]
    kind: str = ""
    unread: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether KServe's modelcar mode can serve it, as far as it was looked at."""
        return all(clause.ok is not False for clause in self.clauses)


def inspect(target: Target, *, budget: Budget | None = None) -> Inspection:
    """Read an image's documents and tar headers and check them against the contract.

    Args:
        target: Where it is.
        budget: What looking into its layers may cost; a layer beyond it is not looked at.

    Raises:
        ManifestMissing: Nothing there.
        TargetError: Its documents are unreadable, or the registry failed; a damaged layer breaks
            a clause.
    """
    top = read_image(target)
    manifests = read_manifests(target, top)
    manifest = first_image(manifests, top.manifests if top.is_index else ())
    kind = kind_of(manifest)
    contents = Contents(())
    if is_modelpack(manifest):
        contents = Contents(tuple(_named_files(manifest)))
        clauses = check_modelpack(read_config(target, manifest), manifest.layers, contents.models)
    elif kind:
        clauses = not_an_image(kind)
    else:
        config = read_config(target, manifest)
        contents = look(target, manifest.layers, _diff_ids(config), budget or Budget())
        clauses = check_modelcar(config, contents, manifest.layers)
    return Inspection(
        top, clauses, contents.models, _size(manifests),
        manifest.layers, manifest.annotations, kind, contents.unread,
    )  # fmt: skip


def _size(manifests: tuple[Document, ...]) -> int:
    """Return the bytes of all blobs; an artifact may have no config."""
    return image_size(each for each in manifests if "config" in each.json)


def _diff_ids(config: dict[str, Any]) -> list[str]:
    """Return what the config says of its layers; of another shape, its own clause says so."""
    rootfs = config.get("rootfs")
    found = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    return [str(each) for each in found] if isinstance(found, list) else []


def _named_files(manifest: Document) -> Iterator[Entry]:
    """List a ModelPack artifact's files; its raw layers have no modes or owners."""
    for layer in manifest.layers:
        path = file_path(layer)
        if path:
            place = Place(layer) if layer.media_type.endswith(RAW) else None
            path = f"{ROOT}/{path}"
            yield Entry(path, layer.size_bytes, 0o644, "file", (0, 0), place=place)
