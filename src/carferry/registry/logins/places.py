"""Finding the login for a registry where container tools keep it.

Order: ``REGISTRY_AUTH_FILE``, ``DOCKER_AUTH_CONFIG``, ``DOCKER_CONFIG/config.json``,
``XDG_RUNTIME_DIR/containers/auth.json`` or ``/run/containers/UID/auth.json``,
``XDG_CONFIG_HOME/containers/auth.json`` or ``~/.config/containers/auth.json``,
``~/.docker/config.json``, ``~/.dockercfg``. A folder stands for a mounted Kubernetes Secret.
``DOCKER_AUTH_CONFIG`` is no file's name but what such a file says; docker takes it before its
files, for the hosts that it names. Sources: containers-auth.json(5), whose order has DOCKER_CONFIG
last; docker/cli ``cli/config/configfile``, ``GetCredentialsStore``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from carferry.errors import ToolFailed
from carferry.refs import ImageRef
from carferry.registry.logins.entries import entry_login, matching
from carferry.registry.logins.files import LoginFile, read_login_files, read_login_text
from carferry.registry.logins.helpers import HelperMissing, ask_helper
from carferry.registry.logins.login import Login

_log = logging.getLogger("carferry")
# What Docker's own helpers keep its hub under.
_DOCKER_HUB = "https://index.docker.io/v1/"
_TEXT = "DOCKER_AUTH_CONFIG"


def find_login(
    ref: ImageRef, *, env: Mapping[str, str] | None = None, auth_file: Path | None = None
) -> Login | None:
    """Return the login for a repository; the closest entry of the first file that has one.

    Args:
        ref: The repository.
        env: Environment to read, and of credential helpers; default the process's.
        auth_file: Read this file alone.

    Raises:
        InputError: A file cannot be read or is not such a document, what it says of this
            repository makes no sense, or the credential helper it names is not installed.
        ToolFailed: The credential helper failed.
    """
    environ = os.environ if env is None else env
    for path, named in _candidates(environ, auth_file):
        if path == Path(_TEXT) and not named:
            files: tuple[LoginFile, ...] | None = read_login_text(environ[_TEXT], path)
        else:
            files = read_login_files(path, required=auth_file is not None)
        if files is None and named:
            return None  # /dev/null says that nobody is logged in
        if files == () and named:
            _pass_over(path)
        for file in files or ():
            if login := _login_of(file, ref, environ):
                return login
    return None


@cache
def _pass_over(path: Path) -> None:
    """Say once that a file that was named holds nothing to look at: most often a slip."""
    _log.warning("logins: no file %s, which REGISTRY_AUTH_FILE names; looking elsewhere", path)


def _candidates(env: Mapping[str, str], auth_file: Path | None) -> list[tuple[Path, bool]]:
    """Return each file with whether it was named, and not just found where files are kept."""
    if auth_file:
        return [(auth_file, True)]
    found = []
    if env.get("REGISTRY_AUTH_FILE"):
        # Optional on purpose: pipelines point here whether or not the secret exists.
        found.append((Path(env["REGISTRY_AUTH_FILE"]), True))
    if env.get(_TEXT):
        found.append((Path(_TEXT), False))
    if env.get("DOCKER_CONFIG"):
        found.append((Path(env["DOCKER_CONFIG"]) / "config.json", False))
    if env.get("XDG_RUNTIME_DIR"):
        found.append((Path(env["XDG_RUNTIME_DIR"]) / "containers" / "auth.json", False))
    else:
        found.append((Path(f"/run/containers/{os.getuid()}/auth.json"), False))
    home = env.get("HOME")
    config = env.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
    if config:
        found.append((Path(config) / "containers" / "auth.json", False))
    if home:
        found.append((Path(home) / ".docker" / "config.json", False))
        found.append((Path(home) / ".dockercfg", False))
    return found


def _login_of(file: LoginFile, ref: ImageRef, env: Mapping[str, str]) -> Login | None:
    """Return the login a file gives; its helper for a host wins over what stands in it."""
    host = ImageRef(ref.registry, "")
    for server, helper in matching(file.helpers, host):
        if helper not in ("", None):
            name = helper if isinstance(helper, str) else ""
            return ask_helper(name, server, where=file.path, env=env)
    for key, entry in matching(file.entries, ref):
        if login := entry_login(key, entry, file.path):
            return login
    return _stored(file, host, env) if file.store else None


def _stored(file: LoginFile, host: ImageRef, env: Mapping[str, str]) -> Login | None:
    """Return what the store for all hosts keeps for this one.

    Docker leaves an empty entry for a host whose login the store keeps. Without one the store of a
    desktop, which a pod lacks, must not stop the reading of a public image.
    """
    names = [key for key, _ in matching(file.entries, host)]
    docker = host.registry in ("docker.io", "index.docker.io", "registry-1.docker.io")
    server = _DOCKER_HUB if docker else host.registry.lower()
    try:
        return ask_helper(file.store, server, where=file.path, env=env)
    except (HelperMissing, ToolFailed) as error:
        if names:
            raise
        if isinstance(error, ToolFailed):
            _log.warning("%s; going on without a login", error)
        return None
