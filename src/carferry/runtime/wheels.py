"""Wheels for a Python that is not this one, fetched by pip.

pip knows indexes, proxies, certificates and logins; its own configuration (pip.conf, PIP_*) is
left to it. Only wheels are taken and nothing is resolved or built, so none of the packages' code
runs here. pip's words name addresses and may carry logins: errors say only what they mean.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from carferry.errors import CarferryError, ToolFailed, Unreachable
from carferry.runtime.interpreter import Interpreter
from carferry.shown import redact

Command = Sequence[str]
_DOWNLOAD = (
    "download", "--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check",
    "--implementation", "cp",
)  # fmt: skip
_MISSING = re.compile(r"No matching distribution found for ([^\s;(]+)")
_NO_ANSWER = re.compile(
    r"connection broken|max retries|connection error|timed? ?out|SSLError|CERTIFICATE|ProxyError",
    re.IGNORECASE,
)
_REFUSED = re.compile(r"Could not fetch URL \S+ (40[13])\b")
_SOURCE_ONLY = "No sources permitted for"
_ERROR = re.compile(r"ERROR: (.+)")
_ADDRESS = re.compile(r"\w+://\S+|(?<=host=)\S+|(?:/[^\s/:]+){2,}")
_OUTPUT_END = 300

logger = logging.getLogger("carferry")


def run_pip(arguments: Command) -> subprocess.CompletedProcess[str]:
    """Run the pip of this Python, with the environment it was given, to its end."""
    # -P: a folder named like a module, in the current directory, is not part of pip.
    command = [sys.executable, "-P", "-m", "pip", *arguments]
    # Quietness also quietens the log that failures are read from.
    env = {name: value for name, value in os.environ.items() if name != "PIP_QUIET"}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=env
    )


def download(
    interpreter: Interpreter,
    requirements: Sequence[str],
    folder: Path,
    *,
    pip: Callable[[Command], subprocess.CompletedProcess[str]] = run_pip,
) -> list[Path]:
    """Fetch one wheel for each requirement.

    Args:
        interpreter: What they must run on.
        requirements: ``name==version``, complete: their own dependencies are not followed.
        folder: An empty one.
        pip: Runs pip with these arguments.

    Returns:
        The wheels, sorted by name.

    Raises:
        Unreachable: The index does not answer.
        ToolFailed: No pip, no wheel of a package, or the end of pip's log, without addresses.
    """
    log = folder / "pip.log"
    tags = [part for tag in interpreter.tags() for part in ("--platform", tag)]
    python = ["--python-version", interpreter.short, "--abi", interpreter.abi]
    folders = ["--dest", str(folder), "--log", str(log)]
    done = pip([*_DOWNLOAD, *python, *tags, *folders, *requirements])
    if done.returncode:
        log_text = log.read_text("utf-8", "replace") if log.is_file() else ""
        logger.debug("pip: %s", redact(log_text or done.stderr))
        raise _failure(interpreter, f"{log_text}\n{done.stderr}")
    return sorted(folder.glob("*.whl"))


def _failure(interpreter: Interpreter, log_text: str) -> CarferryError:
    """Return the error that pip's log means; first no answer, which makes a wheel missing too."""
    action = "download wheels"
    if "No module named pip" in log_text:
        return ToolFailed(action, "", "this Python has no pip", "python -m ensurepip")
    missing = _MISSING.search(log_text)
    subject = missing[1] if missing else interpreter
    if _NO_ANSWER.search(log_text):
        remedy = "check the network, the proxy and pip's configuration: pip config list"
        return Unreachable(action, subject, "the package index does not answer", remedy)
    if refused := _REFUSED.search(log_text):
        reason = f"the package index refused the login ({refused[1]})"
        return ToolFailed(action, subject, reason, "check pip's configuration: pip config list")
    if missing:
        return _no_wheel(interpreter, missing[1], log_text)
    errors = _ERROR.findall(log_text) or log_text.strip().splitlines()[-1:] or ["no word"]
    return ToolFailed(action, subject, _ADDRESS.sub("...", errors[-1])[-_OUTPUT_END:])


def _no_wheel(interpreter: Interpreter, requirement: str, log_text: str) -> ToolFailed:
    newest = "glibc {}.{}".format(*interpreter.glibc)
    only = ", only sources" if _SOURCE_ONLY in log_text else ""
    return ToolFailed(
        "download wheels", requirement,
        f"the package index has no wheel of it for {interpreter} with {newest}{only}",
        "nothing is built here: choose another --base, or add the wheel to your index",
    )  # fmt: skip
