"""What wheels become, and what pip says when there are none."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from servers.chaos import Answer, Rule
from servers.proxy import Proxy

from carferry.errors import (
    SourceError,
    ToolFailed,
    Unreachable,
    UnsafePath,
)
from carferry.oci.documents import Platform
from carferry.runtime.interpreter import Interpreter
from carferry.runtime.site import site_packages
from carferry.runtime.wheels import download

HERE = Interpreter((3, 12), Platform(), (2, 34))


def wheel(folder: Path, name: str, files: Mapping[str, bytes]) -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, data in files.items():
            archive.writestr(file, data)
    return path


def test_a_wheel_is_laid_out_as_an_installer_would(tmp_path: Path) -> None:
    made = wheel(
        tmp_path,
        "x",
        {
            "x/__init__.py": b"1",
            "x/__pycache__/__init__.cpython-312.pyc": b"2",
            "x-1.0.data/purelib/pure.py": b"3",
            "x-1.0.data/platlib/x/fast.so": b"4",
            "x-1.0.data/scripts/x": b"5",
            "x-1.0.data/data/share/man/x.1": b"6",
            "x-1.0.data/headers/x.h": b"7",
            "x-1.0.dist-info/METADATA": b"8",
            "x-1.0.dist-info/RECORD": b"9",
        },
    )
    assert site_packages([made]) == {
        "x/__init__.py": b"1",
        "pure.py": b"3",
        "x/fast.so": b"4",
        "x-1.0.dist-info/METADATA": b"8",
        "x-1.0.dist-info/RECORD": b"9",
    }


@pytest.mark.parametrize(
    "path",
    [
        "../up.py", "x/../../up.py", "/etc/passwd", "x/.wh.y", ".wh..wh..opq", "x//y", "x/./y",
        "x\\y.py", "x/new\nline", "x/\u202egnp.py", "x/" + 256 * "y", "x-1.0.data/purelib/../../up",
        "x-1.0.data/platlib//etc/passwd",
    ],
)  # fmt: skip
def test_a_wheel_with_an_unsafe_path_is_named(tmp_path: Path, path: str) -> None:
    with pytest.raises(UnsafePath, match=r"unpack x-1\.0-py3-none-any\.whl: ") as caught:
        site_packages([wheel(tmp_path, "x", {path: b""})])
    assert "do not use this package index" in str(caught.value)


@pytest.mark.parametrize(
    ("first", "second"), [("x/y.py", "X/y.py"), ("x/y", "x/y/z.py"), ("x/y/z.py", "x/y")]
)
def test_paths_that_meet_when_unpacked_are_refused(tmp_path: Path, first: str, second: str) -> None:
    with pytest.raises(UnsafePath, match="unpack wheels: "):
        site_packages([wheel(tmp_path, "a", {first: b""}), wheel(tmp_path, "b", {second: b""})])


def test_two_wheels_may_share_a_file_but_not_disagree_about_it(tmp_path: Path) -> None:
    one = wheel(tmp_path, "one", {"shared/__init__.py": b"", "one.py": b"1"})
    two = wheel(tmp_path, "two", {"shared/__init__.py": b"", "two.py": b"2"})
    assert sorted(site_packages([one, two])) == ["one.py", "shared/__init__.py", "two.py"]
    other = wheel(tmp_path, "other", {"shared/__init__.py": b"code"})
    with pytest.raises(UnsafePath, match=r"one-.* and other-.*different 'shared/__init__\.py'"):
        site_packages([one, two, other])


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04cut"])
def test_what_is_not_a_wheel_is_named(tmp_path: Path, content: bytes) -> None:
    broken = tmp_path / "x-1.0-py3-none-any.whl"
    broken.write_bytes(content)
    with pytest.raises(SourceError, match=r"unpack x-1\.0-py3-none-any\.whl: not a wheel"):
        site_packages([broken])


def test_a_wheel_with_a_wrong_byte_is_named(tmp_path: Path) -> None:
    good = wheel(tmp_path, "x", {"x.py": b"the right bytes"})
    good.write_bytes(good.read_bytes().replace(b"the right", b"the wrong"))
    with pytest.raises(SourceError, match="Bad CRC"):
        site_packages([good])


@pytest.fixture
def pip_of_ours(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Pip with no configuration of this machine."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    return monkeypatch


@pytest.mark.parametrize(
    ("offered", "says"),
    [
        ("thing-1.0.tar.gz", "glibc 2.34, only sources; nothing is built here"),
        ("thing-2.0-py3-none-any.whl", "glibc 2.34; nothing"),
        ("thing-1.0-cp312-cp312-musllinux_1_2_x86_64.whl", "glibc 2.34; nothing"),
        ("thing-1.0-cp312-cp312-manylinux_2_35_x86_64.whl", "glibc 2.34; nothing"),
        ("thing-1.0-cp312-cp312-manylinux_2_17_aarch64.whl", "glibc 2.34; nothing"),
        ("thing-1.0-cp313-cp313-manylinux_2_17_x86_64.whl", "glibc 2.34; nothing"),
        ("thing-1.0-cp312-cp312-macosx_11_0_arm64.whl", "glibc 2.34; nothing"),
    ],
)
def test_a_package_without_a_wheel_for_the_base_is_named(
    tmp_path: Path, pip_of_ours: pytest.MonkeyPatch, offered: str, says: str
) -> None:
    pip_of_ours.setenv("PIP_NO_INDEX", "1")
    pip_of_ours.setenv("PIP_FIND_LINKS", str(tmp_path))
    pip_of_ours.setenv("PIP_QUIET", "3")
    (tmp_path / offered).write_bytes(b"")
    with pytest.raises(ToolFailed) as caught:
        download(HERE, ["thing==1.0"], new(tmp_path))
    line = "download wheels thing==1.0: the package index has no wheel of it for Python 3.12 on "
    assert str(caught.value).startswith(f"{line}linux/amd64 with {says}")
    assert str(tmp_path) not in str(caught.value)


def test_an_unreachable_index_is_named_without_its_address(
    tmp_path: Path, pip_of_ours: pytest.MonkeyPatch
) -> None:
    pip_of_ours.setenv("PIP_INDEX_URL", "http://robot:hunter2@127.0.0.1:1/private/simple")
    with pytest.raises(Unreachable) as caught:
        download(HERE, ["thing==1.0"], new(tmp_path))
    assert str(caught.value) == (
        "download wheels thing==1.0: the package index does not answer; check the network, the "
        "proxy and pip's configuration: pip config list"
    )


@pytest.mark.parametrize("status", [401, 403])
def test_an_index_that_refuses_the_login_is_said_so_without_it(
    tmp_path: Path, pip_of_ours: pytest.MonkeyPatch, status: int
) -> None:
    refusal = Answer(status, {}, b"no")
    with Proxy("http://127.0.0.1:1", [Rule(refusal, method="GET", path=".*", times=None)]) as index:
        login = index.endpoint.replace("://", "://robot:hunter2@")
        pip_of_ours.setenv("PIP_INDEX_URL", f"{login}/simple")
        with pytest.raises(ToolFailed) as caught:
            download(HERE, ["thing==1.0"], new(tmp_path))
    assert f"the package index refused the login ({status})" in str(caught.value)
    assert not {"hunter2", "robot", index.host} & {*re.split(r"[\s/@]", str(caught.value))}


def test_a_python_without_pip_is_said_so(tmp_path: Path) -> None:
    def no_pip(arguments: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "-S", "-m", "pip", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    with pytest.raises(ToolFailed, match="this Python has no pip; python -m ensurepip"):
        download(HERE, ["thing==1.0"], new(tmp_path), pip=no_pip)


def test_pips_other_words_come_without_addresses(
    tmp_path: Path, pip_of_ours: pytest.MonkeyPatch
) -> None:
    pip_of_ours.setenv("PIP_CONSTRAINT", "http://robot:hunter2@127.0.0.1:1/secret/pins.txt")
    with pytest.raises((ToolFailed, Unreachable)) as caught:
        download(HERE, ["thing==1.0"], new(tmp_path))
    assert not re.search("hunter2|robot|127|secret", str(caught.value))


def test_only_the_named_version_is_taken_and_nothing_it_requires(
    tmp_path: Path, pip_of_ours: pytest.MonkeyPatch
) -> None:
    pip_of_ours.setenv("PIP_NO_INDEX", "1")
    pip_of_ours.setenv("PIP_FIND_LINKS", str(tmp_path))
    metadata = b"Metadata-Version: 2.1\nName: thing\nVersion: 1.0\nRequires-Dist: missing\n"
    info = {"WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    info |= {"METADATA": metadata, "RECORD": b""}
    wheel(tmp_path, "thing", {f"thing-1.0.dist-info/{name}": data for name, data in info.items()})
    found = download(HERE, ["thing==1.0"], new(tmp_path))
    assert [path.name for path in found] == ["thing-1.0-py3-none-any.whl"]


def new(folder: Path) -> Path:
    (folder / "new").mkdir()
    return folder / "new"
