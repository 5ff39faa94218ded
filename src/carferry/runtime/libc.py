"""The version of a base image's C library, which decides which binary wheels run there.

Read from the base's own layers, since neither an image config nor a manifest says. Sources: PEP
600 (manylinux_x_y means glibc x.y or newer), PEP 656 (musllinux), glibc's csu/version.c for the
line that every build of it carries.
"""

from __future__ import annotations

import re

from carferry.errors import InputError
from carferry.oci.headers import Member

Version = tuple[int, int]
OLDEST: Version = (2, 28)
"""RHEL 8's: what is taken for a base whose layers cannot be searched; newer ones run it too."""

_MUSL = re.compile(r"(?:^|/)ld-musl-[^/]+\.so\.1$")
_GLIBC = re.compile(r"(?:^|/)libc(?:\.so\.6|-2\.\d+\.so)$")
_NAMED = re.compile(r"(?:^|/)libc-(\d+)\.(\d+)\.so$")
_BANNER = re.compile(rb"GNU C Library \([^)]*\) [a-z]+ release version (\d+)\.(\d+)")
_LIBC_CAP_BYTES = 16 * 1024 * 1024


def glibc_in(name: str, member: Member) -> Version | None:
    """Return the version of glibc that a base's file is, or None if it is another file.

    Args:
        name: The base, for the error.
        member: One of its files.

    Raises:
        InputError: The base has musl, for which large packages rarely have wheels.
    """
    if _MUSL.search(member.info.name):
        raise InputError(
            "use base", name, "it has musl instead of glibc (Alpine?)",
            "choose a base such as ubi9/python-312",
        )  # fmt: skip
    return _version(member) if _GLIBC.search(member.info.name) else None


def _version(member: Member) -> Version | None:
    """Return what a file's or a link's name says, or else the file's own banner."""
    found = _NAMED.search(member.info.name) or _NAMED.search(f"/{member.info.linkname}")
    if found:
        return int(found[1]), int(found[2])
    banner = _BANNER.search(_content(member)) if member.is_file else None
    return (int(banner[1]), int(banner[2])) if banner else None


def _content(member: Member) -> bytes:
    parts, left = list[bytes](), _LIBC_CAP_BYTES
    while left > 0 and (part := member.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
