"""Whoever may push once gains nothing: no claim of his enters an image that carferry makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from ferrying import (
    REPO,
    access,
    ferry,
    from_folder,
    from_hub,
    hashes,
    manifest,
    model_files,
    to_layout,
    to_registry,
)
from poison import EVIL, claim, manifest_of, other_bytes, other_frame
from servers.hub import Hub
from servers.models import filled, write
from servers.registry import Registry

from carferry.assembly.build import build, seal_shares, stream_share
from carferry.assembly.options import Options
from carferry.assembly.planning import plan_build
from carferry.assembly.shards import PREFIX
from carferry.image.layers import Format, Layer
from carferry.io.show.progress import Silent
from carferry.oci.documents import Document
from carferry.refs import Digest, ImageRef
from carferry.registry.blobs import put_blob
from carferry.registry.target import Target

LARGE_BYTES = 4096
FILES = {
    "config.json": b'{"architectures": ["Tiny"]}',
    "generation_config.json": b'{"temperature": 0.6}',
    "model-1.safetensors": filled(10240, 1),
    "model-2.safetensors": filled(8448, 2),
}


@dataclass
class Scene:
    """A model, the registry it goes to, and an attacker who may push there.

    Attributes:
        registry: The real thing.
        folder: The model.
        format: Of the image.
    """

    registry: Registry
    folder: Path
    format: Format = Format.MODELCAR

    def options(self, **changes: object) -> Options:
        """Return what everybody builds with."""
        given = {"base": "scratch", "large_bytes": LARGE_BYTES, "format": self.format} | changes
        return Options(**given)  # type: ignore[arg-type]

    def target(self, repository: str = "org/tiny", tag: str = "v1") -> Target:
        """Return a repository as a fresh process opens it."""
        return to_registry(self.registry, repository, tag)

    def layers(self) -> list[Layer]:
        """Return the layers of the honest plan."""
        given = access(self.registry.host)
        at = self.target("org/nothing")
        plan = plan_build(from_folder(self.folder), at, self.options(), given)
        return [each.layer for each in plan.layers]

    def shard_prefix(self) -> str:
        """Return what this plan's shards are named; anybody who knows the model can tell."""
        given = access(self.registry.host)
        at = self.target("org/elsewhere")
        stream_share(from_folder(self.folder), at, self.options(), 9, 9, access=given)
        (tag,) = at.tags(PREFIX)
        return tag.removesuffix("9of9")

    def honest(self) -> Document:
        """Return the image as a registry without an attacker would get it."""
        return ferry(
            from_folder(self.folder),
            self.target("org/honest"),
            large_bytes=LARGE_BYTES,
            format=self.format,
        ).document


@pytest.fixture
def scene(registry: Registry, tmp_path: Path) -> Scene:
    """A registry and a tiny model."""
    return Scene(registry, write(FILES, tmp_path / "model"))


Attack = Callable[[Scene], tuple[ImageRef, ...]]


def through_tag(tag: str, scene: Scene, *, index: bool = False) -> tuple[ImageRef, ...]:
    """Claim every layer under a tag of the target's repository."""
    claim(scene.target(), scene.layers(), tag, index=index)
    return ()


def through_shard(scene: Scene, **annotations: str) -> tuple[ImageRef, ...]:
    """Claim every layer under a tag that this very plan's worker would use."""
    tag = f"{scene.shard_prefix()}7of9"
    said = {name.replace("_", "."): value for name, value in annotations.items()}
    claim(scene.target(), scene.layers(), tag, annotations=said)
    return ()


def through_neighbour(scene: Scene) -> tuple[ImageRef, ...]:
    """Claim every layer in a repository that the build mounts from."""
    claim(scene.target("org/neighbour"), scene.layers(), "v1")
    return (ImageRef(scene.registry.host, "org/neighbour", "v1"),)


def through_small_file(scene: Scene) -> tuple[ImageRef, ...]:
    """Claim only what has a git id, in the format where others are known by their digest."""
    small = [each for each in scene.layers() if each.known_digest is None]
    claim(scene.target(), small or scene.layers(), "v1")
    return ()


def through_frame(scene: Scene) -> tuple[ImageRef, ...]:
    """Claim layers whose files are right and belong to another user."""
    claim(scene.target(), scene.layers(), "v1", lambda layer: other_frame(layer, FILES))
    return ()


ATTACKS: dict[str, Attack] = {
    "the tag itself": partial(through_tag, "v1"),
    "the tag itself, an index": partial(through_tag, "v1", index=True),
    "another tag": partial(through_tag, "older"),
    "a tag like another plan's shard": partial(through_tag, f"{PREFIX}0123456789abcdef-1of1"),
    "a tag like this plan's shard": through_shard,
    "a shard with a signature of nobody": partial(
        through_shard, **{"dev_carferry_shard_mac": "0" * 64}
    ),
    "a neighbour to mount from": through_neighbour,
    "a small file": through_small_file,
}


def is_clean(target: Target) -> bool:
    """Return whether no byte of an attacker is in an image, whatever its format."""
    layers = [layer.digest for layer in manifest(target).layers]
    return not any(EVIL * 2 in b"".join(target.open_blob(digest)) for digest in layers)


@pytest.mark.parametrize("format", list(Format))
@pytest.mark.parametrize("name", ATTACKS)
def test_a_build_seals_no_bytes_of_somebody_elses(scene: Scene, name: str, format: Format) -> None:
    scene.format = format
    origins = ATTACKS[name](scene)
    done = build(
        from_folder(scene.folder),
        scene.target(),
        scene.options(mount_from=origins),
        access=access(scene.registry.host),
    )
    assert is_clean(scene.target())
    assert done.document == scene.honest()


def test_a_small_file_of_the_hub_is_not_taken_for_another(scene: Scene, hub: Hub) -> None:
    """Its git id says nothing of the digest that its ModelPack layer must have."""
    hub.add(REPO, FILES)
    options, given = scene.options(format=Format.MODELPACK), access(scene.registry.host)
    plan = plan_build(from_hub(hub), scene.target("org/nothing"), options, given)
    small = [each.layer for each in plan.layers if each.layer.known_digest is None]
    evil = claim(scene.target(), small, "v1")
    done = build(from_hub(hub), scene.target(), options, access=given)
    assert len(evil) >= 2
    assert not {layer.digest for layer in done.document.layers} & {*evil}
    assert is_clean(scene.target())


@pytest.mark.parametrize("name", ATTACKS)
def test_workers_and_sealer_seal_no_bytes_of_somebody_elses(scene: Scene, name: str) -> None:
    origins, given = ATTACKS[name](scene), access(scene.registry.host)
    options = scene.options(mount_from=origins)
    for worker in (1, 2):
        stream_share(from_folder(scene.folder), scene.target(), options, worker, 2, access=given)
    sealed = seal_shares(from_folder(scene.folder), scene.target(), options, access=given)
    assert sealed.document == scene.honest()
    assert model_files(scene.target()) == hashes(FILES)


def test_a_frame_with_another_owner_is_no_layer_of_ours(scene: Scene) -> None:
    through_frame(scene)
    done = ferry(from_folder(scene.folder), scene.target(), large_bytes=LARGE_BYTES)
    assert done.document == scene.honest()


def test_a_rebuild_heals_a_tag_and_says_what_was_wrong_with_it(scene: Scene) -> None:
    class Heard(Silent):
        def __init__(self) -> None:
            self.notes: list[str] = []

        def note(self, text: str) -> None:
            self.notes.append(text)

    heard = Heard()
    evil = claim(scene.target(), scene.layers(), "v1")
    given = access(scene.registry.host)
    build(from_folder(scene.folder), scene.target(), scene.options(), access=given, progress=heard)
    assert not {layer.digest for layer in manifest(scene.target()).layers} & {*evil}
    assert len(heard.notes) == len(evil)
    for layer in scene.layers():
        (note,) = (note for note in heard.notes if note.startswith(f"{layer.name}: "))
        assert "v1" in note and str(scene.target().ref).partition(":v1")[0] in note


@pytest.mark.parametrize("ending", ["", ".sig", ".att", ".sbom"])
def test_tags_of_signatures_hide_no_image(scene: Scene, ending: str) -> None:
    """Sixteen other tags are looked at; a hundred signatures are none of them."""
    ferry(from_folder(scene.folder), scene.target(tag="older"), large_bytes=LARGE_BYTES)
    target = scene.target()
    put_blob(target, b"{}")
    for number in range(20):
        subject = Digest.of(bytes([number])).hex
        target.put_manifest(manifest_of([], {"n": str(number)}), f"sha256-{subject}{ending}")
    done = ferry(from_folder(scene.folder), target, large_bytes=LARGE_BYTES)
    assert done.moved_bytes == 0


def test_an_attacker_cannot_pass_other_bytes_off_under_a_right_digest(
    scene: Scene, tmp_path: Path
) -> None:
    """A registry refuses them; a layout on disk does not look."""
    layout = to_layout(tmp_path / "layout")
    source = from_folder(scene.folder)
    first = ferry(source, layout, large_bytes=LARGE_BYTES)
    victim = first.results[0]
    path = tmp_path / "layout/blobs/sha256" / victim.descriptor.digest.hex
    path.write_bytes(other_bytes(victim.layer))
    again = ferry(source, to_layout(tmp_path / "layout"), large_bytes=LARGE_BYTES)
    assert again.moved_bytes == victim.layer.size_bytes
    assert model_files(layout) == hashes(FILES)
