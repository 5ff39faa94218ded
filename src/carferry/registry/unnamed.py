"""Which image of a layout is meant, where its entries have no tags, other tools' names, or none.

``org.opencontainers.image.ref.name`` is optional, and tools write a tag in it, a whole reference,
or nothing: skopeo and buildah without a tag, ``docker save`` and containerd a reference of their
own beside it. A layout that holds one image needs no name. Sources: OCI image-spec v1.1,
annotations.md and image-layout.md; skopeo's ``oci:`` transport, which takes the only image if no
tag is given.
"""

from __future__ import annotations

from collections.abc import Sequence

from carferry.errors import ManifestMissing
from carferry.oci.documents import REF_NAME, Descriptor
from carferry.refs import Digest, LayoutRef, is_tag

_CONTAINERD_NAME = "io.containerd.image.name"
# Of BuildKit: an entry that speaks of another one.
_ABOUT = "vnd.docker.reference.type"
# What no one named: the tag that a reference without one has.
_UNSAID = "latest"
_MOST_SHOWN = 8


def choose(ref: LayoutRef, entries: Sequence[Descriptor]) -> Descriptor | None:
    """Return the entry that a reference means although none has its tag; None if there is none.

    Args:
        ref: With a tag and no digest.
        entries: Of the layout's ``index.json``; artifacts about others are left out.

    Raises:
        ManifestMissing: Several may be meant, or none has that tag.
    """
    images = _different([each for each in entries if not is_about(each)])
    named = [each for each in images if ref.tag in map(_tag_of, names_of(each))]
    if not named and len(images) == 1 and (ref.tag == _UNSAID or not names_of(images[0])):
        return images[0]
    if len(named) > 1 or (not named and images):
        raise ManifestMissing("read", ref, f"it holds {_listed(images)}", _remedy(ref, images))
    return named[0] if named else None


def is_about(entry: Descriptor) -> bool:
    """Return whether an entry is BuildKit's word on another one."""
    return _ABOUT in entry.annotations


def names_of(entry: Descriptor) -> tuple[str, ...]:
    """Return the names that an entry has, the specification's first."""
    found = (entry.annotations.get(name, "") for name in (REF_NAME, _CONTAINERD_NAME))
    return tuple(dict.fromkeys(name for name in found if name))


def _different(entries: Sequence[Descriptor]) -> list[Descriptor]:
    """Return entries of different content: one image may have several names."""
    every: dict[Digest, Descriptor] = {}
    for entry in entries:
        known = every.get(entry.digest)
        if known is None or not names_of(known):
            every[entry.digest] = entry
    return list(every.values())


def _tag_of(name: str) -> str:
    """Return the tag of a whole reference; of a tag, itself."""
    path = name.partition("@")[0]
    last = path.rpartition("/")[2]
    tag = last.rpartition(":")[2]
    return tag if ":" in last or "/" not in path else _UNSAID


def _listed(images: Sequence[Descriptor]) -> str:
    shown = [", ".join(names_of(each)) or f"unnamed {each.digest}" for each in images]
    more = f" and {len(shown) - _MOST_SHOWN} more" if len(shown) > _MOST_SHOWN else ""
    count = "one image" if len(shown) == 1 else f"{len(shown)} images"
    return f"{count}: {'; '.join(shown[:_MOST_SHOWN])}{more}"


def _remedy(ref: LayoutRef, images: Sequence[Descriptor]) -> str:
    tags = (_tag_of(name) for each in images for name in names_of(each))
    tag = next((tag for tag in tags if tag != ref.tag and is_tag(tag)), "")
    by_tag = f"oci:{ref.path}:{tag} or " if tag else ""
    return f"write {by_tag}oci:{ref.path}@{images[0].digest}"
