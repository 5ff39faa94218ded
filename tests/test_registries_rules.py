"""What the operator of a registry forbids, limits or asks for, at each kind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ferrying import access, carferry, ferry, from_folder, to_registry
from servers.models import filled, write
from servers.registry import Auth, Registry
from servers.registry_programs import KINDS, Kind

from carferry.assembly.build import seal_shares, stream_share
from carferry.assembly.options import Options
from carferry.errors import (
    AuthenticationFailed,
    PushDenied,
    Unreachable,
)
from carferry.io.net.retry import Retry
from carferry.refs import Digest, ImageRef
from carferry.registry.blobs import put_blob

LARGE_BYTES = 50_000
SIZE = 700_000
MODEL = {"config.json": b"{}", "model.safetensors": filled(SIZE, 1)}
BODY = os.urandom(100_000)
DIGEST = Digest.of(BODY)
LOGINS: list[tuple[Kind, Auth]] = [
    ("distribution2", "basic"),
    ("distribution2", "bearer"),
    ("distribution3", "basic"),
    ("distribution3", "bearer"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with one large layer; it is not written to."""
    return write(MODEL, tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("kind", KINDS)
def test_where_nothing_may_be_deleted_the_shards_stay_and_the_image_is_whole(
    kind: Kind, tmp_path: Path, folder: Path
) -> None:
    """Distribution 3 deletes tags whatever its configuration says of deleting."""
    with Registry(tmp_path / "registry", kind=kind, deletes=False) as server:
        given, options = access(server.host), Options(base="scratch", large_bytes=LARGE_BYTES)
        for worker in (1, 2):
            target = to_registry(server)
            stream_share(from_folder(folder), target, options, worker, 2, access=given)
        done = seal_shares(from_folder(folder), to_registry(server), options, access=given)
        tags = server.tags("org/tiny")
        assert tags.pop("v1") == str(done.document.digest)
        assert len(tags) == (0 if kind == "distribution3" else 2)
        assert server.uploads("org/tiny") == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_read_only_registry_is_read_and_says_so_when_pushed_to(
    kind: Kind, tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Registry(tmp_path / "registry", kind=kind) as server:
        ferry(from_folder(folder), to_registry(server), large_bytes=LARGE_BYTES)
    with Registry(tmp_path / "registry", kind=kind, read_only=True) as server:
        image, plain = f"docker://{server.host}/org/tiny:v1", ("--plain-http", server.host)
        scratch = ("--base", "scratch")
        for command in (
            ("push", image, f"oci:{tmp_path / 'layout'}:v1", *plain),
            ("plan", folder, image, *scratch, *plain),
            (
                "build",
                image.replace("docker", "oci"),
                f"oci:{tmp_path / 'again'}:v1",
                *scratch,
                *plain,
            ),
        ):
            assert carferry(capsys, *command).code == 0, command
        for command in (
            ("build", folder, image, *scratch, *plain),
            ("push", f"oci:{tmp_path / 'layout'}:v1", image, *plain),
        ):
            refused = carferry(capsys, *command)
            assert refused.code == 1
            assert "read-only" in refused.err
            assert len(refused.err.strip().splitlines()) == 1


@pytest.mark.parametrize("kind", ["distribution2", "distribution3"])
def test_a_mirror_is_read_and_says_so_when_pushed_to(
    kind: Kind, tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On first contact distribution's pull-through cache answers a range with the whole blob."""
    pytest.importorskip("modelcar_base_image", reason="pip install 'carferry[embedded]'")
    with (
        Registry(tmp_path / "origin", kind="olareg") as origin,
        Registry(tmp_path / "mirror", kind=kind, mirror_of=origin.url) as mirror,
    ):
        for name in ("inspected", "read", "copied"):
            repository = to_registry(origin, f"org/{name}")
            ferry(from_folder(folder), repository, base="embedded", large_bytes=LARGE_BYTES)
        plain, embedded = ("--plain-http", mirror.host), ("--base", "embedded")
        for command in (
            ("inspect", f"docker://{mirror.host}/org/inspected:v1", *plain),
            (
                "build",
                f"oci://{mirror.host}/org/read:v1",
                f"oci:{tmp_path}/new:v1",
                *embedded,
                *plain,
            ),
            ("push", f"docker://{mirror.host}/org/copied:v1", f"oci:{tmp_path}/copy:v1", *plain),
        ):
            done = carferry(capsys, *command)
            assert done.code == 0, done.err
        refused = carferry(
            capsys, "build", folder, f"docker://{mirror.host}/org/read:v2", *embedded, *plain
        )
        assert refused.code == 1
        assert "mirror" in refused.err
        assert len(refused.err.strip().splitlines()) == 1


def test_a_registry_that_limits_requests_is_waited_for(tmp_path: Path, folder: Path) -> None:
    with Registry(tmp_path / "registry", kind="olareg", requests_per_s=8) as server:
        given = access(server.host, retry=Retry())
        options = Options(base="scratch", large_bytes=LARGE_BYTES)
        target = given.open(ImageRef(server.host, "org/tiny", "v1"), write=True)
        stream_share(from_folder(folder), target, options, 1, 1, access=given)
        done = seal_shares(from_folder(folder), target, options, access=given)
        assert server.tags("org/tiny") == {"v1": str(done.document.digest)}
        assert 429 in {asked.status for asked in server.log}


@pytest.mark.parametrize(("kind", "auth"), LOGINS)
def test_a_login_carries_a_build_and_a_wrong_one_is_told(
    kind: Kind, auth: Auth, tmp_path: Path, folder: Path
) -> None:
    with Registry(tmp_path / "registry", kind=kind, auth=auth) as server:
        done = ferry_with(server, folder, server.auth_file)
        assert server.tags("org/tiny") == {"v1": done}
        nobody = tmp_path / "nobody.json"
        nobody.write_text("{}")
        with pytest.raises(AuthenticationFailed, match="no login was found"):
            ferry_with(server, folder, nobody)
        wrong = server.auth_file.with_name("wrong.json")
        wrong.write_text(server.auth_file.read_text().replace('"auth": "', '"auth": "AAAA'))
        with pytest.raises(AuthenticationFailed, match="check the login"):
            ferry_with(server, folder, wrong)


@pytest.mark.parametrize("kind", ["distribution2", "distribution3"])
def test_a_login_that_may_only_pull_is_told_that_it_may_not_push(
    kind: Kind, tmp_path: Path, folder: Path
) -> None:
    with Registry(tmp_path / "registry", kind=kind, auth="bearer") as server:
        assert server.tokens is not None
        ferry_with(server, folder, server.auth_file)
        server.tokens.only = frozenset({"pull"})
        given = access(server.host, auth_file=server.auth_file)
        assert given.open(ImageRef(server.host, "org/tiny", "v1")).get_manifest("v1") is not None
        with pytest.raises((PushDenied, AuthenticationFailed)):
            ferry_with(server, folder, server.auth_file, "v2")
        assert list(server.tags("org/tiny")) == ["v1"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_of_the_site_is_trusted_when_named(kind: Kind, tmp_path: Path) -> None:
    with Registry(tmp_path / "registry", kind=kind, tls=True) as server:
        assert server.certificates is not None
        ref = ImageRef(server.host, "org/tiny", "v1")
        given = access(ca_file=server.certificates.ca)
        assert put_blob(given.open(ref, write=True), BODY) == DIGEST
        with pytest.raises(Unreachable, match="certificate"):
            access().open(ref).tags()


def ferry_with(server: Registry, folder: Path, auth_file: Path, tag: str = "v1") -> str:
    """Build with the logins of a file."""
    given = access(server.host, auth_file=auth_file)
    target = given.open(ImageRef(server.host, "org/tiny", tag), write=True)
    options = Options(base="scratch", large_bytes=LARGE_BYTES)
    stream_share(from_folder(folder), target, options, 1, 1, access=given)
    return str(seal_shares(from_folder(folder), target, options, access=given).document.digest)
