"""Files that are there whole or not at all, with unnamed files and without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from carferry.io.files import AtomicFile, replace

BODY = b"weights" * 1000
KILLED = """
import os, signal, sys
from pathlib import Path
from carferry.io.files import AtomicFile

file = AtomicFile(Path(sys.argv[1]))
file.write(b"half a blob")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(params=[True, False], ids=["unnamed", "hidden"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> AtomicFile:
    """One of either kind."""
    return AtomicFile(tmp_path, unnamed=request.param)


def test_a_file_gets_its_name_when_it_is_whole(file: AtomicFile, tmp_path: Path) -> None:
    place = tmp_path / "blob"
    place.write_bytes(b"what was there before")
    file.reserve(len(BODY))
    file.write(BODY)
    assert place.read_bytes() == b"what was there before"
    file.name(place)
    assert (place.read_bytes(), oct(place.stat().st_mode & 0o777)) == (BODY, "0o644")
    file.drop()
    assert [path.name for path in tmp_path.iterdir()] == ["blob"]


def test_a_dropped_file_leaves_nothing(file: AtomicFile, tmp_path: Path) -> None:
    file.write(BODY)
    file.drop()
    file.drop()
    assert list(tmp_path.iterdir()) == []


def test_writing_goes_on_at_the_offset(file: AtomicFile, tmp_path: Path) -> None:
    file.write(b"0123456789")
    file.seek(4)
    file.write(b"xyz")
    file.name(tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == b"0123xyz789"


def test_a_writer_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    try:
        os.close(os.open(tmp_path, os.O_TMPFILE | os.O_RDWR))
    except OSError as error:
        pytest.skip(f"this file system has no unnamed files: {error}")
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert done.returncode == -9
    assert list(tmp_path.iterdir()) == []


def test_a_refused_replacement_leaves_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OSError, match="directory"):
        replace(folder, b"a file cannot take a folder's place")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
