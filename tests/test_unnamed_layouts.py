"""A layout without names, or with other tools' names, is read when one image can be meant."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from ferrying import carferry, ferry, from_folder, manifest, to_layout
from servers.models import tiny, write

from carferry.oci.documents import INDEX, MANIFEST, canonical
from carferry.refs import Digest, LayoutRef
from carferry.registry.layout import LayoutTarget

REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD = "io.containerd.image.name"
Entry = dict[str, Any]


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """A layout with one image, as carferry writes it."""
    target = to_layout(tmp_path / "layout")
    ferry(from_folder(write(tiny(), tmp_path / "model")), target)
    return tmp_path / "layout"


def entry_of(layout: Path) -> Entry:
    """Return the descriptor of the image, without its name."""
    entry: Entry = json.loads((layout / "index.json").read_text())["manifests"][0]
    return {key: value for key, value in entry.items() if key != "annotations"}


def rewrite(layout: Path, entries: Sequence[Entry]) -> None:
    """Give a layout another index."""
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(entries)}
    (layout / "index.json").write_bytes(canonical(index))


def add(layout: Path, document: dict[str, Any], **more: Any) -> Entry:
    """Write a document as a blob and return its descriptor."""
    data = canonical(document)
    digest = Digest.of(data)
    (layout / "blobs" / "sha256" / digest.hex).write_bytes(data)
    media_type = document.get("mediaType", MANIFEST)
    return {"mediaType": media_type, "digest": str(digest), "size": len(data), **more}


def named(entry: Entry, **names: str) -> Entry:
    """Return a descriptor with annotations."""
    keys = {"ref": REF_NAME, "containerd": CONTAINERD, "about": "vnd.docker.reference.type"}
    return {**entry, "annotations": {keys[key]: name for key, name in names.items()}}


def another(layout: Path, note: str = "other") -> Entry:
    """Return the descriptor of an image with the same layers and other bytes."""
    image = json.loads((layout / "blobs/sha256" / entry_of(layout)["digest"][7:]).read_text())
    return add(layout, {**image, "annotations": {"note": note}})


def absent(layout: Path) -> Entry:
    """Return the descriptor of an image whose blobs are elsewhere."""
    return {**entry_of(layout), "digest": f"sha256:{'0' * 64}"}


def bare(layout: Path) -> Entry:
    """Return the descriptor of an image of which nothing but the manifest is here."""
    image = json.loads((layout / "blobs/sha256" / entry_of(layout)["digest"][7:]).read_text())
    layers = [{**layer, "digest": f"sha256:{'1' * 64}"} for layer in image["layers"]]
    return add(layout, {**image, "layers": layers})


def about(layout: Path, entry: Entry) -> Entry:
    """Return the descriptor of an artifact about an image, as ORAS attaches one."""
    empty = add(layout, {})
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": "application/vnd.example.sbom",
        "config": {**empty, "mediaType": "application/vnd.oci.empty.v1+json"},
        "layers": [empty],
        "subject": entry,
    }
    return add(layout, document)


def nest(layout: Path, *entries: Entry, depth: int = 1) -> Entry:
    """Return the descriptor of an index of them, in as many more as asked."""
    made = add(layout, {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(entries)})
    return nest(layout, made, depth=depth - 1) if depth > 1 else made


WHOLE = "registry.example/team/model:v1"
READ: dict[str, tuple[Callable[[Path, Entry], list[Entry]], str]] = {
    "skopeo and buildah without a tag": (lambda at, e: [e], ""),
    "without a tag, one asked for": (lambda at, e: [e], ":v7"),
    "another tag, none asked for": (lambda at, e: [named(e, ref="v7")], ""),
    "docker save and containerd": (lambda at, e: [named(e, ref="v1", containerd=WHOLE)], ":v1"),
    "containerd's name alone": (lambda at, e: [named(e, containerd=WHOLE)], ":v1"),
    "a whole reference": (lambda at, e: [named(e, ref=WHOLE)], ":v1"),
    "a whole reference with a port": (lambda at, e: [named(e, ref="h:5000/m:v1")], ":v1"),
    "a whole reference without a tag": (lambda at, e: [named(e, ref="h:5000/m")], ":latest"),
    "a whole reference, none asked for": (lambda at, e: [named(e, ref=WHOLE)], ""),
    "twice, with two names": (lambda at, e: [named(e, ref="a"), named(e, ref="b")], ":b"),
    "twice, with and without a name": (lambda at, e: [e, named(e, ref="b")], ""),
    "two, one of that name": (lambda at, e: [named(another(at), ref="x/y:v2"),
                                             named(e, ref="x/y:v1")], ":v1"),
    "an artifact about it": (lambda at, e: [e, about(at, e)], ""),
    "BuildKit's attestation": (
        lambda at, e: [e, named(another(at), about="attestation-manifest")], ""
    ),
    "an entry whose blob is elsewhere": (
        lambda at, e: [e, {**e, "digest": f"sha256:{'0' * 64}"}], ""
    ),
    "an index": (lambda at, e: [nest(at, e)], ""),
    "an index in an index": (lambda at, e: [nest(at, e, depth=3)], ""),
    "docker save of one platform": (lambda at, e: [nest(at, e, absent(at))], ""),
    "docker save of one platform, named": (
        lambda at, e: [named(nest(at, absent(at), e), ref="v1", containerd=WHOLE)], ":v1"
    ),
    "of another platform the manifest alone": (
        lambda at, e: [nest(at, e, bare(at), absent(at))], ""
    ),
    "of one platform, with its attestation": (
        lambda at, e: [nest(at, e, absent(at), named(another(at), about="attestation-manifest"))],
        "",
    ),
    "a named index in an index": (lambda at, e: [named(nest(at, e, depth=2), ref="v1")], ":v1"),
}  # fmt: skip


@pytest.mark.parametrize("shape", READ)
def test_one_image_is_found_under_any_name(
    shape: str, layout: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    entry = entry_of(layout)
    make, tag = READ[shape]
    rewrite(layout, make(layout, entry))
    done = carferry(capsys, "inspect", f"oci:{layout}{tag}", "--json")
    assert [each[0] for each in json.loads(done.out)["layers"]] == ["several files"], done.err
    copy = tmp_path / "copy"
    assert carferry(capsys, "push", f"oci:{layout}{tag}", f"oci:{copy}:v1").code == 0
    assert {each.name for each in (copy / "blobs/sha256").iterdir()} >= {entry["digest"][7:]}


SEVERAL: dict[str, tuple[Callable[[Path, Entry], list[Entry]], str, str]] = {
    "two without names": (
        lambda at, e: [e, another(at)],
        "",
        "it holds 2 images: unnamed {image}; unnamed {other}; write oci:{layout}@{image}",
    ),
    "two, one with a name": (
        lambda at, e: [e, named(another(at), ref="b")],
        "",
        "it holds 2 images: unnamed {image}; b; write oci:{layout}:b or oci:{layout}@{image}",
    ),
    "one of another name": (
        lambda at, e: [named(e, ref="v1")],
        ":v2",
        "it holds one image: v1; write oci:{layout}:v1 or oci:{layout}@{image}",
    ),
    "two that end in the tag": (
        lambda at, e: [named(e, ref="a/b:v1"), named(another(at), ref="a/c:v1")],
        ":v1",
        "it holds 2 images: a/b:v1; a/c:v1; write oci:{layout}@{image}",
    ),
    "nothing": (lambda at, e: [], "", "no such image or tag in {layout}; check the reference"),
    "hostile names": (
        lambda at, e: [named(e, ref="a\x1b[2J\nb"), another(at)],
        "",
        "it holds 2 images: a\\x1b[2J\\nb; unnamed {other}; write oci:{layout}@{image}",
    ),
}


@pytest.mark.parametrize("shape", SEVERAL)
def test_several_images_are_named_on_one_line(
    shape: str, layout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, tag, said = SEVERAL[shape]
    entry, other = entry_of(layout), another(layout)
    rewrite(layout, make(layout, entry))
    done = carferry(capsys, "inspect", f"oci:{layout}{tag}")
    told = said.format(layout=layout, image=entry["digest"], other=other["digest"])
    shown = f"oci:{layout}{tag or ':latest'}"
    assert done.err == f"carferry: read {shown}: {told}\n"
    assert (done.code, done.out) == (1, "")


@pytest.mark.parametrize("here", [0, 2])
def test_an_index_that_lists_what_is_not_there_is_no_image_unless_one_is_whole(
    here: int, layout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = [entry_of(layout), another(layout)][:here]
    rewrite(layout, [nest(layout, *whole, absent(layout))])
    done = carferry(capsys, "push", f"oci:{layout}", f"oci:{layout}-copy:v1")
    assert (done.code, f"its index lists sha256:{'0' * 64}" in done.err) == (1, True)


def test_many_images_are_counted_and_a_few_named(
    layout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rewrite(layout, [named(another(layout, str(n)), ref=f"t{n}") for n in range(50)])
    done = carferry(capsys, "inspect", f"oci:{layout}")
    assert "it holds 50 images: t0; t1; t2; t3; t4; t5; t6; t7 and 42 more; " in done.err


def test_a_write_to_a_tag_is_that_tag_whatever_else_is_there(layout: Path, tmp_path: Path) -> None:
    """What is meant when it is read is not yet named so."""
    rewrite(layout, [entry_of(layout)])
    ferry(from_folder(tmp_path / "model"), to_layout(layout, "v2"))
    assert to_layout(layout).tags() == ["v2"]
    assert LayoutTarget(LayoutRef(layout, "v3")).get_manifest("v3") is None


@pytest.mark.parametrize("program", ["skopeo", "buildah"])
def test_what_a_tool_writes_without_a_tag_is_read(
    program: str,
    layout: Path,
    tmp_path: Path,
    tools: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    if program == "skopeo":
        command = [tools("skopeo"), "copy", f"oci:{layout}:v1", f"oci:{out}"]
    else:
        isolated = ["--root", str(tmp_path / "root"), "--runroot", str(tmp_path / "run")]
        buildah = [tools("buildah"), *isolated, "--storage-driver", "vfs"]
        pulled = subprocess.run(
            [*buildah, "pull", f"oci:{layout}:v1"], check=True, capture_output=True, text=True
        )
        command = [*buildah, "push", pulled.stdout.split()[-1], f"oci:{out}"]
    subprocess.run(command, check=True, capture_output=True)
    assert "annotations" not in json.loads((out / "index.json").read_text())["manifests"][0]
    done = carferry(capsys, "inspect", f"oci:{out}", "--json")
    assert len(json.loads(done.out)["layers"]) == len(manifest(to_layout(layout)).layers), done.err
