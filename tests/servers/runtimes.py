"""The runtime image's wheels: from the package index once, and from a folder after that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from carferry.errors import Unreachable
from carferry.image import base as bases
from carferry.oci.documents import Platform
from carferry.registry.access import Access
from carferry.runtime.interpreter import interpreter_of
from carferry.runtime.pins import pins
from carferry.runtime.wheels import download


def fetch_wheels(base: str, folder: Path) -> Path:
    """Download every wheel for that base, from wherever this machine's pip takes them."""
    (found,) = bases.open_bases(base, (Platform(),), Access(env={}).open)
    with needing_an_index():
        download(interpreter_of(found), pins(), folder)
    return folder


@contextmanager
def needing_an_index() -> Iterator[None]:
    """Without a package index skip the test, or fail it if CI is set."""
    try:
        yield
    except Unreachable as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))


def from_folder(wheels: Path, patch: pytest.MonkeyPatch) -> None:
    """Point pip at the folder, the way a private index is named: by its environment."""
    patch.setenv("PIP_NO_INDEX", "1")
    patch.setenv("PIP_FIND_LINKS", str(wheels))
