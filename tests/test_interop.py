"""What carferry writes, other tools read; what it promises about digests and bytes, it keeps."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ferrying import (
    age,
    blob,
    ferry,
    from_folder,
    from_hub,
    hashes,
    manifest,
    model_files,
    quick,
    to_layout,
    to_registry,
)
from servers.busybox import busybox_base
from servers.hub import Hub
from servers.models import ODD, sharded, synthetic, tiny, write
from servers.registry import Registry
from servers.tools import need

from carferry.image.layers import LARGE_BYTES
from carferry.io.show.progress import Silent
from carferry.oci.documents import Document, Platform
from carferry.refs import ImageRef
from carferry.registry.copy import copy_image
from carferry.registry.target import Target
from carferry.selection.patterns import Patterns
from carferry.selection.select import take
from carferry.source.download import download
from carferry.weights.safetensors import FIRST_READ

ENGINES = ["stream", "buildah"]
FILES = sharded(2) | {"1_Pooling/config.json": b"{}"} | dict.fromkeys(ODD.values(), b"odd")


def run(program: str, *arguments: object) -> str:
    """Run a program that must succeed; return its output."""
    command = [need(program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One registry; every test uses a repository of its own."""
    with Registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A base image in a layout."""
    return busybox_base(tmp_path_factory.mktemp("base") / "busybox")


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine; buildah only if it is installed."""
    name = str(request.param)
    if name == "buildah":
        need("buildah")
    return name


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with every kind of valid name; it is not written to."""
    return write(FILES, tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def pushed(engine: str, shared: Registry, folder: Path, base: str) -> tuple[Target, Document]:
    """The model as an image in the registry, from each engine, and its manifest."""
    target = to_registry(shared, f"pushed/{engine}")
    return target, ferry(from_folder(folder), target, engine=engine, base=base).document


def test_skopeo_inspects_and_copies_the_image(
    pushed: tuple[Target, Document], tmp_path: Path
) -> None:
    target, document = pushed
    image = f"docker://{target.ref}"
    seen = json.loads(run("skopeo", "inspect", "--tls-verify=false", image))
    assert seen["Digest"] == str(document.digest)
    assert seen["Layers"] == [str(layer.digest) for layer in document.layers]
    assert (seen["Architecture"], seen["Os"]) == ("amd64", "linux")
    copied = f"oci:{tmp_path / 'copied'}:v1"
    run(
        "skopeo",
        "--insecure-policy",
        "copy",
        "--quiet",
        "--preserve-digests",
        "--src-tls-verify=false",
        image,
        copied,
    )
    assert model_files(to_layout(tmp_path / "copied")) == hashes(FILES)


def test_podman_unpacks_the_image(pushed: tuple[Target, Document]) -> None:
    target, document = pushed
    image = target.location(document.digest)
    run("podman", "pull", "--quiet", "--tls-verify=false", image)
    try:
        mounted = Path(run("podman", "image", "mount", image).strip())
        root = mounted / "models"
        found = {p.relative_to(root).as_posix(): p for p in root.rglob("*")}
        files = {name: path.read_bytes() for name, path in found.items() if path.is_file()}
        stats = {
            (p.is_dir(), oct(p.stat().st_mode & 0o7777), p.stat().st_uid, p.stat().st_gid)
            for p in [root, *found.values()]
        }
        run("podman", "image", "unmount", image)
    finally:
        run("podman", "rmi", "--force", image)
    assert files == FILES
    assert stats == {(True, "0o755", 0, 0), (False, "0o644", 0, 0)}


def test_buildah_builds_on_top_of_the_image(
    pushed: tuple[Target, Document],
) -> None:
    target, document = pushed
    image = target.location(document.digest)
    container = run("buildah", "from", "--tls-verify=false", f"docker://{image}").strip()
    try:
        seen = run(
            "buildah", "run", "--isolation", "chroot", container, "cat", "/models/config.json"
        )
    finally:
        run("buildah", "rm", container)
        run("buildah", "rmi", image)
    assert seen.encode() == FILES["config.json"]


def test_registry_and_layout_hold_the_same_digest_and_a_push_keeps_it(
    engine: str,
    pushed: tuple[Target, Document],
    shared: Registry,
    folder: Path,
    base: str,
    tmp_path: Path,
) -> None:
    layout, target = to_layout(tmp_path / "layout"), to_registry(shared, f"copied/{engine}")
    built = ferry(from_folder(folder), layout, engine=engine, base=base).document
    assert built == pushed[1]
    copied = copy_image(layout, target, parallel=2, retry=quick(), progress=Silent())
    again = copy_image(layout, target, parallel=2, retry=quick(), progress=Silent())
    assert copied.document == built
    assert shared.tags(f"copied/{engine}") == {"v1": str(built.digest)}
    assert (again.moved_bytes, again.reused_bytes) == (0, copied.moved_bytes)


def test_times_permissions_and_the_place_of_a_folder_leave_no_trace(
    engine: str, tmp_path: Path
) -> None:
    """Two machines, two umasks, two days: one digest."""
    digests = set()
    for name, when, mask, file_mode, folder_mode in [
        ("one", 1.0, 0o022, 0o644, 0o755),
        ("two/deeper", 1.7e9, 0o077, 0o600, 0o700),
        ("three", 4.2e8, 0o002, 0o755, 0o777),
    ]:
        old = os.umask(mask)
        try:
            source = write(FILES, tmp_path / name)
            age(source, when=when, file_mode=file_mode, folder_mode=folder_mode)
            target = to_layout(tmp_path / "layouts" / name)
            digests.add(ferry(from_folder(source), target, engine=engine).document.digest)
        finally:
            os.umask(old)
    assert len(digests) == 1


def test_both_engines_give_the_same_files_and_the_same_annotations(
    folder: Path, base: str, tmp_path: Path
) -> None:
    need("buildah")
    stream, buildah = to_layout(tmp_path / "stream"), to_layout(tmp_path / "buildah")
    one = ferry(from_folder(folder), stream, base=base).document
    two = ferry(from_folder(folder), buildah, base=base, engine="buildah").document
    assert model_files(stream) == model_files(buildah) == hashes(FILES)
    assert _without_engine(one) == _without_engine(two)
    assert [
        config_of(stream, one)["config"]["User"],
        config_of(buildah, two)["config"]["User"],
    ] == [
        "1001",
        "1001",
    ]


@pytest.mark.parametrize("engine", ENGINES)
def test_streamed_from_the_hub_or_downloaded_first_is_one_digest(
    engine: str, hub: Hub, tmp_path: Path
) -> None:
    if engine == "buildah":
        need("buildah")
    hub.add("org/tiny", FILES, card={"license": "apache-2.0"})
    source = from_hub(hub)
    folder, snapshot = tmp_path / "model", take(source, Patterns())
    download(source, snapshot, folder, parallel=2, retry=quick(), progress=Silent())
    direct = ferry(source, to_layout(tmp_path / "direct"), engine=engine).document
    staged = ferry(from_folder(folder), to_layout(tmp_path / "staged"), engine=engine).document
    assert direct == staged
    assert direct.annotations["org.opencontainers.image.revision"] == snapshot.commit
    assert direct.annotations["org.opencontainers.image.licenses"] == "Apache-2.0"


def large_model(seed: int = 0) -> dict[str, object]:
    """Return a model whose weights stand alone in a layer."""
    return {
        "config.json": b"{}",
        "model-1.safetensors": synthetic(LARGE_BYTES, seed),
        "model-2.safetensors": synthetic(LARGE_BYTES + 5, seed + 1),
        "tokenizer.json": b"{}",
    }


def test_a_second_build_moves_nothing_and_a_changed_config_moves_the_last_layer(
    hub: Hub, shared: Registry
) -> None:
    repo = hub.add("org/large", large_model())  # type: ignore[arg-type]
    first = ferry(from_hub(hub, "org/large"), to_registry(shared, "large/one"))
    assert first.moved_bytes == sum(layer.size_bytes for layer in first.document.layers)
    hub.clear_log()
    again = ferry(from_hub(hub, "org/large"), to_registry(shared, "large/one"))
    assert (again.document, again.moved_bytes) == (first.document, 0)
    # Headers and small files are looked at again, whatever the registry holds.
    assert 2 * FIRST_READ <= hub.body_bytes() < 2 * FIRST_READ + 1000
    repo.change({"config.json": b'{"changed": true}'})
    hub.clear_log()
    changed = ferry(from_hub(hub, "org/large"), to_registry(shared, "large/one"))
    assert 2 * FIRST_READ <= hub.body_bytes() < 2 * FIRST_READ + 1000
    assert changed.moved_bytes == changed.document.layers[-1].size_bytes
    assert changed.document.layers[:-1] == first.document.layers[:-1]
    assert changed.document.layers[-1] != first.document.layers[-1]


def test_platforms_share_every_model_layer(shared: Registry, folder: Path) -> None:
    pytest.importorskip("modelcar_base_image", reason="pip install modelcar-base-image")
    target = to_registry(shared, "both/platforms")
    platforms = (Platform("amd64"), Platform("arm64"))
    done = ferry(from_folder(folder), target, base="embedded", platforms=platforms)
    images = [manifest(target, str(entry.digest)) for entry in done.document.manifests]
    assert [str(entry.platform) for entry in done.document.manifests] == [
        "linux/amd64",
        "linux/arm64",
    ]
    models = [[d for d in image.layers if d.annotations] for image in images]
    assert models[0] == models[1] != []
    assert images[0].layers[0] != images[1].layers[0]
    configs = [config_of(target, image) for image in images]
    assert [config["architecture"] for config in configs] == ["amd64", "arm64"]
    for image, config in zip(images, configs, strict=True):
        assert len(config["rootfs"]["diff_ids"]) == len(image.layers)
    raw = run(
        "skopeo",
        "inspect",
        "--raw",
        "--tls-verify=false",
        f"docker://{shared.host}/both/platforms:v1",
    )
    assert hashlib.sha256(raw.encode()).hexdigest() == done.document.digest.hex


def test_a_base_in_the_same_registry_is_mounted_and_not_copied(
    shared: Registry, folder: Path, base: str
) -> None:
    there = to_registry(shared, "bases/busybox")
    run(
        "skopeo",
        "--insecure-policy",
        "copy",
        "--quiet",
        "--dest-tls-verify=false",
        "--preserve-digests",  # else it may take a compressed twin that it has seen before
        base,
        f"docker://{shared.host}/bases/busybox:v1",
    )
    bottom = manifest(there).layers[0]
    named = f"{shared.host}/bases/busybox:v1"
    before = len(shared.log)
    done = ferry(from_folder(folder), to_registry(shared, "cars/one"), base=named)
    assert done.document.layers[0].digest == bottom.digest
    assert done.document.annotations["org.opencontainers.image.base.name"] == named
    asked = [a for a in shared.log[before:] if str(bottom.digest) in a.path.replace("%3A", ":")]
    assert ("POST", 201) in [(access.method, access.status) for access in asked]
    assert [a for a in asked if a.method == "GET"] == []


def test_a_gzipped_base_keeps_its_bytes(
    shared: Registry, folder: Path, base: str, tmp_path: Path
) -> None:
    zipped = tmp_path / "zipped"
    run(
        "skopeo",
        "--insecure-policy",
        "copy",
        "--quiet",
        "--dest-compress",
        base,
        f"oci:{zipped}:v1",
    )
    bottom = manifest(to_layout(zipped)).layers[0]
    target = to_registry(shared, "cars/zipped")
    done = ferry(from_folder(folder), target, base=f"oci:{zipped}:v1")
    assert done.document.layers[0] == bottom
    assert bottom.media_type.endswith("+gzip")
    assert isinstance(target.ref, ImageRef)
    run("podman", "pull", "--quiet", "--tls-verify=false", target.location(done.document.digest))
    run("podman", "rmi", "--force", target.location(done.document.digest))


def test_every_blob_is_what_its_descriptor_says(
    engine: str, folder: Path, base: str, tmp_path: Path
) -> None:
    target = to_layout(tmp_path / "layout")
    done = ferry(from_folder(folder), target, engine=engine, base=base).document
    for descriptor in (done.config, *done.layers):
        data = blob(target, descriptor.digest)
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (
            descriptor.digest.hex,
            descriptor.size_bytes,
        )
    diff_ids = config_of(target, done)["rootfs"]["diff_ids"]
    assert diff_ids == [str(layer.digest) for layer in done.layers]


def test_the_layout_is_one_that_skopeo_takes(folder: Path, base: str, tmp_path: Path) -> None:
    done = ferry(from_folder(folder), to_layout(tmp_path / "layout"), base=base)
    raw = run("skopeo", "inspect", "--raw", f"oci:{tmp_path / 'layout'}:v1")
    assert raw.encode() == done.document.data


def test_a_model_of_one_empty_file_is_an_image(tmp_path: Path) -> None:
    write({"vocab.txt": b""}, tmp_path / "model")
    target = to_layout(tmp_path / "layout")
    ferry(from_folder(tmp_path / "model"), target)
    assert model_files(target) == hashes({"vocab.txt": b""})


def test_two_builds_at_once_into_one_layout_both_arrive(tmp_path: Path) -> None:
    """The index is replaced under a lock; neither tag is lost."""
    names = [f"v{number}" for number in range(8)]
    for name in names:
        write(tiny(int(name[1:])), tmp_path / name)

    def one(name: str) -> str:
        target = to_layout(tmp_path / "layout", name)
        return str(ferry(from_folder(tmp_path / name), target).document.digest)

    with ThreadPoolExecutor(8) as pool:
        digests = list(pool.map(one, names))
    target = to_layout(tmp_path / "layout")
    assert target.tags() == names
    assert [str(manifest(target, name).digest) for name in names] == digests


def config_of(target: Target, image: Document) -> dict:  # type: ignore[type-arg]
    """Return an image's config."""
    return dict(json.loads(blob(target, image.config.digest)))


def _without_engine(document: Document) -> dict[str, str]:
    return {k: v for k, v in document.annotations.items() if k != "dev.carferry.engine"}
