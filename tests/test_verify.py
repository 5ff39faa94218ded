"""``inspect --verify``: every file of an image, compared with the id that it should have."""

from __future__ import annotations

import gzip
import io
import json
import sys
import tarfile
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ferrying import (
    carferry,
    ferry,
    from_folder,
    from_hub,
    manifest,
    point_to,
    to_layout,
    to_registry,
)
from poison import claim, other_bytes, other_frame
from servers.chaos import ResetDownload, Rule
from servers.hub import Hub
from servers.models import filled, write
from servers.proxy import Proxy
from servers.registry import Registry

import carferry as api
from carferry.assembly.options import Options
from carferry.assembly.planning import plan_build
from carferry.assembly.trust import Reuse
from carferry.errors import ContractViolation
from carferry.image.compose import model_descriptor
from carferry.image.inspection import inspect
from carferry.image.layers import Format, Layer
from carferry.image.modelpack import CONFIG as MODELPACK_CONFIG
from carferry.image.stored import stored_files
from carferry.oci.documents import INDEX, LAYER, MANIFEST, Descriptor, Document, Platform, canonical
from carferry.registry.access import Access
from carferry.registry.blobs import put_blob
from carferry.registry.target import Target

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LARGE_BYTES = 4096
FILES = {
    "LICENSE": b"Do what you like.",
    "config.json": b'{"architectures": ["Tiny"]}',
    "generation_config.json": b'{"temperature": 0.6}',
    "sub/tokenizer.json": b"{" + b" " * 1798 + b"}",
    "model-1.safetensors": filled(9000, seed=1),
    "model-2.safetensors": filled(8001, seed=2),
}
WHOSE = "the image's own ids, which whoever made it wrote"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny model."""
    return write(FILES, tmp_path / "model")


@pytest.fixture
def layout(tmp_path: Path) -> Target:
    """An empty layout."""
    return to_layout(tmp_path / "layout")


def layers_of(folder: Path, format: Format = Format.MODELCAR) -> list[Layer]:
    """Return the layers of the honest plan."""
    options = Options(base="scratch", large_bytes=LARGE_BYTES, format=format)
    nowhere = to_layout(folder.parent / "nowhere")
    plan = plan_build(from_folder(folder), nowhere, options, Access())
    return [each.layer for each in plan.layers]


def make(folder: Path, target: Target, **options: Any) -> Target:
    """Build the image and return where it is."""
    ferry(from_folder(folder), target, large_bytes=LARGE_BYTES, **options)
    return target


def look(target: Target, **more: Any) -> api.Inspected:
    """Verify an image in a layout."""
    return api.inspect(str(target.ref), verify=True, **more)


def files_clause(found: api.Inspected) -> tuple[bool | None, str]:
    """Return what is said of the files."""
    return next((ok, text) for name, ok, text in found.rules if name == "files")


@pytest.mark.parametrize("format", list(Format))
@pytest.mark.parametrize("platforms", [1, 2])
def test_an_honest_image_is_what_it_says(
    folder: Path, layout: Target, format: Format, platforms: int
) -> None:
    several = tuple(Platform(each) for each in ("amd64", "arm64")[:platforms])
    make(folder, layout, format=format, platforms=several)
    ok, said = files_clause(look(layout))
    assert (ok, said) == (True, f"6 compared with {WHOSE}; --model compares with a source's")
    ok, said = files_clause(look(layout, model=folder))
    assert (ok, said) == (True, f"6 compared with the ids of {folder}")


def test_without_verify_no_layer_is_read_through(folder: Path, layout: Target) -> None:
    found = api.inspect(str(make(folder, layout).ref))
    assert "files" not in [name for name, *_ in found.rules]


@pytest.mark.parametrize("format", list(Format))
def test_a_poisoned_image_is_broken_and_every_file_is_named(
    folder: Path, layout: Target, format: Format, capsys: pytest.CaptureFixture[str]
) -> None:
    claim(layout, layers_of(folder, format), "v1", other_bytes)
    make(folder, layout, reuse=Reuse.TAG, format=format)
    if format is Format.MODELPACK:
        assert look(layout).ok  # every file has a sha256, and that is the digest of its layer
        claim(layout, layers_of(folder, format), "v1", other_bytes)
        as_modelpack(layout)
    assert not [each for each in api.inspect(str(layout.ref)).rules if each[0] == "files"]
    found = look(layout)
    assert not found.ok
    named = {line.partition(":")[0].removeprefix("models/") for line in found.flaws}
    assert named == {*FILES}
    with pytest.raises(ContractViolation, match=r"files \(\d+ wrong by the image's own ids"):
        found.require()
    seen = carferry(capsys, "inspect", layout.ref, "--verify", "--progress", "none")
    assert seen.code == 2
    assert "BROKEN  files" in seen.out
    assert all(line in seen.out for line in found.flaws)
    assert "Wrong" in found.markdown


def test_one_wrong_file_of_a_bundle_is_the_one_that_is_named(folder: Path, layout: Target) -> None:
    make(folder, layout)
    bundle = layers_of(folder)[-1]
    swap(layout, lambda d: len(file_names(layout, d)) > 1, changed(layout, b"0.6}", b"9.9}"))
    assert len(bundle.files) == 4
    (line,) = look(layout).flaws
    assert line.startswith("models/generation_config.json: is sha256:")
    assert "should be sha256:" in line


def test_a_consistent_image_of_other_files_is_seen_only_by_the_source(
    hub: Hub, layout: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Whoever pushes an image can annotate it to match; the image says whose words those are."""
    hub.add("org/tiny", FILES)
    point_to(hub, monkeypatch)
    evil = write(FILES | {"config.json": b'{"auto_map": "evil.py"}'}, tmp_path / "evil")
    make(evil, layout)
    lie(layout, {"dev.carferry.source": "hf://org/tiny", "dev.carferry.commit": "0" * 40})
    ok, said = files_clause(look(layout))
    assert ok
    assert said.endswith(f"{WHOSE}; --model hf://org/tiny@{'0' * 40} compares with the source's")
    seen = carferry(
        capsys, "inspect", layout.ref, "--model", "hf://org/tiny@main", "--progress", "none"
    )
    assert seen.code == 2
    commit = hub.repos["org/tiny"].branches["main"]
    assert f"BROKEN  files       1 wrong by the ids of org/tiny@{commit}" in seen.out
    assert "models/config.json: is git:" in seen.out


def test_an_image_of_the_hubs_model_is_the_hubs(
    hub: Hub, layout: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/tiny", FILES)
    point_to(hub, monkeypatch)
    ferry(from_hub(hub), layout, large_bytes=LARGE_BYTES)
    assert look(layout, model="hf://org/tiny").flaws == ()


def test_pickled_weights_are_compared_too(tmp_path: Path, layout: Target) -> None:
    folder = write(FILES | {"pytorch_model.bin": b"\x80" * 99}, tmp_path / "more")
    make(folder, layout, include=("*.bin", "*.json"))
    assert look(layout, model=folder).flaws == ()


def test_a_file_that_the_model_has_not_is_named(folder: Path, layout: Target) -> None:
    make(folder, layout)
    (folder / "config.json").unlink()
    assert look(layout, model=folder).flaws == ("models/config.json: no id says what it should be",)


def test_a_model_with_nothing_in_common_is_no_crash(
    folder: Path, layout: Target, tmp_path: Path
) -> None:
    make(folder, layout)
    other = write({"README": b"x"}, tmp_path / "other")
    assert len(look(layout, model=other).flaws) == len(FILES)


def entry(name: str, body: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> Any:
    """Return one entry of a layer."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(body), kind, link
    return info, body


def tar(*entries: Any) -> bytes:
    """Return a layer."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for info, body in entries:
            archive.addfile(info, io.BytesIO(body))
    return out.getvalue()


ON_TOP: dict[str, tuple[bytes, set[str]]] = {
    "a file over another": (
        tar(entry("models/config.json", b"{}")), {"models/config.json: no id"}
    ),
    "a file over another, by another spelling": (
        tar(entry("./models/../models//config.json", b"{}")), {"models/config.json: no id"}
    ),
    "one more file": (tar(entry("models/x.py", b"evil")), {"models/x.py: no id"}),
    "a link over a file": (
        tar(entry("models/config.json", kind=tarfile.SYMTYPE, link="/etc/passwd")),
        {"models/config.json: a link"},
    ),
    "a hard link": (
        tar(entry("models/config.json", kind=tarfile.LNKTYPE, link="models/LICENSE")),
        {"models/config.json: a link"},
    ),
    "a link instead of the folder": (
        tar(entry("models", kind=tarfile.SYMTYPE, link="/tmp")), {"models: a link"}
    ),
    "nothing under models": (tar(entry("etc/x", b"x")), set()),
    "not a tar": (b"x" * 2048, {"layer sha256:"}),
    "half a tar": (tar(entry("models/x", b"x" * 9000))[:4096], {"layer sha256:"}),
}  # fmt: skip


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ON_TOP)
def test_what_lies_over_the_files_is_seen(
    folder: Path, layout: Target, name: str, packed: bool
) -> None:
    make(folder, layout)
    data, wanted = ON_TOP[name]
    if packed:
        add(layout, gzip.compress(data, mtime=0), f"{LAYER}+gzip")
    else:
        add(layout, data)
    flaws = verify_alone(layout)
    assert len(flaws) == len(wanted)
    assert all(any(flaw.startswith(start) for flaw in flaws) for start in wanted)


def test_what_an_upper_layer_takes_away_needs_no_id(folder: Path, layout: Target) -> None:
    make(folder, layout)
    add(layout, tar(entry("models/bad.json", b"evil")))
    assert len(verify_alone(layout)) == 1
    add(layout, tar(entry("models/.wh.bad.json")))
    assert verify_alone(layout) == ()


@pytest.mark.parametrize("name", [".wh.models", ".wh..wh..opq", "./.wh.models"])
def test_a_layer_that_takes_the_whole_folder_away_is_seen(
    folder: Path, layout: Target, name: str
) -> None:
    make(folder, layout)
    add(layout, tar(entry("models/bad.json", b"evil")))
    add(layout, tar(entry(name)))
    add(layout, tar(entry("models/x.py", b"evil")))
    found = look(layout)
    assert found.flaws == ("models/x.py: no id says what it should be",)
    assert [path for path, _ in found.files] == ["models/x.py"]


def test_what_a_builder_attests_beside_the_image_is_no_part_of_it(
    folder: Path, layout: Target
) -> None:
    make(folder, layout)
    image = manifest(layout)
    statement = b"{}"
    attested = Document(
        image.media_type,
        canonical(
            image.json
            | {
                "layers": [
                    Descriptor(
                        "application/vnd.in-toto+json", put_blob(layout, statement), len(statement)
                    ).to_json()
                ]
            }
        ),
    )
    layout.put_manifest(attested, str(attested.digest))
    mark = {"annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    listed = [image.descriptor().to_json(), attested.descriptor().to_json() | mark]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}
    layout.put_manifest(Document(INDEX, canonical(index)), "v1")
    found = look(layout)
    assert (files_clause(found)[0], found.flaws) == (True, ())


def test_a_frame_that_another_reader_might_read_otherwise_is_broken(
    folder: Path, layout: Target
) -> None:
    make(folder, layout)
    swap(layout, lambda d: bool(file_names(layout, d)), lambda layer, _: other_frame(layer, FILES))
    flaws = look(layout).flaws
    assert flaws and all("around its files it holds something else" in flaw for flaw in flaws)


def test_other_bytes_under_the_right_digest_are_broken(folder: Path, layout: Target) -> None:
    """A registry that lies, or a disk that rotted."""
    make(folder, layout)
    layer = manifest(layout).layers[0]
    file = Path(str(layout.ref).split(":")[1]) / "blobs/sha256" / layer.digest.hex
    data = bytearray(file.read_bytes())
    data[-1] ^= 1  # in the end, which no reader of tar looks at
    file.write_bytes(bytes(data))
    (flaw,) = look(layout).flaws
    assert flaw == f"layer {layer.digest}: other bytes were sent under its digest"


@pytest.mark.parametrize("packed", [False, True])
def test_a_header_that_says_it_is_huge_is_not_kept(
    folder: Path, layout: Target, packed: bool
) -> None:
    make(folder, layout)
    body = b"30 path=" + b"x" * (48 << 20)
    data = tar(entry("models/x", body, kind=tarfile.XHDTYPE))
    blob = gzip.compress(data, mtime=0) if packed else data
    add(layout, blob, f"{LAYER}+gzip" if packed else LAYER)
    del body, data, blob
    tracemalloc.start()
    try:
        (flaw,) = verify_alone(layout)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "an extended header of 50331656 bytes" in flaw
    assert peak < 24 << 20


def test_a_small_layer_that_unpacks_without_end_is_not_read_to_it(
    folder: Path, layout: Target
) -> None:
    make(folder, layout)
    whole = entry("models/zeros")[0]
    whole.size = 1 << 42
    member = zstd.compress(whole.tobuf(tarfile.GNU_FORMAT)) + zstd.compress(bytes(64 << 20)) * 40
    add(layout, member, f"{LAYER}+zstd")
    (flaw,) = verify_alone(layout)
    assert flaw.endswith("over the limit of unpacked_bytes")


# What somebody puts over an honest image, and the clause that says so.
ABOVE = {
    "its config taken away": (tar(entry("models/.wh.config.json")), "root"),
    "all taken away": (tar(entry("models/.wh..wh..opq")), "models"),
    "a file behind a link": (
        tar(entry("opt", kind=tarfile.SYMTYPE, link="/models"), entry("opt/config.json", b"{}")),
        "links",
    ),
    "a file behind an empty path": (
        tar(entry("x", b"8 path=\n", kind=tarfile.XHDTYPE), entry("models/config.json", b"{}")),
        "files",
    ),
}


@pytest.mark.parametrize("name", ABOVE)
def test_what_is_put_over_an_honest_image_breaks_a_clause(
    folder: Path, layout: Target, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    layer, clause = ABOVE[name]
    make(folder, layout)
    add(layout, layer)
    seen = carferry(capsys, "inspect", layout.ref, "--verify", "--progress", "none")
    assert seen.code == 2
    assert f"BROKEN  {clause}" in seen.out


# Each says that what follows is models/ab; container engines believe none of them.
HARMLESS = {
    "a thousand headers of no file": tar(
        *[entry("x", b"18 path=models/ab\n", kind=tarfile.XHDTYPE) for _ in range(3000)]
    ),
    "a header for all files": tar(
        entry("x", b"18 path=models/ab\n", kind=tarfile.XGLTYPE), entry("y", b"1")
    ),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_an_archive_is_read_as_container_engines_read_it(
    folder: Path, layout: Target, name: str
) -> None:
    make(folder, layout)
    add(layout, HARMLESS[name])
    assert verify_alone(layout) == ()


ANNOTATED = "dev.carferry.layer.source-id"


def test_of_an_image_that_carries_no_ids_nothing_is_known(
    folder: Path, layout: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    """As podman and buildah make one."""
    forget(make(folder, layout, base="embedded"))
    seen = carferry(capsys, "inspect", layout.ref, "--verify", "--progress", "none")
    assert seen.code == 0, seen.out
    assert (
        "unread  files       6 not compared; it carries no ids of its files; --model SO" in seen.out
    )
    found = look(layout)
    assert (found.require().flaws, files_clause(found)[0]) == ((), None)
    assert files_clause(look(layout, model=folder)) == (
        True,
        f"6 compared with the ids of {folder}",
    )
    (folder / "config.json").unlink()
    assert look(layout, model=folder).flaws == ("models/config.json: no id says what it should be",)


@pytest.mark.parametrize("name", [name for name, (_, flaws) in ON_TOP.items() if flaws])
def test_what_lies_over_an_image_without_ids_is_wrong_if_no_id_need_say_so(
    folder: Path, layout: Target, name: str
) -> None:
    forget(make(folder, layout))
    data, wanted = ON_TOP[name]
    add(layout, data)
    found = look(layout)
    known = {flaw for flaw in wanted if not flaw.endswith("no id")}
    assert len(found.flaws) == len(known)
    assert all(any(flaw.startswith(start) for flaw in found.flaws) for start in known)
    ok, said = files_clause(found)
    assert ok is (False if known else None)
    assert "the image's own ids" not in said


def test_links_alone_without_ids_are_wrong(layout: Target) -> None:
    nothing = {"schemaVersion": 2, "config": Descriptor("x", put_blob(layout, b"{}"), 2).to_json()}
    layout.put_manifest(Document(MANIFEST, canonical(nothing | {"layers": []})), "v1")
    add(layout, tar(entry("models/a", kind=tarfile.SYMTYPE, link="/etc/passwd")))
    remedy = "it carries no ids of its files; --model SOURCE compares with a source's"
    assert files_clause(look(layout)) == (False, f"1 wrong; {remedy}")


@pytest.mark.parametrize("kept", ["one layer's id", "a layer's key", "the image's own words"])
def test_an_image_that_lost_its_ids_is_broken(folder: Path, layout: Target, kept: str) -> None:
    """A file without an id beside files that have one, or in what says carferry made it."""
    make(folder, layout)

    def change(body: dict[str, Any]) -> None:
        for number, each in enumerate([body, *body["layers"]]):
            said = each.pop("annotations")
            first = number == 1
            if kept == "one layer's id" and first:
                each["annotations"] = {ANNOTATED: said[ANNOTATED]}
            elif kept == "a layer's key" and first:
                each["annotations"] = {k: v for k, v in said.items() if k.endswith(".content")}
            elif kept == "the image's own words" and not number:
                each["annotations"] = said

    rewrite(layout, change)
    flaws = look(layout).flaws
    assert len(flaws) == len(FILES) - (kept == "one layer's id")
    assert all(flaw.endswith("no id says what it should be") for flaw in flaws)


@pytest.mark.parametrize("text", ["", "x", "FA==", "!"])
def test_ids_that_cannot_be_read_are_broken_and_no_crash(
    folder: Path, layout: Target, text: str
) -> None:
    make(folder, layout)
    annotate(layout, "dev.carferry.layer.source-ids", text)
    flaws = look(layout).flaws
    assert flaws
    assert any("ids" in flaw or "no id" in flaw for flaw in flaws)


def test_an_entity_tag_in_an_image_is_no_id(folder: Path, layout: Target) -> None:
    make(folder, layout)
    annotate(layout, "dev.carferry.layer.source-id", f"etag:{'0' * 64}")
    flaws = look(layout).flaws
    assert len(flaws) == 2
    assert all("its ids cannot be read: an entity tag" in flaw for flaw in flaws)


def test_the_files_of_an_image_can_be_read_in_part(folder: Path, layout: Target) -> None:
    for format in Format:
        make(folder, layout, format=format)
        found = stored_files(layout, inspect(layout).models)
        assert {path: file.size_bytes for path, file in found.items()} == {
            path: len(body) for path, body in FILES.items()
        }
        for path, body in FILES.items():
            assert found[path].read_range(0, 10**9) == body
            assert found[path].read_range(3, 8) == body[3:8]
            assert found[path].read_range(len(body), len(body) + 5) == b""


def test_a_registry_is_read_in_parallel_and_on_after_a_break(
    folder: Path, registry: Registry
) -> None:
    (folder / "model-3.safetensors").write_bytes(filled(4 << 20, seed=3))
    make(folder, to_registry(registry))
    reset = Rule(ResetDownload(3 << 20), method="GET", path="/blobs/", times=None)
    with Proxy(registry.url, [reset]) as proxy:
        found = api.inspect(
            f"docker://{proxy.host}/org/tiny:v1", plain_http=[proxy.host], model=folder, parallel=3
        )
    assert files_clause(found) == (True, f"7 compared with the ids of {folder}")
    assert [each for each in registry.log if each.status == 206]


def test_thousands_of_files_that_are_taken_away_cost_no_time(folder: Path, layout: Target) -> None:
    make(folder, layout)
    many = [entry(f"models/.wh.{n}.json") for n in range(3_000)]
    add(layout, tar(*[entry(f"models/{n}.json", b"x") for n in range(3_000)]))
    add(layout, tar(*many))
    assert verify_alone(layout) == ()


def test_json_holds_the_lines_too(
    folder: Path, layout: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    make(folder, layout)
    add(layout, tar(entry("models/x\x1b[2J.py", b"evil")))
    seen = carferry(capsys, "inspect", layout.ref, "--verify", "--progress", "none")
    assert "\x1b" not in seen.out
    told = carferry(capsys, "inspect", layout.ref, "--verify", "--progress", "none", "--json").out
    assert json.loads(told)["flaws"] == ["models/x\x1b[2J.py: no id says what it should be"]


# What an attacker does to a finished image.


def as_modelpack(target: Target) -> None:
    """Give a manifest of claims the config of a ModelPack artifact."""
    document = manifest(target)
    digests = [str(layer.digest) for layer in document.layers]
    data = canonical({"modelfs": {"type": "layers", "diffIds": digests}})
    config = Descriptor(MODELPACK_CONFIG, put_blob(target, data), len(data))
    rewrite(target, lambda body: body.update(config=config.to_json()))


def verify_alone(target: Target) -> tuple[str, ...]:
    """Compare the files without the rest of the contract."""
    from carferry.image.verify import verify
    from carferry.io.net.retry import Retry
    from carferry.io.show.progress import Silent

    given = verify(target, None, parallel=2, retry=Retry(), progress=Silent())
    assert given.clause.ok is (not given.flaws)
    return given.flaws


def rewrite(target: Target, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest and tag it."""
    document = manifest(target)
    body = document.json
    change(body)
    target.put_manifest(Document(document.media_type, canonical(body)), "v1")


def add(target: Target, data: bytes, media_type: str = LAYER) -> None:
    """Put one more layer on top."""
    layer = Descriptor(media_type, put_blob(target, data), len(data))
    rewrite(target, lambda body: body["layers"].append(layer.to_json()))


def lie(target: Target, annotations: Mapping[str, str]) -> None:
    """Add annotations to the manifest."""
    rewrite(target, lambda body: body["annotations"].update(annotations))


def forget(target: Target) -> None:
    """Take every annotation away, as tools do that know none of them."""

    def change(body: dict[str, Any]) -> None:
        for each in [body, *body["layers"]]:
            each.pop("annotations", None)

    rewrite(target, change)


def annotate(target: Target, key: str, text: str) -> None:
    """Change one annotation of every layer that has it."""

    def change(body: dict[str, Any]) -> None:
        for layer in body["layers"]:
            if key in layer["annotations"]:
                layer["annotations"][key] = text

    rewrite(target, change)


def file_names(target: Target, layer: Descriptor) -> list[str]:
    """Return the files of a layer."""
    data = b"".join(target.open_blob(layer.digest))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return [member.name for member in archive if member.isreg()]


def changed(target: Target, old: bytes, new: bytes) -> Callable[[Layer, Descriptor], bytes]:
    """Return what replaces bytes in a layer."""
    return lambda _, d: b"".join(target.open_blob(d.digest)).replace(old, new)


def swap(
    target: Target,
    which: Callable[[Descriptor], bool],
    twist: Callable[[Layer, Descriptor], bytes],
) -> None:
    """Replace layers by others with the same annotations, as a poisoned build did."""
    folder = Path(str(target.ref).split(":")[1]).parent / "model"
    honest = {str(layer.content_key): layer for layer in layers_of(folder)}
    document = manifest(target)
    made = []
    for layer in document.layers:
        ours = honest[layer.annotations["dev.carferry.layer.content"]]
        data = twist(ours, layer) if which(layer) else b"".join(target.open_blob(layer.digest))
        descriptor = replace(model_descriptor(ours, put_blob(target, data)), size_bytes=len(data))
        made.append(descriptor.to_json())
    rewrite(target, lambda body: body.update(layers=made))
