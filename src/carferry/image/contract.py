"""The contract KServe relies on, clause by clause: a pure function of what an image holds.

In modelcar mode arguments are run by the image's own shell and ``/models`` is read through
``/proc/<pid>/root`` by an arbitrary user. A ModelPack artifact is mounted file by file instead.
Source: kserve pkg/utils/storage.go; modelpack/model-spec docs/spec.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from carferry.image.base import MODELCAR_ENTRYPOINT
from carferry.image.config import flaw_of
from carferry.image.kinds import layers_flaw
from carferry.image.layers import MOST_LAYERS, ROOT
from carferry.image.modelpack import RAW
from carferry.oci.documents import Descriptor
from carferry.source.snapshot import ContentId

TOOLS = ("sh", "ls", "ln", "sleep", "mkdir")
_BIN = ("bin", "usr/bin", "sbin", "usr/sbin", "usr/local/bin")
# What selection/checks.py lets into an image's root, and what it wants there.
_DESCRIBES = re.compile(r"config\.json|params\.json|model_index\.json|[^/]+\.(?i:gguf)")
_NEEDS_CONFIG = re.compile(r"(?!adapter_model).*\.safetensors|pytorch_model.*\.bin")
TOOL_PATHS = frozenset(f"{folder}/{tool}" for folder in _BIN for tool in TOOLS)
_RUN_BY = "which KServe runs in the image to serve oci:// (modelcar mode)"
_BASELESS = (
    "put a base under it: carferry build oci://THIS NEW --base embedded; as it is, only clusters "
    "that mount images as volumes serve it (ociModelMode native, oci+native://)"
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file's bytes lie.

    Attributes:
        layer: What holds them.
        offset: Of the first of them, in the layer as unpacked.
        is_packed: Whether the layer is compressed, so that no part of it can be asked for.
        head: First bytes of a file in a compressed layer, as far as they were kept.
        tail: Last ones likewise.
    """

    layer: Descriptor
    offset: int = 0
    is_packed: bool = False
    head: bytes = b""
    tail: bytes = b""


@dataclass(frozen=True, slots=True)
class Entry:
    """One path an image's layers hold.

    Attributes:
        path: Without a leading slash.
        size_bytes: Length of a file, 0 for others.
        mode: Permission bits.
        kind: ``file``, ``directory`` or ``link``.
        owner: Uid and gid.
        link: Where a link points.
        place: Where a file's bytes lie; None of what has none as they are, such as sparse files.
        content: Id of its bytes, where somebody named or computed it.
    """

    path: str
    size_bytes: int
    mode: int
    kind: str
    owner: tuple[int, int]
    link: str = ""
    place: Place | None = None
    content: ContentId | None = None


@dataclass(frozen=True, slots=True)
class Contents:
    """What the layers hold together, as far as they were looked at.

    Attributes:
        models: The topmost entry of each path under ``/models``, sorted.
        tools: Those of ``TOOL_PATHS`` that are there.
        covered: Paths among both that a layer not looked at lies over.
        unread: Why each layer that was not looked at was not.
        diff_ids: A layer whose content is not what the config says, in words; or empty.
        damaged: A layer that no runtime could unpack, in words; or empty.
    """

    models: tuple[Entry, ...]
    tools: frozenset[str] = frozenset()
    covered: frozenset[str] = frozenset()
    unread: tuple[str, ...] = ()
    diff_ids: str = ""
    damaged: str = ""


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause of the contract.

    Attributes:
        name: One or two words.
        ok: Whether the image meets it; None if the answer may lie in a layer that was not
            looked at.
        detail: What was found.
    """

    name: str
    ok: bool | None
    detail: str = ""


def check_modelcar(
    config: Mapping[str, Any], contents: Contents, layers: Sequence[Descriptor]
) -> tuple[Clause, ...]:
    """Check an image against what modelcar mode needs.

    Args:
        config: Image config.
        contents: What its layers hold.
        layers: All of them, base included.
    """
    settings = config.get("config") or {}
    return (
        _has_models(contents),
        _root(contents),
        _every("readable", contents, _readable, "a=rX", "not readable by every user"),
        _every("owner", contents, _is_roots, "0:0", "not 0:0"),
        _every("links", contents, _is_plain, "none", "not a file or directory"),
        _entrypoint(settings),
        _tools(settings, contents),
        _user(settings),
        _platform(config),
        _config(config, layers),
        _diff_ids(contents),
        _layers(layers, contents),
    )


def not_an_image(kind: str) -> tuple[Clause, ...]:
    """Return the one clause that something else than an image breaks: it is not one."""
    return (Clause("image", False, f"it is {kind}, not an image"),)


def check_modelpack(
    config: Mapping[str, Any], layers: Sequence[Descriptor], models: Sequence[Entry]
) -> tuple[Clause, ...]:
    """Check an artifact against what is needed for native image volumes and artifact mounts.

    Args:
        config: Model config.
        layers: Raw layers.
        models: What their annotations say they are.
    """
    diff_ids = (config.get("modelfs") or {}).get("diffIds")
    raw = all(layer.media_type.endswith(RAW) for layer in layers)
    same = diff_ids == [str(layer.digest) for layer in layers]
    named = len(models) == len(layers)
    contents = Contents(tuple(models))
    return (
        _has_models(contents),
        _root(contents),
        Clause("raw", raw, "each layer is a file" if raw else "some layers are archives"),
        Clause("paths", named, "every layer is named" if named else "a layer has no file path"),
        Clause("diff ids", same, "as the layers" if same else "not those of the layers"),
    )


def _has_models(contents: Contents) -> Clause:
    files = [entry.path for entry in contents.models if entry.kind == "file"]
    sure = any(path not in contents.covered for path in files)
    found = f"{len(files)} files under /{ROOT}"
    return _clause("models", sure, contents, found)


def _root(contents: Contents) -> Clause:
    """Check that servers find what tells them how to load the weights; GGUF says it in itself.

    Without weights (``--allow-no-weights``) there is nothing to load, and an adapter is loaded
    beside its base by a config of its own. Other formats, such as ONNX, have servers that need
    none.
    """
    files = [entry.path for entry in contents.models if entry.kind == "file"]
    at_root = [path for path in files if _DESCRIBES.fullmatch(path.removeprefix(f"{ROOT}/"))]
    sure = [path for path in at_root if path not in contents.covered]
    if at_root:
        return _clause("root", bool(sure), contents, (sure or at_root)[0])
    needy = [path for path in files if _NEEDS_CONFIG.fullmatch(path.rpartition("/")[2])]
    if not needy:
        return _clause("root", not contents.unread, contents, "no weights that need a config")
    missing = f"no config.json or params.json directly under /{ROOT}"
    return _clause("root", False, contents, f"{missing}, so no server can load {needy[0]}")


def _every(
    name: str, contents: Contents, holds: Callable[[Entry], bool], good: str, bad: str
) -> Clause:
    """Check each path under ``/models``; one in a layer not looked at may be wrong, or cover it."""
    wrong = [entry.path for entry in contents.models if not holds(entry)]
    sure = [path for path in wrong if path not in contents.covered]
    if sure:
        return Clause(name, False, f"{bad}: {sure[0]}")
    detail = f"{bad}: {wrong[0]}" if wrong else good
    return _clause(name, not wrong and not contents.unread, contents, detail)


def _clause(name: str, ok: bool, contents: Contents, detail: str) -> Clause:
    """Return a clause that what was not looked at may still meet, or break."""
    if ok or not contents.unread:
        return Clause(name, ok, detail)
    return Clause(name, None, f"{detail}, as far as looked at: {contents.unread[0]}")


def _readable(entry: Entry) -> bool:
    needed = 0o555 if entry.kind == "directory" else 0o444
    return entry.kind == "link" or entry.mode & needed == needed


def _is_roots(entry: Entry) -> bool:
    return entry.owner == (0, 0)


def _is_plain(entry: Entry) -> bool:
    return entry.kind != "link"


def _entrypoint(settings: Mapping[str, Any]) -> Clause:
    found = settings.get("Entrypoint")
    ok = not found or found == MODELCAR_ENTRYPOINT
    return Clause(
        "entrypoint", ok, f"{found} would swallow KServe's arguments" if not ok else "fits"
    )


def _tools(settings: Mapping[str, Any], contents: Contents) -> Clause:
    """Check for what KServe runs in the image; scratch has none, and suits image volumes only.

    Nothing in an image says how a cluster will mount it, and plain ``oci://`` is modelcar mode
    unless its administrator chose otherwise: so it is a broken clause, and no remark.
    Source: kserve pkg/utils/storage.go; ociModelMode, oci+native:// (0.20).
    """
    if settings.get("Entrypoint") == MODELCAR_ENTRYPOINT:
        return Clause("tools", True, "the modelcar entrypoint stands in for a shell")
    sure = contents.tools - contents.covered
    missing = [tool for tool in TOOLS if not any(f"{folder}/{tool}" in sure for folder in _BIN)]
    detail = f"no {', '.join(missing)}" if missing else "all there"
    if missing and not contents.unread:
        detail = f"{detail}, {_RUN_BY}; {_BASELESS}"
    return _clause("tools", not missing, contents, detail)


def _user(settings: Mapping[str, Any]) -> Clause:
    user = str(settings.get("User") or "")
    ok = user.partition(":")[0].isdigit() and not user.startswith("0")
    return Clause("user", ok, user or "root")


def _config(config: Mapping[str, Any], layers: Sequence[Descriptor]) -> Clause:
    flaw = flaw_of(config, layers)
    return Clause("config", not flaw, flaw or "fits the layers")


def _diff_ids(contents: Contents) -> Clause:
    if contents.diff_ids:
        return Clause("diff ids", False, contents.diff_ids)
    return _clause("diff ids", not contents.unread, contents, "as the layers")


def _layers(layers: Sequence[Descriptor], contents: Contents) -> Clause:
    few = len(layers) <= MOST_LAYERS
    flaw = layers_flaw(layers) or contents.damaged
    return Clause("layers", few and not flaw, flaw if few and flaw else f"{len(layers)}")


def _platform(config: Mapping[str, Any]) -> Clause:
    found = f"{config.get('os')}/{config.get('architecture')}"
    return Clause("platform", config.get("os") == "linux", found)
