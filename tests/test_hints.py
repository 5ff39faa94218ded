"""Hints are pasted into a shell: they run what they say, and nothing that a stranger wrote."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ferrying import carferry, manifest, point_to, to_layout
from servers.hub import Hub
from servers.models import tiny, write

from carferry.io.shell import glob_of, option, word
from carferry.oci.documents import Document

HOSTILE = ["it's $(touch pwned) 'x", "a'$(touch pwned)'b", "x;touch pwned;", "`touch pwned`"]
PLAIN = ["a b", "q[1]*?", "a,b", "~x", "-x", "$HOME"]
Hint = Callable[[pytest.CaptureFixture[str], Hub, Path, str], str]


def refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model: str, reason: str, *more: str
) -> str:
    """Return what is said when a model is refused."""
    done = carferry(capsys, "build", model, f"oci:{tmp_path / 'out'}:v1", *more)
    assert done.code == 2 and reason in done.err
    return done.err


def page_of(kind: str, name: str) -> str:
    escaped = name.translate({ord("?"): "%3F", ord("%"): "%25", ord("#"): "%23"})
    return f"https://huggingface.co/org/name/{kind}/main/{escaped}"


def of_a_folder_on_the_hub(
    capsys: pytest.CaptureFixture[str], hub: Hub, tmp_path: Path, name: str
) -> str:
    hub.add("org/in-a-folder", {f"{name}/{path}": data for path, data in tiny().items()})
    said = refused(capsys, tmp_path, "org/in-a-folder", "must lie at its root")
    return said.partition("; ")[2].partition(", then")[0]


def of_a_page_of_the_hub(
    capsys: pytest.CaptureFixture[str], hub: Hub, tmp_path: Path, name: str
) -> str:
    said = refused(capsys, tmp_path, page_of("tree", name), "a folder inside a repository")
    return said.partition("repository; ")[2].partition(", then")[0]


def of_a_file_of_the_hub(
    capsys: pytest.CaptureFixture[str], hub: Hub, tmp_path: Path, name: str
) -> str:
    page = f"{page_of('blob', name)}.gguf"
    return refused(capsys, tmp_path, page, "one file of a model").partition("write ")[2]


def of_empty_files(capsys: pytest.CaptureFixture[str], hub: Hub, tmp_path: Path, name: str) -> str:
    hub.add("org/empty", {**tiny(), f"{name}.json": b""})
    as_modelpack = ("--format", "modelpack")
    said = refused(capsys, tmp_path, "org/empty", "1 of its files is empty", *as_modelpack)
    return said.partition("leave them out with ")[2].partition(", or make")[0]


def of_an_images_source(
    capsys: pytest.CaptureFixture[str], hub: Hub, tmp_path: Path, name: str
) -> str:
    model, layout = write(tiny(), tmp_path / "model"), to_layout(tmp_path / "out")
    made = carferry(capsys, "build", model, layout.ref, "--base", "embedded")
    assert made.code == 0, made.err
    document = manifest(layout)
    body = document.json
    body["annotations"]["dev.carferry.source"] = f"hf://org/{name}"
    layout.put_manifest(Document(document.media_type, json.dumps(body).encode()), "v1")
    seen = carferry(capsys, "inspect", layout.ref, "--verify", "--progress", "none")
    return re.search(r"; (--model .*) compares with the source's", seen.out)[1]  # type: ignore[index]


HINTS: list[Hint] = [
    of_a_folder_on_the_hub, of_a_page_of_the_hub, of_a_file_of_the_hub, of_empty_files,
    of_an_images_source,
]  # fmt: skip


@pytest.mark.parametrize("name", [*HOSTILE, *PLAIN])
@pytest.mark.parametrize("hint", HINTS)
def test_a_hint_is_words_and_no_commands(
    hint: Hint,
    name: str,
    hub: Hub,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    point_to(hub, monkeypatch)
    said = hint(capsys, hub, tmp_path, name).strip()
    pasted = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {said}"], cwd=tmp_path, capture_output=True, text=True
    )
    assert pasted.returncode == 0, (said, pasted.stderr)
    assert pasted.stdout.splitlines() == shlex.split(said)
    assert not (tmp_path / "pwned").exists()
    assert re.split(r"[\[,]", name.lstrip("-"))[0] in pasted.stdout


@pytest.mark.parametrize("name", [*HOSTILE, *PLAIN, "onnx/fp16"])
def test_the_hint_for_a_folder_is_followed_to_the_end(
    name: str,
    hub: Hub,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the hub's own command, and the folder it says to give then."""
    point_to(hub, monkeypatch)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    said = of_a_folder_on_the_hub(capsys, hub, tmp_path, name).strip()
    subprocess.run(["bash", "-c", said], cwd=tmp_path, check=True, capture_output=True)
    monkeypatch.chdir(tmp_path)
    built = carferry(capsys, "build", f"./model/{name}", "oci:out:v1", "--base", "scratch")
    assert built.code == 0, built.err


@pytest.mark.parametrize("name", [*HOSTILE, *PLAIN])
def test_the_hint_for_empty_files_leaves_out_those_and_no_others(
    name: str,
    hub: Hub,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    point_to(hub, monkeypatch)
    said = shlex.split(of_empty_files(capsys, hub, tmp_path, name))
    image = f"oci:{tmp_path / 'out'}:v1"
    done = carferry(capsys, "build", "org/empty", image, "--format", "modelpack", *said)
    assert done.code == 0, done.err
    held = {
        e.annotations["org.cncf.model.filepath"]
        for e in manifest(to_layout(tmp_path / "out")).layers
    }
    assert held == set(tiny())


def test_an_option_is_always_quoted_and_a_word_where_it_must_be() -> None:
    assert option("--include", "*.json") == "--include '*.json'"
    assert shlex.split(option("--include", "it's *")) == ["--include", "it's *"]
    assert (word("org/name@main"), word("a b")) == ("org/name@main", "'a b'")
    assert glob_of("a[1]*,?.json") == "a[[]1][*]?[?].json"
    assert glob_of("-x-y") == "[-]x-y"
