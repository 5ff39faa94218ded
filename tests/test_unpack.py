"""Layers of any compression are looked into, and none costs more than a look is worth."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from ferrying import carferry, ferry, from_folder, to_layout
from servers.images import write_layout
from servers.models import tiny, write

from carferry.image import unpack
from carferry.image.contract import TOOLS
from carferry.image.inspection import Inspection, inspect
from carferry.image.unpack import Budget
from carferry.steps.inspected import Inspected

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TAR = "application/vnd.oci.image.layer.v1.tar"
DOCKER = "application/vnd.docker.image.rootfs.diff.tar"
SETTINGS = {"User": "1001"}
HELLO = b"not a frame of zstd"


def tar(files: dict[str, int], *, user: int = 0, mode: int = 0o755) -> bytes:
    """Return a tar of zeros; a size below zero makes a folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, size in files.items():
            entry = tarfile.TarInfo(name)
            entry.mode, entry.uid = mode, user
            if size < 0:
                entry.type = tarfile.DIRTYPE
            entry.size = max(0, size)
            archive.addfile(entry, io.BytesIO(bytes(entry.size)))
    return out.getvalue()


SHELL = tar({f"usr/bin/{tool}": 3 for tool in TOOLS})
MODEL = tar({"models": -1, "models/config.json": 2})


def skippable(data: bytes) -> bytes:
    """Return a frame that readers of zstd skip; zstd:chunked keeps its table in one."""
    return struct.pack("<II", 0x184D2A53, len(data)) + data


def members(data: bytes, pack: Callable[[bytes], bytes]) -> bytes:
    """Return several members or frames, cut where no header ends."""
    return b"".join(pack(data[at : at + 700]) for at in range(0, len(data), 700))


def pzstd(data: bytes) -> bytes:
    """Return frames each announced by a skippable one, as pzstd and zstd:chunked write them."""
    return members(data, lambda piece: skippable(b"size") + zstd.compress(piece)) + skippable(
        b"toc"
    )


PACKED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "gzip": (gzip.compress, f"{TAR}+gzip"),
    "docker's gzip": (gzip.compress, f"{DOCKER}.gzip"),
    "gzip in members": (lambda data: members(data, gzip.compress), f"{TAR}+gzip"),
    "zstd": (zstd.compress, f"{TAR}+zstd"),
    "docker's zstd": (zstd.compress, f"{DOCKER}.zstd"),
    "zstd in frames": (lambda data: members(data, zstd.compress), f"{TAR}+zstd"),
    "zstd:chunked": (pzstd, f"{TAR}+zstd"),
    "zstd called gzip": (zstd.compress, f"{TAR}+gzip"),
    "gzip called zstd": (gzip.compress, f"{TAR}+zstd"),
    "plain called gzip": (bytes, f"{TAR}+gzip"),
}


def diff_id(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def image(folder: Path, *layers: bytes, packed: str = "gzip", **changes: object) -> Path:
    """Write an image whose layers are all packed in one way."""
    pack, kind = PACKED[packed]
    given = {"settings": SETTINGS, "diff_ids": [*map(diff_id, layers)]} | changes
    write_layout(folder, [pack(each) for each in layers], "v1", types=[kind] * len(layers), **given)  # type: ignore[arg-type]
    return folder


def answers(report: Inspection) -> dict[str, bool | None]:
    return {clause.name: clause.ok for clause in report.clauses}


def details(report: Inspection) -> dict[str, str]:
    return {clause.name: clause.detail for clause in report.clauses}


@pytest.mark.parametrize("packed", PACKED)
def test_a_layer_of_any_compression_is_read(packed: str, tmp_path: Path) -> None:
    report = inspect(to_layout(image(tmp_path / "image", SHELL, MODEL, packed=packed)))
    assert set(answers(report).values()) == {True}
    assert [entry.path for entry in report.models] == ["models", "models/config.json"]


@pytest.mark.parametrize("packed", PACKED)
def test_a_base_of_any_compression_is_built_on(packed: str, tmp_path: Path) -> None:
    base = image(tmp_path / "base", SHELL, packed=packed)
    target = to_layout(tmp_path / "out")
    ferry(from_folder(write(tiny(), tmp_path / "model")), target, base=f"oci:{base}:v1")
    assert inspect(target).ok
    assert None not in answers(inspect(target)).values()


CUT = {
    "gzip cut off": (lambda data: gzip.compress(data)[:-9], "gzip"),
    "zstd cut off": (lambda data: zstd.compress(data)[:-9], "zstd"),
    "more after zstd": (lambda data: zstd.compress(data) + HELLO, "zstd"),
    "more after gzip": (lambda data: gzip.compress(data) + HELLO, "gzip"),
    "a tar cut off": (lambda data: zstd.compress(data[:700]), "zstd"),
}


@pytest.mark.parametrize("name", CUT)
def test_a_layer_cut_off_is_broken_in_words(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack, kind = CUT[name]
    body = tar({"models/a": 5000})
    write_layout(
        tmp_path / "image", [pack(body)], "v1", types=[f"{TAR}+{kind}"], diff_ids=[diff_id(body)]
    )
    done = carferry(capsys, "inspect", f"oci:{tmp_path / 'image'}:v1")
    assert (done.code, done.err) == (2, "")
    (line,) = [line for line in done.out.splitlines() if line.startswith("BROKEN  layers")]
    assert "is damaged: not a readable tar" in line


WRONG = "sha256:" + "1" * 64


@pytest.mark.parametrize("packed", ["gzip", "zstd", "zstd:chunked"])
def test_a_base_whose_diff_ids_are_another_layers_is_refused(
    packed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = image(tmp_path / "base", SHELL, MODEL, packed=packed, diff_ids=[diff_id(SHELL), WRONG])
    model = write(tiny(), tmp_path / "model")
    done = carferry(capsys, "build", model, f"oci:{tmp_path / 'out'}:1", "--base", f"oci:{base}:v1")
    assert (done.code, done.out, (tmp_path / "out").exists()) == (2, "", False)
    (line,) = done.err.splitlines()
    assert f"rootfs.diff_ids has {WRONG} for layer sha256:" in line
    assert line.endswith(f"whose content is {diff_id(MODEL)}; choose another --base")


def test_an_image_whose_diff_ids_are_another_layers_breaks_the_contract(tmp_path: Path) -> None:
    folder = image(tmp_path / "image", SHELL, MODEL, diff_ids=[diff_id(SHELL), WRONG])
    report = inspect(to_layout(folder))
    assert [name for name, ok in answers(report).items() if not ok] == ["diff ids"]
    assert f"the config has {WRONG} for layer" in details(report)["diff ids"]


def test_a_long_layer_of_a_base_is_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading it would take longer than a plan may; a node finds what is wrong with it."""
    monkeypatch.setattr("carferry.image.base.PROVED_BYTES", 10)
    base = image(tmp_path / "base", SHELL, diff_ids=[WRONG])
    target = to_layout(tmp_path / "out")
    ferry(from_folder(write(tiny(), tmp_path / "model")), target, base=f"oci:{base}:v1")


UNREAD = {
    "long": {"packed_bytes": 100},
    "unpacks to much": {"unpacked_bytes": 5000},
    "many entries": {"entries": 3},
    "long names": {"kept_bytes": 500},
}


@pytest.mark.parametrize("name", UNREAD)
def test_a_layer_that_is_not_looked_at_is_not_broken(name: str, tmp_path: Path) -> None:
    """The model lies on a base without a readable shell: what was read says nothing of it."""
    files = {"models": -1, "models/config.json": 2}
    folder = tmp_path / "image"
    write_layout(
        folder,
        [gzip.compress(SHELL), tar(files)],
        "v1",
        types=[f"{TAR}+gzip", TAR],
        diff_ids=[diff_id(SHELL), diff_id(tar(files))],
        settings=SETTINGS,
    )
    report = inspect(to_layout(folder), budget=Budget(**UNREAD[name]))
    found = answers(report)
    if name == "many entries" or name == "long names":
        # The budget is the whole image's: nothing is left for the second layer.
        assert {found["models"], found["tools"]} == {None}
    else:
        assert (found["models"], found["tools"], found["diff ids"]) == (True, None, None)
    assert False not in found.values()
    assert report.ok
    shown = Inspected.of(report, to_layout(folder))
    assert (shown.require().ok, "not looked at" in shown.markdown) == (True, True)
    assert ["tools", None] in [[name, ok] for name, ok, _ in shown.as_json()["rules"]]
    assert "layer " in details(report)["tools"]
    assert "was not looked at: " in details(report)["tools"]


def test_what_is_known_to_be_broken_stays_broken(tmp_path: Path) -> None:
    """A wrong file above a layer that was not looked at is wrong; below it may be covered."""
    bad, large = tar({"models/a": 1}, user=1000), tar({"opt/large": 90_000})
    budget = Budget(packed_bytes=len(bad))
    above = image(tmp_path / "above", large, bad, packed="plain called gzip")
    report = inspect(to_layout(above), budget=budget)
    assert (answers(report)["owner"], report.ok) == (False, False)
    below = image(tmp_path / "below", bad, large, packed="plain called gzip")
    report = inspect(to_layout(below), budget=budget)
    assert (answers(report)["owner"], answers(report)["models"], report.ok) == (None, None, True)


def test_the_command_line_says_unread_and_exits_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carferry.image.inspection.Budget", lambda: Budget(packed_bytes=100))
    folder = image(tmp_path / "image", SHELL, MODEL)
    done = carferry(capsys, "inspect", f"oci:{folder}:v1")
    assert (done.code, "BROKEN" in done.out) == (0, False)
    assert (
        "unread  tools       no sh, ls, ln, sleep, mkdir, as far as looked at: layer " in done.out
    )


@pytest.mark.parametrize(
    ("whiteout", "left"),
    [
        ("models/.wh.a", ["models", "models/b"]),
        (".wh.models", []),
        ("models/.wh..wh..opq", ["models"]),
        (".wh..wh..opq", []),
        ("models/.wh.", ["models", "models/a", "models/b"]),
    ],
)
def test_a_whiteout_takes_away_what_lies_below(
    whiteout: str, left: list[str], tmp_path: Path
) -> None:
    below = tar({"models": -1, "models/a": 1, "models/b": 1})
    report = inspect(to_layout(image(tmp_path / "image", below, tar({whiteout: 0}))))
    assert [entry.path for entry in report.models] == left


def pax(records: dict[str, str], size: int | None = None) -> bytes:
    """Return an extended header, with a size it may not have."""
    info = tarfile.TarInfo("models/x")
    info.pax_headers = records
    data = info.tobuf(tarfile.PAX_FORMAT)
    if size is None:
        return data
    head = tarfile.TarInfo("PaxHeader")
    head.type, head.size = tarfile.XHDTYPE, size
    return head.tobuf(tarfile.GNU_FORMAT)


def huge_header(kind: bytes) -> bytes:
    """Return the start of a header that announces 2 GiB of name."""
    head = tarfile.TarInfo("long")
    head.type, head.size = kind, 2 << 30
    return head.tobuf(tarfile.GNU_FORMAT)


def zeros(start: bytes, repeat: int, *, pack: Callable[[bytes], bytes] = zstd.compress) -> bytes:
    """Return a small blob that unpacks to ``start`` and many blocks of 4 MiB."""
    return pack(start) + pack(bytes(4 << 20)) * repeat


def many(count: int) -> bytes:
    """Return a packed tar of many entries under /models, a thousand to a frame."""
    thousand = tar({f"models/{n}": 0 for n in range(1000)}).rstrip(b"\0")
    thousand += bytes(-len(thousand) % 512)
    return zstd.compress(thousand) * (count // 1000)


BOMBS: dict[str, Callable[[], bytes]] = {
    "extended header of 2 GiB": lambda: zeros(huge_header(tarfile.XHDTYPE), 512),
    "long name of 2 GiB": lambda: zeros(huge_header(tarfile.GNUTYPE_LONGNAME), 512),
    "long link of 2 GiB": lambda: zeros(huge_header(tarfile.GNUTYPE_LONGLINK), 512),
    "a file of 12 GiB": lambda: zeros(member_of(12 << 30), 3072),
    "a million entries": lambda: many(1_000_000),
    "gzip of 2 GiB": lambda: zeros(
        huge_header(tarfile.XHDTYPE), 512, pack=lambda data: gzip.compress(data, 9)
    ),
}
UNDER = 160
"""MiB that Python and this library take before they look at anything, and room for a look."""
LOOK = """
import sys
from pathlib import Path
from ferrying import to_layout
from carferry.image.inspection import inspect
from carferry.image.unpack import Budget
from carferry.errors import CarferryError
try:
    report = inspect(to_layout(Path(sys.argv[1])), budget=Budget(unpacked_bytes=1 << 30))
    print("looked", report.ok)
except CarferryError as error:
    print("refused", error)
# ru_maxrss begins with that of the process that started this one (getrusage(2), execve(2)).
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) // 1024)
"""


def member_of(size: int) -> bytes:
    entry = tarfile.TarInfo("usr/zeros")
    entry.size = size
    return entry.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_layer_that_unpacks_to_gigabytes_takes_little_memory(
    name: str, tmp_path: Path
) -> None:
    body = BOMBS[name]()
    assert len(body) < 4 << 20
    write_layout(tmp_path / "image", [body], "v1", types=[f"{TAR}+zstd"], diff_ids=[WRONG])
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(tmp_path / "image")],
        env={"PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True, text=True, check=True, timeout=200,
    )  # fmt: skip
    said, peak = done.stdout.splitlines()
    assert said.startswith(("looked", "refused read layer sha256:"))
    assert int(peak) < UNDER, said


STRANGE: dict[str, tuple[bytes, str]] = {
    "a negative size": (tar({"models/a": 0})[:124] + b"\xff" * 12 + bytes(376), "not a readable"),
    "an endless record": (pax({"comment": "x"}).replace(b" comment", b"9comment"), "malformed"),
    "a record of nothing": (pax({"comment": "x"}).replace(b"13 c", b"00 c"), "malformed"),
    "a size in words": (pax({"size": "many"}), "a size of 'many'"),
    "a size without end": (pax({"size": "9" * 5000}), "a size of"),
    "a long name": (pax({"path": "models/" + "a/" * 4000}), "a name of 8007 bytes"),
    "a long link": (pax({"linkpath": "a" * 5000}), "a name of 5000 bytes"),
    "random": (zlib.compress(b"x" * 4096) * 200, "not a readable tar"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_headers_that_no_engine_takes_are_broken_in_words(name: str, tmp_path: Path) -> None:
    body, says = STRANGE[name]
    report = inspect(to_layout(image(tmp_path / "image", fixed(body))))
    assert (answers(report)["layers"], report.ok) == (False, False)
    assert "is damaged: not a readable tar" in details(report)["layers"]
    assert says in details(report)["layers"]


def fixed(body: bytes) -> bytes:
    """Return the block with its checksum made right again."""
    head = bytearray(body[:512])
    if head[257:262] == b"ustar":
        head[148:156] = b" " * 8
        head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + body[512:]


def test_extended_headers_are_read_as_tarfile_reads_them(tmp_path: Path) -> None:
    """Names over 100 bytes, unusual letters, large owners, sparse files: both formats."""
    for number, form in enumerate((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=form) as archive:
            for name in ("models/" + "long/" * 60 + "a", "models/\u00e9\u4e2d", "models/x"):
                entry = tarfile.TarInfo(name)
                entry.size, entry.uid = 700, 3_000_000
                archive.addfile(entry, io.BytesIO(bytes(700)))
            entry = tarfile.TarInfo("models/link")
            entry.type, entry.linkname = tarfile.SYMTYPE, "far/" * 50
            archive.addfile(entry)
        body = out.getvalue()
        report = inspect(to_layout(image(tmp_path / str(number), body)))
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            wanted = {(m.name, m.size, m.uid, m.linkname) for m in archive}
        assert {(e.path, e.size_bytes, e.owner[0], e.link) for e in report.models} == wanted


def test_a_large_base_costs_the_memory_of_what_counts(tmp_path: Path) -> None:
    """Files beside /models are passed over, not kept."""
    body = tar({f"usr/share/{n}": 0 for n in range(10_000)})
    folder = image(tmp_path / "image", body)
    target = to_layout(folder)
    inspect(target)
    tracemalloc.start()
    inspect(target)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


def test_without_the_package_a_zstd_layer_is_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step on an older runtime image has the new library and the old packages."""
    monkeypatch.setattr(unpack, "_zstd", lambda: None)
    report = inspect(to_layout(image(tmp_path / "image", SHELL, packed="zstd")))
    assert (answers(report)["tools"], report.ok) == (None, True)
    assert "backports.zstd, which is not installed" in details(report)["tools"]
