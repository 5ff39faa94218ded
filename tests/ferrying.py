"""What most tests of the core do, in a line each: open both ends, ferry, read back."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from servers.hub import Hub
from servers.registry import Registry

from carferry.assembly.build import build
from carferry.assembly.options import Options
from carferry.assembly.results import BuildResult
from carferry.cli import main
from carferry.io.net.retry import Retry
from carferry.oci.documents import Document
from carferry.refs import ImageRef, LayoutRef, ModelRef
from carferry.registry.access import Access
from carferry.registry.target import Target
from carferry.selection.patterns import Patterns
from carferry.source.folder import FolderSource
from carferry.source.hub.source import HubSource
from carferry.source.source import Source

REPO = "org/tiny"
ANY = Patterns(allow_no_weights=True)
"""What servers read of files that need not be a model."""


class Hurried(threading.Event):
    """An event that nobody waits for longer than a moment: what a server asks for is heard."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for at most 10 ms."""
        return super().wait(0.01 if timeout is None else min(timeout, 0.01))


def quick(**changes: Any) -> Retry:
    """Return a retry policy whose pauses are too short to notice."""
    return Retry(**({"base_s": 0.001, "cap_s": 0.01, "stop": Hurried()} | changes))


def access(*plain_http: str, **changes: Any) -> Access:
    """Return access to these plain-HTTP hosts, with no login of this machine."""
    return Access(**({"plain_http": plain_http, "env": {}, "retry": quick()} | changes))


def from_hub(hub: Hub, repo: str = REPO, revision: str = "main", **changes: Any) -> HubSource:
    """Return a source on the test hub."""
    given = {"endpoint": hub.endpoint, "retry": quick()} | changes
    return HubSource(ModelRef(repo, revision), **given)


def from_folder(folder: Path) -> FolderSource:
    """Return a source on a folder."""
    return FolderSource(folder)


def to_layout(folder: Path, tag: str = "v1") -> Target:
    """Return a layout on disk as a target."""
    return access().open(LayoutRef(folder, tag), write=True)


def to_registry(
    registry: Registry, repository: str = "org/tiny", tag: str = "v1", *, host: str = ""
) -> Target:
    """Return a repository of a test registry as a target, logged in if it asks."""
    host = host or registry.host
    given = access(host, auth_file=registry.auth_file)
    return given.open(ImageRef(host, repository, tag), write=True)


def ferry(source: Source, target: Target, *, base: str = "scratch", **options: Any) -> BuildResult:
    """Build with the scratch base by default; nothing is waited for."""
    hosts = [target.ref.registry] if isinstance(target.ref, ImageRef) else []
    include = options.pop("include", ())
    patterns = Patterns.parse(include, allow_no_weights=True)  # of a model as small as can be
    chosen = Options(base=base, patterns=patterns, **options)
    return build(source, target, chosen, access=access(*hosts))


def manifest(target: Target, reference: str = "v1") -> Document:
    """Return a manifest or index that must be there."""
    document = target.get_manifest(reference)
    assert document is not None
    return document


def blob(target: Target, digest: Any) -> bytes:
    """Return a whole blob."""
    return b"".join(target.open_blob(digest))


def model_files(target: Target, reference: str = "v1") -> dict[str, str]:
    """Unpack the plain layers and return each file under /models with its sha256."""
    found: dict[str, str] = {}
    for layer in manifest(target, reference).layers:
        if layer.media_type.endswith(".tar"):
            found |= _files(blob(target, layer.digest))
    return found


def described(files: Mapping[str, bytes]) -> int:
    """Return the bytes in which a model says what it needs: they are read for every plan."""
    return sum(len(body) for path, body in files.items() if path.endswith("config.json"))


def hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the sha256 of each file."""
    return {path: hashlib.sha256(body).hexdigest() for path, body in files.items()}


def age(folder: Path, *, when: float, file_mode: int, folder_mode: int) -> None:
    """Give everything in a folder another time and other permissions."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.chmod(folder_mode if path.is_dir() else file_mode)
        os.utime(path, (when, when))


def left_behind(folder: Path) -> list[str]:
    """Return what a target may not leave on disk after a failure: part files and tags."""
    parts = [path.name for path in folder.rglob(".part-*")] if folder.exists() else []
    index = folder / "index.json"
    return parts + ([index.read_text()] if index.exists() else [])


def _files(data: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        files = [(member.name, tar.extractfile(member)) for member in tar if member.isreg()]
        return {
            name.removeprefix("models/"): hashlib.sha256(handle.read()).hexdigest()
            for name, handle in files
            if handle and name.startswith("models/")
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of the command line left."""

    code: int
    out: str
    err: str


def carferry(capsys: pytest.CaptureFixture[str], *arguments: object) -> Outcome:
    """Run the command line in this process."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    shown = capsys.readouterr()
    return Outcome(code, shown.out, shown.err)


def point_to(hub: Hub, monkeypatch: pytest.MonkeyPatch, token: str = "") -> None:
    """Make this process and its children ask the test hub; constants are read at import."""
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, hub.endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
