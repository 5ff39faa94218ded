"""Whatever names a model on the hub is understood, or refused with what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from ferrying import carferry, point_to
from servers.hub import Hub
from servers.models import tiny, write

from carferry.errors import InvalidReference
from carferry.refs import ModelRef
from carferry.run.request import Run
from carferry.source.folder import FolderSource
from carferry.source.hub.names import parse_model
from carferry.source.hub.source import HubSource
from carferry.source.open import check_model, is_folder, open_source, pinned
from carferry.source.snapshot import Snapshot

COMMIT = "0123456789abcdef" * 2 + "01234567"
MIRROR = "https://mirror.example/hf/"
MEANT = {
    "org/name": "org/name@main",
    "org/name/": "org/name@main",
    "  org/name\n": "org/name@main",
    "hf://org/name": "org/name@main",
    "HF://org/name": "org/name@main",
    "hf://org/name/": "org/name@main",
    "hf://org/name@v1": "org/name@v1",
    "hf://models/org/name@v1": "org/name@v1",
    "models/org/name": "org/name@main",
    "gpt2": "gpt2@main",
    "hf://gpt2@v1": "gpt2@v1",
    "org/models": "org/models@main",
    "hf://org/models": "org/models@main",
    "org/name@refs/pr/1": "org/name@refs/pr/1",
    "org/name@refs%2Fpr%2F1": "org/name@refs/pr/1",
    "org/name@feature/x": "org/name@feature/x",
    "https://huggingface.co/org/name": "org/name@main",
    "HTTPS://HuggingFace.co/org/name": "org/name@main",
    "https://huggingface.co/org/name/": "org/name@main",
    "https://huggingface.co:443/org/name": "org/name@main",
    "http://huggingface.co/org/name": "org/name@main",
    "https://www.huggingface.co/org/name": "org/name@main",
    "https://hf.co/org/name": "org/name@main",
    "hf.co/org/name": "org/name@main",
    "hf.co/org/name.git": "org/name@main",
    "huggingface.co/api/models/org/name": "org/name@main",
    "huggingface.co/models/org/name/": "org/name@main",
    "huggingface.co/org/name/tree/v1": "org/name@v1",
    "https://huggingface.co/org/name?library=vllm": "org/name@main",
    "https://huggingface.co/org/name#readme": "org/name@main",
    "https://huggingface.co/org/name/tree/v1?show=all#files": "org/name@v1",
    "https://huggingface.co/org/name/tree/main": "org/name@main",
    "https://huggingface.co/org/name/tree/": "org/name@main",
    f"https://huggingface.co/org/name/tree/{COMMIT}": f"org/name@{COMMIT}",
    f"https://huggingface.co/org/name/commit/{COMMIT}": f"org/name@{COMMIT}",
    "https://huggingface.co/org/name/commits/v1": "org/name@v1",
    "https://huggingface.co/org/name/tree/refs%2Fpr%2F1": "org/name@refs/pr/1",
    "https://huggingface.co/org/name/tree/refs/pr/1": "org/name@refs/pr/1",
    "https://huggingface.co/org/name/tree/feature%2Fx": "org/name@feature/x",
    "https://huggingface.co/api/models/org/name": "org/name@main",
    "https://huggingface.co/api/models/org/name/revision/v1": "org/name@v1",
    "https://huggingface.co/models/org/name": "org/name@main",
    "https://huggingface.co/org/name.git": "org/name@main",
    "https://huggingface.co/org/name@v1": "org/name@v1",
    "https://huggingface.co/gpt2": "gpt2@main",
    "https://huggingface.co/gpt2/tree/v1": "gpt2@v1",
    "https://mirror.example/hf/org/name": "org/name@main",
    "https://mirror.example/hf/org/name/tree/v1": "org/name@v1",
    "https://mirror.example/org/name": "org/name@main",
    "mirror.example/hf/org/name": "org/name@main",
}


@pytest.fixture(autouse=True)
def mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror of the company, whose pages are known too."""
    monkeypatch.setenv("HF_ENDPOINT", MIRROR)


@pytest.mark.parametrize("text", MEANT)
def test_what_is_pasted_is_understood(text: str) -> None:
    assert str(parse_model(text)) == MEANT[text]
    assert isinstance(open_source(text), HubSource)
    Run(text).check()


@pytest.mark.parametrize(("text", "revision"), [("org/name/tree/v1", "v1"), ("org/name", "v2")])
def test_a_revision_of_its_own_wins_over_the_option(text: str, revision: str) -> None:
    assert parse_model(f"https://hf.co/{text}", "v2") == ModelRef("org/name", revision)


REFUSED = {
    "https://huggingface.co/datasets/org/name": "a dataset, not a model; write org/name of a model",
    "hf://datasets/org/name": "a dataset, not a model",
    "datasets/org/name": "a dataset, not a model",
    "https://huggingface.co/spaces/org/name": "a space, not a model",
    "hf://buckets/org/name": "a bucket, not a model",
    "https://huggingface.co/collections/org/name-1": "a collection, not a model",
    "https://huggingface.co/org/name/tree/v1/onnx/fp16": "a folder inside a repository; hf "
    "download org/name --revision v1 --include 'onnx/fp16/*' --local-dir model, then give "
    "./model/onnx/fp16",
    "https://huggingface.co/org/name/blob/main/a/model.Q4.gguf": "one file of a model; "
    "write org/name@main and --include 'a/model.Q4.gguf'",
    "https://huggingface.co/org/name/resolve/v1/x.gguf?download=true": "one file of a model; "
    "write org/name@v1 and --include 'x.gguf'",
    "https://huggingface.co/org/name/raw/main/config.json": "one file of a model",
    "https://huggingface.co/org/name/discussions/3": "a page without files; write org/name",
    "https://huggingface.co/org/name/other": "not org/name[@revision]; for a folder write ./path",
    "https://user:hf_secret1@huggingface.co/org/name": "an address with a login; set HF_TOKEN",
    "https://modelscope.cn/models/org/name": "no page of a hub that is known here; write org/name; "
    "for a mirror set HF_ENDPOINT=https://modelscope.cn",
    "https://github.com/org/name": "no page of a hub that is known here",
    "https://[huggingface.co/org/name": "not an address",
    "org/name:Q4_K_M": "a ':' in the name; write org/name@revision; one file of several with "
    "--include '*Q4_K_M*'",
    "C:\\models\\name": "a path of Windows; write the path as this system knows it",
    "D:/models/name": "a path of Windows",
    ".\\name": "a path of Windows",
    "\\\\server\\share": "a path of Windows",
    "file://server/models/name": "a folder of another machine (server); write ./path or file:path",
    "gs://bucket/name": "no place that models are read from; known: oci://",
    "ftp://host/name": "no place that models are read from",
    "ollama://name": "no place that models are read from",
    "a/b/c": "not org/name[@revision]; for a folder write ./path",
    "org//name": "not org/name[@revision]",
    "org/": "not org/name[@revision]",
    "org/na me": "not org/name[@revision]",
    "org/name\u200b": "not org/name[@revision]",
    "": "not org/name[@revision]",
    "org/name@a..b": "revision 'a..b' is malformed",
    "git@hf.co:org/name": "is malformed",
}


PASTE = "open a model there and give its address, or write org/name"
PAGES = {
    "": "the hub itself, not a model; " + PASTE,
    "models": "the list of all models, not one of them; " + PASTE,
    "datasets": "the list of all datasets, not a model; write org/name of a model",
    "datasets/org/name": "a dataset, not a model; write org/name of a model",
    "datasets/org/name/viewer/default/train": "a dataset, not a model",
    "datasets/squad": "a dataset, not a model",
    "spaces": "the list of all spaces, not a model",
    "spaces/org/name": "a space, not a model; write org/name of a model",
    "spaces/org/name/tree/main": "a space, not a model",
    "collections": "the list of all collections, not a model",
    "collections/org/name-65a01de864520347aa351a9b": "a collection, not a model; " + PASTE,
    "papers": "the list of all papers, not a model",
    "papers/2309.06180": "a paper, not a model; " + PASTE,
    "papers/date/2025-01-31": "a paper, not a model",
    "buckets/org/name": "a bucket, not a model",
    "docs/transformers/index": "a page of the hub itself (docs), not a model; " + PASTE,
    "blog/org/post": "a page of the hub itself (blog), not a model",
    "posts/user/1": "a page of the hub itself (posts), not a model",
    "learn/llm-course/chapter1/1": "a page of the hub itself (learn), not a model",
    "tasks/text-generation": "a page of the hub itself (tasks), not a model",
    "organizations/org/activity/all": "a page of the hub itself (organizations), not a model",
    "settings/tokens": "a page of the hub itself (settings), not a model",
    "login": "a page of the hub itself (login), not a model",
    "org/models": "the list of models of org, not a model; " + PASTE,
    "org/datasets": "the list of datasets of org, not a model; " + PASTE,
    "org/spaces": "the list of spaces of org, not a model",
    "org/collections": "the list of collections of org, not a model",
    "org/papers": "the list of papers of org, not a model",
    "user/likes": "the list of likes of user, not a model",
    "user/activity/all": "the activity of user, not a model; " + PASTE,
    "org/activity": "a page without files; write org/name",
    "org/name/discussions": "a page without files; write org/name",
    "org/name/settings": "a page without files; write org/name",
    "org/name/activity": "a page without files; write org/name",
}
HUBS = ("https://huggingface.co", "https://hf.co", "huggingface.co", MIRROR.rstrip("/"))
ENDS = ("", "/", "?sort=trending&search=llama", "/?p=1", "#top", "/#top", "/?p=1#top")
REFUSED |= {
    f"{hub}/{page}{end}": said
    for page, said in PAGES.items()
    for hub in (HUBS if page else HUBS[:2])
    for end in (ENDS if hub == HUBS[0] else ("/",))
    if page or not end.startswith("/")
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_meant_is_refused_before_anything_is_asked(text: str) -> None:
    for refuse in (open_source, check_model, lambda model: Run(model).check()):
        with pytest.raises(InvalidReference) as caught:
            refuse(text)
        assert REFUSED[text] in str(caught.value)
        assert "hf_secret1" not in str(caught.value)


def test_a_refused_address_is_one_line_at_the_command_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = carferry(capsys, "plan", "https://hf.co/datasets/org/name", "oci:out:v1")
    assert (told.code, told.out, told.err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    "text",
    [
        "org",
        "org@v1",
        *(f"https://huggingface.co/org{end}" for end in ENDS),
        "hf.co/org",
        "hf://org",
        "https://huggingface.co/org/tree/main",
    ],
)
def test_an_organisations_page_is_no_model(
    text: str, hub: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some old models have a name of one part: the hub is asked."""
    hub.add("org/tiny", tiny())
    point_to(hub, monkeypatch)
    told = carferry(capsys, "build", text, "oci:out:v1", "--base", "scratch")
    assert (told.code, told.out, told.err.count("\n")) == (2, "", 1)
    said = "one part names an organisation or a user: give one model, as org/name\n"
    assert told.err.endswith(said)


FOLDERS = ["name", "org/name", "org/name/", "org", "org/", "a/b/c", "my model", "model:v1"]


@pytest.mark.parametrize("text", FOLDERS)
def test_a_folder_of_that_name_is_suggested(
    text: str,
    hub: Hub,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    write(tiny(), tmp_path / text)
    monkeypatch.chdir(tmp_path)
    point_to(hub, monkeypatch)
    told = carferry(capsys, "build", text, "oci:out:v1", "--base", "scratch")
    plain = text.rstrip("/")
    assert (told.code, told.err.count("\n")) == (2, 1)
    assert told.err.endswith(f" is a folder here: write ./{plain}\n")


def test_a_folder_is_suggested_where_the_hub_cannot_be_reached(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(tiny(), tmp_path / "org/name")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    told = carferry(capsys, "build", "org/name", "oci:out:v1", "--base", "scratch")
    assert (told.code, "org/name is a folder here: write ./org/name" in told.err) == (2, True)


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("./x", "x"),
        (" ./x", "x"),
        ("./x\n", "x"),
        ("file:x", "x"),
        ("FILE:x", "x"),
        ("file://./x", "x"),
        ("file:///a/x", "/a/x"),
        ("file://localhost/a/x", "/a/x"),
        ("file:///a/my%20model", "/a/my model"),
        ("file:my%20model", "my%20model"),
    ],
)
def test_each_form_of_a_folder_is_that_folder(text: str, folder: str) -> None:
    source = open_source(text)
    assert isinstance(source, FolderSource)
    assert (is_folder(text), source.root) == (True, Path(folder))


def test_a_folder_whose_name_ends_in_a_blank_is_itself(tmp_path: Path) -> None:
    write(tiny(), tmp_path / "x ")
    assert len(open_source(f"{tmp_path}/x ").listing().files) == len(tiny())


def test_a_model_is_pinned_by_the_name_it_was_found_under() -> None:
    found = Snapshot("org/new", COMMIT, ())
    assert pinned("https://hf.co/org/old/tree/v1", found) == f"org/new@{COMMIT}"
    assert pinned("./x", found) == "./x"
