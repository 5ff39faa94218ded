"""A broken base is refused when it is read, in one line that names it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ferrying import access, carferry
from servers.images import tar_of, write_layout
from servers.models import tiny, write

from carferry.errors import InputError
from carferry.image import base as bases
from carferry.image.inspection import inspect
from carferry.oci.documents import Platform
from carferry.refs import LayoutRef

Change = Callable[[Any], Any]
OTHER = "sha256:" + "0" * 64


def put(**fields: Any) -> Change:
    """Set fields of a document."""
    return lambda document: document | fields


def setting(**fields: Any) -> Change:
    """Set fields of the ``config`` object inside."""
    return lambda document: document | {"config": document["config"] | fields}


def diff_ids(change: Change) -> Change:
    """Change the diff ids."""
    return lambda d: d | {"rootfs": {"type": "layers", "diff_ids": change(d["rootfs"]["diff_ids"])}}


CONFIGS: dict[str, tuple[Change, str]] = {
    "Env is text": (setting(Env="A=b"), "Env is not a list of texts"),
    "Env is an object": (setting(Env={"A": "b"}), "Env is not a list of texts"),
    "Env holds a number": (setting(Env=["A=b", 3]), "Env is not a list of texts"),
    "Env holds null": (setting(Env=[None]), "Env is not a list of texts"),
    "Entrypoint is text": (setting(Entrypoint="/bin/sh"), "Entrypoint is not a list of texts"),
    "Cmd is a number": (setting(Cmd=0), "Cmd is not a list of texts"),
    "User is a number": (setting(User=1001), "User is not text"),
    "WorkingDir is a list": (setting(WorkingDir=["/"]), "WorkingDir is not text"),
    "StopSignal is a number": (setting(StopSignal=9), "StopSignal is not text"),
    "Labels is a list": (setting(Labels=["a=b"]), "Labels is not an object of texts"),
    "Labels holds a number": (setting(Labels={"a": 1}), "Labels is not an object of texts"),
    "ExposedPorts is a list": (setting(ExposedPorts=["80/tcp"]), "ExposedPorts is not an object"),
    "Volumes is a list": (setting(Volumes=["/data"]), "Volumes is not an object"),
    "settings are a list": (put(config=["x"]), "config is not an object"),
    "history is an object": (put(history={}), "history is not a list of objects"),
    "history holds text": (put(history=["RUN x"]), "history is not a list of objects"),
    "system is a list": (put(os=["linux"]), "os is not text"),
    "rootfs is a list": (put(rootfs=[1]), "rootfs is not an object"),
    "no rootfs": (put(rootfs=None), "rootfs.diff_ids has 0 entries for 2 layers"),
    "fewer diff ids": (diff_ids(lambda ids: ids[:1]), "has 1 entries for 2 layers"),
    "more diff ids": (diff_ids(lambda ids: [*ids, OTHER]), "has 3 entries for 2 layers"),
    "another layer's": (diff_ids(lambda ids: [OTHER, ids[1]]), f"has {OTHER} for layer sha256:"),
    "other order": (diff_ids(lambda ids: ids[::-1]), "for layer sha256:"),
    "a word": (diff_ids(lambda ids: [ids[0], "x"]), "diff_ids is not a list of digests"),
    "text": (diff_ids(lambda ids: "".join(ids)), "diff_ids is not a list of digests"),
    "a number": (diff_ids(lambda _: 2), "diff_ids is not a list of digests"),
}
DOCUMENTS: dict[str, tuple[str, Any, str]] = {
    "config is no JSON": ("config", b"not json", "its config is broken: not JSON"),
    "config is empty": ("config", b"", "its config is broken: not JSON"),
    "config is a list": ("config", b"[]", "its config is broken: not a JSON object"),
    "layers is null": ("manifest", put(layers=None), "its layers are not a list"),
    "layers is an object": ("manifest", put(layers={}), "its layers are not a list"),
    "layers holds null": ("manifest", put(layers=[None]), "malformed descriptor"),
    "no config": ("manifest", put(config=None), "its manifest is broken: "),
    "manifest is no JSON": ("manifest", b"{", "its manifest is broken: not JSON"),
}


def broken(folder: Path, part: str, change: Any) -> str:
    """Write an image of two layers, change one of its documents, and make it whole again."""
    layers = [tar_of({f"lib/{n}": b"x"}) for n in "ab"]
    write_layout(folder, layers, settings={"Env": ["PYTHON_VERSION=3.12"], "User": "1001"})
    index = json.loads((folder / "index.json").read_bytes())
    manifest = json.loads(blob(folder, index["manifests"][0]))
    if part == "config":
        manifest["config"] |= stored(folder, changed(blob(folder, manifest["config"]), change))
        change = put()
    data = changed(json.dumps(manifest).encode(), change)
    index["manifests"][0] |= stored(folder, data)
    (folder / "index.json").write_text(json.dumps(index))
    return f"oci:{folder}:latest"


def blob(folder: Path, descriptor: Any) -> bytes:
    return (folder / "blobs/sha256" / descriptor["digest"].partition(":")[2]).read_bytes()


def changed(data: bytes, change: Any) -> bytes:
    return change if isinstance(change, bytes) else json.dumps(change(json.loads(data))).encode()


def stored(folder: Path, data: bytes) -> dict[str, Any]:
    name = hashlib.sha256(data).hexdigest()
    (folder / "blobs/sha256" / name).write_bytes(data)
    return {"digest": f"sha256:{name}", "size": len(data)}


EVERY = {name: ("config", change, says) for name, (change, says) in CONFIGS.items()} | DOCUMENTS


@pytest.mark.parametrize("name", EVERY)
def test_a_broken_base_is_refused_by_its_name(name: str, tmp_path: Path) -> None:
    part, change, says = EVERY[name]
    base = broken(tmp_path / "base", part, change)
    with pytest.raises(InputError, match=re.escape(says)) as caught:
        bases.open_bases(base, (Platform(),), access().open)
    assert str(caught.value).startswith(f"use base {base}: its ")
    assert str(caught.value).endswith("; choose another --base")


@pytest.mark.parametrize("manifests", [[None], {"a": 1}, 3, [{"digest": "x"}]])
def test_an_index_that_cannot_be_read_is_the_bases(manifests: Any, tmp_path: Path) -> None:
    base = broken(tmp_path / "base", "manifest", put(manifests=manifests))
    index = json.loads((tmp_path / "base/index.json").read_bytes())
    index["manifests"][0]["mediaType"] = "application/vnd.oci.image.index.v1+json"
    (tmp_path / "base/index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=f"^use base {base}: its index is broken: "):
        bases.open_bases(base, (Platform(),), access().open)


# Settings that are no object are an error before any clause is checked: test_inspection.py.
@pytest.mark.parametrize("name", sorted(CONFIGS.keys() - {"settings are a list"}))
def test_a_config_that_does_not_fit_its_layers_breaks_the_contract(
    name: str, tmp_path: Path
) -> None:
    change, says = CONFIGS[name]
    ref = LayoutRef.parse(broken(tmp_path / "image", "config", change))
    (clause,) = (c for c in inspect(access().open(ref)).clauses if c.name == "config")
    assert (clause.ok, says in clause.detail) == (False, True)


NULLS = ("Env", "Entrypoint", "Cmd", "Labels", "ExposedPorts", "Volumes")


@pytest.mark.parametrize("change", [setting(**dict.fromkeys(NULLS)), put(history=None), put()])
def test_what_gos_tools_write_for_nothing_is_nothing(change: Change, tmp_path: Path) -> None:
    base = broken(tmp_path / "base", "config", change)
    (found,) = bases.open_bases(base, (Platform(),), access().open)
    clauses = inspect(access().open(LayoutRef.parse(base))).clauses
    (clause,) = (clause for clause in clauses if clause.name == "config")
    assert (len(found.layers), clause.ok, clause.detail) == (2, True, "fits the layers")


@pytest.mark.parametrize("command", ["build", "runtime"])
def test_a_command_ends_in_that_line_and_writes_nothing(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = broken(tmp_path / "base", *EVERY["fewer diff ids"][:2])
    source = [write(tiny(), tmp_path / "model")] if command == "build" else []
    done = carferry(capsys, command, *source, f"oci:{tmp_path / 'out'}:1", "--base", base)
    (line,) = done.err.splitlines()
    assert line.startswith(f"carferry: use base {base}: its config is broken: ")
    assert (done.code, done.out, (tmp_path / "out").exists()) == (2, "", False)
