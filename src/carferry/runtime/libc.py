"""Which C library a base image has: it decides which binary wheels run there.

Read from the base's own layers, bottom first, and only up to the library itself: neither an image
config nor a manifest says. Sources: PEP 600 (manylinux_x_y means glibc x.y or newer), PEP 656
(musllinux), glibc's csu/version.c for the line that every build of it carries.
"""

from __future__ import annotations

import io
import re
import tarfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import IO

from carferry.base import Base
from carferry.blobs import BlobReader
from carferry.errors import InputError, TargetError
from carferry.oci import LAYER, Descriptor
from carferry.target import Target

Version = tuple[int, int]
OLDEST: Version = (2, 28)
"""RHEL 8's: what is taken for a base whose layers cannot be searched; newer ones run it too."""

_MUSL = re.compile(r"(?:^|/)ld-musl-[^/]+\.so\.1$")
_GLIBC = re.compile(r"(?:^|/)libc(?:\.so\.6|-2\.\d+\.so)$")
_NAMED = re.compile(r"(?:^|/)libc-(\d+)\.(\d+)\.so$")
_BANNER = re.compile(rb"GNU C Library \([^)]*\) [a-z]+ release version (\d+)\.(\d+)")
_MODES = {LAYER: "r|", f"{LAYER}+gzip": "r|gz"}
_BUFFER = 1024 * 1024
_LIBC_CAP_BYTES = 16 * 1024 * 1024


def glibc_of(base: Base) -> Version:
    """Return the version of a base's glibc; OLDEST where no readable layer holds one.

    Raises:
        InputError: The base has musl, for which packages as large as these rarely have wheels.
        TargetError: A layer is not a readable tar.
    """
    for layer in base.layers:
        if base.home is not None and layer.media_type in _MODES:
            for member, tar in _members(base.home, layer):
                if _MUSL.search(member.name):
                    raise InputError(
                        "use base", base.name, "it has musl instead of glibc (Alpine?)",
                        "choose a base such as ubi9/python-312",
                    )  # fmt: skip
                if version := _version(member, tar):
                    return version
    return OLDEST


def _members(home: Target, layer: Descriptor) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarFile]]:
    """Walk a layer; whoever stops early has read no more than that."""
    with closing(_chunks(home, layer)) as chunks:
        raw: IO[bytes] = io.BufferedReader(BlobReader(chunks), _BUFFER)
        mode = _MODES[layer.media_type]
        try:
            with tarfile.open(fileobj=raw, mode=mode) as tar:  # type: ignore[call-overload]
                for member in tar:
                    yield member, tar
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise TargetError("read layer", layer.digest, f"not a readable tar: {error}") from error


def _chunks(home: Target, layer: Descriptor) -> Generator[bytes]:
    yield from home.open_blob(layer.digest)


def _version(member: tarfile.TarInfo, tar: tarfile.TarFile) -> Version | None:
    """Return what a file's or a link's name says, or else the file's own banner."""
    if not _GLIBC.search(member.name):
        return None
    found = _NAMED.search(member.name) or _NAMED.search(f"/{member.linkname}")
    if found:
        return int(found[1]), int(found[2])
    content = tar.extractfile(member) if member.isreg() else None
    banner = _BANNER.search(content.read(_LIBC_CAP_BYTES)) if content else None
    return (int(banner[1]), int(banner[2])) if banner else None
