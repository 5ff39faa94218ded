"""Credential helpers: programs that keep logins for docker and podman.

``docker-credential-NAME get`` reads the registry's address and writes a JSON document.
Source: docker/docker-credential-helpers, ``client`` and ``credentials``.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO

from carferry.errors import InputError, ToolFailed
from carferry.io.shell import word
from carferry.registry.logins.login import Login

TIMEOUT_S = 60.0
"""How long a helper may take; some ask a cloud, or a person to unlock a keychain."""
_MOST_BYTES = 1024 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NOT_FOUND = "credentials not found in native keychain"
# In the place of a user name: the secret is an identity token.
_IDENTITY = "<token>"
_SHOWN = 300
# One run looks a login up for each registry and step of it; a helper may ask a cloud each time.
_REMEMBERED_S = 300.0
_remembered: dict[tuple[str, str, int], tuple[Login | None, float]] = {}


class HelperMissing(InputError):
    """A login file names a helper that is not installed."""


def ask_helper(
    name: str,
    server: str,
    *,
    where: object,
    env: Mapping[str, str],
    timeout_s: float = TIMEOUT_S,
    clock: Callable[[], float] = time.monotonic,
) -> Login | None:
    """Return the login that a helper keeps for a registry, or None; some minutes from memory.

    Args:
        name: Of the helper, as login files have it: ``ecr-login``.
        server: What it keeps the login under.
        where: The file that names it, for messages.
        env: Environment of the program, in whose ``PATH`` it is.
        timeout_s: Seconds it may take.
        clock: Monotonic seconds.

    Raises:
        HelperMissing: It is not installed.
        InputError: No name of a program.
        ToolFailed: It failed; with its own words, never with what it wrote as a login.
    """
    if not _NAME.fullmatch(name):
        raise InputError("read logins", where, f"{name!r} is no name of a credential helper")
    command = f"docker-credential-{name}"
    program = shutil.which(command, path=env.get("PATH", ""))
    if program is None:
        raise HelperMissing(
            "read logins", where,
            f"it leaves {server} to the credential helper {name!r}, and no program {command} is "
            "installed", f"install it, or run podman login --authfile FILE {server}",
        )  # fmt: skip
    key = program, server, hash(frozenset(env.items()))
    login, until = _remembered.get(key, (None, 0.0))
    if clock() >= until:
        login = _asked(program, server, env, timeout_s)
        _remembered[key] = login, clock() + _REMEMBERED_S
    return login


def forget() -> None:
    """Ask every helper anew from now on: a login was refused."""
    _remembered.clear()


def _asked(program: str, server: str, env: Mapping[str, str], timeout_s: float) -> Login | None:
    command = program.rpartition("/")[2]
    status, output, errors = _run(program, server, env, timeout_s)
    words = (output.strip() or errors.strip()).decode("utf-8", "replace")
    if status == 0:
        return _parsed(output, command, server)
    if words == _NOT_FOUND:
        return None
    # A helper that fails after it wrote a login must not have it shown.
    said = "its output is not shown" if "{" in words else " ".join(words.split())[:_SHOWN]
    raise _failed(command, server, f"exit {status}: {said or 'it said nothing'}")


def _run(
    program: str, server: str, env: Mapping[str, str], timeout_s: float
) -> tuple[int, bytes, bytes]:
    """Return exit status, output and errors; what takes too long or says too much is ended."""
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(
            [program, "get"],
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=dict(env),
            start_new_session=True,
        )
    except OSError as error:
        raise _failed(program, server, error.strerror or str(error)) from error
    with process:
        try:
            output, errors = _talk(process, server.encode(), time.monotonic() + timeout_s)
            return process.wait(timeout_s), output, errors
        except (TimeoutError, subprocess.TimeoutExpired) as error:
            reason = f"no answer within {timeout_s:g} seconds"
            raise _failed(program, server, reason) from error
        except OverflowError as error:
            raise _failed(program, server, f"it wrote over {_MOST_BYTES} bytes") from error
        finally:
            if process.returncode is None:
                # Helpers are scripts: what they wait for would live on, and keep the pipes open.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def _talk(process: subprocess.Popen[bytes], data: bytes, deadline: float) -> tuple[bytes, bytes]:
    """Send the input and read both outputs to their ends."""
    stdin, outputs = process.stdin, (process.stdout, process.stderr)
    if stdin is None or None in outputs:
        raise TypeError("a helper's streams are pipes")
    try:
        stdin.write(data)
        stdin.close()
    except BrokenPipeError:
        pass  # it knows without asking
    read: dict[object, bytes] = dict.fromkeys(outputs, b"")
    with selectors.DefaultSelector() as selector:
        for stream in outputs:
            selector.register(stream, selectors.EVENT_READ)  # type: ignore[arg-type]
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                _read(key.fileobj, read, selector)  # type: ignore[arg-type]
    return read[outputs[0]], read[outputs[1]]


def _read(stream: IO[bytes], read: dict[object, bytes], selector: selectors.BaseSelector) -> None:
    piece = stream.read1(65536)  # type: ignore[attr-defined]
    if not piece:
        selector.unregister(stream)
    read[stream] += piece
    if len(read[stream]) > _MOST_BYTES:
        raise OverflowError


def _parsed(output: bytes, command: str, server: str) -> Login | None:
    try:
        found = {str(name).lower(): value for name, value in json.loads(output).items()}
        user, secret = found.get("username") or "", found.get("secret") or ""
        if not isinstance(user, str) or not isinstance(secret, str):
            raise TypeError
    except (ValueError, TypeError, AttributeError, RecursionError):
        # Not even as a cause: an error of the parser holds the whole output.
        raise _failed(command, server, "it wrote no login that can be read") from None
    if user == _IDENTITY:
        return Login(identity_token=secret, where=command) or None
    return Login(user, secret, where=command) or None


def _failed(program: str, server: str, reason: str) -> ToolFailed:
    command = program.rpartition("/")[2]
    remedy = f"see what this says: echo {word(server)} | {command} get"
    return ToolFailed("ask for the login of", server, f"{command}: {reason}", remedy)
