"""A layout on a disk that fills up: said at once, nothing tagged, nothing left behind."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ferrying import ferry, from_hub, left_behind, to_layout
from servers.hub import Hub
from servers.models import filled

from carferry.errors import StorageFull, TargetError
from carferry.oci.documents import MANIFEST, Document
from carferry.refs import Digest

MIB = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB; skips if this process may not mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting a small tmpfs is not allowed here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def add(hub: Hub, *sizes: int) -> None:
    """Add a model of files of these sizes."""
    files = {f"model-{n}.safetensors": filled(s, n) for n, s in enumerate(sizes)}
    hub.add("org/tiny", files)


@pytest.mark.parametrize("sizes", [(5 * MIB,), (MIB, MIB, MIB, MIB, MIB)])
def test_a_model_that_does_not_fit_is_refused_and_leaves_no_tag_and_no_parts(
    hub: Hub, small_disk: Path, sizes: tuple[int, ...]
) -> None:
    add(hub, *sizes)
    with pytest.raises(StorageFull, match="no space left"):
        ferry(from_hub(hub), to_layout(small_disk / "out"), large_bytes=MIB, parallel=3)
    assert "v1" not in to_layout(small_disk / "out").tags()
    assert not [name for name in left_behind(small_disk / "out") if name.startswith(".")]


def test_the_room_is_reserved_before_the_bytes_come(small_disk: Path) -> None:
    target = to_layout(small_disk / "out")
    first = target.start_upload(3 * MIB)
    with pytest.raises(StorageFull):
        target.start_upload(2 * MIB)
    first.cancel()
    target.start_upload(2 * MIB).cancel()


def test_the_build_succeeds_once_there_is_room(hub: Hub, small_disk: Path) -> None:
    add(hub, MIB, MIB)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(3 * MIB))
    with pytest.raises(StorageFull):
        ferry(from_hub(hub), to_layout(small_disk / "out"), large_bytes=MIB)
    filler.unlink()
    result = ferry(from_hub(hub), to_layout(small_disk / "out"), large_bytes=MIB)
    assert to_layout(small_disk / "out").tags() == ["v1"]
    assert result.document == to_layout(small_disk / "out").get_manifest("v1")


def test_an_upload_that_could_not_be_committed_closes_its_file_only_once(tmp_path: Path) -> None:
    upload = to_layout(tmp_path / "out").start_upload(3)
    upload.send([b"abc"])
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(TargetError):
        upload.commit(Digest.of(b"abc"))
    with (tmp_path / "other").open("wb") as other:
        # The next file takes the number that was given back.
        upload.cancel()
        other.write(b"still open")
    assert (tmp_path / "other").read_bytes() == b"still open"


def test_a_manifest_that_cannot_be_written_leaves_no_part_behind(
    hub: Hub, small_disk: Path
) -> None:
    target = to_layout(small_disk / "out")
    target.check_push()
    (small_disk / "filler").write_bytes(bytes(4 * MIB - 3 * 4096))
    with pytest.raises(StorageFull):
        target.put_manifest(Document(MANIFEST, b" " * 3 * 4096), "v1")
    assert left_behind(small_disk / "out") == []
