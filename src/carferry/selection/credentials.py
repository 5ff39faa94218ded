"""Files that look like credentials, by their names and by what small texts hold.

What lies beside a model on somebody's disk goes into an image that others pull. A file that stays
out by mistake is told of, and enters when it is spelled out; one that enters by mistake is public.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath

from carferry.selection.kinds import is_code_or_picture, is_index, is_weights, matches
from carferry.selection.reading import Reader
from carferry.source.snapshot import SourceFile

_LARGEST_BYTES = 64 * 1024
_MOST_READ = 64
_LONGEST_NAME = 255  # Linux's; longer ones are refused by name later, however long they are
_TEXT = r"(?:\.(?:txt|json|jsonl|ya?ml|ini|cfg|conf|csv|toml|env|xml|log|bak|old))*"
_NAME = re.compile(
    # Files that a program of this name reads.
    r"\.env(?:\..+)?|.+\.env|[._]?netrc|\.git-credentials|\.pypirc|\.npmrc|\.pgpass|\.?htpasswd"
    r"|\.s3cfg|\.boto|rclone\.conf|ssh_host_.+_key|id_(?:rsa|dsa|ecdsa|ed25519)(?:\..+)?"
    r"|kubeconfig(?:\..+)?|kaggle\.json|auth\.json|stored_tokens|cookies\.txt|.+\.tfstate(?:\..+)?"
    r"|\.?docker[._-]?config(?:\.?json)?|.*service[_-]?account.*\.json"
    r"|.+\.(?:pem|key|p12|pfx|jks|keystore|kdbx|ppk|kubeconfig|token|secret)"
    # Words that mean nothing else, with or without others before and after them.
    r"|(?:.*[._-])?(?:credentials?|secrets?|passwords?|passwd|passphrases?"
    r"|(?:api|access|private|secret|deploy|ssh|signing)[_-]?keys?)(?:[_-][^.]*)?" + _TEXT
    + r"|(?:hf|hub|huggingface|access|api|auth|bearer|refresh|github|gh|gitlab|wandb|openai|my"
    r"|jwt|oauth2?|slack|bot|session|login|personal|user)[_-]?(?:token|key|pat)s?" + _TEXT
    + r"|token" + _TEXT
)  # fmt: skip
_HELD = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY|\bhf_[A-Za-z0-9]{30,}|\bgh[pousr]_[A-Za-z0-9]{30,}"
    rb"|\bgithub_pat_\w{30,}|\bglpat-[\w-]{20,}|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bnpm_\w{36}\b"
    rb"|\bsk-(?=[\w-]*[0-9])(?=[\w-]*[A-Z])[\w-]{32,}|\bAIza[\w-]{35}|\beyJ[\w-]{10,}\.eyJ|\bxox[abprs]-[\w-]{10,}|\bsha256~[\w-]{40,}"
    rb"|(?i:aws_secret_access_key|client-key-data|_authtoken)[\"']?\s*[:=]"
    rb"|\"private_key\"\s*:\s*\"|\"type\"\s*:\s*\"service_account\"|\"auths\"\s*:\s*\{"
    rb"|(?i:\"(?:client_?secret|(?:api|access|account|secret|secret_?access)_?key|password"
    rb"|(?:access|refresh|id)_?token)\"\s*:\s*\"(?=[^\"\s]*[0-9])[^\"\s]{12,}\")"
    rb"|\bAccountKey=\S|^PuTTY-User-Key-File"
    rb"|^# (?:Netscape )?HTTP Cookie File"
)
"""Private keys, and tokens as the hub, git servers, clouds, package indices and registries issue
them (their documented prefixes); files of logins as docker, kubectl and Google's clients write."""

_KUBECONFIG = re.compile(rb"\bkind\"?\s*:\s*\"?Config\b")
_USERS = re.compile(rb"\busers\"?\s*:")
_SUSPECT = re.compile(
    r"token|secret|key|pass|cred|auth|login|pat|jwt|bearer|docker|pull|kube|aws|azure|gcp|cloud"
    r"|account|env|cookie|session"
)
_CALLED = re.compile(
    r"(?:^|.*[._-])(?:\w*token|secret|key|pat|jwt|bearer|auth|login|pass|passwd|password|passphrase|pw"
    r"|cred|credential|cookie|session)s?(?:[._-].*)?"
)
_OPAQUE = re.compile(rb"\s*(?=\S*[0-9])[\w.=+/~-]{20,500}\s*")
_KNOWN = (
    "config.json", "tokenizer*", "*tokens_map.json", "*added_tokens.json", "tokens.txt", "vocab*",
    "merges*", "modules.json", "params.json", "tekken*", "chat_template*", "*.jinja*", "*.spm",
    "normalizer.json", "*processor_config.json", "generation_config.json", "*.model", "*.bpe",
    "*.codes", "*.vocab", "*.tiktoken", "readme*", "*.md", "*licen[cs]e*", "*copying*", "*notice*",
)  # fmt: skip
"""What servers read by these names, and texts about a model, which show how to log in."""


def is_credential_name(name: str) -> bool:
    """Return whether a file's name, without folders and in lower case, is one of a credential."""
    return len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) is not None


def holds_credential(name: str, data: bytes) -> bool:
    """Return whether a small text is a key, a login or a file with a token in it."""
    data = data.replace(b"\0", b"")  # UTF-16, as a shell of Windows writes it
    if _HELD.search(data) or (_KUBECONFIG.search(data) and _USERS.search(data)):
        return True
    # One word that says nothing, in a file that is called after a token.
    is_called = len(name) <= _LONGEST_NAME and _CALLED.fullmatch(name.lower())
    return bool(is_called and _OPAQUE.fullmatch(data.removeprefix(b"\xff\xfe")))


def hidden_credentials(
    chosen: Collection[str], files: Mapping[str, SourceFile], reader: Reader
) -> Iterator[str]:
    """Yield the small texts that hold a credential, whatever they are called.

    At most 64 are read, those first whose names are the most suspicious.

    Args:
        chosen: Paths that nobody spelled out.
        files: All files by path.
        reader: Reads them.

    Raises:
        CarferryError: The source failed.
    """
    suspects = [path for path in chosen if _is_looked_at(path, files[path].size_bytes)]
    suspects.sort(key=lambda path: (not _SUSPECT.search(_name(path).lower()), path))
    found = reader.bytes_of(suspects[:_MOST_READ])
    yield from [path for path, data in found.items() if holds_credential(_name(path), data)]


def _is_looked_at(path: str, size_bytes: int) -> bool:
    if not 0 < size_bytes <= _LARGEST_BYTES or matches(path, _KNOWN) or is_index(path):
        return False
    return not (is_weights(path) or is_code_or_picture(path))


def _name(path: str) -> str:
    return PurePosixPath(path).name
