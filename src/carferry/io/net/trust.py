"""Whose certificates are believed, by one rule for hub, registry, S3 and cluster.

Each way of naming authorities adds to the others; OpenSSL, requests and curl let one replace the
rest (docs/adr/0036-one-trust-one-proxy-rule.md). Sources: containers-certs.d(5), OpenShift
documentation (service CA).
"""

from __future__ import annotations

import functools
import os
import ssl
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from carferry.errors import InputError
from carferry.io.net.certificates import VARIABLES as VARIABLES
from carferry.io.net.certificates import (
    Login,
    Named,
    blocks_of,
    files_of,
    is_hashed,
    load,
    present,
    stamped,
)

SERVICE_CA = Path("/var/run/secrets/kubernetes.io/serviceaccount/service-ca.crt")
"""In OpenShift's pods: the authority of its own registry, and of every service that asks for it."""
CERTS_D = (Path("/etc/containers/certs.d"), Path("/etc/docker/certs.d"))
"""Folders with a folder for each registry, as podman and docker read them; home's comes first."""
_SYSTEM = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/pki/tls/cert.pem"),
    Path("/etc/ssl/cert.pem"),
)
_OTHER_STORES = frozenset(("darwin", "win32"))
# Docker Hub's registry is not at the address that its images and its folder are named by.
_ALIASES = {"registry-1.docker.io": "docker.io"}


@dataclass(frozen=True, slots=True)
class Trust:
    """What is believed, found anew for every host.

    Attributes:
        ca: File or folder to trust besides; ``--ca``.
        more: Others, as a profile's or a kubeconfig's.
        environ: Variables that name certificates.
        certs_d: Folders that hold a folder per host.
        service_ca: Of the pod, if it is there.
    """

    ca: Path | None = None
    more: tuple[Named, ...] = ()
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    certs_d: tuple[Path, ...] = ()
    service_ca: Path | None = None

    def context(
        self, host: str = "", port: int = 443, *, login: Login | None = None, verify: bool = True
    ) -> ssl.SSLContext:
        """Return what verifies one host's certificate; without a host, what all hosts share.

        It is shared by all who trust the same, so it must not be changed.

        Args:
            host: In lower case.
            port: Of the request.
            login: What this side shows of itself; default the pair in the host's folder.
            verify: False believes whoever answers, as a kubeconfig may ask for.

        Raises:
            InputError: What was named is not there, cannot be read or holds no certificate.
        """
        folders = [*self._folders(host, port)]
        login = login or _login(folders)
        return _trusting((*self._everywhere(), *_authorities(folders)), login, verify)

    def is_special(self, host: str, port: int) -> bool:
        """Return whether a host has certificates of its own."""
        return any(True for _ in self._folders(host, port))

    def merged(self) -> bytes:
        """Return all certificates in one text, each once.

        For programs that believe one file and nothing else, as pip does.

        Raises:
            InputError: As ``context``, but for what is empty: OpenShift AI's bundle often is.
        """
        store = system()
        first = (Named(store, "this system"),) if store else ()
        blocks = dict[bytes, None]()
        for each in (*first, *self._everywhere()):
            for path in files_of(each):
                blocks |= dict.fromkeys(blocks_of(path, each.by))
        return b"\n".join([*blocks, b""])

    def _everywhere(self) -> Iterator[Named]:
        if self.ca is not None:
            yield stamped(Named(self.ca, "--ca"))
        yield from map(stamped, self.more)
        for name in VARIABLES:
            yield from _of_variable(name, self.environ.get(name, ""))
        if (service := self.service_ca or SERVICE_CA).is_file():
            yield stamped(Named(service, "this pod's service CA"))

    def _folders(self, host: str, port: int) -> Iterator[Path]:
        name = _ALIASES.get(host, host)
        names = (f"{name}:{port}", *((name,) if port == 443 else ())) if name else ()
        for base in self.certs_d or (_home() / ".config/containers/certs.d", *CERTS_D):
            for each in names:
                with suppress(OSError):  # others' folders may be closed to this user
                    if (base / each).is_dir():
                        yield base / each


def system() -> Path | None:
    """Return the system's authorities, or certifi's where there is no system store.

    OpenSSL's own default is asked past ``SSL_CERT_FILE``, which would take its place. The Python
    of uv or conda was built for paths that do not exist; the usual ones do.
    """
    built = ssl.get_default_verify_paths()
    found = next((p for p in (Path(built.openssl_cafile), *_SYSTEM) if p.is_file()), None)
    if found is None and is_hashed(Path(built.openssl_capath)):
        found = Path(built.openssl_capath)
    if found is None:
        with suppress(ImportError):
            return Path(import_module("certifi").where())
    return found


@functools.lru_cache(maxsize=16)
def _trusting(named: tuple[Named, ...], login: Login | None, verify: bool) -> ssl.SSLContext:
    """Return one context for all who trust the same: parsing the system's takes a while."""
    context, seen = _fresh(), {_real(system())}
    for each in named:
        for path in files_of(each):
            if _real(path) not in seen:  # several variables mostly name one file
                load(context, path, each.by)
            seen.add(_real(path))
    if login is not None:
        present(context, login)
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _real(path: Path | None) -> str:
    return os.path.realpath(path) if path else ""


def _fresh() -> ssl.SSLContext:
    """Return a context that trusts the system's store and nothing else."""
    asked = _of_platform()
    context = asked or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # As curl and Go do: an authority in between counts if it is named, and old ones of companies
    # that leave out what RFC 5280 asks for are not refused; Python 3.13 would.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    store = system()
    if asked is None and store is not None:
        load(context, store, "this system")
    return context


def _of_platform() -> ssl.SSLContext | None:
    """Return a context that asks macOS or Windows, whose stores are no files."""
    if sys.platform not in _OTHER_STORES:
        return None
    try:
        found = import_module("truststore")
    except ImportError:
        return None
    made: ssl.SSLContext = found.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return made


def _of_variable(name: str, value: str) -> Iterator[Named]:
    if not value.strip():
        return
    paths = [Path(value)]
    if name == "SSL_CERT_DIR":
        parts = [Path(each) for each in value.split(os.pathsep) if each.strip()]
        # Lists that are set for several systems at once name folders of the others too.
        paths = [each for each in parts if each.is_dir()] or parts[:1]
    for path in paths:
        yield stamped(Named(path, name))


def _authorities(folders: Iterable[Path]) -> Iterator[Named]:
    for folder in folders:
        for file in _listed(folder, ".crt"):
            yield stamped(Named(file, "its certs.d"))


def _login(folders: Iterable[Path]) -> Login | None:
    """Return the first pair of ``x.cert`` and ``x.key``.

    Raises:
        InputError: A certificate without its key.
    """
    for folder in folders:
        for file in _listed(folder, ".cert"):
            key = file.with_suffix(".key")
            if not key.is_file():
                remedy = "put the key beside it; authorities to trust end in .crt"
                raise InputError("read certificates", file, f"{key.name} is missing", remedy)
            return Login.read(file, key, "its certs.d")
    return None


def _listed(folder: Path, ending: str) -> list[Path]:
    try:
        return sorted(each for each in folder.iterdir() if each.name.endswith(ending))
    except OSError:  # as podman does: another user's folder is no reason to stop
        return []


def _home() -> Path:
    return Path(os.environ.get("HOME") or "~").expanduser()
