"""What a base image has: which Python, which C library, and so which wheels."""

from __future__ import annotations

import gzip
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ferrying import access, carferry
from servers.images import tar_of, write_layout

from carferry.errors import (
    InputError,
    TargetError,
)
from carferry.image import base as bases
from carferry.image.base import Base
from carferry.oci.documents import LAYER, Descriptor, Platform
from carferry.refs import Digest
from carferry.runtime.interpreter import Interpreter, interpreter_of, python_of
from carferry.runtime.libc import OLDEST


def a_base(*env: str, **config: Any) -> Base:
    return Base("a/base", Digest("0" * 64), Platform(), (), {"config": {"Env": list(env)} | config})


if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


@pytest.mark.parametrize(
    ("env", "asked", "found"),
    [
        (("PYTHON_VERSION=3.12",), "", (3, 12)),
        (("PATH=/bin", "PYTHON_VERSION=3.13.1"), "", (3, 13)),
        (("PYTHON_VERSION=3.14.0a2",), "", (3, 14)),
        ((), "3.11", (3, 11)),
        (("PYTHON_VERSION=3.12.7",), "3.12", (3, 12)),
    ],
)
def test_the_python_of_a_base_is_what_it_says_or_what_is_asked(
    env: tuple[str, ...], asked: str, found: tuple[int, int]
) -> None:
    assert python_of(a_base(*env), asked) == found


@pytest.mark.parametrize(
    ("env", "asked", "says"),
    [
        ((), "", "its Env names no PYTHON_VERSION; give --python 3.12"),
        (("PYTHON_VERSION=3.12.7",), "3.11", "a/base has Python 3.12.7"),
        (("PYTHON_VERSION=3.9.20",), "", "carferry needs 3.11 or later"),
        ((), "3.9", "carferry needs 3.11 or later"),
        ((), "312", "parse Python version '312': not major.minor; write 3.12"),
        ((), "3.12 --evil", "parse Python version"),
        (("PYTHON_VERSION=",), "", "names no PYTHON_VERSION"),
        (("PYTHON_VERSION=2.7",), "", "parse Python version"),
    ],
)
def test_a_python_that_cannot_be_is_refused(env: tuple[str, ...], asked: str, says: str) -> None:
    with pytest.raises(InputError, match=re.escape(says)):
        python_of(a_base(*env), asked)


def test_wheels_are_taken_up_to_the_bases_glibc_best_first() -> None:
    tags = list(Interpreter((3, 12), Platform(), (2, 34)).tags())
    assert tags[:2] == ["manylinux_2_34_x86_64", "manylinux_2_33_x86_64"]
    assert tags[-2:] == ["manylinux_2_5_x86_64", "manylinux1_x86_64"]
    assert tags.index("manylinux2014_x86_64") == tags.index("manylinux_2_17_x86_64") + 1
    arm = list(Interpreter((3, 12), Platform("arm64"), (2, 28)).tags())
    assert (arm[0], arm[-1]) == ("manylinux_2_28_aarch64", "manylinux2014_aarch64")


@pytest.mark.parametrize("platform", ["linux/riscv64", "windows/amd64", "linux/arm"])
def test_a_platform_without_wheels_is_refused(platform: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"use --platform {platform}: choose of linux/")):
        list(Interpreter((3, 12), Platform.parse(platform)).tags())


BANNER = b"\x7fELF...GNU C Library (%b) stable release version %b.\nCopyright..."
FAMILIES: dict[str, tuple[dict[str, bytes | str], tuple[int, int]]] = {
    "ubi9": ({"usr/lib64/libc.so.6": BANNER % (b"GNU libc", b"2.34")}, (2, 34)),
    "ubi8": ({"usr/lib64/libc-2.28.so": b"", "usr/lib64/libc.so.6": "libc-2.28.so"}, (2, 28)),
    "debian12": (
        {"./usr/lib/x86_64-linux-gnu/libc.so.6": BANNER % (b"Debian GLIBC 2.36-9", b"2.36")},
        (2, 36),
    ),
    "debian11": ({"lib/x86_64-linux-gnu/libc.so.6": "libc-2.31.so"}, (2, 31)),
    "unknown": ({"usr/bin/python3": b"static", "usr/lib/libc.so": b"a linker script"}, OLDEST),
}


@pytest.mark.parametrize("packing", ["plain", "gzip", "zstd"])
@pytest.mark.parametrize("family", FAMILIES)
def test_glibc_is_read_from_the_bases_layers(tmp_path: Path, family: str, packing: str) -> None:
    files, version = FAMILIES[family]
    assert glibc_of(stored(tmp_path, tar_of({"etc/motd": b"hello"}), tar_of(files))) == version
    if packing != "plain":
        packed = {"gzip": gzip.compress, "zstd": zstd.compress}[packing](tar_of(files))
        assert glibc_of(stored(tmp_path / "z", packed, zipped=1)) == version


def test_glibc_of_this_machine_is_what_this_machine_says(tmp_path: Path) -> None:
    maps = Path("/proc/self/maps").read_text()
    if not (found := re.search(r"(/\S+/libc\.so\.6)$", maps, re.MULTILINE)):
        pytest.skip("this machine has no libc.so.6")
    layer = tar_of({"lib64/libc.so.6": Path(found[1]).read_bytes()})
    assert "glibc {}.{}".format(*glibc_of(stored(tmp_path, layer))) == os.confstr(
        "CS_GNU_LIBC_VERSION"
    )


def test_a_base_with_musl_is_refused_in_one_line(tmp_path: Path) -> None:
    alpine = stored(tmp_path, tar_of({"lib/ld-musl-x86_64.so.1": b"\x7fELF"}))
    with pytest.raises(InputError, match="has musl instead of glibc"):
        glibc_of(alpine)


def test_a_broken_base_layer_is_named(tmp_path: Path) -> None:
    broken = gzip.compress(tar_of({"lib/x": b"x" * 100_000}))[:-40]
    with pytest.raises(
        TargetError, match=f"read base oci:{tmp_path}:latest: layer sha256:.* is not a readable tar"
    ):
        glibc_of(stored(tmp_path, broken, zipped=1))


PYTHONS: dict[str, tuple[list[dict[str, bytes | str]], bool]] = {
    "none": ([{"bin/sh": b""}], False),
    "no layer": ([], False),
    "another": ([{"usr/bin/python3.9": b"", "usr/bin/python3": "python3.9"}], False),
    "its digits in a longer version": ([{"bin/python3.1": b"", "bin/python3.120": b""}], False),
    "beside a bin folder": ([{"lib/python3.12": b"", "sbin/python3.12-config": b""}], False),
    "named": ([{"./usr/local/bin/python3.12": b""}], True),
    "in another place": ([{"opt/conda/bin/python3.12": b""}], True),
    "linked": ([{"usr/bin/python3": "/opt/python/bin/python3.12"}], True),
    "unversioned": ([{"usr/bin/python3": "/etc/alternatives/python3"}], True),
    "above the C library": ([{"lib64/libc-2.28.so": b""}, {"usr/bin/python3.12": b""}], True),
    "under the C library": ([{"usr/bin/python3.12": b""}, {"lib64/libc-2.28.so": b""}], True),
}


@pytest.mark.parametrize("name", PYTHONS)
def test_a_base_must_have_the_python_that_the_caller_says(name: str, tmp_path: Path) -> None:
    layers, suits = PYTHONS[name]
    base = stored(tmp_path / "base", *map(tar_of, layers), env=())
    if suits:
        assert interpreter_of(base, "3.12") == Interpreter((3, 12), Platform(), OLDEST)
        return
    says = f"use base {base.name}: no layer of it holds bin/python3.12; choose another --base"
    with pytest.raises(InputError, match=re.escape(says)):
        interpreter_of(base, "3.12")


def test_of_a_base_that_cannot_be_searched_the_stated_python_counts(tmp_path: Path) -> None:
    found = stored(tmp_path, tar_of({"bin/sh": b""}), env=())
    (layer,) = found.layers
    packed = replace(layer, media_type=f"{LAYER}+squashfs")
    assert interpreter_of(replace(found, layers=(packed,)), "3.12").version == (3, 12)


def glibc_of(base: Base) -> tuple[int, int]:
    return interpreter_of(base).glibc


def stored(
    folder: Path, *layers: bytes, zipped: int = 0, env: tuple[str, ...] = ("PYTHON_VERSION=3.12",)
) -> Base:
    """Write a base and open it; the first layers are compressed already."""
    write_layout(folder, layers, settings={"Env": list(env)})
    (base,) = bases.open_bases(f"oci:{folder}:latest", (Platform(),), access().open)
    packed = [
        Descriptor(f"{LAYER}+gzip" if n < zipped else LAYER, d.digest, d.size_bytes)
        for n, d in enumerate(base.layers)
    ]
    return Base(base.name, base.digest, base.platform, tuple(packed), base.config, base.home)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["docker://quay.io/me/x@sha256:" + "0" * 64], 2, "a digest cannot be chosen"),
        (["quay/x:1"], 2, "no scheme"),
        (["oci:x:1", "--base", "scratch"], 2, "use --base scratch: it has no Python"),
        (["oci:x:1", "--base", "embedded"], 2, "use --base embedded: it has no Python"),
        (["oci:x:1", "--platform", ""], 2, "use --platform '': name each platform once"),
        (["oci:x:1", "--platform", "linux/amd64,linux/amd64"], 2, "name each platform once"),
        (["oci:x:1", "--platform", "amd64"], 2, "not system/architecture"),
        (["oci:x:1", "--ca", "/nowhere.pem"], 2, "no such file"),
        (["oci:x:1", "--base", "oci:/nowhere:1"], 1, "no folder /nowhere; check --base"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_asked(
    arguments: list[str], code: int, says: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    base = [] if "--base" in arguments else ["--base", "oci:/nowhere:1"]
    done = carferry(capsys, "runtime", *arguments, *base)
    (line,) = done.err.splitlines()
    assert (done.code, done.out, list(tmp_path.iterdir())) == (code, "", [])
    assert says in line
