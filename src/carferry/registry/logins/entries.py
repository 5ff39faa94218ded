"""Entries of a login file: which of them is for a repository, and the login it holds.

A mistake in the entry of another host concerns nobody, so entries are read only when they match.
Sources: containers-auth.json(5) and containers/image ``pkg/docker/config``; docker/cli
``cli/config``; Kubernetes ``pkg/credentialprovider`` (globs, unpadded base64).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Self

from carferry.errors import InputError
from carferry.refs import ImageRef
from carferry.registry.logins.login import Login

# Docker keeps its own hub under a name of its own.
_ALIASES = {"index.docker.io": "docker.io", "registry-1.docker.io": "docker.io"}
_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_HOST = re.compile(r"(\[[^\]]*\]|[^:]*)(?::([0-9]*))?")
_DEFAULT_PORTS = ("80", "443")
_VERSIONS = ("v1", "v2")
_HEADER = re.compile(r"[!-~]*")


@dataclass(frozen=True, slots=True)
class Host:
    """A host and its port, empty if none is written."""

    name: str
    port: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the host that a key or reference names, in lower case, under one name."""
        found = _HOST.fullmatch(text.strip().lower())
        name, port = (found[1], found[2] or "") if found else (text.lower(), "")
        return cls(_ALIASES.get(name, name), port)

    def is_for(self, other: Host) -> bool:
        """Tell whether a key's host means another one; no port is the port of HTTPS or HTTP."""
        ports = {self.port, other.port}
        same_port = len(ports) == 1 or ("" in ports and ports & {*_DEFAULT_PORTS})
        return bool(same_port) and (self.name == other.name or self._globs(other.name))

    @property
    def is_glob(self) -> bool:
        """Whether it stands for many hosts, as Kubernetes has it."""
        return "*" in self.name

    def _globs(self, name: str) -> bool:
        """Match a host; a ``*`` stands within one part of its name."""
        wanted, found = self.name.split("."), name.split(".")
        return self.is_glob and len(wanted) == len(found) and all(map(fnmatchcase, found, wanted))


def matching(entries: Mapping[str, Any], ref: ImageRef) -> Iterator[tuple[str, Any]]:
    """Yield the entries that are for a repository with their keys, the closest first.

    A host that is written out comes before a glob, a longer path before a shorter one, and last
    an address whose path says nothing of repositories, which Docker takes for its host.
    """
    fits = [(fit, key) for key in entries if (fit := _fit(str(key), ref)) is not None]
    for _, key in sorted(fits, key=lambda each: each[0], reverse=True):
        yield key, entries[key]


def _fit(key: str, ref: ImageRef) -> tuple[bool, int, bool] | None:
    scheme = _SCHEME.match(key)
    text, _, path = key[scheme.end() if scheme else 0 :].partition("/")
    host, registry = Host.parse(text), Host.parse(ref.registry)
    if not host.is_for(registry):
        return None
    parts = [part for part in path.split("/") if part]
    if parts and parts[0] in _VERSIONS and (scheme or len(parts) == 1):
        del parts[0]
    if parts != ref.repository.split("/")[: len(parts)]:
        return (not host.is_glob, -1, host.port == registry.port) if scheme else None
    return not host.is_glob, len(parts), host.port == registry.port


def entry_login(key: str, entry: object, where: object) -> Login | None:
    """Return the login of one entry, or None if it holds none.

    Where its fields disagree Docker's reading holds: ``auth`` wins over user name and password.

    Args:
        key: Of the entry, for messages.
        entry: As it stands in the document.
        where: The file, for messages.

    Raises:
        InputError: It is not such an entry; never with what it holds.
    """
    if entry is None:
        return None
    if not isinstance(entry, Mapping):
        raise InputError("read logins", where, f"the entry of {key} is not an object")
    fields = {str(name).lower(): value for name, value in entry.items()}

    def text(name: str) -> str:
        value = fields.get(name)
        if value is not None and not isinstance(value, str):
            raise InputError("read logins", where, f"{name!r} of {key} is not text")
        return value or ""

    pair = text("auth").strip()
    user = _decoded(pair, key, where) if pair else (text("username"), text("password"))
    token = text("registrytoken").strip()
    if not _HEADER.fullmatch(token):
        raise InputError("read logins", where, f"'registrytoken' of {key} is not a token")
    return Login(*user, text("identitytoken").strip(), token, where=str(where)) or None


def _decoded(auth: str, key: str, where: object) -> tuple[str, str]:
    """Return user and password; the first colon parts them, and a password may hold more."""
    bare = re.sub(r"\s", "", auth).rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        pair = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except ValueError as error:
        raise InputError("read logins", where, f"'auth' of {key} is not base64") from error
    user, colon, password = pair.decode("utf-8", "surrogateescape").partition(":")
    if not colon:
        raise InputError("read logins", where, f"'auth' of {key} is not user:password in base64")
    return user, password.strip("\0")
