"""Finding the login for a registry in the files that container tools use.

Order: ``REGISTRY_AUTH_FILE``, ``DOCKER_CONFIG/config.json``,
``XDG_RUNTIME_DIR/containers/auth.json``, ``/run/containers/UID/auth.json``,
``~/.config/containers/auth.json``, ``~/.docker/config.json``. A folder stands for a
mounted Kubernetes secret (``.dockerconfigjson`` or the legacy ``.dockercfg``).
Sources: containers-auth.json(5); Kubernetes "Pull an Image from a Private Registry" (globs).
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from carferry.errors import InputError
from carferry.refs import ImageRef

_IN_SECRET = (".dockerconfigjson", ".dockercfg", "config.json", "auth.json")
# Docker keeps its own hub under a name of its own.
_ALIASES = {"index.docker.io": "docker.io", "registry-1.docker.io": "docker.io"}


@dataclass(frozen=True, slots=True)
class Login:
    """A user and password, or an identity token to trade for access tokens."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of a Basic ``Authorization`` header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def find_login(
    ref: ImageRef, *, env: Mapping[str, str] | None = None, auth_file: Path | None = None
) -> Login | None:
    """Return the login for a repository; the longest matching key of the first file that has one.

    Args:
        ref: The repository.
        env: Environment to read; default the process's.
        auth_file: Read this file alone.

    Raises:
        InputError: A file that was named cannot be read or is not such a document, or it
            relies on a credential helper that is not run in pods.
    """
    for path, required in _candidates(os.environ if env is None else env, auth_file):
        document = _load(path, required=required)
        login = _match(document, ref, path)
        if login:
            return login
    return None


def _candidates(env: Mapping[str, str], auth_file: Path | None) -> list[tuple[Path, bool]]:
    if auth_file:
        return [(auth_file, True)]
    found = []
    if env.get("REGISTRY_AUTH_FILE"):
        # Optional on purpose: pipelines point here whether or not the secret exists.
        found.append((Path(env["REGISTRY_AUTH_FILE"]), False))
    if env.get("DOCKER_CONFIG"):
        found.append((Path(env["DOCKER_CONFIG"]) / "config.json", False))
    if env.get("XDG_RUNTIME_DIR"):
        found.append((Path(env["XDG_RUNTIME_DIR"]) / "containers" / "auth.json", False))
    else:
        found.append((Path(f"/run/containers/{os.getuid()}/auth.json"), False))
    if env.get("HOME"):
        found.append((Path(env["HOME"]) / ".config" / "containers" / "auth.json", False))
        found.append((Path(env["HOME"]) / ".docker" / "config.json", False))
    return found


def _load(path: Path, *, required: bool) -> Mapping[str, Any]:
    if path.is_dir():
        path = next((path / name for name in _IN_SECRET if (path / name).is_file()), path)
    try:
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        if required:
            raise InputError("read logins", path, "no such file") from error
        return {}
    except (OSError, ValueError, RecursionError) as error:
        # Never the content: it is a secret.
        raise InputError(
            "read logins", path, f"not a readable JSON file ({type(error).__name__})"
        ) from error
    if not isinstance(document, dict):
        raise InputError("read logins", path, "not a JSON object")
    return document


def _match(document: Mapping[str, Any], ref: ImageRef, path: Path) -> Login | None:
    # .dockercfg is the inner map alone.
    entries = document.get("auths", document if "credHelpers" not in document else {})
    best, length = None, -1
    for key, entry in entries.items() if isinstance(entries, dict) else ():
        pattern = _normalise(str(key))
        if isinstance(entry, dict) and _fits(pattern, ref) and len(pattern) > length:
            login = _login(entry, path)
            best, length = (login, len(pattern)) if login else (best, length)
    if best is None:
        _refuse_helper(document, ref, path)
    return best


def _normalise(key: str) -> str:
    bare = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    for suffix in ("/v1", "/v2"):
        bare = bare.removesuffix(suffix)
    host, slash, rest = bare.partition("/")
    return _ALIASES.get(host, host) + slash + rest


def _fits(pattern: str, ref: ImageRef) -> bool:
    host, _, prefix = pattern.partition("/")
    registry = _ALIASES.get(ref.registry, ref.registry)
    same_host = host == registry or ("*" in host and _glob(host, registry))
    return same_host and (not prefix or f"{ref.repository}/".startswith(f"{prefix}/"))


def _glob(pattern: str, host: str) -> bool:
    """Match a host; a ``*`` stands within one part of its name, as Kubernetes has it."""
    wanted, found = pattern.split("."), host.split(".")
    return len(wanted) == len(found) and all(map(fnmatchcase, found, wanted))


def _login(entry: Mapping[str, Any], path: Path) -> Login | None:
    if entry.get("identitytoken"):
        return Login(identity_token=str(entry["identitytoken"]))
    if entry.get("username"):
        return Login(str(entry["username"]), str(entry.get("password", "")))
    if not entry.get("auth"):
        return None
    try:
        username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
    except (ValueError, TypeError) as error:
        raise InputError("read logins", path, "an 'auth' value is not base64") from error
    return Login(username, password.rstrip("\0"))


def _refuse_helper(document: Mapping[str, Any], ref: ImageRef, path: Path) -> None:
    named = document.get("credHelpers")
    helper = named.get(ref.registry) if isinstance(named, dict) else None
    auths = document.get("auths")
    # A store for everything says nothing of a host without a login in it.
    if not helper and isinstance(auths, dict) and any(_fits(_normalise(key), ref) for key in auths):
        helper = document.get("credsStore")
    if helper:
        raise InputError(
            "read logins",
            path,
            f"it leaves {ref.registry} to the credential helper {helper!r}",
            "carferry runs no helpers: log in with podman login --authfile FILE",
        )
