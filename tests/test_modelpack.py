"""ModelPack: raw layers whose digest is the hub's own, so that known bytes never move."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ferrying import ferry, from_folder, from_hub, manifest, to_layout, to_registry
from servers import models
from servers.hub import Hub
from servers.registry import Registry

from carferry.assembly.options import Options
from carferry.errors import InputError
from carferry.image.inspection import inspect
from carferry.image.layers import Format
from carferry.image.modelpack import ARTIFACT, CONFIG, modelpack_type
from carferry.refs import ImageRef

PACK = Format.MODELPACK


def test_a_weight_layers_digest_is_the_hubs_sha256(hub: Hub, tmp_path: Path) -> None:
    repo = hub.add("org/tiny", models.tiny())
    target = to_layout(tmp_path / "image")
    ferry(from_hub(hub), target, format=PACK)
    files = repo.find("main").files
    layers = {d.annotations["org.cncf.model.filepath"]: d for d in manifest(target).layers}
    weights = layers["model.safetensors"]
    assert weights.digest.hex == files["model.safetensors"].sha256
    assert weights.annotations["org.opencontainers.image.title"] == "models/model.safetensors"
    assert layers.keys() == files.keys()


def test_the_documents_are_what_the_specification_asks_for(hub: Hub, tmp_path: Path) -> None:
    hub.add("org/tiny", models.tiny())
    target = to_layout(tmp_path / "image")
    ferry(from_hub(hub), target, format=PACK)
    top = manifest(target)
    config = json.loads(b"".join(target.open_blob(top.config.digest)))
    assert (top.json["artifactType"], top.config.media_type) == (ARTIFACT, CONFIG)
    assert config.keys() == {"descriptor", "config", "modelfs"}
    assert config["modelfs"] == {"type": "layers", "diffIds": [str(d.digest) for d in top.layers]}
    assert config["config"] == {"format": "safetensors"}


def test_known_weights_are_only_looked_at(hub: Hub, registry: Registry) -> None:
    """Another tag, no annotation to go by: the digest alone finds the weights."""
    hub.add("org/tiny", models.tiny())
    ferry(from_hub(hub), to_registry(registry, tag="v1"), format=PACK)
    hub.clear_log()
    again = ferry(from_hub(hub), to_registry(registry, tag="v2"), format=PACK)
    assert again.moved_bytes == 0
    assert hub.read_twice() == []


def test_weights_of_another_repository_are_mounted(hub: Hub, registry: Registry) -> None:
    repo = hub.add("org/tiny", models.tiny())
    ferry(from_hub(hub), to_registry(registry, "org/first"), format=PACK)
    hub.clear_log()
    origins = (ImageRef(registry.host, "org/first", "v1"),)
    done = ferry(
        from_hub(hub), to_registry(registry, "org/second"), format=PACK, mount_from=origins
    )
    assert done.moved_bytes == 0
    assert hub.read_twice() == []
    sha256 = repo.find("main").files["model.safetensors"].sha256
    assert f"sha256:{sha256}" in registry.links("org/second")


def test_skopeo_copies_the_artifact_unchanged(
    hub: Hub, registry: Registry, tmp_path: Path, tools: Callable[[str], str]
) -> None:
    hub.add("org/tiny", models.tiny())
    done = ferry(from_hub(hub), to_registry(registry), format=PACK)
    source, copy = f"docker://{registry.host}/org/tiny:v1", f"oci:{tmp_path / 'copy'}:v1"
    command = [tools("skopeo"), "copy", "--quiet", "--preserve-digests", "--src-tls-verify=false"]
    subprocess.run([*command, source, copy], check=True, capture_output=True)
    assert manifest(to_layout(tmp_path / "copy")).digest == done.document.digest


def test_inspect_checks_it_against_its_own_contract(tmp_path: Path) -> None:
    folder = models.write(models.tiny(), tmp_path / "model")
    target = to_layout(tmp_path / "image")
    ferry(from_folder(folder), target, format=PACK)
    report = inspect(target)
    assert report.ok
    assert {clause.name for clause in report.clauses} == {
        "models",
        "root",
        "raw",
        "paths",
        "diff ids",
    }


def test_buildah_cannot_make_it() -> None:
    with pytest.raises(InputError, match="--engine stream"):
        Options(engine="buildah", format=PACK)


@pytest.mark.parametrize(
    ("path", "kind"),
    [("a/model.safetensors", "weight.v1"), ("tokenizer.json", "weight.config.v1"),
     ("README.md", "doc.v1"), ("LICENSE", "doc.v1")],
)  # fmt: skip
def test_a_file_is_weights_their_configuration_or_a_document(path: str, kind: str) -> None:
    assert modelpack_type(path) == f"application/vnd.cncf.model.{kind}.raw"
