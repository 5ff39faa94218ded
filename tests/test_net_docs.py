"""What the pages on networks, registries and large models say that no block of theirs can show.

The blocks themselves run in ``tests/docs``.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from docs.models import MODELS, TOKEN, files
from ferrying import carferry, point_to
from servers.hub import VISITOR, Hub
from servers.models import tiny

from carferry.bundle.component import IMAGE_VARIABLE
from carferry.cluster import pod
from carferry.image import defaults
from carferry.io.net.trust import VARIABLES as BUNDLES
from carferry.pipelines.pods import ENVIRONMENT
from carferry.refs import ImageRef
from carferry.registry.quirks import KNOWN
from carferry.runtime.pins import PYTHON_BASE
from carferry.serve.deadline import deadline_s
from carferry.serve.settings import VLLM_IMAGE
from carferry.source.snapshot import PUBLIC_HUB

GIB = 1 << 30
ROOT = Path(__file__).parents[1]
SOURCES = "\n".join(path.read_text() for path in sorted((ROOT / "src/carferry").rglob("*.py")))
PAGES = (
    "private-models", "behind-a-proxy", "log-in-to-a-registry", "openshift-registry",
    "disconnected", "runtime-image", "very-large-models", "leave-s3-behind", "convert-an-image",
)  # fmt: skip
_IMAGE = re.compile(
    r'"((?:docker\.io|quay\.io|ghcr\.io|registry\.[a-z.]+|public\.ecr\.aws)/[\w./-]+)[:@"]'
)
_EXAMPLES = ("quay.io/me/", "quay.io/team/", "registry.redhat.io/rhoai/")


def text(name: str) -> str:
    return (ROOT / f"docs/how-to/{name}.md").read_text(encoding="ascii")


def rows(name: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, its own heading left out."""
    below = text(name).partition(f"## {heading}\n")[2]
    lines = [line for line in below.partition("\n## ")[0].split("\n") if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


# The disconnected cluster: the table is complete.


def named_images() -> set[str]:
    """Return every image that the sources name, without tag or digest."""
    found = {match for match in _IMAGE.findall(SOURCES) if not match.startswith(_EXAMPLES)}
    return found | {PYTHON_BASE.partition("@")[0]}


def test_the_checklist_names_every_default_that_a_run_reaches() -> None:
    (builder,) = re.findall(r'"(quay\.io/buildah/stable:[\w.]+)"', SOURCES)
    listed = "\n".join(row[1] for row in rows("disconnected", "What must be reachable"))
    defaults_of = (PYTHON_BASE.partition("@")[0], defaults.DEFAULT, VLLM_IMAGE, builder, PUBLIC_HUB)
    assert [each for each in defaults_of if f"`{each}`" not in listed] == []


def test_the_sources_name_no_image_that_the_checklist_leaves_out() -> None:
    """A new default is one more thing to mirror: it has to be in the table."""
    listed = text("disconnected")
    others = {"docker.io/vllm/vllm-openai-rocm", "docker.io/vllm/vllm-tpu"}  # only in advice
    advice = {each for each in named_images() if each.startswith("public.ecr.aws/")}
    assert {each for each in named_images() - others - advice if each not in listed} == set()


def test_the_checklist_names_what_stands_in_for_each() -> None:
    instead = "\n".join(row[-1] for row in rows("disconnected", "What must be reachable"))
    for name in (IMAGE_VARIABLE, "HF_ENDPOINT", "PIP_INDEX_URL", "`builder_image`", "`embedded`"):
        assert name in instead, name


def test_the_python_base_is_mirrored_at_the_digest_that_is_named() -> None:
    assert PYTHON_BASE.partition("/")[2] in text("disconnected")


def test_the_pipelines_without_their_environment_say_so_in_one_line() -> None:
    words = [sys.executable, "-I", "-S", "pipelines/modelcar.py", "--compile"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "put its .venv/bin on PATH" in done.stderr


# Proxies, authorities and mirrors: the names are those that are read.


def test_the_page_on_proxies_names_every_variable_and_every_key() -> None:
    page = text("behind-a-proxy")
    for name in (*BUNDLES, *pod.PROXIES, *pod.VARIABLES, *pod.AUTHORITIES, ENVIRONMENT):
        assert f"`{name}`" in page, name


def test_another_hub_gives_the_same_layers_and_another_digest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[tuple[str, list[str]]] = []
    for name in ("hub", "mirror"):
        with Hub() as hub:
            hub.add("team/model", tiny())
            point_to(hub, monkeypatch)
            target = f"oci:{tmp_path / name}:1"
            assert carferry(capsys, "build", "team/model", target, "--base", "embedded").code == 0
        built.append(image(tmp_path / name))
    (first, layers), (second, same) = built
    assert (first != second, layers == same, len(layers) > 0) == (True, True, True)


def image(layout: Path) -> tuple[str, list[str]]:
    """Return the digest of a layout's image and those of its layers."""
    (entry,) = json.loads((layout / "index.json").read_text())["manifests"]
    path = layout / "blobs/sha256" / entry["digest"].removeprefix("sha256:")
    return entry["digest"], [each["digest"] for each in json.loads(path.read_text())["layers"]]


def test_a_hub_that_nothing_leads_to_names_the_proxy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    told = carferry(capsys, "plan", "team/model")
    assert (told.code, "check the network, HF_ENDPOINT or HTTPS_PROXY" in told.err) == (1, True)


# What is written into the clone stays out of it.


@pytest.mark.parametrize(
    "name",
    ["auth.json", "token", "token.txt", "password.txt", "proxy.txt", "smollm2", "smollm2.tar"],
)
def test_git_leaves_out_what_a_page_has_its_reader_write_here(name: str) -> None:
    ignored = subprocess.run(["git", "check-ignore", "--quiet", name], cwd=ROOT, check=False)
    assert ignored.returncode == 0


# What it says where it fails, it says.

SAID = [
    (page, said)
    for page in PAGES
    if page != "private-models"  # whose messages are printed, below
    for row in rows(page, "If it fails")
    for said in quoted(row[0])
    if " " in said
]
OTHERS = {"not ready"}
"""Words of Kubernetes, not ours."""


_NAMES = re.compile(
    r"push to quay\.io/team/model|push$|\bFILE\b|\(\d{3}\)|HF_TOKEN(?=:)| \.\.\. ?"
    r"|(?<=is no hub): |(?:manifest|config)(?= is broken)"
    r"|Python 3\.12 on linux/amd64 with glibc 2\.34|python3\.12"
)


@pytest.mark.parametrize(("page", "said"), SAID, ids=lambda each: str(each)[:50])
def test_a_message_of_a_page_is_one_of_the_sources(page: str, said: str) -> None:
    """Names and numbers within it are no part of the sources' text."""
    joined = re.sub(r'"\s+f?"', "", SOURCES)
    parts = [part.strip(" :") for part in _NAMES.split(said)]
    assert said in OTHERS or [part for part in parts if part not in joined] == []


# Gated and private models.

GATED, PRIVATE = "meta-llama/Llama-3.1-8B-Instruct", "team/private"
REFUSED = {
    "no token": ("", GATED, "the repository is gated and no token was given"),
    "a stranger's": (VISITOR, GATED, "the repository is gated and this token has no access"),
    "none that is valid": ("hf_old", GATED, "the hub refused the token (401)"),
    "private": ("", PRIVATE, "no such repository, or it is private and the token does not open it"),
    "quotes": ("'hf_a'", GATED, "read token HF_TOKEN: characters that no token has"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_each_refusal_of_the_page_is_what_is_printed(
    name: str, hub: Hub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    token, model, said = REFUSED[name]
    hub.add(GATED, files(GATED), gated=True, token=TOKEN)
    hub.add(PRIVATE, files(GATED), private=True, token=TOKEN)
    point_to(hub, monkeypatch)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    told = carferry(capsys, "plan", model)
    assert (told.code, said in told.err) == (2, True), told.err
    assert said in [
        each for row in rows("private-models", "If it fails") for each in quoted(row[0])
    ]


# Very large models.


def test_the_page_counts_the_model_that_the_hub_has() -> None:
    model = files("meta-llama/Llama-3.1-405B-Instruct")
    size = sum(len(body) if isinstance(body, bytes) else body.size for body in model.values())
    assert 811.5e9 < size < 812.5e9
    assert MODELS["meta-llama/Llama-3.1-405B-Instruct"].gated
    page = text("very-large-models")
    hours = size / 30e6 / 3600
    assert "seven and a half hours" in page and 7.4 < hours < 7.6
    assert f"15 minutes more: {deadline_s(int(size)) / 3600:.1f} hours." in page
    assert "27 minutes at 500 MB/s, 5 at 3 GB/s" in page
    assert (round(size / 500e6 / 60), round(size / 3e9 / 60)) == (27, 5)


def test_the_disks_of_the_page_hold_what_is_pulled_below_the_kubelets_threshold() -> None:
    model = files("meta-llama/Llama-3.1-405B-Instruct")
    size = sum(len(body) if isinstance(body, bytes) else body.size for body in model.values())
    image, under_way = round(size / GIB), 6 * 9
    crio, containerd = (image + under_way, 2 * image + under_way), (2 * image, 4 * image)
    page = text("very-large-models")
    assert f"| {image} GiB, and {under_way} while it pulls | {2 * image:,} GiB |" in page
    cells = {row[0]: row[1:] for row in rows("very-large-models", "Disk on the nodes")}
    one, two = cells["a disk for one version"], cells["a disk for a new version beside the old one"]
    for (first, both), *disks in zip((crio, containerd), one, two, strict=True):
        small, large = (int(disk.removesuffix(" TiB")) * 1024 for disk in disks)
        assert small / 2 < first / 0.85 < small and large / 2 < both / 0.85 < large


def test_a_layer_of_it_is_what_github_takes() -> None:
    (limit,) = [each.largest_blob_bytes for each in KNOWN if each.name == "GitHub"]
    assert limit == 10 << 30
    assert "GitHub's 10 GB for each layer" in text("very-large-models")


# OpenShift's own registry.


def test_the_inner_address_of_the_page_is_known_as_openshifts() -> None:
    (inner,) = {
        each for each in re.findall(r"docker://([\w.:/-]+)", text("openshift-registry"))
        if each.startswith("image-registry")
    }  # fmt: skip
    ref = ImageRef.parse(inner)
    assert (ref.registry, ref.repository) == (
        "image-registry.openshift-image-registry.svc:5000",
        "models/granite",
    )
    (openshift,) = [each for each in KNOWN if each.name == "OpenShift"]
    assert any(ref.registry.startswith(glob.rstrip("*")) for glob in openshift.hosts)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_ends_where_its_reader_can_go_on(page: str) -> None:
    assert "../troubleshooting.md" in text(page)
    assert text(page).startswith("# ")
