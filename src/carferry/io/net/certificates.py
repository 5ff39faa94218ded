"""Certificates in files and folders: what names them, what they hold, and what is wrong with them.

Sources: OpenSSL's X509_LOOKUP_hash_dir(3), RFC 7468.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
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
_REMEDY = "name certificates in PEM form: a file, or a folder of .crt files"
_ENDINGS = {".crt", ".pem", ".cer"}
_BLOCK = re.compile(
    rb"-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----.+?-----END (?:TRUSTED |X509 )?CERTIFICATE-----",
    re.DOTALL,
)
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")

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
        return cls(certificate, key, (stamp_of(certificate, by), stamp_of(key, by)))


def files_of(named: Named) -> Iterable[Path]:
    """Return what to load: a file, a folder that OpenSSL looks into by hash, or its files."""
    if not named.path.is_dir() or is_hashed(named.path):
        return [named.path]
    try:
        inside = sorted(named.path.iterdir())
    except OSError as error:
        raise _unusable(named.path, named.by, error.strerror or str(error)) from error
    files = [each for each in inside if each.suffix.lower() in _ENDINGS and each.is_file()]
    if not files:
        raise _unusable(named.path, named.by, "a folder without .crt or .pem files")
    return files


def load(context: ssl.SSLContext, path: Path, by: str) -> None:
    """Make a context believe a file, or a folder that OpenSSL looks into by hash.

    Raises:
        InputError: It cannot be read, or holds no certificate.
    """
    try:
        if path.is_dir():
            context.load_verify_locations(capath=str(path))
        else:
            context.load_verify_locations(cafile=str(path))
    except ssl.SSLError as error:
        raise _unusable(path, by, "holds no certificates in PEM form") from error
    except OSError as error:
        raise _unusable(path, by, error.strerror or str(error)) from error


def blocks_of(path: Path, by: str) -> list[bytes]:
    """Return each certificate as text; none of an empty file.

    Raises:
        InputError: It cannot be read, or holds something else.
    """
    inside = sorted(path.iterdir()) if path.is_dir() else [path]
    try:
        text = b"\n".join(file.read_bytes() for file in inside if file.is_file())
    except OSError as error:
        raise _unusable(path, by, error.strerror or str(error)) from error
    blocks = [found[0] for found in _BLOCK.finditer(text)]
    if text.strip() and not blocks:
        raise _unusable(path, by, "holds no certificates in PEM form")
    return blocks


def is_hashed(folder: Path) -> bool:
    """Return whether a folder has the links that OpenSSL finds certificates by."""
    with suppress(OSError):
        return any(_HASHED.fullmatch(each.name) for each in folder.iterdir())
    return False


def present(context: ssl.SSLContext, login: Login) -> None:
    """Make a context show a client's certificate.

    Raises:
        InputError: The pair cannot be used, or its key has a password.
    """

    def refuse() -> str:
        raise InputError("read", login.key, "the key has a password", "store it without one")

    try:
        context.load_cert_chain(login.certificate, login.key, password=refuse)
    except OSError as error:
        reason = "not a certificate and its key in PEM form"
        raise InputError("read", login.certificate, reason, "check both files") from error


def stamped(named: Named) -> Named:
    """Return it as it is now.

    Raises:
        InputError: It is not there.
    """
    return Named(named.path, named.by, stamp_of(named.path, named.by))


def stamp_of(path: Path, by: str) -> Stamp:
    """Return what changes when a file is replaced."""
    try:
        status = path.stat()
    except OSError as error:
        raise _unusable(path, by, error.strerror or str(error)) from error
    return status.st_mtime_ns, status.st_size


def _unusable(path: Path, by: str, reason: str) -> InputError:
    remedy = f"name PEM certificates in {by}, or unset it" if by in VARIABLES else _REMEDY
    return InputError("read certificates", f"{path} ({by})", reason, remedy)
