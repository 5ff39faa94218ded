"""Programs the tests start: found, or named with the package that brings them."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

PACKAGES = {
    "buildah": "buildah",
    "chromium": "chromium",
    "curl": "curl",
    "docker-registry": "docker-registry",
    "git": "git",
    "ip": "iproute2",
    "iptables": "iptables",
    "jq": "jq",
    "newgidmap": "uidmap",
    "newuidmap": "uidmap",
    "podman": "podman",
    "runc": "runc",
    "skopeo": "skopeo",
}


def find(program: str) -> str:
    """Return the path of a program that is there, for `need` has asked for it.

    Raises:
        FileNotFoundError: It is not.
    """
    path = _path(program)
    if path is None:
        raise FileNotFoundError(f"{program} is missing: apt-get install {PACKAGES[program]}")
    return path


def need(program: str, package: str = "") -> str:
    """Return the program's path; without it skip the test, or fail it if CI is set.

    Args:
        program: Name on PATH.
        package: The Debian package that brings it; looked up in `PACKAGES` by default.
    """
    path = _path(program)
    if path is None:
        lacking(f"{program} is missing: apt-get install {package or PACKAGES[program]}")
    return path


def lacking(missing: str) -> NoReturn:
    """Skip the test and say what this machine lacks; if CI is set, fail it."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(missing)
    pytest.skip(missing)


def _path(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
