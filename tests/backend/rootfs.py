"""The files of a container image: this machine's programs and Python, and chosen packages.

No registry that tests can reach serves ubi9/python-312, so its stand-in is laid out like it (an
environment in /opt/app-root). Packages are links to those of the environment that runs the
tests. A step that installs packages at its start finds exactly those that it names and what they
need: pip has nothing to do, or fails, since no index is within its reach.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

from backend.servers import ROOT

HOME, OURS = "/opt/app-root", "carferry"
ENV: Mapping[str, str] = {
    "PATH": f"{HOME}/bin:/usr/bin:/bin:/usr/sbin:/sbin",
    "HOME": f"{HOME}/src",
    "PIP_NO_INDEX": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
_SYSTEM = ("bin", "sbin", "lib", "lib64")
_EMPTY = ("dev", "etc", "proc", "run", "sys", "tmp", "usr", "var")


@dataclass(frozen=True, slots=True)
class Rootfs:
    """An image's files, all read-only in the container.

    Attributes:
        source: What podman runs: ``--rootfs FOLDER``, mount points are made in it, or an image.
        binds: Folders of this machine to their paths in the container.
        env: What the image sets.
    """

    source: tuple[str, ...]
    binds: Mapping[str, str]
    env: Mapping[str, str]


def carried(folder: Path, requirements: Iterable[str]) -> Rootfs:
    """Make a Python image with what a step installs at its start, and nothing more.

    Args:
        folder: The image's root; must not exist.
        requirements: What the step names; kfp comes along without what it requires.
    """
    site = Site.make(folder)
    for text in requirements:
        site.add(Requirement(text))
    site.add(Requirement("kfp"), deep=False)
    return site.rootfs()


def linked(folder: Path) -> Rootfs:
    """Make a runtime image: carferry with all that it requires, as its wheel installs it."""
    site = Site.make(folder)
    site.add(Requirement(f"{OURS}[embedded]"))
    shutil.copytree(ROOT / "src" / "carferry", site.packages / OURS)  # follows its links
    return site.rootfs()


@dataclass(frozen=True, slots=True)
class Site:
    """An environment of links under an image's root.

    Attributes:
        folder: The image's root.
        packages: Its site-packages.
    """

    folder: Path
    packages: Path

    @classmethod
    def make(cls, folder: Path) -> Site:
        """Make a root with this Python, pip, and no other package."""
        for name in _EMPTY:
            (folder / name).mkdir(parents=True)
        for name in _SYSTEM:
            target = Path("/", name)
            if target.is_symlink():
                (folder / name).symlink_to(target.readlink())
        home = folder / HOME.strip("/")
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        packages = home / "lib" / version / "site-packages"
        packages.mkdir(parents=True)
        (home / "src").mkdir()
        _environment(home, version)
        site = cls(folder, packages)
        site.add(Requirement("pip"))
        return site

    def add(self, wanted: Requirement, *, deep: bool = True) -> None:
        """Link a package and, if ``deep``, what it needs."""
        found = distribution(wanted.name)
        mark = self.packages / f".{wanted.name}{sorted(wanted.extras)}"
        if mark.exists():
            return
        mark.touch()
        if wanted.name != OURS:
            self._link(found)
        for needed in map(Requirement, found.requires or ()) if deep else ():
            if _applies(needed, wanted.extras):
                self.add(needed)

    def _link(self, found: Distribution) -> None:
        home = Path(str(found.locate_file("")))
        for name in {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            link = self.packages / name
            if not link.is_symlink():
                link.symlink_to(home / name)

    def rootfs(self) -> Rootfs:
        """Return the image."""
        shared = {"/usr", sys.base_prefix, sysconfig.get_path("purelib")}
        shared |= {f"/{name}" for name in _SYSTEM if not (self.folder / name).is_symlink()}
        there = {path: path for path in sorted(shared) if Path(path).is_dir()}
        return Rootfs(("--rootfs", str(self.folder)), there, ENV)


def _applies(needed: Requirement, extras: set[str]) -> bool:
    marker = needed.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def _environment(home: Path, version: str) -> None:
    """Write what ``python3 -m venv`` would, but for a place that is not there yet."""
    programs = home / "bin"
    programs.mkdir()
    python = Path(sys.base_prefix, "bin", version)
    for name in ("python", "python3"):
        (programs / name).symlink_to(python)
    settings = f"home = {python.parent}\ninclude-system-site-packages = false\n"
    (home / "pyvenv.cfg").write_text(settings)
    pip = programs / "pip"
    pip.write_text(f'#!/bin/sh\nexec {HOME}/bin/python3 -m pip "$@"\n')
    pip.chmod(0o755)
