"""Secrets that must not stand in a deployment: who may read its objects reads these.

Those are a cluster's users, and everybody of a GitOps repository. What a server needs of them is
named, and stays in a Secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from carferry.errors import InputError
from carferry.shown import redact

_NAME = re.compile(
    r"(?i)(?:token|passwo?r?d|passphrase|pwd|(?:^|_)(?:pass|pat)|secret|credentials?|bearer"
    r"|(?:api|access|private|secret|signing|encryption|master|account)_?key)$"
)
_SPECIAL = re.compile(r"(?i)(?:pad|eos|bos|unk|sep|cls|mask|image|max)_token$")
"""Words of a tokenizer."""
_FLAG = re.compile(r"--(?:hf|api|auth|access)[-_]token|--ssl[-_]keyfile[-_]password|--password")
_API_KEY = re.compile(r"--api[-_]key")
_ENTRY = re.compile(
    r"""["'](?:hf_token|token|api_key|password|secret|secret_access_key|auth_token)["']\s*:\s*["'].""",
    re.IGNORECASE,
)
"""Of a JSON object, which some of vLLM's arguments are."""
_CLOUD_KEY = re.compile(r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}\b|\bAIza[\w-]{35}\b")
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY")
_REASON = "a secret would be readable"
_ELSEWHERE = (
    "keep it in a Secret that a ServingRuntime of your own names, as in "
    "env.valueFrom.secretKeyRef: docs/how-to/deploy.md"
)
_NO_HUB = "leave it out: the image holds the model, the server asks no hub"
_AUTH = "use auth instead (--auth true): the endpoint asks for a token of the cluster"


def check_secrets(env: Iterable[tuple[str, str]], args: Iterable[str]) -> None:
    """Refuse variables and arguments of a server that are secrets, or are named as such.

    Raises:
        InputError: Names the variable or the argument, never its value.
    """
    for name, value in env:
        if is_secret(name, value):
            raise InputError("read environment", name, _REASON, _remedy(name, value))
    for arg in args:
        flag = arg.partition("=")[0]
        if _API_KEY.fullmatch(flag):
            raise InputError("read vLLM arguments", flag, "readable", _AUTH)
        if _FLAG.fullmatch(flag) or _ENTRY.search(arg) or looks_secret(arg):
            shown = flag if flag.startswith("--") else "a value"
            raise InputError("read vLLM arguments", shown, _REASON, _remedy(flag, arg))


def is_secret(name: str, value: str) -> bool:
    """Say whether a variable or an option is a secret, by its name or its value's looks."""
    return bool(value) and not _is_file(name, value) and (_is_named(name) or looks_secret(value))


def looks_secret(text: str) -> bool:
    """Say whether text holds a key, a token or a login, by its looks."""
    return redact(text) != text or bool(_CLOUD_KEY.search(text) or _PEM.search(text))


def _is_named(name: str) -> bool:
    return bool(_NAME.search(name)) and not _SPECIAL.search(name)


def _is_file(name: str, value: str) -> bool:
    """Say whether a variable names the file that holds the secret."""
    return value.startswith("/") and name.upper().endswith(("CREDENTIALS", "_FILE", "_PATH"))


def _remedy(name: str, value: str) -> str:
    if value.startswith("hf_") or "=hf_" in value or re.search(r"(?i)\bhf[-_]|hugging", name):
        return _NO_HUB
    return _AUTH if re.search(r"(?i)vllm_api_key", name) else _ELSEWHERE
