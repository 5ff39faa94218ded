"""From base and layers to documents: a pure function, pinned byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ferrying import access, blob, ferry, from_folder, from_hub, manifest, to_layout
from servers.busybox import busybox_base
from servers.hub import Hub
from servers.models import write

from carferry.errors import InputError
from carferry.image.base import open_bases
from carferry.image.compose import model_descriptor
from carferry.image.layers import Layer
from carferry.oci.documents import (
    CONFIG,
    DOCKER_MANIFEST,
    INDEX,
    LAYER,
    MANIFEST,
    Descriptor,
    Document,
    Platform,
    canonical,
)
from carferry.refs import Digest
from carferry.source.snapshot import ContentId, SourceFile

DIGEST = Digest("a" * 64)


def test_the_digest_of_a_known_model_never_changes(tmp_path: Path) -> None:
    """Pinned: a change here makes every user move every layer once; say so in the changelog."""
    folder = write({"config.json": b"{}", "sub/tokenizer.json": b"[]"}, tmp_path / "model")
    done = ferry(from_folder(folder), to_layout(tmp_path / "layout")).document
    assert str(done.layers[0].digest) == (
        "sha256:08a0e0f686e543630f24250f413974a0151607e0e9555bab0ccbab5f4f79b3af"
    )


def test_documents_name_their_own_types_and_carry_no_time(hub: Hub, tmp_path: Path) -> None:
    repo = hub.add("org/tiny", {"config.json": b"{}"}, card={"license": "llama3"})
    target = to_layout(tmp_path / "layout")
    done = ferry(from_hub(hub), target).document
    config = json.loads(blob(target, done.config.digest))
    assert (done.json["schemaVersion"], done.json["mediaType"]) == (2, MANIFEST)
    assert (done.config.media_type, {layer.media_type for layer in done.layers}) == (
        CONFIG,
        {LAYER},
    )
    assert config["created"] == "1970-01-01T00:00:00Z"
    assert [step["created"] for step in config["history"]] == ["1970-01-01T00:00:00Z"]
    assert (
        done.annotations
        == config["config"]["Labels"]
        == {
            "dev.carferry.commit": repo.branches["main"],
            "dev.carferry.engine": "stream",
            "dev.carferry.source": "hf://org/tiny",
            "org.opencontainers.image.base.name": "scratch",
            "org.opencontainers.image.licenses": "LicenseRef-llama3",
            "org.opencontainers.image.revision": repo.branches["main"],
            "org.opencontainers.image.source": f"{hub.endpoint}/org/tiny",
            "org.opencontainers.image.title": "org/tiny",
        }
    )


def test_a_layer_says_where_it_came_from() -> None:
    file = SourceFile("model.safetensors", 5, ContentId("sha256", "b" * 64))
    layer = Layer((file,))
    assert model_descriptor(layer, DIGEST) == Descriptor(
        LAYER,
        DIGEST,
        layer.size_bytes,
        {
            "dev.carferry.layer.content": str(layer.content_key),
            "dev.carferry.layer.path": "model.safetensors",
            "dev.carferry.layer.source-id": f"sha256:{'b' * 64}",
        },
    )


def test_settings_of_the_base_stay_and_its_entrypoint_goes(tmp_path: Path) -> None:
    """KServe passes arguments: a foreign entrypoint would swallow them."""
    base = busybox_base(tmp_path / "base")
    reference = to_layout(tmp_path / "base", "latest")
    image = manifest(reference, "latest")
    config = json.loads(blob(reference, image.config.digest))
    config["config"] = {
        "Env": ["PATH=/opt/bin", "X=1"],
        "Entrypoint": ["/bin/tini", "--"],
        "Cmd": ["bash"],
        "User": "0",
        "Labels": {"vendor": "someone", "dev.carferry.engine": "old"},
    }
    _replace(tmp_path / "base", image, canonical(config))
    target = to_layout(tmp_path / "layout")
    done = ferry(
        from_folder(write({"a.json": b""}, tmp_path / "model")), target, base=base
    ).document
    settings = json.loads(blob(target, done.config.digest))["config"]
    assert settings["Env"] == ["PATH=/opt/bin", "X=1"]
    assert (settings["User"], settings["WorkingDir"]) == ("1001", "/")
    assert {"Entrypoint", "Cmd"} & settings.keys() == set()
    assert (settings["Labels"]["vendor"], settings["Labels"]["dev.carferry.engine"]) == (
        "someone",
        "stream",
    )


def test_a_platform_the_base_does_not_have_is_refused(tmp_path: Path) -> None:
    base = busybox_base(tmp_path / "base")
    with pytest.raises(InputError, match=r"it is for linux/amd64, not linux/s390x; see --platform"):
        open_bases(base, (Platform("s390x"),), access().open)
    pytest.importorskip("modelcar_base_image", reason="pip install modelcar-base-image")
    with pytest.raises(InputError, match=r"no linux/s390x; it has linux/(amd64|arm64), linux/"):
        open_bases("embedded", (Platform("s390x"),), access().open)


def test_a_model_from_a_folder_claims_no_origin(tmp_path: Path) -> None:
    done = ferry(from_folder(write({"a.json": b""}, tmp_path / "m")), to_layout(tmp_path / "l"))
    assert done.document.annotations == {
        "dev.carferry.engine": "stream",
        "org.opencontainers.image.base.name": "scratch",
    }


@pytest.mark.parametrize("text", ["linux/amd64", "linux/arm64", "linux/s390x"])
def test_a_platform_prints_what_was_parsed(text: str) -> None:
    assert str(Platform.parse(text)) == text


@pytest.mark.parametrize("text", ["", "linux", "linux/", "/amd64", "a/b/c", "linux/AMD64", "a b/c"])
def test_a_malformed_platform_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        Platform.parse(text)


def test_equal_documents_have_equal_bytes() -> None:
    one = canonical({"b": 1, "a": [{"y": "\u00e9", "x": None}]})
    two = canonical({"a": [{"x": None, "y": "\u00e9"}], "b": 1})
    assert one == two == b'{"a":[{"x":null,"y":"\\u00e9"}],"b":1}'


def test_a_descriptor_survives_its_json() -> None:
    for descriptor in (
        Descriptor(LAYER, DIGEST, 5, {"a": "b"}),
        Descriptor(MANIFEST, DIGEST, 5, {}, Platform("arm64")),
    ):
        assert Descriptor.from_json(descriptor.to_json()) == descriptor


def test_docker_layers_are_oci_layers_under_another_name() -> None:
    kinds = [
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar",
        f"{LAYER}+zstd",
    ]
    layers = [Descriptor(kind, DIGEST, 1).to_json() for kind in kinds]
    document = Document(DOCKER_MANIFEST, canonical({"layers": layers}))
    assert [layer.media_type for layer in document.layers] == [
        f"{LAYER}+gzip",
        LAYER,
        f"{LAYER}+zstd",
    ]
    assert document.is_index is False
    assert Document(INDEX, b"{}").is_index is True


def _replace(folder: Path, image: Document, config: bytes) -> None:
    """Give the image of a layout another config."""
    target = to_layout(folder, "latest")
    digest = Digest.of(config)
    (folder / "blobs/sha256" / digest.hex).write_bytes(config)
    fields = image.json | {"config": Descriptor(CONFIG, digest, len(config)).to_json()}
    target.put_manifest(Document(image.media_type, canonical(fields)), "latest")
