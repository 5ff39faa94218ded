"""Whether the image is there already: the very one that a build would make, by its documents.

Source and base are asked what they are now, the tag for its manifest; of these the image's
documents are composed as a build composes them, and have the tag's digest or not. No layer is
read: that it holds what its descriptor says is the word of whoever pushed the tag (docs/adr/0045).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from carferry.assembly.options import ENGINES, Options
from carferry.assembly.plan import How, Plan, make_plan
from carferry.assembly.planning import open_bases
from carferry.assembly.results import BuildResult, LayerResult
from carferry.assembly.seal import compose_images, top_of
from carferry.errors import CarferryError
from carferry.image.compose import CONTENT_KEY, file_annotations
from carferry.image.layers import Layer, arrange
from carferry.image.provenance import COMMIT, ENGINE
from carferry.oci.documents import Descriptor, Document, image_size
from carferry.registry.access import Access
from carferry.registry.place import named_now
from carferry.registry.target import Target
from carferry.selection.select import choose
from carferry.source.pieces import Pieces


def find_standing(
    opened: Pieces, target: Target, options: Options, access: Access
) -> BuildResult | None:
    """Return the image at the target if a build would make that one; else None.

    Whichever engine made it: files count, not how they were packed. A few small requests, and for
    a folder without ids of its files, their bytes.

    Args:
        opened: The model; what is read of it is kept for whoever builds next.
        target: Where the image would go.
        options: How it would be made.
        access: How the base's registry is reached.

    Raises:
        InputError: The build would be refused.
        CarferryError: Source or registry failed.
    """
    start = time.monotonic()
    held = named_now(target)
    manifest = _manifest(target, held) if held else None
    # Most often it is the commit that moved: then nothing else is asked.
    if manifest is None or manifest.annotations.get(COMMIT, "") != opened.listing.commit:
        return None
    selection = choose(opened.source, options.patterns, pieces=opened)
    paths = [file.path for file in selection.files.files]
    plan = _plan(opened, paths, target, options, access)
    model = _claimed([each.layer for each in plan.layers], manifest)
    engine = manifest.annotations.get(ENGINE)
    if model is None or engine not in ENGINES:
        return None
    images = compose_images(plan, engine, model)
    if (top := top_of(images)) != held:
        return None
    manifests = [image.manifest for _, image in images]
    results = tuple(
        LayerResult(each.layer, descriptor, How.REUSE)
        for each, descriptor in zip(plan.layers, model, strict=True)
    )
    return BuildResult(
        top, plan.snapshot, results, image_size(manifests), len(manifests[0].layers),
        time.monotonic() - start, selection, previous=top.digest,
    )  # fmt: skip


def _manifest(target: Target, held: Document) -> Document | None:
    """Return a manifest, of an index its first; None if it is no document of ours."""
    try:
        if held.is_index:
            held = target.get_manifest(str(held.manifests[0].digest)) or held
        return held if held.layers and held.annotations else None
    except (CarferryError, IndexError) as error:
        if isinstance(error, CarferryError) and error.temporary:
            raise
        return None


def _plan(
    opened: Pieces, paths: Sequence[str], target: Target, options: Options, access: Access
) -> Plan:
    snapshot = opened.source.snapshot(paths)
    bases = open_bases(options, access, prove=False)
    layers = arrange(
        snapshot.files,
        base_layers=max(len(each.layers) for each in bases),
        format=options.format,
        large_bytes=options.large_bytes,
    )
    return make_plan(snapshot, bases, layers, {}, target.ref, options.format)


def _claimed(layers: Sequence[Layer], manifest: Document) -> list[Descriptor] | None:
    """Return the descriptors of a manifest that are said to be these layers, if all are."""
    there = manifest.layers[-len(layers) :]
    if len(there) != len(layers) or not all(map(_is_said_to_be, there, layers)):
        return None
    return [*there]


def _is_said_to_be(there: Descriptor, layer: Layer) -> bool:
    said = there.annotations
    if CONTENT_KEY in said:
        return said[CONTENT_KEY] == str(layer.content_key)
    # Buildah's layers carry no key: no other build may take them. Their files' ids they do carry.
    return layer.is_provable and said == file_annotations(layer)
