"""The registries that a test can start: how each is configured, and what it leaves on disk.

``distribution2`` is Debian's docker-registry (distribution 2.8); ``distribution3`` and ``olareg``
are built from source by ``.ci/registries``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from servers.certs import Certificates
from servers.tools import lacking, need

Kind = Literal["distribution2", "distribution3", "olareg"]
KINDS: tuple[Kind, ...] = ("distribution2", "distribution3", "olareg")
_BUILT = Path(__file__).resolve().parents[2] / ".registries"
_V2 = Path("docker/registry/v2")
_COMBINED = re.compile(r'"(\S+) (\S+) HTTP/[\d.]+" (\d{3}) (\d+)')
_TRACED = re.compile(r' method=(\S+) url="?([^ "]+)"? status=(\d{3})(.*)')
_LENGTH = re.compile(r"Content-Length:\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Access:
    """One line of a registry's access log; sent counts body bytes."""

    method: str
    path: str
    status: int
    sent: int


@dataclass(frozen=True, slots=True)
class Setup:
    """What a registry is told at its start.

    Attributes:
        root: Everything it writes.
        certificates: For TLS.
        auth: Distribution's ``auth`` section; empty for no login.
        deletes: Whether anything may be deleted.
        read_only: Whether it serves what is there and takes nothing.
        requests_per_s: More from one address are answered 429; 0 for no limit.
        mirror_of: Address of a registry whose images it passes on and keeps; takes none itself.
        asks_for_certificates: Whether a client must show one of the same authority.
        relative_urls: Whether its links leave out the host, for one that stands behind a name.
    """

    root: Path
    certificates: Certificates | None = None
    auth: dict[str, Any] | None = None
    deletes: bool = True
    read_only: bool = False
    requests_per_s: int = 0
    mirror_of: str = ""
    asks_for_certificates: bool = False
    relative_urls: bool = False

    @property
    def data(self) -> Path:
        """Where the images are."""
        return self.root / "data"


class Program(Protocol):
    """One kind of registry."""

    def command(self, setup: Setup) -> list[str]:
        """Return the command that serves on a port of the kernel's choice."""

    def log(self, text: str) -> list[Access]:
        """Return the requests that its standard output or error tells of."""

    def tags(self, data: Path, repository: str) -> dict[str, str]:
        """Return tag to manifest digest."""

    def blobs(self, data: Path) -> dict[str, Path]:
        """Return every stored blob, manifests too: digest to the file that holds it."""

    def file(self, data: Path, repository: str, digest: str) -> Path:
        """Return the file that holds a blob of a repository."""

    def links(self, data: Path, repository: str) -> set[str]:
        """Return the digests of the blobs that a repository can be asked for."""

    def uploads(self, data: Path, repository: str) -> list[Path]:
        """Return the files of uploads that are neither closed nor cancelled."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """Distribution's registry, of either version."""

    built: bool

    def command(self, setup: Setup) -> list[str]:
        """Write its configuration; JSON is YAML too."""
        program = _built("distribution3") if self.built else need("docker-registry")
        config = setup.root / "config.json"
        config.write_text(json.dumps(_config(setup)))
        return [program, "serve", str(config)]

    def log(self, text: str) -> list[Access]:
        """Read lines in the combined log format."""
        found = _COMBINED.findall(text)
        return [Access(method, path, int(code), int(sent)) for method, path, code, sent in found]

    def tags(self, data: Path, repository: str) -> dict[str, str]:
        """Read the tags' links."""
        links = (_repository(data, repository) / "_manifests/tags").glob("*/current/link")
        return {link.parent.parent.name: link.read_text() for link in links}

    def blobs(self, data: Path) -> dict[str, Path]:
        """Read the store that all repositories share."""
        files = (data / _V2 / "blobs/sha256").glob("*/*/data")
        return {f"sha256:{file.parent.name}": file for file in files}

    def file(self, data: Path, repository: str, digest: str) -> Path:
        """Return the one that all repositories share."""
        name = digest.removeprefix("sha256:")
        return data / _V2 / "blobs/sha256" / name[:2] / name / "data"

    def links(self, data: Path, repository: str) -> set[str]:
        """Read the links to layers and configs; manifests have theirs elsewhere."""
        links = (_repository(data, repository) / "_layers/sha256").glob("*/link")
        return {f"sha256:{link.parent.name}" for link in links}

    def uploads(self, data: Path, repository: str) -> list[Path]:
        """Read the uploads' folders."""
        return list((_repository(data, repository) / "_uploads").rglob("data"))


class Olareg:
    """Olareg, which keeps each repository as an OCI layout."""

    def command(self, setup: Setup) -> list[str]:
        """Give everything as options; its access log needs the most talkative level."""
        setup.data.mkdir(exist_ok=True)
        command = [_built("olareg"), "serve", "--addr", "127.0.0.1", "--port", "0"]
        command += ["--dir", str(setup.data), "--verbosity", "trace"]
        command += [f"--api-delete={_word(setup.deletes)}", f"--store-ro={_word(setup.read_only)}"]
        command += [f"--rate-limit={setup.requests_per_s}"]
        if setup.certificates:
            command += ["--tls-cert", str(setup.certificates.chain)]
            command += ["--tls-key", str(setup.certificates.key)]
        if setup.auth or setup.mirror_of:
            raise ValueError("olareg asks for no login and is no mirror")
        return command

    def log(self, text: str) -> list[Access]:
        """Read the traced requests."""
        return [
            Access(method, path, int(code), 0 if method == "HEAD" else _length(headers))
            for method, path, code, headers in _TRACED.findall(text)
        ]

    def tags(self, data: Path, repository: str) -> dict[str, str]:
        """Read the layout's index."""
        file, key = data / repository / "index.json", "org.opencontainers.image.ref.name"
        manifests = json.loads(file.read_text())["manifests"] if file.is_file() else []
        named = [entry for entry in manifests if key in entry.get("annotations", {})]
        return {entry["annotations"][key]: entry["digest"] for entry in named}

    def blobs(self, data: Path) -> dict[str, Path]:
        """Read every repository's; equal blobs of two are stored twice."""
        return {f"sha256:{file.name}": file for file in data.rglob("blobs/sha256/*")}

    def file(self, data: Path, repository: str, digest: str) -> Path:
        """Return the one of the layout."""
        return data / repository / "blobs" / digest.replace(":", "/")

    def links(self, data: Path, repository: str) -> set[str]:
        """Read the layout's blobs, which include manifests."""
        return {f"sha256:{file.name}" for file in (data / repository / "blobs/sha256").glob("*")}

    def uploads(self, data: Path, repository: str) -> list[Path]:
        """Read the folder of uploads."""
        return list((data / repository / "_uploads").glob("*"))


PROGRAMS: dict[Kind, Program] = {
    "distribution2": Distribution(built=False),
    "distribution3": Distribution(built=True),
    "olareg": Olareg(),
}


def _built(name: str) -> str:
    if not (_BUILT / name).exists():
        lacking(f"{name} is missing: sh .ci/registries --install")
    return str(_BUILT / name)


def _config(setup: Setup) -> dict[str, Any]:
    http: dict[str, Any] = {"addr": "127.0.0.1:0", "secret": "of the tests"}
    http["relativeurls"] = setup.relative_urls
    if setup.certificates:
        chain, key = setup.certificates.chain, setup.certificates.key
        http["tls"] = {"certificate": str(chain), "key": str(key)}
        if setup.asks_for_certificates:
            http["tls"]["clientcas"] = [str(setup.certificates.ca)]
    if setup.requests_per_s:
        raise ValueError("distribution limits no rates")
    config = {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": False}},
        "storage": {
            "filesystem": {"rootdirectory": str(setup.data)},
            "delete": {"enabled": setup.deletes},
            "maintenance": {"readonly": {"enabled": setup.read_only}},
        },
        "http": http,
    }
    if setup.mirror_of:
        config["proxy"] = {"remoteurl": setup.mirror_of}
    return config | ({"auth": setup.auth} if setup.auth else {})


def _repository(data: Path, repository: str) -> Path:
    return data / _V2 / "repositories" / repository


def _length(headers: str) -> int:
    found = _LENGTH.search(headers.partition("resp-headers=")[2])
    return int(found[1]) if found else 0


def _word(value: bool) -> str:
    return str(value).lower()
