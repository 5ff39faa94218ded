"""Files that hold logins: podman's, docker's, and Kubernetes Secrets, mounted or as a manifest.

Sources: containers-auth.json(5); docker/cli ``cli/config/configfile``; Kubernetes documentation,
"Pull an Image from a Private Registry" (``.dockerconfigjson``, and the legacy ``.dockercfg``).
"""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from carferry.errors import InputError

_IN_SECRET = (".dockerconfigjson", ".dockercfg", "config.json", "auth.json")
# Kubernetes takes Secrets up to 1 MiB; a List may hold some of them.
_MOST_BYTES = 8 * 1024 * 1024
_NOTHING = ("", "null", "~")
# A pipe, as a shell's <(...), can be read once, and a login is looked up for each registry.
_read_once: dict[tuple[int, int], bytes] = {}
_REMEDY = "make one with podman login --authfile FILE, or give a Secret's manifest"


@dataclass(frozen=True, slots=True)
class LoginFile:
    """What one file says about logins.

    Attributes:
        path: For messages.
        entries: Host, or host and path, to what is said of it.
        helpers: Host to the credential helper that keeps its login (``credHelpers``).
        store: The helper that keeps all others (``credsStore``).
    """

    path: Path
    entries: Mapping[str, Any] = field(default_factory=dict, repr=False)
    helpers: Mapping[str, Any] = field(default_factory=dict)
    store: str = ""


def read_login_files(path: Path, *, required: bool) -> tuple[LoginFile, ...] | None:
    """Return what a file says; a manifest may hold several Secrets.

    Args:
        path: A file, or a folder for a mounted Secret.
        required: Whether its absence is an error.

    Returns:
        None if the file is there and empty, as ``/dev/null`` is.

    Raises:
        InputError: Not readable, or no such file. Never with what it holds: it is a secret.
    """
    if path.is_dir():
        path = next((path / name for name in _IN_SECRET if (path / name).is_file()), path)
    try:
        data = _read(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        if required:
            raise InputError("read logins", path, "no such file") from error
        return ()
    except OSError as error:
        raise InputError("read logins", path, error.strerror or str(error)) from error
    if not data.strip():
        return None
    return _login_files(data, path)


def read_login_text(text: str, name: Path) -> tuple[LoginFile, ...]:
    """Return what the text of such a file says, as a variable holds it.

    Args:
        text: JSON, or a manifest.
        name: Of the variable, for messages.

    Raises:
        InputError: As for a file.
    """
    data = text.encode("utf-8", "surrogateescape")
    return _login_files(data, name) if data.strip() else ()


def _login_files(data: bytes, path: Path) -> tuple[LoginFile, ...]:
    return tuple(_login_file(document, path) for document in _documents(data, path))


def _read(path: Path) -> bytes:
    status = path.stat()
    key = status.st_dev, status.st_ino
    if key in _read_once:
        return _read_once[key]
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if stat.S_ISFIFO(status.st_mode):
        _read_once[key] = data
    if len(data) > _MOST_BYTES:
        raise InputError("read logins", path, f"over {_MOST_BYTES} bytes long", _REMEDY)
    return data


def _documents(data: bytes, path: Path) -> list[Mapping[str, Any]]:
    try:
        text = data.decode(json.detect_encoding(data)).removeprefix("\N{BYTE ORDER MARK}")
        parsed = [json.loads(text)] if text.lstrip().startswith(("{", "[")) else _yaml(text)
        found = [each for document in parsed for each in _unwrapped(document, path)]
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise _unreadable(path) from error
    if not found:
        raise InputError("read logins", path, f"no Secret in it holds {_IN_SECRET[0]}", _REMEDY)
    return found


def _yaml(text: str) -> list[Any]:
    """Return the documents of a manifest; every value stays the text it is."""
    import yaml

    try:
        return [
            each for each in yaml.load_all(text, Loader=yaml.BaseLoader) if each not in _NOTHING
        ]
    except yaml.YAMLError as error:
        raise ValueError("not YAML") from error


def _unwrapped(document: Any, path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield a login file itself, or each that a manifest holds."""
    if not isinstance(document, dict):
        raise _unreadable(path)
    kind = document.get("kind")
    if kind == "Secret":
        yield from _of_secret(document, path)
    elif isinstance(kind, str) and kind.endswith("List") and "auths" not in document:
        for item in document.get("items") or ():
            if isinstance(item, dict) and item.get("kind", "Secret") == "Secret":
                yield from _unwrapped(item | {"kind": "Secret"}, path)
    else:
        yield document


def _of_secret(secret: Mapping[str, Any], path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the login file in a Secret; others may hold what they like."""
    for values, encoded in ((secret.get("stringData"), False), (secret.get("data"), True)):
        for name in _IN_SECRET:
            value = values.get(name) if isinstance(values, dict) else None
            if isinstance(value, str):
                text = base64.b64decode("".join(value.split()), validate=True) if encoded else value
                found = json.loads(text)
                if not isinstance(found, dict):
                    raise _unreadable(path)
                yield found
                return


def _login_file(document: Mapping[str, Any], path: Path) -> LoginFile:
    # Docker reads names in any case.
    fields = {str(name).lower(): value for name, value in document.items()}
    modern = fields.keys() & {"auths", "credhelpers", "credsstore"}
    entries = fields.get("auths") if modern else document  # .dockercfg is the inner map alone
    helpers, store = fields.get("credhelpers"), fields.get("credsstore")
    for name, value in (("auths", entries), ("credHelpers", helpers)):
        if value is not None and not isinstance(value, dict):
            raise InputError("read logins", path, f"its {name!r} is not an object", _REMEDY)
    return LoginFile(path, entries or {}, helpers or {}, store if isinstance(store, str) else "")


def _unreadable(path: Path) -> InputError:
    return InputError("read logins", path, "neither JSON nor a Secret's manifest", _REMEDY)
