"""What the seal would refuse is refused before a byte moves; after the tag nothing can fail."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from ferrying import access, carferry, ferry, from_folder, manifest, to_layout, to_registry
from servers.chaos import Answer, Rule, Truncate
from servers.images import LAYER, tar_of, write_layout
from servers.models import filled, tiny, write
from servers.proxy import Proxy
from servers.registry import Registry

from carferry.assembly.build import seal_shares, stream_share
from carferry.assembly.options import Options
from carferry.errors import InputError, TargetError
from carferry.image.layers import MOST_LAYERS, Format
from carferry.io.show.progress import Silent
from carferry.oci.documents import INDEX, MANIFEST_CAP_BYTES, Document, Platform, canonical
from carferry.refs import Digest
from carferry.registry.copy import copy_image
from carferry.registry.layout import LayoutTarget


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One registry; every test uses a repository of its own."""
    with Registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny model; its files are one layer."""
    return write(tiny(), tmp_path / "model")


def stacked(folder: Path, count: int) -> str:
    """Write a base of so many layers."""
    write_layout(folder, [tar_of({f"lib/{n}": b"x"}) for n in range(count)])
    return f"oci:{folder}:latest"


def test_a_base_that_just_fits_is_taken(folder: Path, tmp_path: Path) -> None:
    target = to_layout(tmp_path / "out")
    done = ferry(from_folder(folder), target, base=stacked(tmp_path / "base", MOST_LAYERS - 1))
    assert done.layers == MOST_LAYERS


@pytest.mark.parametrize("count", [MOST_LAYERS, MOST_LAYERS + 1, 130])
@pytest.mark.parametrize("command", ["build", "plan"])
def test_a_base_of_too_many_layers_is_refused(
    command: str, count: int, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = stacked(tmp_path / "base", count)
    done = carferry(capsys, command, folder, f"oci:{tmp_path / 'out'}:1", "--base", base)
    reason = f"{count} layers and 1 of the model are {count + 1}, over {MOST_LAYERS}"
    assert done.err == f"carferry: use base {base}: {reason}; choose another --base\n"
    assert (done.code, done.out, (tmp_path / "out").exists()) == (2, "", False)


def test_a_manifest_that_no_registry_takes_is_refused_before_a_file_is_sent(
    tmp_path: Path, shared: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    """A ModelPack names each file: 4,000 long names are 5 MiB."""
    names = {f"{'long-' * 40}{n}.json": b"{}" for n in range(4000)}
    folder = write(tiny() | names, tmp_path / "model")
    image = f"docker://{shared.host}/many/files:1"
    done = carferry(
        capsys, "build", folder, image, "--format", "modelpack", "--plain-http", shared.host
    )
    (line,) = done.err.splitlines()
    assert (done.code, done.out, shared.links("many/files")) == (2, "", set())
    assert "its manifest would be " in line
    assert f"registries take {MANIFEST_CAP_BYTES >> 20}" in line


@pytest.mark.parametrize("form", Format)
def test_the_length_that_is_foreseen_is_the_length_that_is_sealed(
    form: Format, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = to_layout(tmp_path / "out")
    ferry(from_folder(folder), target, format=form)
    size = len(manifest(target).data)
    monkeypatch.setattr("carferry.assembly.foresee.MANIFEST_CAP_BYTES", size)
    ferry(from_folder(folder), to_layout(tmp_path / "again"), format=form)
    monkeypatch.setattr("carferry.assembly.foresee.MANIFEST_CAP_BYTES", size - 1)
    with pytest.raises(InputError, match="its manifest would be"):
        ferry(from_folder(folder), to_layout(tmp_path / "refused"), format=form)
    assert not (tmp_path / "refused").exists()


def test_an_index_of_two_platforms_is_foreseen_too(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = (Platform("amd64"), Platform("arm64"))
    target = to_layout(tmp_path / "out")
    ferry(from_folder(folder), target, platforms=both)
    assert manifest(target).is_index
    largest = max(len(manifest(target, str(d.digest)).data) for d in manifest(target).manifests)
    largest = max(largest, len(manifest(target).data))
    monkeypatch.setattr("carferry.assembly.foresee.MANIFEST_CAP_BYTES", largest - 1)
    with pytest.raises(InputError, match="would be"):
        ferry(from_folder(folder), to_layout(tmp_path / "again"), platforms=both)
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("damage", ["missing", "shorter"])
def test_a_base_that_lost_a_layer_is_refused_before_the_model_moves(
    damage: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = stacked(tmp_path / "base", 2)
    fields = manifest(to_layout(tmp_path / "base"), "latest")
    lost = tmp_path / "base/blobs/sha256" / fields.layers[1].digest.hex
    if damage == "missing":
        lost.unlink()
    else:
        lost.write_bytes(lost.read_bytes()[:-1])
    done = carferry(capsys, "build", folder, f"oci:{tmp_path / 'out'}:1", "--base", base)
    (line,) = done.err.splitlines()
    assert f"its layer {fields.layers[1].digest} is missing there, or of another length" in line
    assert (done.code, (tmp_path / "out").exists()) == (2, False)


def test_a_base_layer_that_the_registry_would_not_take_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = stacked(tmp_path / "base", 1)
    (layer,) = manifest(to_layout(tmp_path / "base"), "latest").layers
    limit = layer.size_bytes - 1
    monkeypatch.setattr(LayoutTarget, "largest_blob_bytes", property(lambda _: limit))
    small = write({"config.json": b"{}", "model.safetensors": filled(200)}, tmp_path / "small")
    with pytest.raises(InputError, match=r"use base .*: its layer sha256:.* MiB, this registry"):
        ferry(from_folder(small), to_layout(tmp_path / "out"), base=base)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"manifests": [{}]}', '{"manifests": 3}'])
def test_an_index_that_could_not_be_written_is_found_first(text: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/index.json").write_text(text)
    with pytest.raises(TargetError, match="not an OCI index"):
        to_layout(tmp_path / "out").check_push()
    assert (tmp_path / "out/index.json").read_text() == text


DENIED = json.dumps({"errors": [{"code": "TAG", "message": "tag is immutable"}]}).encode()


@pytest.mark.parametrize("status", [400, 403, 409, 412])
def test_a_tag_that_may_not_move_leaves_all_else_done(
    status: int, folder: Path, shared: Registry
) -> None:
    """A tag that is refused only now: what is there can be tagged otherwise, or built again."""
    rule = Rule(Answer(status, body=DENIED), method="PUT", path="/manifests/v1$", times=None)
    repository = f"immutable/{status}"
    with Proxy(shared.url, [rule]) as proxy:
        target = to_registry(shared, repository, host=proxy.host)
        with pytest.raises(TargetError, match="tag is immutable") as caught:
            ferry(from_folder(folder), target)
        remedy = (
            f"all of it is there, tag it: carferry push docker://{proxy.host}/{repository}@sha256:"
        )
        assert remedy in str(caught.value)
        again = to_registry(shared, repository, tag="v2", host=proxy.host)
        done = ferry(from_folder(folder), again)
    assert len(done.results) == 1
    assert shared.tags(repository).keys() >= {"v2"}


def test_once_the_tag_has_moved_nothing_that_fails_is_an_error(
    folder: Path, shared: Registry
) -> None:
    """Everything but what is needed before the tag answers 500 from the first on."""
    with Proxy(shared.url) as proxy:
        target = to_registry(shared, "after/tag", host=proxy.host)
        options = Options(base="scratch")
        for worker in (1, 2):
            stream_share(from_folder(folder), target, options, worker, 2, access=access(proxy.host))
        proxy.arm([Rule(Answer(500), method="DELETE", times=None)])
        done = seal_shares(from_folder(folder), target, options, access=access(proxy.host))
        calls = [(each.method, each.path) for each in proxy.exchanges]
    last = max(n for n, (method, path) in enumerate(calls) if path.endswith("/manifests/v1")
               and method == "PUT")  # fmt: skip
    after = {(method, path.rpartition("/")[0]) for method, path in calls[last + 1 :]}
    assert {method for method, _ in after} <= {"GET", "DELETE"}
    assert shared.tags("after/tag")["v1"] == str(done.document.digest)


def test_an_index_of_nothing_is_refused_before_it_is_copied(tmp_path: Path) -> None:
    """It ended in an IndexError after the tag had moved."""
    origin = to_layout(tmp_path / "origin")
    body = canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": []})
    origin.put_manifest(Document(INDEX, body), "v1")
    target = to_layout(tmp_path / "out")
    with pytest.raises(TargetError, match="lists 0 manifests"):
        copy_image(origin, target, parallel=1, retry=access().retry, progress=Silent())
    assert target.tags() == []


def test_a_base_layer_that_breaks_off_while_it_is_proved_is_read_again(
    folder: Path, shared: Registry, tmp_path: Path
) -> None:
    body = tar_of({"lib/a": b"x" * 3000})
    packed = gzip.compress(body)
    write_layout(
        tmp_path / "base", [packed], "v1", types=[f"{LAYER}+gzip"],
        diff_ids=[str(Digest.of(body))],
    )  # fmt: skip
    home = to_registry(shared, "proved/base")
    copy_image(
        to_layout(tmp_path / "base"), home, parallel=1, retry=access().retry, progress=Silent()
    )
    rule = Rule(Truncate(20), method="GET", path=f"/blobs/{Digest.of(packed)}", times=2)
    with Proxy(shared.url, [rule]) as proxy:
        target = to_registry(shared, "proved/out", host=proxy.host)
        done = ferry(from_folder(folder), target, base=f"docker://{proxy.host}/proved/base:v1")
    assert done.layers == 2
