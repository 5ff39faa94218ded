"""An image as the source of a model: another format, another base, another place."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from ferrying import access, from_hub, hashes, manifest, model_files, to_layout, to_registry
from servers.hub import Hub
from servers.models import sharded, tiny
from servers.registry import Registry
from servers.sockets import answering

from carferry.assembly.build import build
from carferry.assembly.options import Options
from carferry.assembly.results import BuildResult
from carferry.cli import main
from carferry.errors import InputError, SourceNotFound
from carferry.image.inspection import inspect
from carferry.image.layers import Format
from carferry.image.links import Links
from carferry.image.source import ImageSource
from carferry.oci.documents import CONFIG, LAYER, MANIFEST, Document, canonical
from carferry.refs import Digest
from carferry.registry.blobs import put_blob
from carferry.registry.target import Target
from carferry.selection.patterns import Patterns
from carferry.selection.select import take
from carferry.source.source import Source

REPO = "org/tiny"
MODEL = sharded() | {"tokenizer.json": tiny()["tokenizer.json"]}


def make(source: Source, target: Target, host: str, **options: object) -> BuildResult:
    chosen = Options(**{"base": "scratch", "large_bytes": 300} | options)  # type: ignore[arg-type]
    return build(source, target, chosen, access=access(host))


@pytest.fixture
def filled_hub(hub: Hub) -> Hub:
    hub.add(REPO, MODEL, card={"license": "apache-2.0"})
    return hub


@pytest.mark.parametrize("first", list(Format))
@pytest.mark.parametrize("second", list(Format))
@pytest.mark.parametrize("repository", ["org/tiny", "org/other"])
def test_an_image_made_of_an_image_is_the_one_made_of_the_hub(
    filled_hub: Hub, registry: Registry, first: Format, second: Format, repository: str
) -> None:
    host = registry.host
    make(from_hub(filled_hub), to_registry(registry, tag="first"), host, format=first)
    asked = len(filled_hub.log)
    source = ImageSource(to_registry(registry, tag="first"))
    done = make(source, to_registry(registry, repository, "second"), host, format=second)
    assert len(filled_hub.log) == asked
    there = make(from_hub(filled_hub), to_registry(registry, "org/third"), host, format=second)
    assert str(done.document.digest) == str(there.document.digest)
    if first is second:
        assert done.moved_bytes == done.checked_bytes == 0


def test_another_base_leaves_every_layer_of_the_model_where_it_is(
    filled_hub: Hub, registry: Registry
) -> None:
    host = registry.host
    first = make(from_hub(filled_hub), to_registry(registry, tag="first"), host)
    layers = {str(result.descriptor.digest) for result in first.results}
    source = ImageSource(to_registry(registry, tag="first"))
    done = make(source, to_registry(registry, tag="second"), host, base="embedded")
    assert (done.moved_bytes, done.checked_bytes) == (0, 0)
    assert layers <= {str(layer.digest) for layer in done.document.layers}
    whole = [e for e in registry.log if e.method == "GET" and e.status == 200]
    assert not [e.path for e in whole if e.path.rpartition("/")[2] in layers]


def test_an_image_in_a_layout_goes_into_a_registry(
    filled_hub: Hub, registry: Registry, tmp_path: Path
) -> None:
    make(from_hub(filled_hub), to_layout(tmp_path / "out"), registry.host)
    done = make(ImageSource(to_layout(tmp_path / "out")), to_registry(registry), registry.host)
    assert done.moved_bytes == sum(result.layer.size_bytes for result in done.results)
    assert model_files(to_registry(registry)) == hashes(MODEL)


def foreign(target: Target, layers: list[tuple[str, bytes]], tag: str = "v1") -> None:
    """Write an image as another tool would: no annotations, media types and tars as given."""
    described = [
        {"mediaType": kind, "digest": str(put_blob(target, data)), "size": len(data)}
        for kind, data in layers
    ]
    plain = [gzip.decompress(data) if "gzip" in kind else data for kind, data in layers]
    config = {
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(data)) for data in plain]},
    }  # fmt: skip
    document = Document(CONFIG, canonical(config))
    put_blob(target, document.data)
    manifest = {
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": document.descriptor().to_json(), "layers": described,
    }  # fmt: skip
    target.put_manifest(Document(MANIFEST, canonical(manifest)), tag)


def tar_of(files: dict[str, bytes], *, links: dict[str, str] | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.uid = len(body), 1_700_000_000, 1000
            tar.addfile(info, io.BytesIO(body))
        for name, to in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, to
            tar.addfile(entry)
    return out.getvalue()


@pytest.mark.parametrize("packing", ["plain", "gzip"])
@pytest.mark.parametrize("format", list(Format))
def test_an_image_of_another_tool_is_read_too(tmp_path: Path, packing: str, format: Format) -> None:
    """Podman's layers: one COPY, gzip by default, an owner, a base below."""
    model = {f"./models/{name}": body for name, body in MODEL.items()}
    stale = {"models/config.json": b"{}", "bin/sh": b"#!"}
    data = [tar_of(stale), tar_of(model)]
    kind = LAYER if packing == "plain" else f"{LAYER}+gzip"
    packed = [each if packing == "plain" else gzip.compress(each) for each in data]
    foreign(to_layout(tmp_path / "old"), [(kind, each) for each in packed])
    source = ImageSource(to_layout(tmp_path / "old"))
    assert {file.path for file in take(source, Patterns()).files} == set(MODEL)
    done = make(source, to_layout(tmp_path / "new"), "", format=format)
    assert done.moved_bytes == sum(result.layer.size_bytes for result in done.results)
    if format is Format.MODELCAR:
        assert model_files(to_layout(tmp_path / "new")) == hashes(MODEL)


def test_any_part_of_a_compressed_layers_file_can_be_read(tmp_path: Path) -> None:
    body = bytes(range(256)) * 4096
    files = {"models/a.json": b"{}", "models/b.bin": body}
    foreign(to_layout(tmp_path / "old"), [(f"{LAYER}+gzip", gzip.compress(tar_of(files)))])
    source = ImageSource(to_layout(tmp_path / "old"))
    file = next(each for each in source.listing().files if each.path == "b.bin")
    for start, stop in [(0, 5), (200_000, 300_000), (len(body) - 3, len(body)), (7, 7)]:
        assert b"".join(source.read(file, start, stop)) == body[start:stop]


def test_a_file_that_is_not_what_its_image_says_is_not_packed_again(
    filled_hub: Hub, tmp_path: Path
) -> None:
    """The image's ids are a claim: whoever reads the bytes finds out."""
    make(from_hub(filled_hub), to_layout(tmp_path / "old"), "")
    target = to_layout(tmp_path / "old")
    document = target.get_manifest("v1")
    assert document is not None
    changed = document.json
    ids = "dev.carferry.layer.source-id"
    (single, *_) = [each for each in changed["layers"] if ids in each["annotations"]]
    single["annotations"][ids] = f"sha256:{'0' * 64}"
    target.put_manifest(Document(MANIFEST, canonical(changed)), "v1")
    with pytest.raises(Exception, match="its bytes hash to"):
        make(ImageSource(target), to_layout(tmp_path / "new"), "", format=Format.MODELPACK)
    assert to_layout(tmp_path / "new").get_manifest("v1") is None


GZIP = f"{LAYER}+gzip"
CONFIG_JSON, WEIGHTS = b'{"a": 1}', b"weights"
BELOW = {"models/config.json": b"{}", "models/w.safetensors": WEIGHTS, "models/sub/a.txt": b"a"}

# Layers over BELOW, and what a container sees; a link is text.
SEEN: dict[str, tuple[list[dict[str, bytes | str]], dict[str, bytes]]] = {
    "all": ([{"etc/x": b""}], {"config.json": b"{}", "w.safetensors": WEIGHTS, "sub/a.txt": b"a"}),
    "covered": (
        [{"models/config.json": CONFIG_JSON}],
        {"config.json": CONFIG_JSON, "w.safetensors": WEIGHTS, "sub/a.txt": b"a"},
    ),
    "taken away": (
        [{"models/.wh.config.json": b"", "models/sub/.wh.a.txt": b""}], {"w.safetensors": WEIGHTS},
    ),
    "taken away and put back": (
        [{"models/.wh.config.json": b""}, {"models/config.json": CONFIG_JSON}],
        {"config.json": CONFIG_JSON, "w.safetensors": WEIGHTS, "sub/a.txt": b"a"},
    ),
    "taken away and put in at once": (
        [{"models/config.json": CONFIG_JSON, "models/.wh.config.json": b""}],
        {"config.json": CONFIG_JSON, "w.safetensors": WEIGHTS, "sub/a.txt": b"a"},
    ),
    "a folder taken away": (
        [{"models/.wh.sub": b""}], {"config.json": b"{}", "w.safetensors": WEIGHTS},
    ),
    "emptied": (
        [{"models/.wh..wh..opq": b"", "models/config.json": CONFIG_JSON}],
        {"config.json": CONFIG_JSON},
    ),
    "the model taken away": (
        [{".wh.models": b"", "models/new.json": b"n"}], {"new.json": b"n"},
    ),
    "the root emptied": ([{".wh..wh..opq": b""}, {"models/new.json": b"n"}], {"new.json": b"n"}),
    "a file for a folder": (
        [{"models/sub": b"s"}], {"config.json": b"{}", "w.safetensors": WEIGHTS, "sub": b"s"},
    ),
    "a link that was taken away": (
        [{"models/l": "/etc/passwd"}, {"models/.wh.l": b"", "models/.wh.sub": b""}],
        {"config.json": b"{}", "w.safetensors": WEIGHTS},
    ),
    "a link that was covered": (
        [{"models/sub": "/etc"}, {"models/sub": b"s"}],
        {"config.json": b"{}", "w.safetensors": WEIGHTS, "sub": b"s"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("above", [LAYER, GZIP])
@pytest.mark.parametrize("below", [LAYER, GZIP])
@pytest.mark.parametrize("name", SEEN)
def test_a_source_shows_what_a_container_would_see(
    tmp_path: Path, name: str, below: str, above: str
) -> None:
    layers, wanted = SEEN[name]
    packed = [(below, data_of(BELOW, below)), *((above, data_of(each, above)) for each in layers)]
    foreign(to_layout(tmp_path / "old"), packed)
    source = ImageSource(to_layout(tmp_path / "old"))
    files = {file.path: b"".join(source.read(file)) for file in source.listing().files}
    assert files == wanted
    seen = {e.path for e in inspect(to_layout(tmp_path / "old")).models if e.kind == "file"}
    assert seen == {f"models/{path}" for path in wanted}


def data_of(files: Mapping[str, bytes | str], kind: str) -> bytes:
    bodies = {name: body for name, body in files.items() if isinstance(body, bytes)}
    links = {name: to for name, to in files.items() if isinstance(to, str)}
    data = tar_of(bodies, links=links)
    return data if kind == LAYER else gzip.compress(data, mtime=0)


def lay_over(target: Target, files: Mapping[str, bytes], kind: str, *, below: bool = False) -> None:
    """Put an unmarked layer over, or under, an image that carferry made."""
    data = data_of(files, kind)
    document = manifest(target, "first")
    fields = document.json
    layer = {"mediaType": kind, "digest": str(put_blob(target, data)), "size": len(data)}
    fields["layers"].insert(0 if below else len(fields["layers"]), layer)
    target.put_manifest(Document(MANIFEST, canonical(fields)), "first")


@pytest.mark.parametrize("kind", [LAYER, GZIP])
@pytest.mark.parametrize("below", [False, True])
def test_layers_without_a_mark_count_beside_those_that_carferry_made(
    filled_hub: Hub, registry: Registry, kind: str, below: bool
) -> None:
    """A base may hold files that are served too; what was added later covers and takes away."""
    target = to_registry(registry, tag="first")
    make(from_hub(filled_hub), target, registry.host)
    more = {"models/config.json": MODEL["config.json"] + b" ", "models/new.json": b"{}"}
    gone = {} if below else {"models/.wh.tokenizer.json": b""}
    lay_over(target, more | gone, kind, below=below)
    made = to_registry(registry, "org/other", "second")
    make(ImageSource(target), made, registry.host)
    wanted = {"new.json": b"{}"} | MODEL
    if not below:
        wanted = MODEL | {path.removeprefix("models/"): body for path, body in more.items()}
        del wanted["tokenizer.json"]
    assert model_files(made, "second") == hashes(wanted)


def test_a_listing_asks_for_few_parts_of_the_layers_that_carferry_made(
    filled_hub: Hub, registry: Registry
) -> None:
    target = to_registry(registry, tag="first")
    done = make(from_hub(filled_hub), target, registry.host)
    registry.log.clear()
    ImageSource(target).listing()
    blobs = [entry for entry in registry.log if "/blobs/" in entry.path and entry.method == "GET"]
    assert {entry.status for entry in blobs} == {206}
    assert len(blobs) <= 2 * len(done.results)


REFUSED: dict[str, tuple[list[tuple[str, bytes]], str]] = {
    "a link": ([(LAYER, tar_of({}, links={"models/w": "/etc/passwd"}))], "no plain file"),
    "a link for the model": (
        [(LAYER, tar_of({"data/w": b""}, links={"models": "data"}))], "no plain file",
    ),
    "a file for the model": ([(LAYER, tar_of({"models": b"x"}))], "no plain file"),
    "a link in a base": (
        [(GZIP, gzip.compress(tar_of({}, links={"models/w": "/etc/passwd"}))),
         (LAYER, tar_of({"models/config.json": b"{}"}))], "no plain file",
    ),
    "a file in a link": (
        [(LAYER, tar_of({}, links={"models/sub": "/opt"})),
         (LAYER, tar_of({"models/sub/deep/x": b"x"}))], "which is no folder",
    ),
    "a file in a file": (
        [(LAYER, tar_of({"models/sub": b"x"})), (LAYER, tar_of({"models/sub/y": b"y"}))],
        "which is no folder",
    ),
    "an encrypted layer": (
        [(LAYER, tar_of({"models/config.json": b"{}"})), (f"{LAYER}+encrypted", b"???")],
        "nobody can tell what it shows: layer sha256:.* is encrypted",
    ),
    "an encrypted base": (
        [(f"{LAYER}+encrypted", b"???"), (LAYER, tar_of({"models/config.json": b"{}"}))],
        "nobody can tell what it shows: layer sha256:.* is encrypted",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_nobody_can_tell_is_refused_in_one_line(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    layers, said = REFUSED[name]
    foreign(to_layout(tmp_path / "old"), layers)
    with pytest.raises(InputError, match=said):
        ImageSource(to_layout(tmp_path / "old")).listing()
    assert main(["build", f"oci:{tmp_path / 'old'}:v1", f"oci:{tmp_path / 'new'}:v1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("carferry: read the model in ")
    assert line.endswith("pack the model anew from its source")


def test_a_file_with_holes_is_not_read_as_if_it_had_none(tmp_path: Path) -> None:
    """What is stored of it are its parts and where they go."""
    info = tarfile.TarInfo("models/w.safetensors")
    info.size = 512
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0",
                        "GNU.sparse.realsize": "100000"}  # fmt: skip
    data = info.tobuf(tarfile.PAX_FORMAT) + bytes(512 + 1024)
    foreign(to_layout(tmp_path / "old"), [(LAYER, data)])
    with pytest.raises(InputError, match="one with holes"):
        ImageSource(to_layout(tmp_path / "old")).listing()


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (
            {"bin/sh": b"#!"},
            r"no file is there; check that a model lies there \(in an image: under",
        ),
        (
            {f"models/snap/{name}": body for name, body in MODEL.items()},
            "and lie in snap; put what",
        ),
    ],
)
def test_an_image_that_holds_no_model_where_servers_look_is_refused(
    files: dict[str, bytes], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign(to_layout(tmp_path / "old"), [(LAYER, tar_of(files))])
    assert main(["build", f"oci:{tmp_path / 'old'}:v1", f"oci:{tmp_path / 'new'}:v1"]) == 2
    assert re.search(reason, capsys.readouterr().err)
    assert not (tmp_path / "new").exists()


def test_a_registry_without_tls_is_not_asked_again_and_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What speaks another protocol will not change by waiting."""
    with answering(b"SSH-2.0-OpenSSH_9.2\r\n") as (host, got):
        assert main(["plan", f"oci://{host}/org/tiny:v1", "--gpu", "L4"]) == 1
    assert "no TLS there" in capsys.readouterr().err
    assert len(got) == 3  # what does it speak: TLS, HTTP? and the request


def test_no_such_image_is_a_wrong_model(registry: Registry) -> None:
    with pytest.raises(SourceNotFound, match="no such image"):
        ImageSource(to_registry(registry, "org/none")).listing()


def test_the_command_line_takes_an_image_for_a_model(
    filled_hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(from_hub(filled_hub), to_layout(tmp_path / "old"), "")
    old, new = f"oci:{tmp_path / 'old'}:v1", f"oci:{tmp_path / 'new'}:v1"
    assert main(["build", old, new, "--format", "modelpack"]) == 0
    assert main(["inspect", new, "--verify"]) == 0
    assert main(["plan", old, new, "--base", "embedded"]) == 0
    assert main(["build", old, new, "--revision", "v2"]) == 2
    assert "only the hub has a revision" in capsys.readouterr().err


def test_a_link_into_itself_costs_no_more_than_others() -> None:
    """Each hop makes the path longer: 40 of them would take a second for every entry."""
    links = Links()
    links.add("a", "/".join("a" * 2000))
    for number in range(20_000):
        assert len(links.resolve(f"a/{number}/x")) < 10_000


def test_a_folder_behind_links_is_found_and_a_new_link_counts_at_once() -> None:
    links = Links()
    assert links.resolve("opt/x") == "opt/x"
    links.add("opt", "/srv")
    links.add("srv/y", "../models")
    assert [links.resolve(path) for path in ("opt/x", "opt/y/z", "opt", "x")] == [
        "srv/x", "models/z", "opt", "x",
    ]  # fmt: skip
    links.add("srv", "/")
    assert links.resolve("opt/x") == "x"
