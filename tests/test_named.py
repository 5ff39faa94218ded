"""A file that the user named is replaced; a link, a device and a pipe are written through."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from carferry.errors import CarferryError, InputError, StorageFull
from carferry.io.named import save

BODY = b"<!doctype html>" * 5000
FULL = os.makedev(1, 7)
NULL = os.makedev(1, 3)
SAVED = """
import sys
from pathlib import Path
from carferry.io.named import save

print("before")
save(Path(sys.argv[1]), b"the page\\n")
print("after")
"""


def device(path: Path, number: int) -> Path:
    """Make a device of our own: nothing in /dev is at risk."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, number)
    except PermissionError:
        pytest.skip("only root makes devices")
    try:
        path.open("wb").close()
    except PermissionError:
        pytest.skip("this file system has no devices")
    return path


def test_a_new_file_has_the_mode_that_the_user_asked_for(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        save(tmp_path / "page", BODY)
    finally:
        os.umask(before)
    assert (tmp_path / "page").read_bytes() == BODY
    assert oct((tmp_path / "page").stat().st_mode & 0o777) == "0o640"


def test_a_file_is_replaced_and_keeps_mode_and_owner(tmp_path: Path) -> None:
    page = tmp_path / "page"
    page.write_bytes(b"old")
    page.chmod(0o604)
    if os.geteuid() == 0:
        os.chown(page, 1234, 4321)
    before = page.stat()
    with page.open("rb") as reader:
        save(page, BODY)
        assert reader.read() == b"old"
    after = page.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert page.read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ["page"]


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_what_it_leads_to_is_written(
    tmp_path: Path, depth: int, there: bool
) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").mkdir()
    target = tmp_path / "far" / "page"
    if there:
        target.write_bytes(b"old")
    name = Path("../far/page")
    for number in range(depth):
        link = tmp_path / "near" / str(number)
        link.symlink_to(name)
        name = Path(link.name)
    save(link, BODY)
    assert (link.is_symlink(), target.is_symlink(), target.read_bytes()) == (True, False, BODY)


def test_a_file_of_two_names_is_one_file_afterwards(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(BODY + b"longer")
    os.link(tmp_path / "one", tmp_path / "two")
    save(tmp_path / "one", BODY)
    assert (tmp_path / "two").read_bytes() == BODY
    assert (tmp_path / "one").samefile(tmp_path / "two")


def test_a_device_that_takes_everything_is_still_one(tmp_path: Path) -> None:
    null = device(tmp_path / "null", NULL)
    save(null, BODY)
    assert stat.S_ISCHR(null.lstat().st_mode)
    assert null.stat().st_rdev == NULL


@pytest.mark.parametrize("through", ["itself", "link"])
def test_a_full_device_is_one_line_and_still_there(tmp_path: Path, through: str) -> None:
    full = device(tmp_path / "full", FULL)
    named = full
    if through == "link":
        named = tmp_path / "link"
        named.symlink_to("full")
    with pytest.raises(StorageFull, match="no space left on the device"):
        save(named, BODY, action="write --html")
    assert stat.S_ISCHR(full.lstat().st_mode)
    assert full.stat().st_rdev == FULL


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    save(pipe, BODY)
    reader.join(timeout=10)
    assert read == [BODY]
    assert stat.S_ISFIFO(pipe.lstat().st_mode)


def test_a_pipe_that_nobody_reads_is_a_line_in_time(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="nobody has opened this pipe for reading in 0 s"):
        save(tmp_path / "pipe", BODY, reader_s=0.2)


def test_a_pipe_whose_reader_leaves_is_a_line(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    leaving = threading.Timer(0.3, os.close, [reader])
    leaving.start()
    with pytest.raises(CarferryError, match="its reader went away"):
        save(pipe, bytes(1 << 20))


def a_folder(path: Path) -> None:
    path.mkdir()


def a_disk(path: Path) -> None:
    os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(7, 200))


def a_loop(path: Path) -> None:
    path.symlink_to(path.name)


def a_file_without_rights(path: Path) -> None:
    path.mkdir()
    path.rmdir()
    path.with_name("no").mkdir()
    path.symlink_to("no/folder/page")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (a_folder, "a folder; name a file, or - for stdout"),
        (a_disk, "a disk; name a file, or - for stdout"),
        (a_loop, "symbolic links"),
        (a_file_without_rights, "No such file or directory; check the path"),
    ],
)
def test_what_is_no_file_is_refused_in_a_line(
    tmp_path: Path, make: Callable[[Path], None], reason: str
) -> None:
    try:
        make(tmp_path / "place")
    except PermissionError:
        pytest.skip("only root makes devices")
    before = (tmp_path / "place").lstat()
    with pytest.raises(InputError, match=re.escape(reason)):
        save(tmp_path / "place", BODY)
    after = (tmp_path / "place").lstat()
    assert (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
def test_a_descriptor_by_name_is_where_the_shell_put_it(tmp_path: Path, name: str) -> None:
    if name == "link":  # as images of servers have for their logs
        (tmp_path / "link").symlink_to("/dev/stdout")
        name = str(tmp_path / "link")
    with (tmp_path / "out").open("wb") as out:
        command = [sys.executable, "-c", SAVED, name]
        subprocess.run(command, stdout=out, check=True)
    assert (tmp_path / "out").read_text() == "before\nthe page\nafter\n"


def test_a_failure_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    page = tmp_path / "page"
    page.write_bytes(b"old")
    script = (
        "import resource, sys, signal\n"
        "from pathlib import Path\n"
        "from carferry.io.named import save\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "save(Path(sys.argv[1]), bytes(100_000))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(page)], capture_output=True, text=True, check=False
    )
    assert "StorageFull" in done.stderr
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("page", b"old")]
