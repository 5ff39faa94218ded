"""What is no image is called by its name, and no image is built on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ferrying import carferry, ferry, from_folder, manifest, to_layout
from servers.images import CONFIG, LAYER, tar_of, write_layout
from servers.models import tiny, write

from carferry.assembly.shards import shard_manifest
from carferry.image.compose import CONTENT_KEY
from carferry.image.inspection import inspect
from carferry.image.layers import Format
from carferry.oci.documents import EMPTY, EMPTY_DATA, INDEX, Descriptor, Document, canonical
from carferry.refs import Digest
from carferry.registry.blobs import put_blob

Given = dict[str, Any]
UNKNOWN = "application/vnd.unknown"
BODY = b"something"
HELM = "application/vnd.cncf.helm"
# Config's media type, layers' media type, artifact type, and what it is; from each tool's output.
ARTIFACTS: dict[str, tuple[str, str, str, str]] = {
    "cosign": (
        CONFIG, "application/vnd.dev.cosign.simplesigning.v1+json", "", "a cosign signature",
    ),
    "attestation": (CONFIG, "application/vnd.dsse.envelope.v1+json", "", "a cosign attestation"),
    "sigstore": (
        EMPTY, "application/vnd.dev.sigstore.bundle.v0.3+json",
        "application/vnd.dev.sigstore.bundle.v0.3+json", "a Sigstore bundle",
    ),
    "buildkit": (CONFIG, "application/vnd.in-toto+json", "", "an in-toto attestation"),
    "notation": (
        "application/vnd.cncf.notary.signature", "application/jose+json", "",
        "a Notation signature",
    ),
    "helm": (f"{HELM}.config.v1+json", f"{HELM}.chart.content.v1.tar+gzip", "", "a Helm chart"),
    "oras 1.0": (f"{UNKNOWN}.config.v1+json", "text/plain", "", "an ORAS artifact"),
    "oras 1.2": (EMPTY, "text/plain", f"{UNKNOWN}.artifact.v1", "an ORAS artifact"),
    "oras typed": (EMPTY, "text/plain", "text/vnd.mine", "an OCI artifact (text/vnd.mine)"),
    "oras untyped": (EMPTY, "text/plain", "", "an OCI artifact"),
    "wasm": ("application/vnd.wasm.config.v0+json", "application/wasm", "", "a WebAssembly"),
    "ollama": (
        "application/vnd.docker.container.image.v1+json", "application/vnd.ollama.image.model", "",
        "an Ollama model",
    ),
    "docker model": (
        "application/vnd.docker.ai.model.config.v0.1+json", "application/vnd.docker.ai.gguf.v3", "",
        "a Docker Model Runner artifact",
    ),
    "kitops": ("application/vnd.kitops.modelkit.config.v1+json", LAYER, "", "a KitOps ModelKit"),
    "sbom": (EMPTY, "application/spdx+json", "", "an SPDX bill of materials"),
    "flux": ("application/vnd.cncf.flux.config.v1+json", f"{LAYER}+gzip", "", "a Flux artifact"),
    "buildkit cache": ("application/vnd.buildkit.cacheconfig.v0", LAYER, "", "a BuildKit cache"),
    "plugin": ("application/vnd.docker.plugin.v1+json", LAYER, "", "a Docker plugin"),
    "typed image": (CONFIG, LAYER, "text/vnd.mine", "an OCI artifact (text/vnd.mine)"),
}  # fmt: skip


def artifact(folder: Path, name: str) -> str:
    """Write one of them and return its reference."""
    config, layer, declared, _ = ARTIFACTS[name]
    fields = {"artifactType": declared or None}
    write_layout(
        folder, [BODY], "v1", types=[layer], config=b"{}", config_type=config, manifest=fields
    )
    return f"oci:{folder}:v1"


@pytest.mark.parametrize("name", ARTIFACTS)
def test_inspect_says_what_an_artifact_is(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, words = artifact(tmp_path / "it", name), ARTIFACTS[name][3]
    done = carferry(capsys, "inspect", image)
    broken = [line for line in done.out.splitlines() if "BROKEN" in line]
    assert (done.code, done.err, len(broken)) == (2, "", 1)
    assert broken[0].startswith(f"BROKEN  image       it is {words}")
    assert broken[0].endswith(", not an image")
    found = json.loads(carferry(capsys, "inspect", image, "--json").out)
    assert found["kind"].startswith(words)
    assert (found["ok"], len(found["rules"])) == (False, 1)


@pytest.mark.parametrize("name", ARTIFACTS)
def test_no_image_is_built_on_an_artifact(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = artifact(tmp_path / "it", name)
    refused(capsys, tmp_path, base, f"it is {ARTIFACTS[name][3]}")


def test_a_shard_of_our_own_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = to_layout(tmp_path / "it")
    key = str(Digest.of(b"key"))
    layer = Descriptor(LAYER, put_blob(target, BODY), len(BODY), {CONTENT_KEY: key})
    put_blob(target, EMPTY_DATA)
    target.put_manifest(shard_manifest([layer], "carferry-shard-0-1of2"), "v1")
    done = carferry(capsys, "inspect", f"oci:{tmp_path / 'it'}:v1")
    assert "it is a shard of a carferry build" in done.out


def test_a_modelpack_is_named_and_still_checked(tmp_path: Path) -> None:
    target = to_layout(tmp_path / "it")
    ferry(from_folder(write(tiny(), tmp_path / "model")), target, format=Format.MODELPACK)
    report = inspect(target)
    assert (report.ok, report.kind.startswith("a ModelPack artifact")) == (True, True)
    assert len(report.clauses) > 1


SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1"
DOCUMENTS: dict[str, tuple[Given, str]] = {
    "schema 1": ({"mediaType": f"{SCHEMA_1}+json"}, "an image in Docker's schema 1"),
    "schema 1, signed": ({"mediaType": f"{SCHEMA_1}+prettyjws"}, "an image in Docker's schema 1"),
    "schema 1 by number": ({"schemaVersion": 1}, "an image in Docker's schema 1"),
    "no config": ({"config": None}, "an OCI artifact (no config)"),
    "both in one": ({"manifests": []}, "a manifest and an index in one"),
    "a type of its own": ({"mediaType": "text/html"}, "no manifest of an image (text/html)"),
    "artifact manifest": (
        {"mediaType": "application/vnd.oci.artifact.manifest.v1+json", "config": None},
        "no manifest of an image",
    ),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_that_are_no_images_manifest_are_told_apart(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fields, words = DOCUMENTS[name]
    write_layout(tmp_path / "it", [tar_of({"a": b"x"})], "v1", manifest=fields)
    done = carferry(capsys, "inspect", f"oci:{tmp_path / 'it'}:v1")
    assert (done.code, done.err) == (2, "")
    assert f"BROKEN  image       it is {words}" in done.out
    refused(capsys, tmp_path, f"oci:{tmp_path / 'it'}:v1", f"it is {words}")


DOCKER = "application/vnd.docker.image.rootfs"
LAYERS = {
    "foreign": (f"{DOCKER}.foreign.diff.tar.gzip", "is not distributed by registries"),
    "not distributable": (
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "is not distributed by registries",
    ),
    "encrypted": (f"{LAYER}+gzip+encrypted", "is encrypted"),
    "plain encrypted": (f"{LAYER}+encrypted", "is encrypted"),
    "a squashfs": (f"{LAYER}+squashfs", "is no tar"),
    "a tar of our own": ("application/x-tar", "is no tar (application/x-tar)"),
    "nothing": ("", "is no tar"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_that_runtimes_do_not_unpack_are_found(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    media_type, words = LAYERS[name]
    write_layout(tmp_path / "it", [tar_of({"a": b"x"})], "v1", types=[media_type])
    refused(capsys, tmp_path, f"oci:{tmp_path / 'it'}:v1", "runtimes cannot unpack it: layer ")
    (clause,) = (c for c in inspect(to_layout(tmp_path / "it")).clauses if c.name == "layers")
    assert (clause.ok, words in clause.detail) == (False, True)


def test_an_index_is_looked_at_by_its_first_image_not_by_what_attests_it(tmp_path: Path) -> None:
    """BuildKit lists an attestation beside each image; docker pushes it first at times."""
    target = to_layout(tmp_path / "it")
    artifact(tmp_path / "signature", "buildkit")
    ferry(from_folder(write(tiny(), tmp_path / "model")), target)
    image = manifest(target)
    signature = manifest(to_layout(tmp_path / "signature"))
    for each in (BODY, b"{}"):
        put_blob(target, each)
    target.put_manifest(signature, str(signature.digest))
    kind = {"vnd.docker.reference.type": "attestation-manifest"}
    listed = [
        signature.descriptor().to_json() | {"annotations": kind},
        image.descriptor().to_json(),
    ]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}
    target.put_manifest(Document(INDEX, canonical(index)), "v1")
    assert inspect(target).kind == ""


def refused(capsys: pytest.CaptureFixture[str], folder: Path, base: str, says: str) -> None:
    """Build on it: one line, exit 2, nothing written."""
    model = write(tiny(), folder / "model")
    done = carferry(capsys, "build", model, f"oci:{folder / 'out'}:1", "--base", base)
    (line,) = done.err.splitlines()
    assert line.startswith(f"carferry: use base {base}: ")
    assert says in line
    assert (done.code, done.out, (folder / "out").exists()) == (2, "", False)
