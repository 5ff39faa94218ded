"""What the seal would refuse after everything has moved, found before a byte does.

The documents are composed of what the plan knows: digests of layers that have yet to move are
all of one length, so each document has its exact length already.
"""

from __future__ import annotations

from collections.abc import Iterator

from carferry.assembly.plan import Plan
from carferry.assembly.seal import compose_images
from carferry.errors import CarferryError, InputError
from carferry.image.base import Base
from carferry.image.compose import CONTENT_KEY, Image, index_of, model_descriptor
from carferry.image.layers import MOST_LAYERS, Format, Layer
from carferry.oci.documents import MANIFEST_CAP_BYTES, Document
from carferry.refs import Digest
from carferry.registry.place import check_tag, held_by, will_move
from carferry.registry.target import Target
from carferry.source.snapshot import ContentId

_MIB = 1024 * 1024
_UNKNOWN = Digest("0" * 64)


def check_seal(plan: Plan, engine: str, target: Target) -> None:
    """Refuse a plan whose image could not be sealed at the target.

    Args:
        plan: What would be done.
        engine: As the image's annotations will name it.
        target: Where the image would go.

    Raises:
        InputError: Too many layers, a document that no registry takes, or a base that has lost
            a layer or has one that this registry does not take.
    """
    for base in plan.bases:
        _check_count(plan, base)
        _check_base(base, target)
    for name, document in _documents(plan, engine):
        if len(document.data) > MANIFEST_CAP_BYTES:
            raise InputError(
                "build", target.ref,
                f"its {name} would be {len(document.data) / _MIB:.1f} MiB for "
                f"{len(plan.snapshot.files)} files, registries take {MANIFEST_CAP_BYTES // _MIB}",
                "leave files out with --exclude, or build --format modelcar",
            )  # fmt: skip


def check_target(target: Target, plan: Plan, *, engine: str = "stream") -> None:
    """Prove, before a byte moves, that the login may push, and that the tag may be moved.

    A tag that may name the same image already is left alone: then nothing is written to it.

    Args:
        target: Where the image will be tagged.
        plan: What will be done.
        engine: ``buildah`` moves every layer, whatever is planned.

    Raises:
        TagImmutable: The tag names another image and stays.
        TargetError: The login may not push.
    """
    target.check_push()
    if plan.bytes_to_move or engine != "stream":
        check_tag(target, lambda held: not _may_be(plan, target, held))


def replaced(target: Target, plan: Plan) -> str:
    """Return a remark if the tag names another image now, which will lose it; else nothing.

    Args:
        target: Where the image would be tagged.
        plan: What would be done.

    Raises:
        CarferryError: The target does not answer for the moment.
    """
    tag = target.ref.push_tag
    held = held_by(target, tag) if tag else None
    if held is None or _may_be(plan, target, held):
        return ""
    return will_move(target, held)


def _may_be(plan: Plan, target: Target, held: Document) -> bool:
    """Return whether a document may be the image that a plan makes: same base, same files."""
    try:
        found = target.get_manifest(str(held.manifests[0].digest)) if held.is_index else held
        layers = found.layers if found else ()
    except (CarferryError, IndexError):
        return False
    count = len(layers) - len(plan.layers)
    base = () if plan.format is Format.MODELPACK else plan.bases[0].layers
    keys = [layer.annotations.get(CONTENT_KEY) for layer in layers[max(count, 0) :]]
    same = keys == [str(each.layer.content_key) for each in plan.layers]
    return same and [each.digest for each in layers[:count]] == [each.digest for each in base]


def _check_count(plan: Plan, base: Base) -> None:
    count = len(base.layers) + len(plan.layers)
    if plan.format is Format.MODELCAR and count > MOST_LAYERS:
        reason = f"{len(base.layers)} layers and {len(plan.layers)} of the model are {count}, "
        reason += f"over {MOST_LAYERS}"
        raise InputError("use base", base.name, reason, "choose another --base")


def _check_base(base: Base, target: Target) -> None:
    """Ask for every layer that the seal would copy."""
    if base.home is None:
        return
    limit = target.largest_blob_bytes
    for layer in base.layers:
        if target.blob_size(layer.digest) == layer.size_bytes:
            continue
        if base.home.blob_size(layer.digest) != layer.size_bytes:
            reason = f"its layer {layer.digest} is missing there, or of another length"
            raise InputError("use base", base.name, reason, "pull or push the base again")
        if limit and layer.size_bytes > limit:
            reason = f"its layer {layer.digest} is {layer.size_bytes / _MIB:.0f} MiB, "
            reason += f"this registry takes {limit / _MIB:.0f} MiB"
            raise InputError("use base", base.name, reason, "choose another --base")


def _documents(plan: Plan, engine: str) -> Iterator[tuple[str, Document]]:
    images = _composed(plan, engine)
    for _, image in images:
        yield "config", image.config
        yield "manifest", image.manifest
    if len(images) > 1:
        yield "index", index_of(images)


def _composed(plan: Plan, engine: str) -> list[tuple[Base, Image]]:
    """Compose the image that the seal will, with digests in the place of those to come."""
    model = [model_descriptor(each.layer, _UNKNOWN, _unread(each.layer)) for each in plan.layers]
    return compose_images(plan, engine, model)


def _unread(layer: Layer) -> tuple[ContentId, ...]:
    """Return ids of the length of those that reading will give, where the source has none."""
    return () if layer.is_provable else (ContentId("sha256", _UNKNOWN.hex),) * len(layer.files)
