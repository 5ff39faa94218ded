"""What a registry refuses, hides or has lost costs as little as it can, and never the build."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ferrying import (
    access,
    carferry,
    ferry,
    from_folder,
    from_hub,
    manifest,
    model_files,
    quick,
    to_layout,
    to_registry,
)
from servers.chaos import Answer, EditReply, Rule
from servers.hub import Hub
from servers.models import filled, tiny, write
from servers.proxy import Proxy
from servers.registry import Registry

from carferry.assembly import shards
from carferry.assembly.build import seal_shares, stream_share
from carferry.assembly.options import Options
from carferry.assembly.trust import Reuse
from carferry.image.layers import Format
from carferry.io.show.progress import Silent
from carferry.oci.documents import Document
from carferry.refs import Digest, ImageRef
from carferry.registry.copy import CopyResult, copy_image
from carferry.registry.target import Target
from carferry.selection.patterns import Patterns

RUN = "3f9c0a6b5d2e4871"
LARGE_BYTES = 50_000
OPTIONS = Options(
    base="scratch", patterns=Patterns(allow_no_weights=True), large_bytes=LARGE_BYTES, run=RUN
)
WEIGHTS = {f"model-{n}.safetensors": filled(60_000 + n, n) for n in range(4)}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One registry; every test uses a repository of its own."""
    with Registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of several layers."""
    return write({**tiny(), **WEIGHTS}, tmp_path_factory.mktemp("model"))


def ready(folder: Path, registry: Registry, repository: str, **options: object) -> Target:
    """Build an image of several layers there."""
    target = to_registry(registry, repository)
    ferry(from_folder(folder), target, large_bytes=LARGE_BYTES, **options)
    return target


def copied(origin: Target, target: Target, *, parallel: int = 1) -> CopyResult:
    """Copy with quick retries."""
    return copy_image(origin, target, parallel=parallel, retry=quick(), progress=Silent())


# A refused mount

MOUNT = "mount="
REFUSALS = {
    "400": Answer(400),
    "401": Answer(401, {"WWW-Authenticate": 'Basic realm="x"'}),
    "401 without a challenge": Answer(401),
    "403": Answer(403),
    "404": Answer(404),
    "405": Answer(405),
    "409": Answer(409),
    "500": Answer(500),
    "501": Answer(501),
    "503": Answer(503),
    "202 without Location": Answer(202),
    "202": None,
}


def refusing_mounts(name: str) -> Rule:
    """Return what makes a registry refuse every mount."""
    answer = REFUSALS[name]
    if answer is None:  # as a registry that mounts nothing: it opens an upload
        return Rule(Edit(), method="POST", path=MOUNT, times=None)
    return Rule(answer, method="POST", path=MOUNT, times=None)


class Edit(EditReply):
    """Hides from the registry what is to be mounted."""

    def __init__(self) -> None:
        super().__init__(lambda head: head)

    def request(self, head):  # type: ignore[no-untyped-def]
        method, path, version = head.words
        return replace(head, start=f"{method} {path.partition('?')[0]} {version}")


@pytest.mark.parametrize("name", REFUSALS)
def test_a_push_copies_what_it_may_not_mount(name: str, shared: Registry, folder: Path) -> None:
    number = list(REFUSALS).index(name)
    origin = ready(folder, shared, f"mounts/from{number}")
    with Proxy(shared.url, [refusing_mounts(name)]) as proxy:
        origin = to_registry(shared, f"mounts/from{number}", host=proxy.host)
        result = copied(origin, to_registry(shared, f"mounts/to{number}", host=proxy.host))
        asked = [e for e in proxy.log if MOUNT in e.path]
    tries = quick().attempts if name in {"500", "503"} else 1
    once = 2 if name.startswith("401") else 1  # a challenge is answered before it is believed
    assert 0 < len(asked) <= 3 * max(tries, once + 1)
    assert manifest(to_registry(shared, f"mounts/to{number}")) == result.document


@pytest.mark.parametrize("name", ["403", "405", "202"])
@pytest.mark.parametrize("reuse", list(Reuse))
def test_a_build_moves_what_it_may_not_mount(
    name: str, reuse: Reuse, shared: Registry, folder: Path
) -> None:
    place = f"{list(REFUSALS).index(name)}{list(Reuse).index(reuse)}"
    first = ready(folder, shared, f"mounts/base{place}")
    with Proxy(shared.url, [refusing_mounts(name)]) as proxy:
        target = to_registry(shared, f"mounts/built{place}", host=proxy.host)
        ref = ImageRef(proxy.host, f"mounts/base{place}", "v1")
        built = ferry(
            from_folder(folder), target, mount_from=(ref,), reuse=reuse, large_bytes=LARGE_BYTES
        )
        assert len([e for e in proxy.log if MOUNT in e.path]) <= 4
    assert built.document == manifest(first)
    assert model_files(to_registry(shared, f"mounts/built{place}")) == model_files(first)


def test_a_base_that_may_not_be_mounted_is_copied_and_said_on_one_line(
    shared: Registry, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready(folder, shared, "mounts/cli")
    with Proxy(shared.url, [refusing_mounts("403")]) as proxy:
        said = carferry(
            capsys, "push", f"docker://{proxy.host}/mounts/cli:v1",
            f"docker://{proxy.host}/mounts/cli2:v1", "--plain-http", proxy.host,
        )  # fmt: skip
    assert (said.code, "403" in said.err) == (0, False)


def test_a_token_server_that_gives_no_token_for_two_repositories_is_no_failure(
    registry_bearer: Registry, folder: Path
) -> None:
    tokens = registry_bearer.tokens
    assert tokens is not None
    with Proxy(
        tokens.endpoint, [Rule(Answer(401), path="token%2Fto.*token%2Ffrom", times=None)]
    ) as front:
        there = EditReply(
            lambda head: head.with_(
                "WWW-Authenticate",
                (head.get("WWW-Authenticate") or "").replace(tokens.endpoint, front.endpoint),
            )
        )
        with Proxy(registry_bearer.url, [Rule(there, times=None, path="^/v2")]) as proxy:
            auth = json.loads(registry_bearer.auth_file.read_text())
            auth["auths"][proxy.host] = auth["auths"][registry_bearer.host]
            registry_bearer.auth_file.write_text(json.dumps(auth))
            origin = to_registry(registry_bearer, "token/from", host=proxy.host)
            copied(to_layout_of(folder), origin)
            target = to_registry(registry_bearer, "token/to", host=proxy.host)
            assert copied(origin, target).moved_bytes > 0
            refused = [e for e in front.log if e.status == 401]
    assert 0 < len(refused) <= 2


def to_layout_of(folder: Path) -> Target:
    """Return a layout with an image of that model."""
    target = to_layout(folder.parent / "layout")
    ferry(from_folder(folder), target, large_bytes=LARGE_BYTES)
    return target


# A list of tags that may not be read

LISTS = [401, 403, 404, 405]


@pytest.mark.parametrize("status", LISTS)
@pytest.mark.parametrize("reuse", list(Reuse))
def test_a_list_that_may_not_be_read_costs_candidates_and_no_build(
    status: int,
    reuse: Reuse,
    shared: Registry,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    repository = f"lists/{status}{list(Reuse).index(reuse)}"
    with Proxy(shared.url, [Rule(Answer(status), path="/tags/list", times=None)]) as proxy:
        done = carferry(
            capsys, "build", folder, f"docker://{proxy.host}/{repository}:v1", "--base", "scratch",
            "--plain-http", proxy.host, "--reuse", reuse.value, "--progress", "lines",
        )  # fmt: skip
    assert done.code == 0, done.err
    noted = "list tags of" in done.err and "move anew" in done.err
    assert noted is (status != 404)


@pytest.mark.parametrize("status", LISTS)
@pytest.mark.parametrize("run", [RUN, ""])
def test_workers_and_sealer_find_each_other_without_a_list(
    status: int, run: str, shared: Registry, hub: Hub
) -> None:
    hub.add("org/tiny", {**WEIGHTS, "config.json": b"{}"})
    repository = f"lists/shared{status}{len(run)}"
    options = replace(OPTIONS, run=run)
    with Proxy(shared.url, [Rule(Answer(status), path="/tags/list", times=None)]) as proxy:
        given = access(proxy.host)
        target = to_registry(shared, repository, host=proxy.host)
        for worker in (3, 1, 2):
            stream_share(from_hub(hub), target, options, worker, 3, access=given)
        if status == 404:  # no list is what a new repository has
            return
        hub.clear_log()
        sealed = seal_shares(from_hub(hub), target, options, access=given)
    assert sealed.moved_bytes == 0
    assert shared.tags(repository) == {"v1": str(sealed.document.digest)}


# A registry whose HEAD lies


def lying(registry: Registry, document: Document) -> list[Rule]:
    """Return rules under which the registry says it holds every blob of an image."""
    blobs = (document.config, *document.layers)
    return [
        Rule(Answer(200, {}, b"x" * blob.size_bytes), "HEAD", str(blob.digest), times=None)
        for blob in blobs
    ]


UNNAMED = json.dumps({"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown"}]})


@pytest.mark.parametrize("naming", ["named", "unnamed"])
def test_a_push_sends_again_what_the_registry_has_lost(
    naming: str, shared: Registry, folder: Path
) -> None:
    layout = to_layout_of(folder)
    document = manifest(layout)
    rules = lying(shared, document)
    if naming == "unnamed":
        rules.append(Rule(Answer(404, {}, UNNAMED.encode()), "PUT", "/manifests/"))
    with Proxy(shared.url, rules) as proxy:
        result = copied(layout, to_registry(shared, f"lies/{naming}", host=proxy.host))
    assert shared.tags(f"lies/{naming}") == {"v1": str(document.digest)}
    assert model_files(to_registry(shared, f"lies/{naming}")) == model_files(layout)
    assert (result.reused_bytes, result.moved_bytes > 0) == (0, True)


@pytest.mark.parametrize("format", list(Format))
@pytest.mark.parametrize("step", ["build", "seal"])
def test_a_build_and_a_seal_send_again_what_the_registry_has_lost(
    step: str, format: Format, shared: Registry, hub: Hub
) -> None:
    hub.add("org/tiny", {**WEIGHTS, "config.json": b"{}"})
    place = f"lies/{step}{format.value}"
    first = to_registry(shared, f"{place}first")
    options = replace(OPTIONS, format=format)
    given = {"format": format, "large_bytes": LARGE_BYTES, "include": ("*",)}
    document = ferry(from_hub(hub), first, **given).document
    with Proxy(shared.url, lying(shared, document)) as proxy:
        target = to_registry(shared, place, host=proxy.host)
        if step == "build":
            built = ferry(from_hub(hub), target, **given)
        else:
            stream_share(from_hub(hub), target, options, 1, 1, access=access(proxy.host))
            built = seal_shares(from_hub(hub), target, options, access=access(proxy.host))
    assert built.document == document
    assert shared.tags(place) == {"v1": str(document.digest)}
    assert all(b"".join(target_of(shared, place).open_blob(d.digest)) for d in document.layers)


def target_of(registry: Registry, repository: str) -> Target:
    """Return a repository without a proxy before it."""
    return to_registry(registry, repository)


def test_a_registry_that_loses_it_again_is_given_up_in_one_line(
    shared: Registry, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = to_layout_of(folder)
    lost = {"code": "MANIFEST_BLOB_UNKNOWN", "detail": str(manifest(layout).config.digest)}
    answer = Answer(400, {}, json.dumps({"errors": [lost]}).encode())
    with Proxy(shared.url, [Rule(answer, "PUT", "/manifests/", times=None)]) as proxy:
        done = carferry(
            capsys, "push", str(layout.ref), f"docker://{proxy.host}/lies/ever:v1",
            "--plain-http", proxy.host,
        )  # fmt: skip
        assert len([e for e in proxy.log if "/manifests/" in e.path and e.method == "PUT"]) == 3
    assert done.code == 1
    assert "MANIFEST_BLOB_UNKNOWN" in done.err.splitlines()[-1]
    assert shared.tags("lies/ever") == {}


# What must not cost time


def test_a_shard_tag_that_cannot_be_removed_is_not_waited_for(shared: Registry, hub: Hub) -> None:
    hub.add("org/tiny", {**WEIGHTS, "config.json": b"{}"})
    with Proxy(shared.url, [Rule(Answer(500), "DELETE", "/manifests/", times=None)]) as proxy:
        given = access(proxy.host, retry=quick(base_s=1.0, cap_s=30.0))
        target = given.open(ImageRef(proxy.host, "slow/delete", "v1"), write=True)
        for worker in (1, 2):
            stream_share(from_hub(hub), target, OPTIONS, worker, 2, access=given)
        start = time.monotonic()
        seal_shares(from_hub(hub), target, OPTIONS, access=given)
        assert time.monotonic() - start < 10.0  # all its tries would be 20 s
        assert len([e for e in proxy.log if e.method == "DELETE" and "/manifests/" in e.path]) == 1
    assert "v1" in shared.tags("slow/delete")
    assert len(to_registry(shared, "slow/delete").tags(shards.PREFIX)) == 2


@pytest.mark.parametrize(
    ("method", "path", "first"),
    [("GET", "/tags/list", 2), ("DELETE", "/manifests/", 1)],  # the seal lists them, then removes
    ids=["list", "delete"],
)
def test_a_registry_that_limits_requests_gets_its_pause_for_a_shard_tag(
    method: str, path: str, first: int, shared: Registry, hub: Hub
) -> None:
    hub.add("org/tiny", {**WEIGHTS, "config.json": b"{}"})
    limits = Rule(Answer(429, {"Retry-After": "1"}), method, path, first, times=3)
    with Proxy(shared.url) as proxy:
        given = access(proxy.host, retry=quick(base_s=1.0, cap_s=30.0))
        target = given.open(ImageRef(proxy.host, f"limits/{method.lower()}", "v1"), write=True)
        stream_share(from_hub(hub), target, OPTIONS, 1, 1, access=given)
        proxy.arm([limits])
        seal_shares(from_hub(hub), target, OPTIONS, access=given)
        assert [e.status for e in proxy.log if e.method == method].count(429) == 3
    assert list(shared.tags(f"limits/{method.lower()}")) == ["v1"]


def test_small_blobs_are_pushed_with_two_requests_each(
    shared: Registry, hub: Hub, tmp_path: Path
) -> None:
    files = {f"part/{n}.json": b'{"n": %d}' % n for n in range(40)}
    hub.add("org/tiny", {**files, **WEIGHTS, "config.json": b"{}"})
    layout = to_layout(tmp_path / "layout")
    ferry(from_hub(hub), layout, format=Format.MODELPACK, include=("*",))
    with Proxy(shared.url) as proxy:
        copied(layout, to_registry(shared, "small/blobs", host=proxy.host))
        methods = [e.method for e in proxy.log if "/blobs/uploads/" in e.path]
        seen = [e.received for e in proxy.log if e.method == "PUT" and "/blobs/" in e.path]
    assert methods.count("PATCH") == 0
    assert methods.count("PUT") == methods.count("POST") - 1  # one POST proves the right to push
    assert all(seen)
    assert model_count(to_registry(shared, "small/blobs")) == 45


def model_count(target: Target) -> int:
    """Return how many layers an image has."""
    return len(manifest(target).layers)


# What a reference may say by digest


def test_a_push_to_a_digest_is_that_image_or_nothing(
    shared: Registry, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = to_layout_of(folder)
    digest, wrong = manifest(layout).digest, Digest("0" * 64)
    host = shared.host
    for where in (f"by/digest:v1@{wrong}", f"by/digest@{wrong}"):
        before = len(shared.log)
        done = carferry(
            capsys, "push", layout.ref, f"docker://{host}/{where}", "--plain-http", host
        )
        assert (done.code, done.out) == (2, "")
        assert f"the image is {digest}; leave the digest out" in done.err
        assert len(shared.log) == before
    for where in (f"by/digest:v1@{digest}", f"by/digest@{digest}"):
        done = carferry(
            capsys, "push", layout.ref, f"docker://{host}/{where}", "--plain-http", host
        )
        assert done.code == 0
    assert shared.tags("by/digest") == {"v1": str(digest)}


@pytest.mark.parametrize("place", ["registry", "layout"])
def test_a_build_to_a_digest_is_that_image_or_is_not_tagged(
    place: str, shared: Registry, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest, wrong = manifest(to_layout_of_small(folder, tmp_path)).digest, Digest("0" * 64)
    image = (
        f"docker://{shared.host}/built/digest:v1" if place == "registry" else f"oci:{tmp_path}/o:v1"
    )
    rest = ("--base", "scratch", "--plain-http", shared.host)
    done = carferry(capsys, "build", folder, f"{image}@{wrong}", *rest)
    assert done.code == 2
    assert f"the image is {digest}; leave the digest out, or give what it names" in done.err
    assert "the same command" not in done.err
    assert place == "layout" or shared.tags("built/digest") == {}
    assert not (tmp_path / "o" / "index.json").exists()
    assert carferry(capsys, "build", folder, f"{image}@{digest}", *rest).code == 0


def to_layout_of_small(folder: Path, tmp_path: Path) -> Target:
    """Return a layout with an image of that model as the command line makes it."""
    target = to_layout(tmp_path / "small")
    ferry(from_folder(folder), target)
    return target


def test_a_digest_beside_a_tag_says_what_is_read(
    shared: Registry, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As docker and podman do: the tag may have moved since."""
    first = ready(folder, shared, "read/digest")
    digest = manifest(first).digest
    other = write({**tiny(), "README.md": b"# other"}, tmp_path / "other")
    ferry(from_folder(other), to_registry(shared, "read/digest"))
    image = f"docker://{shared.host}/read/digest:v1@{digest}"
    copy = f"oci:{tmp_path}/copy:v1"
    assert carferry(capsys, "push", image, copy, "--plain-http", shared.host).code == 0
    assert manifest(to_layout(tmp_path / "copy")).digest == digest
    done = carferry(capsys, "inspect", image, "--json", "--plain-http", shared.host)
    assert json.loads(done.out)["digest"] == str(digest)
    there = carferry(
        capsys, "build", f"oci://{shared.host}/read/digest:v1@{digest}", f"oci:{tmp_path}/again:v1",
        "--base", "scratch", "--plain-http", shared.host, "--json",
    )  # fmt: skip
    assert there.code == 0, there.err
    assert model_files(to_layout(tmp_path / "again")) == model_files(to_layout(tmp_path / "copy"))
