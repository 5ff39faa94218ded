"""The Python that will run in the image, and the wheels it takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from carferry.errors import InputError
from carferry.image.base import Base
from carferry.oci.documents import Platform
from carferry.oci.headers import Member
from carferry.runtime.libc import OLDEST, Version, glibc_in
from carferry.runtime.search import is_readable, search

OLDEST_PYTHON: Version = (3, 11)
_VARIABLE = "PYTHON_VERSION"
_VERSION = re.compile(r"(3)\.(\d{1,2})(?:\.\w+)?")
_PROGRAM = re.compile(r"(?:^|/)bin/python3(?:\.(\d{1,2}))?$")
_LINKED = re.compile(r"(?:^|/)python3\.(\d{1,2})$")
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "ppc64le": "ppc64le", "s390x": "s390x"}
# PEP 600: the older names of three profiles; indexes still offer wheels under them.
_ALIASES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_FIRST = {"x86_64": 5}


@dataclass(frozen=True, slots=True)
class Interpreter:
    """One Python on one platform.

    Attributes:
        version: As in (3, 12).
        platform: What the image runs on.
        glibc: The newest a wheel may need.
    """

    version: Version
    platform: Platform
    glibc: Version = OLDEST

    @property
    def short(self) -> str:
        """``3.12``."""
        return ".".join(map(str, self.version))

    @property
    def abi(self) -> str:
        """``cp312``: named, since pip would ask the Python that it runs on."""
        return "cp{}{}".format(*self.version)

    @property
    def machine(self) -> str:
        """Architecture as wheels name it.

        Raises:
            InputError: No wheels are made for it.
        """
        if self.platform.os != "linux" or self.platform.architecture not in _MACHINES:
            known = ", ".join(f"linux/{name}" for name in _MACHINES)
            raise InputError("use --platform", self.platform, f"choose of {known}")
        return _MACHINES[self.platform.architecture]

    def tags(self) -> Iterator[str]:
        """Yield platform tags, best first: every manylinux up to the base's glibc."""
        for minor in range(self.glibc[1], _FIRST.get(self.machine, 17) - 1, -1):
            yield f"manylinux_2_{minor}_{self.machine}"
            if minor in _ALIASES:
                yield f"{_ALIASES[minor]}_{self.machine}"

    def __str__(self) -> str:
        """Return what a person calls it."""
        return f"Python {self.short} on {self.platform}"


def interpreter_of(base: Base, python: str = "") -> Interpreter:
    """Return what will run on a base; reads its layers up to the C library.

    A base that does not name its Python is read up to its ``bin/python3`` as well.

    Args:
        base: One platform of it.
        python: Version of its Python, as in ``3.12``; empty: the base must say.

    Raises:
        InputError: The base has no Python that suits, or no glibc.
        TargetError: A layer is not a readable tar.
    """
    version = python_of(base, python)
    program = _is_any if base.env.get(_VARIABLE) else partial(_is_program, version)
    glibc, found = search(base, partial(glibc_in, base.name), program)
    if not found and is_readable(base):
        short = ".".join(map(str, version))
        raise InputError(
            "use base", base.name, f"no layer of it holds bin/python{short}",
            "choose another --base, or the --python that it has",
        )  # fmt: skip
    return Interpreter(version, base.platform, glibc or OLDEST)


def python_of(base: Base, python: str = "") -> Version:
    """Return which Python a base has: its ``PYTHON_VERSION``, or what the caller says.

    Args:
        base: One platform of it.
        python: As in ``3.12``; empty: the base must say.

    Raises:
        InputError: Neither says, they disagree, or it is too old for carferry.
    """
    stated = base.env.get(_VARIABLE, "")
    found = {_parse(text) for text in (python, stated) if text}
    if not found:
        raise InputError(
            "read base", base.name, "its Env names no PYTHON_VERSION", "give --python 3.12"
        )
    if len(found) > 1:
        raise InputError("use --python", python, f"{base.name} has Python {stated}", "leave it out")
    (version,) = found
    if version < OLDEST_PYTHON:
        least = ".".join(map(str, OLDEST_PYTHON))
        raise InputError(
            "use base", base.name, f"Python {stated or python}; carferry needs {least} or later",
            "choose another --base",
        )  # fmt: skip
    return version


def _is_any(_member: Member) -> bool:
    """Return True for any file: a base that names its Python is not searched for it."""
    return True


def _is_program(version: Version, member: Member) -> bool | None:
    """Return whether a file may be that Python; a ``python3`` that does not say which, may."""
    found = _PROGRAM.search(member.info.name)
    if found is None or member.info.isdir():
        return None
    named = found if found[1] else _LINKED.search(member.info.linkname)
    return named is None or int(named[1]) == version[1] or None


def _parse(text: str) -> Version:
    if not (found := _VERSION.fullmatch(text)):
        raise InputError("parse Python version", f"{text!a}", "not major.minor", "write 3.12")
    return int(found[1]), int(found[2])
