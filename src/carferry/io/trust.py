"""Whose certificates are believed, by one rule for hub, registry, S3 and cluster.

Each way of naming authorities adds to the others; OpenSSL, requests and curl let one replace the
rest (docs/adr/0036-one-trust-one-proxy-rule.md). Sources: containers-certs.d(5), OpenSSL's
X509_LOOKUP_hash_dir(3), OpenShift documentation (service CA).
"""

from __future__ import annotations

import functools
import os
import re
import ssl
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from carferry.errors import InputError

VARIABLES = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "AWS_CA_BUNDLE",
)
"""What other programs read, each a file or a folder; SSL_CERT_DIR may list several folders."""
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
_BLOCK = re.compile(
    rb"-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----.+?-----END (?:TRUSTED |X509 )?CERTIFICATE-----",
    re.DOTALL,
)
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")
_REMEDY = "name certificates in PEM form: a file, or a folder of .crt files"
_ENDINGS = {".crt", ".pem", ".cer"}
# Docker Hub's registry is not at the address that its images and its folder are named by.
_ALIASES = {"registry-1.docker.io": "docker.io"}

Stamp = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Named:
    """A file or folder of certificates, and what names it: a variable, an option, a program.

    Attributes:
        path: Where they are.
        by: For the error's line.
        stamp: Changes when it is replaced.
    """

    path: Path
    by: str
    stamp: Stamp = (0, 0)


@dataclass(frozen=True, slots=True)
class Login:
    """A client's certificate and its key, files in PEM form."""

    certificate: Path
    key: Path
    stamp: tuple[Stamp, Stamp] = ((0, 0), (0, 0))

    @classmethod
    def read(cls, certificate: Path, key: Path, by: str) -> Login:
        """Return the pair as it is now.

        Raises:
            InputError: One of the files is not there.
        """
        return cls(certificate, key, (_stamp(certificate, by), _stamp(key, by)))


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
            for path in _files(each):
                blocks |= dict.fromkeys(_blocks(path, each.by))
        return b"\n".join([*blocks, b""])

    def _everywhere(self) -> Iterator[Named]:
        if self.ca is not None:
            yield _stamped(Named(self.ca, "--ca"))
        yield from map(_stamped, self.more)
        for name in VARIABLES:
            yield from _of_variable(name, self.environ.get(name, ""))
        if (service := self.service_ca or SERVICE_CA).is_file():
            yield _stamped(Named(service, "this pod's service CA"))

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
    if found is None and any(_hashed(Path(built.openssl_capath))):
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
        for path in _files(each):
            if _real(path) not in seen:  # several variables mostly name one file
                _load(context, path, each.by)
            seen.add(_real(path))
    if login is not None:
        _present(context, login)
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
        _load(context, store, "this system")
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


def _load(context: ssl.SSLContext, path: Path, by: str) -> None:
    try:
        if path.is_dir():
            context.load_verify_locations(capath=str(path))
        else:
            context.load_verify_locations(cafile=str(path))
    except ssl.SSLError as error:
        raise _unusable(path, by, "holds no certificates in PEM form") from error
    except OSError as error:
        raise _unusable(path, by, error.strerror or str(error)) from error


def _files(named: Named) -> Iterable[Path]:
    """Return what to load: a file, a folder that OpenSSL looks into by hash, or its files."""
    if not named.path.is_dir() or any(_hashed(named.path)):
        return [named.path]
    try:
        inside = sorted(named.path.iterdir())
    except OSError as error:
        raise _unusable(named.path, named.by, error.strerror or str(error)) from error
    files = [each for each in inside if each.suffix.lower() in _ENDINGS and each.is_file()]
    if not files:
        raise _unusable(named.path, named.by, "a folder without .crt or .pem files")
    return files


def _blocks(path: Path, by: str) -> list[bytes]:
    inside = sorted(path.iterdir()) if path.is_dir() else [path]
    try:
        text = b"\n".join(file.read_bytes() for file in inside if file.is_file())
    except OSError as error:
        raise _unusable(path, by, error.strerror or str(error)) from error
    blocks = [found[0] for found in _BLOCK.finditer(text)]
    if text.strip() and not blocks:
        raise _unusable(path, by, "holds no certificates in PEM form")
    return blocks


def _hashed(folder: Path) -> Iterator[bool]:
    with suppress(OSError):
        yield from (bool(_HASHED.fullmatch(each.name)) for each in folder.iterdir())


def _of_variable(name: str, value: str) -> Iterator[Named]:
    if not value.strip():
        return
    paths = [Path(value)]
    if name == "SSL_CERT_DIR":
        parts = [Path(each) for each in value.split(os.pathsep) if each.strip()]
        # Lists that are set for several systems at once name folders of the others too.
        paths = [each for each in parts if each.is_dir()] or parts[:1]
    for path in paths:
        yield _stamped(Named(path, name))


def _authorities(folders: Iterable[Path]) -> Iterator[Named]:
    for folder in folders:
        for file in _listed(folder, ".crt"):
            yield _stamped(Named(file, "its certs.d"))


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


def _present(context: ssl.SSLContext, login: Login) -> None:
    def refuse() -> str:
        raise InputError("read", login.key, "the key has a password", "store it without one")

    try:
        context.load_cert_chain(login.certificate, login.key, password=refuse)
    except OSError as error:
        reason = "not a certificate and its key in PEM form"
        raise InputError("read", login.certificate, reason, "check both files") from error


def _listed(folder: Path, ending: str) -> list[Path]:
    try:
        return sorted(each for each in folder.iterdir() if each.name.endswith(ending))
    except OSError:  # as podman does: another user's folder is no reason to stop
        return []


def _stamped(named: Named) -> Named:
    return Named(named.path, named.by, _stamp(named.path, named.by))


def _stamp(path: Path, by: str) -> Stamp:
    """Return what changes when a file is replaced."""
    try:
        status = path.stat()
    except OSError as error:
        raise _unusable(path, by, error.strerror or str(error)) from error
    return status.st_mtime_ns, status.st_size


def _unusable(path: Path, by: str, reason: str) -> InputError:
    remedy = f"name PEM certificates in {by}, or unset it" if by in VARIABLES else _REMEDY
    return InputError("read certificates", f"{path} ({by})", reason, remedy)


def _home() -> Path:
    return Path(os.environ.get("HOME") or "~").expanduser()
