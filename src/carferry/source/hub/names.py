"""The texts that name a model on the hub: ``org/name``, ``hf://`` and pages of its web site.

Source: the hub's own pages (``/tree/REV``, ``/blob/REV/FILE``, ``/resolve/REV/FILE``) and
huggingface_hub's grammar of ``hf://`` (docs/source/en/package_reference/hf_uris.md).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn
from urllib.parse import SplitResult, unquote, urlsplit

from carferry.errors import InvalidReference
from carferry.io.shell import glob_of, option, word
from carferry.refs import ModelRef

_HOSTS = {"huggingface.co", "www.huggingface.co", "hf.co", "www.hf.co"}
_OTHER_KINDS = {
    "datasets": "a dataset",
    "spaces": "a space",
    "buckets": "a bucket",
    "kernels": "a kernel",
    "collections": "a collection",
    "papers": "a paper",
}
_SITE = {
    "blog", "chat", "changelog", "docs", "enterprise", "hardware", "inference",
    "inference-endpoints", "join", "languages", "learn", "login", "metrics", "new",
    "organizations", "posts", "pricing", "privacy", "settings", "storage", "tasks",
    "terms-of-service",
}  # fmt: skip
_OF_AN_OWNER = {*_OTHER_KINDS, "models", "followers", "following", "likes"}
_NAME_ONE = "write org/name of a model"
_PASTE = "open a model there and give its address, or write org/name"
_OF_A_REVISION = {"tree", "commit", "commits", "revision"}
_OF_A_FILE = {"blob", "resolve", "raw", "blame", "edit"}
_OF_A_REPOSITORY = {"discussions", "settings", "activity"}
_PAGES = _OF_A_REVISION | _OF_A_FILE | _OF_A_REPOSITORY
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\|\.{0,2}\\")


def parse_model(model: str, revision: str = "") -> ModelRef:
    """Parse what names a model on the hub.

    Args:
        model: ``org/name[@revision]``, the same after ``hf://``, or the address of a page of the
            public hub or of the one that ``HF_ENDPOINT`` names.
        revision: Used if ``model`` carries none.

    Raises:
        InvalidReference: Something else: a dataset, one file or folder, a list of models, a page
            of another site.
    """
    text = model.strip()
    try:
        return _parsed(text, revision)
    except InvalidReference as error:
        if hint := folder_hint(text):
            raise InvalidReference(error.action, error.subject, error.reason, hint) from error
        raise


def folder_hint(text: str) -> str:
    """Return what to write if a folder here bears a model's name; empty if none does."""
    try:
        there = Path(text).is_dir()
    except (OSError, ValueError):
        there = False
    return f"{text} is a folder here: write ./{text.rstrip('/')}" if there and text else ""


def owner_hint(repo: str) -> str:
    """Return what to write if a name that no model has may be an owner's; empty if it is not."""
    if "/" in repo:
        return ""
    return f"one part names an organisation or a user: give one model, as {repo}/name"


def _parsed(text: str, revision: str) -> ModelRef:
    if _WINDOWS.match(text):
        remedy = "write the path as this system knows it, such as ./model or /mnt/c/models/name"
        _refuse(text, "a path of Windows", remedy)
    path = _path(text)
    name, _, inline = path.partition("@")
    if ":" in name:
        remedy = "write org/name@revision; one file of several with --include '*Q4_K_M*'"
        _refuse(text, "a ':' in the name", remedy)
    is_address = "://" in text or path != text
    parts = _parts(text, name) if is_address else _bare(name)
    _check_kind(text, parts)
    end = 1 if len(parts) > 1 and parts[1] in _PAGES else 2
    repo, page = "/".join(map(unquote, parts[:end])), parts[end:]
    if is_address:
        repo = repo.removesuffix(".git")
    found = _of_page(text, repo, page) if page else unquote(inline).rstrip("/")
    return ModelRef.parse(f"{repo}@{found}" if found else repo, revision)


def _parts(text: str, name: str) -> list[str]:
    """Return an address's parts, without what the hub puts before a model's name."""
    parts = [part for part in name.split("/") if part]
    parts = parts[1:] if parts[:1] == ["api"] else parts
    if parts == ["models"]:
        _refuse(text, "the list of all models, not one of them", _PASTE)
    parts = parts[1:] if parts[:1] == ["models"] else parts
    if not text.lower().startswith("hf://"):
        _check_page(text, parts)
    return parts


def _check_kind(text: str, parts: Sequence[str]) -> None:
    """Refuse what the hub holds beside models."""
    if not parts or parts[0] not in _OTHER_KINDS:
        return
    if len(parts) == 1:
        _refuse(text, f"the list of all {parts[0]}, not a model", _NAME_ONE)
    remedy = _PASTE if parts[0] in {"collections", "papers"} else _NAME_ONE
    _refuse(text, f"{_OTHER_KINDS[parts[0]]}, not a model", remedy)


def _check_page(text: str, parts: Sequence[str]) -> None:
    """Refuse the hub's own pages, and those of an owner; no repository is called as they are."""
    if parts and parts[0] in _SITE:
        _refuse(text, f"a page of the hub itself ({parts[0]}), not a model", _PASTE)
    if parts[1:2] == ["activity"] and len(parts) > 2:
        _refuse(text, f"the activity of {parts[0]}, not a model", _PASTE)
    if len(parts) > 1 and parts[1] in _OF_AN_OWNER:
        _refuse(text, f"the list of {parts[1]} of {parts[0]}, not a model", _PASTE)


def _bare(name: str) -> list[str]:
    """Return a name's parts; "org/" stays no name, since a shell may have completed a folder's."""
    parts = name.rstrip("/").split("/")
    if len(parts) == 1:
        return [name]
    return parts[1:] if parts[0] == "models" else parts


def _path(text: str) -> str:
    """Return what stands behind the scheme and the host: ``org/name`` and maybe a page."""
    scheme, mark, rest = text.partition("://")
    if mark and scheme.lower() == "hf":
        return rest
    if not mark and text.partition("/")[0].lower() not in _known_hosts():
        return text
    url = _split(text, text if mark else f"https://{text}")
    if url.username or url.password:
        _refuse(text, "an address with a login", "set HF_TOKEN and leave it out of the address")
    if (url.hostname or "") not in _known_hosts():
        remedy = f"write org/name; for a mirror set HF_ENDPOINT={url.scheme}://{url.netloc}"
        _refuse(text, "no page of a hub that is known here", remedy)
    own = _split(text, os.environ.get("HF_ENDPOINT", ""))
    prefix = own.path.rstrip("/") if own.hostname == url.hostname else ""
    inside = url.path == prefix or url.path.startswith(f"{prefix}/")
    path = (url.path[len(prefix) :] if inside else url.path).lstrip("/")
    if not path:
        _refuse(text, "the hub itself, not a model", _PASTE)
    return path


def _of_page(text: str, repo: str, page: Sequence[str]) -> str:
    """Return the revision that a page of a repository shows the files of."""
    kind, rest = page[0], [unquote(part) for part in page[1:]]
    if kind not in _PAGES:
        _refuse(text, "not org/name[@revision]", "for a folder write ./path")
    if kind in _OF_A_REPOSITORY:
        # Whether one part is an old model's name or an owner's, only the hub knows.
        _refuse(text, "a page without files", f"write {repo if '/' in repo else 'org/name'}")
    # Branches with a slash come as one part; these two kinds also unescaped.
    long = rest[:1] == ["refs"] and len(rest) > 2 and rest[1] in ("pr", "convert")
    count = 3 if long else 1
    revision, inner = "/".join(rest[:count]), "/".join(rest[count:])
    if inner and kind in _OF_A_FILE:
        _refuse(text, "one file of a model", _hint_for_file(repo, revision, inner))
    if inner:
        _refuse(text, "a folder inside a repository", _hint_for_folder(repo, revision, inner))
    return revision


def _hint_for_file(repo: str, revision: str, path: str) -> str:
    """Name the model; one GGUF of several is a model by itself, one shard is none."""
    named = f"write {word(f'{repo}@{revision}')}"
    is_model = path.lower().endswith(".gguf")
    return f"{named} and {option('--include', glob_of(path))}" if is_model else named


def _hint_for_folder(repo: str, revision: str, path: str) -> str:
    got = f"hf download {word(repo)} --revision {word(revision)}"
    taken = option("--include", f"{glob_of(path)}/*")
    return f"{got} {taken} --local-dir model, then give {word(f'./model/{path}')}"


def _known_hosts() -> set[str]:
    own = os.environ.get("HF_ENDPOINT", "").strip()
    try:
        parts = urlsplit(own)
    except ValueError:
        return _HOSTS
    return _HOSTS | {name for name in (parts.hostname, parts.netloc.lower()) if name}


def _split(text: str, url: str) -> SplitResult:
    try:
        return urlsplit(url.strip())
    except ValueError:
        _refuse(text, "not an address", "write org/name")


def _refuse(text: str, reason: str, remedy: str) -> NoReturn:
    raise InvalidReference("parse model", repr(text), reason, remedy)
