"""Every wrong input and every failure outside ends in one line, the right code and no debris."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ferrying import (
    Outcome,
    carferry,
    ferry,
    from_folder,
    from_hub,
    left_behind,
    point_to,
    to_layout,
    to_registry,
)
from gpu.samples import LLAMA
from huggingface_hub import constants
from servers.chaos import FlipByte, Rule
from servers.denying import denying
from servers.hub import VISITOR, Hub
from servers.models import COLLIDING, HOSTILE, filled, tiny, write
from servers.proxy import Proxy
from servers.registry import Registry
from servers.sockets import answering, free_port

from carferry.assembly.build import build
from carferry.assembly.options import Options
from carferry.errors import SourceChanged
from carferry.io.show.progress import Silent
from carferry.selection.patterns import Patterns

GRANTED = "hf_" + "granted" * 4
Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process."""
    return lambda *arguments: carferry(capsys, *arguments)


@pytest.fixture
def build_to(run: Run, tmp_path: Path) -> Run:
    """``carferry build MODEL`` into a layout, with no base, quietly."""

    def call(source: object, *options: object) -> Outcome:
        target = f"oci:{tmp_path / 'layout'}:v1"
        return run("build", source, target, "--base", "scratch", "--progress", "none", *options)

    return call


def assert_refused(outcome: Outcome, code: int, pattern: str) -> None:
    """One line on stderr that matches, nothing on stdout, no traceback, no secret."""
    assert (outcome.code, outcome.out) == (code, "")
    assert re.search(pattern, outcome.err), outcome.err
    assert re.fullmatch(r"carferry: [^\n]+\n", outcome.err), outcome.err
    assert outcome.err.strip().isprintable()
    for secret in (GRANTED, VISITOR, "ferry-test", "not-the-password"):
        assert secret not in outcome.err


def test_unknown_repository(
    hub: Hub, build_to: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_to(hub, monkeypatch)
    assert_refused(build_to("org/nothing"), 2, r"resolve org/nothing@main: no such repository")
    assert left_behind(tmp_path / "layout") == []


@pytest.mark.parametrize("token", ["", VISITOR, "hf_" + "expired" * 4])
def test_gated_repository_without_access(
    hub: Hub, build_to: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    hub.add("org/gated", tiny(), gated=True, token=GRANTED)
    point_to(hub, monkeypatch, token)
    assert_refused(build_to("org/gated"), 2, r"org/gated@main: .*(gated|token).*HF_TOKEN")
    assert left_behind(tmp_path / "layout") == []
    assert hub.body_bytes() == 0


def test_gated_repository_with_access(
    hub: Hub, build_to: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/gated", tiny(), gated=True, token=GRANTED)
    point_to(hub, monkeypatch, GRANTED)
    assert build_to("org/gated").code == 0


def test_private_repository_without_a_token(
    hub: Hub, build_to: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/private", tiny(), private=True, token=GRANTED)
    point_to(hub, monkeypatch)
    assert_refused(build_to("org/private"), 2, r"private.*set HF_TOKEN")


@pytest.mark.parametrize("revision", ["v9", "0" * 40])
def test_missing_revision(
    hub: Hub, build_to: Run, monkeypatch: pytest.MonkeyPatch, revision: str
) -> None:
    hub.add("org/tiny", tiny())
    point_to(hub, monkeypatch)
    outcome = build_to("org/tiny", "--revision", revision)
    assert_refused(outcome, 2, rf"resolve org/tiny@{revision}: no such branch.*check --revision")


def test_patterns_that_match_nothing(
    hub: Hub, build_to: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/tiny", tiny())
    point_to(hub, monkeypatch)
    assert_refused(
        build_to("org/tiny", "--include", "*.gguf"), 2, r"no file of 7 matches \*\.gguf; widen"
    )


def test_pickled_weights_need_to_be_named(
    hub: Hub, build_to: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/old", {"config.json": b"{}", "pytorch_model.bin": b"\x80\x02."})
    point_to(hub, monkeypatch)
    assert_refused(build_to("org/old"), 2, r"pytorch_model\.bin.*run code when loaded")
    assert_refused(build_to("org/old", "--include", "*"), 2, r"pickle")
    assert build_to("org/old", "--include", "*.bin,*.json").code == 0


@pytest.mark.parametrize(
    "command", [("inspect",), ("push", "oci:x:1"), ("build", "./x"), ("runtime",)]
)
def test_a_port_that_no_socket_has(run: Run, command: tuple[str, ...]) -> None:
    refused = run(*command, "docker://127.0.0.1:99999/a/b:1")
    assert_refused(refused, 2, r"parse image .*the port of 127\.0\.0\.1:99999 is not 1 to 65535")


@pytest.mark.parametrize("target", ["quay/a:1", "docker://model:1", "docker://q.io/A:1", "oci:"])
def test_malformed_image_reference(run: Run, tmp_path: Path, target: str) -> None:
    source = write(tiny(), tmp_path / "model")
    assert_refused(run("build", source, target, "--base", "scratch"), 2, r"parse (image|target)")


@pytest.mark.parametrize("source", ["org/name/more", "org/na me", "hf://", "a@b@c"])
def test_malformed_model_reference(build_to: Run, source: str) -> None:
    assert_refused(build_to(source), 2, r"parse model")


@pytest.mark.parametrize("platform", ["amd64", "linux/", "/", "linux/amd64/", "nonsense"])
def test_malformed_platform(build_to: Run, tmp_path: Path, platform: str) -> None:
    source = write(tiny(), tmp_path / "model")
    assert_refused(build_to(source, "--platform", platform), 2, r"platform")
    assert left_behind(tmp_path / "layout") == []


@pytest.mark.parametrize("parallel", [0, -1, 65])
def test_senseless_parallelism(build_to: Run, tmp_path: Path, parallel: int) -> None:
    source = write(tiny(), tmp_path / "model")
    assert_refused(build_to(source, f"--parallel={parallel}"), 2, r"not a whole number of 1 to 64")


def test_a_base_that_is_not_there(build_to: Run, tmp_path: Path) -> None:
    source = write(tiny(), tmp_path / "model")
    outcome = build_to(source, "--base", f"oci:{tmp_path / 'no-base'}:v1")
    assert_refused(outcome, 1, rf"pull base .*no folder {tmp_path}/no-base; check --base")
    assert not (tmp_path / "no-base").exists()


def test_a_missing_certificate_file(run: Run, tmp_path: Path) -> None:
    source = write(tiny(), tmp_path / "model")
    outcome = run("build", source, "docker://127.0.0.1:1/a:1", "--ca", tmp_path / "no.pem")
    assert_refused(outcome, 2, r"read certificates .*no such file; check --ca")


def test_a_certificate_file_that_is_none(run: Run, tmp_path: Path) -> None:
    write({"x.pem": b"not a certificate"}, tmp_path)
    outcome = run("inspect", "docker://127.0.0.1:1/a:1", "--ca", tmp_path / "x.pem")
    assert_refused(outcome, 2, r"read certificates .*x\.pem")


def test_an_unknown_tag(run: Run, registry: Registry) -> None:
    outcome = run("inspect", f"docker://{registry.host}/a/b:1", "--plain-http", registry.host)
    assert_refused(outcome, 1, rf"read {registry.host}/a/b:1: no such image or tag")


@pytest.mark.parametrize("command", ["inspect", "push"])
def test_a_layout_that_is_not_there(run: Run, tmp_path: Path, command: str) -> None:
    rest = [f"oci:{tmp_path / 'copy'}:v1"] if command == "push" else []
    outcome = run(command, f"oci:{tmp_path / 'nothing'}:v1", *rest)
    assert_refused(outcome, 1, rf"no folder {tmp_path}/nothing; check the reference")
    assert list(tmp_path.iterdir()) == []


def test_a_layout_that_is_elsewhere_says_in_which_folder_was_looked(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = rf"read oci:smollm2:1: no folder {tmp_path}/smollm2; check the reference"
    assert_refused(run("inspect", "oci:smollm2:1"), 1, said)
    (tmp_path / "smollm2").mkdir()
    said = rf"read oci:smollm2:1: no such image or tag in {tmp_path}/smollm2; check the reference"
    assert_refused(run("inspect", "oci:smollm2:1"), 1, said)


@pytest.mark.parametrize(
    "index",
    ["", "[]", "{}", "null", '{"manifests": [{}]}', '{"manifests": 3}', '{"manifests": [3]}'],
)
def test_a_layout_whose_index_is_broken(run: Run, tmp_path: Path, index: str) -> None:
    write({"index.json": index.encode()}, tmp_path / "layout")
    assert_refused(run("inspect", f"oci:{tmp_path / 'layout'}:v1"), 1, r"index\.json|no such image")


def push_to(run: Run, tmp_path: Path, host: str, *options: object) -> Outcome:
    """Build a folder straight into a registry."""
    source = write(tiny(), tmp_path / "model")
    image = f"docker://{host}/org/tiny:v1"
    return run("build", source, image, "--base", "scratch", "--progress", "none", *options)


@pytest.mark.parametrize("kind", ["registry_basic", "registry_bearer"])
def test_a_registry_that_refuses_the_login(
    kind: str,
    run: Run,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server: Registry = request.getfixturevalue(kind)
    login = f'{{"auths": {{"{server.host}": {{"username": "ferry", "password": "{{}}"}}}}}}'
    write({"auth.json": login.replace("{}", "not-the-password", 1).encode()}, tmp_path)
    (tmp_path / "auth.json").write_text(login.replace('"{}"', '"not-the-password"'))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    outcome = push_to(run, tmp_path, server.host, "--plain-http", server.host)
    assert_refused(outcome, 1, rf"log in to {server.host}: .*401.*check the login")
    assert server.tags("org/tiny") == {}


@pytest.mark.parametrize("kind", ["registry_basic", "registry_bearer"])
def test_a_registry_that_wants_a_login_without_one(
    kind: str, run: Run, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server: Registry = request.getfixturevalue(kind)
    outcome = push_to(run, tmp_path, server.host, "--plain-http", server.host)
    assert_refused(outcome, 1, r"no login was found: run podman login, or set REGISTRY_AUTH_FILE")
    assert server.tags("org/tiny") == {}


def test_a_registry_that_refuses_the_push(run: Run, registry: Registry, tmp_path: Path) -> None:
    with denying(registry.url) as proxy:
        outcome = push_to(run, tmp_path, proxy.host, "--plain-http", proxy.host)
        assert_refused(outcome, 1, r"DENIED: requested access.*\(403\).*needs push rights")
        uploads = [e for e in proxy.log if e.method == "POST"]
    assert len(uploads) == 1
    assert registry.tags("org/tiny") == {}


def test_a_token_that_only_pulls_refuses_the_push(
    run: Run, registry_bearer: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert registry_bearer.tokens is not None
    registry_bearer.tokens.only = frozenset({"pull"})
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(registry_bearer.auth_file))
    host = registry_bearer.host
    outcome = push_to(run, tmp_path, host, "--plain-http", host)
    assert_refused(outcome, 1, rf"this login may not push to {host}/org/tiny: it needs push rights")
    assert registry_bearer.tags("org/tiny") == {}


def test_a_registry_that_is_not_there(run: Run, tmp_path: Path) -> None:
    host = f"127.0.0.1:{free_port()}"
    outcome = push_to(run, tmp_path, host, "--plain-http", host)
    assert_refused(outcome, 1, rf"reach {host}: .*refused")


def test_a_host_name_that_does_not_exist(run: Run, tmp_path: Path) -> None:
    outcome = push_to(run, tmp_path, "registry.invalid")
    assert_refused(outcome, 1, r"reach registry\.invalid: .*is the host right\?")


def test_a_registry_with_an_unknown_authority(
    run: Run, registry_tls: Registry, tmp_path: Path
) -> None:
    assert registry_tls.certificates is not None
    host = registry_tls.host
    outcome = push_to(run, tmp_path, host)
    assert_refused(outcome, 1, rf"connect to {host}: its certificate is not trusted.*--ca FILE")
    assert registry_tls.tags("org/tiny") == {}
    assert push_to(run, tmp_path, host, "--ca", registry_tls.certificates.ca).code == 0


def test_what_speaks_neither_tls_nor_http(run: Run, tmp_path: Path) -> None:
    with answering(b"SSH-2.0-OpenSSH_9.2\r\n") as (host, _):
        outcome = push_to(run, tmp_path, host)
    assert_refused(outcome, 1, r"no TLS there.*--plain-http HOST")


def test_a_registry_that_wants_tls(run: Run, registry_tls: Registry, tmp_path: Path) -> None:
    host = registry_tls.host
    outcome = push_to(run, tmp_path, host, "--plain-http", host)
    assert_refused(outcome, 1, r"HTTP request to an HTTPS server|\(400\)")


def test_a_missing_folder(build_to: Run, tmp_path: Path) -> None:
    assert_refused(build_to(tmp_path / "gone"), 2, r"gone: no such folder")


def test_an_empty_folder(build_to: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert_refused(
        build_to(tmp_path / "empty"), 2, r"no file is there; check that a model lies there"
    )


@pytest.mark.parametrize("what", ["file", "folder"])
def test_an_unreadable_folder(tmp_path: Path, what: str) -> None:
    source = write(tiny() | {"sub/a.json": b"{}"}, tmp_path / "model")
    locked = source / ("config.json" if what == "file" else "sub")
    locked.chmod(0)
    outcome = _in_a_process(
        ["build", str(source), f"oci:{tmp_path / 'layout'}:v1", "--base", "scratch"], _plain_root()
    )
    locked.chmod(0o755)
    assert_refused(outcome, 2, rf"{locked.name}: Permission denied; check its permissions")
    assert left_behind(tmp_path / "layout") == []


def test_a_layout_that_is_not_writable(tmp_path: Path) -> None:
    source = write(tiny(), tmp_path / "model")
    (tmp_path / "layout").mkdir()
    (tmp_path / "layout").chmod(0o555)
    outcome = _in_a_process(
        ["build", str(source), f"oci:{tmp_path / 'layout'}:v1", "--base", "scratch"], _plain_root()
    )
    assert_refused(outcome, 1, r"layout: Permission denied; check the path")


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """Mount a file system of that size, or skip if mounting is not allowed."""
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        pytest.skip(f"no mount here: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("size_bytes", [3 << 20, 4 << 10])
def test_a_full_disk_under_a_layout(run: Run, tmp_path: Path, size_bytes: int) -> None:
    source = write(tiny() | {"big.safetensors": filled(4 << 20)}, tmp_path / "model")
    # One at a time: a small layer that arrived first would be pinned, rightly, for the next try.
    options = ["--base", "scratch", "--parallel", "1", "--progress", "none"]
    with small_disk(tmp_path / "disk", size_bytes) as disk:
        outcome = run("build", source, f"oci:{disk}/out:v1", *options)
        left = left_behind(disk / "out")
    assert_refused(outcome, 1, r"disk/out: no space left on the device; free space")
    assert left == []


def test_a_disk_that_fills_up_during_a_download(
    hub: Hub, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/tiny", tiny() | {"big.safetensors": filled(4 << 20)})
    point_to(hub, monkeypatch)
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        outcome = run("download", "org/tiny", disk / "model", "--progress", "none")
        left = [path.name for path in (disk / "model").rglob("*.part")]
    assert_refused(outcome, 1, r"no space left on the device; free space")
    assert left == []


def test_a_limit_on_file_sizes_is_a_full_disk_too(tmp_path: Path) -> None:
    source = write(tiny() | {"big.safetensors": filled(4 << 20)}, tmp_path / "model")
    prlimit = shutil.which("prlimit") or pytest.skip("no prlimit: apt-get install util-linux")
    arguments = ["build", str(source), f"oci:{tmp_path / 'layout'}:v1", "--base", "scratch"]
    # One at a time: a small layer that arrived first would be pinned, rightly, for the next try.
    arguments += ["--parallel", "1"]
    outcome = _in_a_process(arguments, [prlimit, "--fsize=1048576"])
    assert_refused(outcome, 1, r"no space left on the device")
    assert left_behind(tmp_path / "layout") == []


class Meddler(Silent):
    """Does something to the model when its first layer starts to move."""

    def __init__(self, deed: Callable[[], object]) -> None:
        self._deed = deed

    def begin(self, name: str, size_bytes: int) -> None:
        self._deed()


@pytest.mark.parametrize("engine", ["stream", "buildah"])
@pytest.mark.parametrize("change", ["shrinks", "grows", "same size"])
def test_a_file_that_changes_while_it_is_read(
    change: str, engine: str, tmp_path: Path, tools: Callable[..., str]
) -> None:
    if engine == "buildah":
        tools("buildah")
    source = write(tiny(), tmp_path / "model")
    size = len(tiny()["config.json"])
    body = b"x" * {"shrinks": size - 1, "grows": size + 1, "same size": size}[change]
    meddler = Meddler(lambda: (source / "config.json").write_bytes(body))
    options = Options(base="scratch", engine=engine, patterns=Patterns())
    with pytest.raises(SourceChanged, match=r"config\.json"):
        build(from_folder(source), to_layout(tmp_path / "layout"), options, progress=meddler)
    assert left_behind(tmp_path / "layout") == []


def test_a_hub_that_sends_other_bytes(hub: Hub, tmp_path: Path) -> None:
    hub.add("org/tiny", tiny())
    with Proxy(hub.endpoint, [Rule(FlipByte(3), path="README.md", times=None)]) as proxy:
        source = from_hub(hub, endpoint=proxy.endpoint)
        with pytest.raises(SourceChanged, match=r"README\.md"):
            ferry(source, to_layout(tmp_path / "layout"))
    assert left_behind(tmp_path / "layout") == []


def test_a_failed_build_leaves_the_old_tag_alone(registry: Registry, tmp_path: Path) -> None:
    source = write(tiny(), tmp_path / "model")
    first = ferry(from_folder(source), to_registry(registry))
    meddler = Meddler(lambda: (source / "config.json").write_bytes(b"?"))
    (source / "README.md").write_bytes(b"# Another\n")
    target = to_registry(registry)
    with pytest.raises(SourceChanged):
        build(from_folder(source), target, Options(base="scratch"), progress=meddler)
    assert registry.tags("org/tiny") == {"v1": str(first.document.digest)}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=list(HOSTILE))
def test_hostile_file_names_from_the_hub(
    name: str, hub: Hub, build_to: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/hostile", tiny() | {name: b"{}"})
    point_to(hub, monkeypatch)
    assert_refused(build_to("org/hostile", "--include", "*"), 2, r"take file '[^']*'|take file \"")
    assert left_behind(tmp_path / "layout") == []
    assert hub.body_bytes() == 0


@pytest.mark.parametrize(
    "pair",
    [*COLLIDING.values(), ("\ufb01le.json", "file.json")],
    ids=[*COLLIDING, "unicode form"],
)
def test_colliding_file_names_from_the_hub(
    pair: tuple[str, str], hub: Hub, build_to: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/hostile", dict.fromkeys(pair, b"{}"))
    point_to(hub, monkeypatch)
    assert_refused(build_to("org/hostile", "--include", "*"), 2, r"take files '.*' and '.*'")


@pytest.mark.parametrize("why", ["climbs out", "absolute", "newline"])
@pytest.mark.parametrize("command", ["download"])
def test_hostile_file_names_never_reach_the_disk(
    why: str, command: str, hub: Hub, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/hostile", tiny() | {HOSTILE[why]: b"{}"})
    point_to(hub, monkeypatch)
    outcome = run(command, "org/hostile", tmp_path / "model", "--include", "*")
    assert_refused(outcome, 2, r"take file")
    assert list(tmp_path.iterdir()) == []


def test_a_hub_that_is_not_there(build_to: Run, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.endpoint = f"http://127.0.0.1:{free_port()}"
    point_to(hub, monkeypatch)
    assert_refused(build_to("org/tiny"), 1, r"reach the hub for org/tiny@main")


def test_debug_shows_the_traceback_before_the_line(build_to: Run, tmp_path: Path) -> None:
    outcome = build_to(tmp_path / "gone", "--debug")
    assert outcome.code == 2
    assert "Traceback (most recent call last)" in outcome.err
    assert outcome.err.splitlines()[-1].startswith("carferry: read ")


@pytest.mark.parametrize("name", ["Model", "my_model", "a.b", "-a", "a" * 64])
def test_a_deployment_name_kubernetes_would_refuse(run: Run, name: str) -> None:
    image = f"docker://quay.io/a/b@sha256:{'0' * 64}"
    assert_refused(run("render", image, f"--name={name}", "--namespace=team"), 2, r"name ")


def test_a_page_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA))
    page = tmp_path / "gone" / "fit.html"
    refused = run("plan", folder, "--gpu", "H100", "--html", page)
    assert_refused(refused, 2, r"write --html .*fit\.html: No such file or directory")


def test_scratch_space_that_is_not_there(run: Run, tmp_path: Path) -> None:
    folder = write(tiny(), tmp_path / "model")
    options = ["--base", "scratch", "--engine", "buildah", "--workdir", str(tmp_path / "gone")]
    refused = run("build", folder, f"oci:{tmp_path / 'out'}", "--progress", "none", *options)
    assert_refused(refused, 2, r"use --workdir .*gone: No such file or directory")


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf"])
def test_a_rate_that_predicts_nothing(run: Run, tmp_path: Path, rate: str) -> None:
    folder = write(tiny(), tmp_path / "model")
    target = f"oci:{tmp_path / 'out'}"
    refused = run("plan", folder, target, "--base", "scratch", f"--rate={rate}")
    assert_refused(refused, 2, r"plan --rate: .* is not a number of 0\.001 to 100000")


@pytest.mark.parametrize("share", ["1/10001", "1/99999999", "2/1", "0/1", "1/0"])
def test_a_share_among_workers_that_cannot_be(run: Run, tmp_path: Path, share: str) -> None:
    folder = write(tiny(), tmp_path / "model")
    target = f"oci:{tmp_path / 'out'}"
    refused = run("stream", folder, target, "--base", "scratch", "--worker", share)
    assert_refused(refused, 2, rf"use --worker {share}: .*N at most 10000")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("share", ["", "1", "a/b", "-1/4", f"1/{'9' * 5000}", "\u0661/\u0662"])
def test_a_share_that_is_none(run: Run, tmp_path: Path, share: str) -> None:
    refused = run("stream", tmp_path, f"oci:{tmp_path / 'out'}", f"--worker={share}")
    assert_refused(refused, 2, r"take share .*not I/N")


def test_more_workers_in_a_plan_than_can_be(run: Run, tmp_path: Path) -> None:
    folder = write(tiny(), tmp_path / "model")
    planned = ("plan", folder, f"oci:{tmp_path / 'out'}", "--base", "scratch")
    assert_refused(
        run(*planned, "--workers=10001"), 2, r"plan --workers: .* not a whole number of 1 to 10000"
    )


def test_a_hub_address_that_is_none(build_to: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://[hub")
    assert_refused(build_to("org/tiny"), 1, r"org/tiny@main: ")


def test_a_full_stdout_is_one_line_too(tmp_path: Path) -> None:
    """A disk may be full under our own output."""
    folder = write(tiny(), tmp_path / "model")
    words = ["plan", str(folder), f"oci:{tmp_path / 'out'}", "--base", "scratch"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "carferry", *words],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    outcome = Outcome(done.returncode, "", done.stderr)
    assert_refused(outcome, 1, r"write to stdout: no space left on the device")


def _plain_root() -> list[str]:
    """Take away what lets root read everything; the owner's permission bits then count."""
    setpriv = shutil.which("setpriv") or pytest.skip("no setpriv: apt-get install util-linux")
    command = [setpriv, "--bounding-set", "-dac_override,-dac_read_search"]
    if os.geteuid() != 0:
        return []
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("capabilities cannot be dropped here")
    return command


def _in_a_process(arguments: list[str], prefix: list[str]) -> Outcome:
    command = [*prefix, sys.executable, "-m", "carferry", *arguments, "--progress", "none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return Outcome(done.returncode, done.stdout, done.stderr)
