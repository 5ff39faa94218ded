"""A damaged image is what inspection is for: a broken clause names the layer, and exit code 2."""

from __future__ import annotations

import gzip
import io
import os
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from ferrying import carferry, to_layout
from servers.chaos import ResetDownload, Rule
from servers.images import write_layout
from servers.proxy import Proxy
from servers.registry import Registry
from test_unpack import diff_id

import carferry as api
from carferry.errors import ContractViolation, TargetError
from carferry.image.inspection import inspect
from carferry.image.source import ImageSource
from carferry.image.unpack import Budget
from carferry.registry.target import Target

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TAR = "application/vnd.oci.image.layer.v1.tar"
PACKINGS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "plain": (bytes, TAR),
    "gzip": (lambda data: gzip.compress(data, mtime=0), f"{TAR}+gzip"),
    "zstd": (zstd.compress, f"{TAR}+zstd"),
}


def whole() -> bytes:
    """Return a layer of two files; their headers are at 0 and 1024, its end at 6656."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, size in (("models/config.json", 300), ("models/a.bin", 5000)):
            entry = tarfile.TarInfo(name)
            entry.size = size
            archive.addfile(entry, io.BytesIO(os.urandom(size)))
    return out.getvalue()


def flipped(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]


# What is wrong with the archive itself, however it is packed.
ARCHIVES: dict[str, Callable[[bytes], bytes]] = {
    "the first header's checksum": flipped(3),
    "the second header's checksum": flipped(1024 + 3),
    "cut in the first header": lambda data: data[:300],
    "cut in the first file": lambda data: data[:600],
    "cut in the second header": lambda data: data[: 1024 + 100],
    "cut in the second file": lambda data: data[: 1024 + 512 + 700],
    "zeros for a header": lambda data: data[:1024] + bytes(512) + data[1536:],
    "no archive at all": lambda _: os.urandom(4096),
}
# What is wrong with the packing.
STREAMS: dict[str, Callable[[bytes], bytes]] = {
    "cut early": lambda data: data[:40],
    "cut late": lambda data: data[:-9],
    "a byte turned": flipped(60),
    "more behind it": lambda data: data + b"something else",
}
CASES = [(packing, "archive", name) for packing in PACKINGS for name in ARCHIVES]
CASES += [(packing, "stream", name) for packing in ("gzip", "zstd") for name in STREAMS]


def damaged(folder: Path, packing: str, where: str, name: str) -> Target:
    """Write an image of a whole layer with a damaged one over it; all digests are right."""
    pack, kind = PACKINGS[packing]
    good, data = whole(), whole()
    bad = pack(ARCHIVES[name](data)) if where == "archive" else STREAMS[name](pack(data))
    diff_ids = [diff_id(good), diff_id(bad if packing == "plain" else data)]
    write_layout(folder, [good, bad], "v1", types=[TAR, kind], diff_ids=diff_ids)
    return to_layout(folder)


@pytest.mark.parametrize("how", [[], ["--verify", "--progress", "none"]], ids=["look", "verify"])
@pytest.mark.parametrize(("packing", "where", "name"), CASES)
def test_a_damaged_layer_breaks_a_clause_that_names_it(
    packing: str, where: str, name: str, how: list[str],
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    target = damaged(tmp_path / "image", packing, where, name)
    bad = inspect(target).layers[1].digest
    seen = carferry(capsys, "inspect", target.ref, *how)
    assert (seen.code, seen.err) == (2, "")
    (line,) = [line for line in seen.out.splitlines() if line.startswith("BROKEN  layers")]
    assert f"layer {bad} is damaged: " in line
    # What it may cover is not known, and nothing else is called broken for that.
    broken = {line.split()[1] for line in seen.out.splitlines() if line.startswith("BROKEN")}
    assert broken <= {"layers", "user", "files"}
    if how:
        assert f"layer {bad}: not a readable tar" in seen.out


@pytest.mark.parametrize("packing", PACKINGS)
def test_what_a_damaged_layer_says_first_is_not_believed(packing: str, tmp_path: Path) -> None:
    report = inspect(damaged(tmp_path / "image", packing, "archive", "cut in the second file"))
    answers = {clause.name: clause.ok for clause in report.clauses}
    assert (answers["layers"], answers["models"], answers["root"]) == (False, None, None)
    assert not report.ok
    assert "was not looked at: not a readable tar" in report.unread[0]


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_damaged_image_is_no_source_and_is_not_accepted(packing: str, tmp_path: Path) -> None:
    target = damaged(tmp_path / "image", packing, "archive", "the second header's checksum")
    with pytest.raises(TargetError, match="not a readable tar"):
        ImageSource(target).listing()
    with pytest.raises(ContractViolation, match=r"layers \(layer sha256:.* is damaged"):
        api.inspect(str(target.ref), require=True)


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_other_bytes_under_a_layers_digest_are_damage_too(packing: str, tmp_path: Path) -> None:
    pack, kind = PACKINGS[packing]
    body = whole()
    write_layout(tmp_path / "image", [pack(body)], "v1", types=[kind], diff_ids=[diff_id(body)])
    target = to_layout(tmp_path / "image")
    (layer,) = inspect(target).layers
    blob = tmp_path / "image/blobs/sha256" / layer.digest.hex
    blob.write_bytes(pack(whole())[: layer.size_bytes])
    report = inspect(target)
    (detail,) = [clause.detail for clause in report.clauses if clause.name == "layers"]
    assert not report.ok
    assert "is damaged: " in detail


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_network_that_fails_is_no_damage(
    packing: str, registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack, kind = PACKINGS[packing]
    body = whole()
    write_layout(tmp_path / "image", [pack(body)], "v1", types=[kind], diff_ids=[diff_id(body)])
    layout = to_layout(tmp_path / "image")
    (layer,) = inspect(layout).layers
    with Proxy(registry.url) as proxy:
        image = f"docker://{proxy.host}/org/tiny:v1"
        how = ("--plain-http", proxy.host)
        carferry(capsys, "push", f"oci:{tmp_path / 'image'}:v1", image, *how)
        reset = Rule(ResetDownload(100), path=f"/blobs/{layer.digest}", times=None)
        proxy.arm([reset])
        seen = carferry(capsys, "inspect", image, *how)
    assert (seen.code, "BROKEN  layers" in seen.out) == (1, False)
    assert seen.err.splitlines()[-1].startswith("carferry: ")


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_a_damaged_layer_too_large_to_look_at_is_not_looked_at(
    packing: str, tmp_path: Path
) -> None:
    target = damaged(tmp_path / "image", packing, "archive", "cut in the second file")
    report = inspect(target, budget=Budget(packed_bytes=10))
    assert False not in {c.ok for c in report.clauses if c.name != "user"}
