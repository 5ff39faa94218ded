"""An image is checked against what KServe's modelcar mode needs, without pulling its weights."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ferrying import carferry, ferry, from_folder, from_hub, manifest, to_layout, to_registry
from servers.busybox import busybox_base
from servers.hub import Hub
from servers.images import write_layout
from servers.models import synthetic, tiny, write
from servers.registry import Registry

from carferry.errors import ContractViolation, InputError, ManifestMissing, TargetError
from carferry.image.inspection import Inspection, inspect
from carferry.image.layers import LARGE_BYTES
from carferry.image.source import ImageSource
from carferry.oci.documents import CONFIG, Descriptor, Document, canonical
from carferry.registry.blobs import put_blob
from carferry.registry.target import Target
from carferry.steps.inspected import Inspected


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A base with a shell."""
    return busybox_base(tmp_path_factory.mktemp("base") / "busybox")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One registry for all."""
    with Registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


def broken(report: Inspection) -> dict[str, str]:
    """Return the clauses that do not hold."""
    return {clause.name: clause.detail for clause in report.clauses if not clause.ok}


def member(name: str, **changes: object) -> tarfile.TarInfo:
    """Return a tar entry as the contract wants it, but for the changes."""
    entry = tarfile.TarInfo(name)
    entry.mode = 0o644
    for key, value in changes.items():
        setattr(entry, key, value)
    return entry


def tar(*members: tarfile.TarInfo) -> bytes:
    """Return a layer."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as out:
        for entry in members:
            out.addfile(entry, io.BytesIO(bytes(entry.size)))
    return packed.getvalue()


FOLDER = member("models", type=tarfile.DIRTYPE, mode=0o755)
GOOD = member("models/config.json", size=2)


def inspected(
    folder: Path, *layers: bytes, settings: dict[str, object] | None = None
) -> Inspection:
    """Inspect an image of these layers with these settings on no base."""
    write_layout(folder, layers, "v1")
    target = to_layout(folder)
    if settings is not None:
        image = manifest(target)
        diff_ids = [str(layer.digest) for layer in image.layers]
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
        digest = put_blob(target, canonical(config))
        fields = image.json | {
            "config": Descriptor(CONFIG, digest, len(canonical(config))).to_json()
        }
        target.put_manifest(Document(image.media_type, canonical(fields)), "v1")
    return inspect(target)


@pytest.mark.parametrize("engine", ["stream", "buildah"])
def test_what_either_engine_builds_meets_the_contract(
    engine: str, base: str, shared: Registry, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if engine == "buildah":
        request.getfixturevalue("tools")("buildah")
    folder = write(tiny() | {"sub/a.json": b"{}"}, tmp_path / "model")
    target = to_registry(shared, f"good/{engine}")
    done = ferry(from_folder(folder), target, engine=engine, base=base)
    report = inspect(target)
    Inspected.of(report, target).require()
    assert (report.ok, broken(report)) == (True, {})
    assert report.document == done.document
    files = {e.path: e.size_bytes for e in report.models if e.kind == "file"}
    assert files == {
        f"models/{path}": len(body) for path, body in (tiny() | {"sub/a.json": b"{}"}).items()
    }


def test_the_embedded_base_needs_no_shell(tmp_path: Path) -> None:
    pytest.importorskip("modelcar_base_image", reason="pip install modelcar-base-image")
    target = to_layout(tmp_path / "layout")
    ferry(from_folder(write(tiny(), tmp_path / "model")), target, base="embedded")
    assert broken(inspect(target)) == {}


def test_a_large_image_is_checked_by_its_headers_alone(hub: Hub, shared: Registry) -> None:
    hub.add("org/large", {"config.json": b"{}", "model.safetensors": synthetic(LARGE_BYTES)})
    target = to_registry(shared, "large/one")
    ferry(from_hub(hub, "org/large"), target)
    before = len(shared.log)
    report = inspect(target)
    assert broken(report).keys() == {"tools"}
    assert broken(report)["tools"].startswith("no sh, ls, ln, sleep, mkdir, which KServe runs in ")
    assert sum(access.sent for access in shared.log[before:]) < 1 << 20


CASES: dict[str, tuple[list[tarfile.TarInfo], str]] = {
    "no models": ([member("etc/passwd", size=1)], "models"),
    "empty models": ([FOLDER], "models"),
    "unreadable file": ([FOLDER, GOOD, member("models/a", mode=0o600)], "readable"),
    "unreadable folder": (
        [FOLDER, GOOD, member("models/d", type=tarfile.DIRTYPE, mode=0o700)],
        "readable",
    ),
    "someone's file": ([FOLDER, GOOD, member("models/a", uid=1000)], "owner"),
    "someone's group": ([FOLDER, GOOD, member("models/a", gid=1000)], "owner"),
    "link out": (
        [FOLDER, GOOD, member("models/a", type=tarfile.SYMTYPE, linkname="/etc/passwd")],
        "links",
    ),
    "device": ([FOLDER, GOOD, member("models/a", type=tarfile.CHRTYPE)], "links"),
}


@pytest.mark.parametrize("name", CASES)
def test_each_clause_is_checked(name: str, tmp_path: Path) -> None:
    members, clause = CASES[name]
    report = inspected(tmp_path / "layout", tar(*members), settings={"User": "1001"})
    assert set(broken(report)) - {"tools"} == {clause}
    found = Inspected.of(report, to_layout(tmp_path / "layout"))
    with pytest.raises(ContractViolation, match=clause):
        found.require()


@pytest.mark.parametrize(
    ("settings", "clause"),
    [
        ({"User": "1001", "Entrypoint": ["/bin/server"]}, "entrypoint"),
        ({"User": "0"}, "user"),
        ({"User": "root"}, "user"),
        ({"User": ""}, "user"),
        ({}, "user"),
        ({"User": "01001:0"}, "user"),
    ],
)
def test_settings_that_would_defeat_kserve_are_found(
    settings: dict[str, object], clause: str, tmp_path: Path
) -> None:
    report = inspected(tmp_path / "layout", tar(FOLDER, GOOD), settings=settings)
    assert set(broken(report)) - {"tools"} == {clause}


def test_a_later_layer_covers_an_earlier_one(tmp_path: Path) -> None:
    bad = tar(FOLDER, member("models/config.json", mode=0o600))
    report = inspected(tmp_path / "a", bad, tar(FOLDER, GOOD), settings={"User": "1001"})
    assert set(broken(report)) == {"tools"}
    report = inspected(tmp_path / "b", tar(FOLDER, GOOD), bad, settings={"User": "1001"})
    assert set(broken(report)) == {"tools", "readable"}


def test_too_many_layers_are_found(tmp_path: Path) -> None:
    layers = [tar(FOLDER, member(f"models/{n}.json")) for n in range(101)]
    report = inspected(tmp_path / "layout", *layers, settings={"User": "1001"})
    assert broken(report)["layers"] == "101"


@pytest.mark.parametrize("body", [os.urandom(4096), b"\x1f\x8b" + bytes(100)])
def test_a_layer_that_is_no_tar_is_broken_in_words(tmp_path: Path, body: bytes) -> None:
    report = inspected(tmp_path / "layout", body)
    assert "is damaged: not a readable tar" in broken(report)["layers"]


@pytest.mark.parametrize("config", [b"", b"[]", b"not json", b'{"config": 3}'])
def test_a_config_that_makes_no_sense_is_an_error_in_words(tmp_path: Path, config: bytes) -> None:
    write_layout(tmp_path / "layout", [tar(FOLDER, GOOD)], "v1")
    target = to_layout(tmp_path / "layout")
    _swap_config(target, config)
    with pytest.raises(TargetError):
        inspect(target)


def test_an_image_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ManifestMissing):
        inspect(to_layout(tmp_path / "layout"))


def _swap_config(target: Target, config: bytes) -> None:
    image = manifest(target)
    described = Descriptor(CONFIG, put_blob(target, config), len(config)).to_json()
    fields = json.loads(image.data) | {"config": described}
    target.put_manifest(Document(image.media_type, canonical(fields)), "v1")


def held(*paths: str, size: int = 2) -> bytes:
    return tar(*(member(f"models/{path}", size=size) for path in paths))


# Layers from the bottom, whether the clause holds, and what it says.
ROOTS: dict[str, tuple[list[bytes], bool, str]] = {
    "a config": ([held("config.json", "a.safetensors")], True, "models/config.json"),
    "Mistral's": ([held("params.json", "a.safetensors")], True, "models/params.json"),
    "GGUF": ([held("a.gguf")], True, "models/a.gguf"),
    "another server's": ([held("model.onnx")], True, "no weights that need a config"),
    "a pipeline, by its name": (
        [held("model_index.json", "unet/a.safetensors")], True, "models/model_index.json",
    ),
    "no weights": ([held("tokenizer.json")], True, "no weights that need a config"),
    "an adapter": ([held("adapter_model.safetensors", "adapter_config.json")], True, "no weights"),
    "no config": ([held("a.safetensors")], False, "so no server can load models/a.safetensors"),
    "pickled": ([held("pytorch_model.bin")], False, "can load models/pytorch_model.bin"),
    "in a folder": ([held("m/config.json", "m/a.safetensors")], False, "directly under /models"),
    "taken away": (
        [held("config.json", "a.safetensors"), held(".wh.config.json", size=0)], False, "directly",
    ),
    "emptied": (
        [held("config.json"), held(".wh..wh..opq", "a.safetensors", size=0)], False, "directly",
    ),
    "taken away and put back": (
        [held("config.json", "a.safetensors"), held(".wh.config.json"), held("config.json")],
        True, "models/config.json",
    ),
    "a folder of its name": (
        [held("config.json", "a.safetensors"),
         tar(member("models/config.json", type=tarfile.DIRTYPE, mode=0o755))],
        False, "directly",
    ),
    "under a folder that became a file": (
        [held("config.json", "sub/a.safetensors"), held("sub")], True, "models/config.json",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROOTS)
def test_servers_find_at_the_root_how_to_load_the_weights(name: str, tmp_path: Path) -> None:
    layers, ok, says = ROOTS[name]
    report = inspected(tmp_path / "layout", *layers, settings={"User": "1001"})
    (clause,) = [each for each in report.clauses if each.name == "root"]
    assert (clause.ok, says in clause.detail) == (ok, True), clause.detail
    assert set(broken(report)) - {"tools"} == (set() if ok else {"root"})


def test_what_a_build_insists_on_is_not_called_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = {"tokenizer.json": b"{}", "adapter_config.json": b"{}",
             "adapter_model.safetensors": tiny()["model.safetensors"]}  # fmt: skip
    target = to_layout(tmp_path / "layout")
    folder = write(model, tmp_path / "model")
    done = carferry(capsys, "build", folder, target.ref, "--base", "scratch", "--allow-no-weights")
    assert (done.code, set(broken(inspect(target)))) == (0, {"tools"})


# Entries that a link outside of the model leads into it.
THROUGH: dict[str, list[tarfile.TarInfo]] = {
    "in one layer": [
        member("opt", type=tarfile.SYMTYPE, linkname="/models"), member("opt/config.json", size=2),
    ],
    "by two links": [
        member("a", type=tarfile.SYMTYPE, linkname="b/c"),
        member("b/c", type=tarfile.SYMTYPE, linkname="../models"),
        member("a/config.json", size=2),
    ],
    "over the root": [
        member("a", type=tarfile.SYMTYPE, linkname="/"), member("a/models/config.json", size=2),
    ],
    "a whiteout": [
        member("a", type=tarfile.SYMTYPE, linkname="models"), member("a/.wh.config.json"),
    ],
    "a whiteout of all": [
        member("a", type=tarfile.SYMTYPE, linkname="/"), member("a/.wh.models"),
    ],
    "an opaque root": [
        member("a", type=tarfile.SYMTYPE, linkname="/"), member("a/.wh..wh..opq"),
    ],
    "all of it": [
        member("a", type=tarfile.SYMTYPE, linkname="models"), member("a/.wh..wh..opq"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("name", THROUGH)
def test_what_is_unpacked_through_a_link_into_the_model_is_found(
    name: str, apart: bool, tmp_path: Path
) -> None:
    """Containerd follows links of the layers below; whoever compares paths sees nothing."""
    *links, last = THROUGH[name]
    layers = [tar(*links), tar(last)] if apart else [tar(*links, last)]
    model = tar(FOLDER, GOOD)
    report = inspected(tmp_path / "layout", model, *layers, settings={"User": "1001"})
    assert set(broken(report)) - {"tools", "models", "root"} == {"links"}
    with pytest.raises(InputError, match=r"no plain file|no folder"):
        ImageSource(to_layout(tmp_path / "layout")).listing()


def test_links_that_lead_elsewhere_break_nothing(tmp_path: Path) -> None:
    model = tar(FOLDER, GOOD)
    base = tar(
        member("bin", type=tarfile.SYMTYPE, linkname="usr/bin"), member("bin/x", size=1),
        member("loop", type=tarfile.SYMTYPE, linkname="loop"), member("loop/x", size=1),
        member("up", type=tarfile.SYMTYPE, linkname="../../.."), member("up/x", size=1),
        member("in", type=tarfile.SYMTYPE, linkname="models"),
    )  # fmt: skip
    report = inspected(tmp_path / "layout", base, model, settings={"User": "1001"})
    assert set(broken(report)) == {"tools"}
