"""The contract KServe relies on, clause by clause: a pure function of what an image holds.

In modelcar mode arguments are run by the image's own shell and ``/models`` is read through
``/proc/<pid>/root`` by an arbitrary user. A ModelPack artifact is mounted file by file instead.
Source: kserve pkg/utils/storage.go; modelpack/model-spec docs/spec.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from carferry.image.base import MODELCAR_ENTRYPOINT
from carferry.image.config import flaw_of
from carferry.image.layers import MOST_LAYERS, ROOT
from carferry.oci.documents import Descriptor

TOOLS = ("sh", "ls", "ln", "sleep", "mkdir")
_BIN = ("bin", "usr/bin", "sbin", "usr/sbin", "usr/local/bin")


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
    """

    path: str
    size_bytes: int
    mode: int
    kind: str
    owner: tuple[int, int]
    link: str = ""


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause of the contract.

    Attributes:
        name: One or two words.
        ok: Whether the image meets it.
        detail: What was found.
    """

    name: str
    ok: bool
    detail: str = ""


def check_modelcar(
    config: Mapping[str, Any],
    entries: Sequence[Entry],
    models: Sequence[Entry],
    layers: Sequence[Descriptor],
) -> tuple[Clause, ...]:
    """Check an image against what modelcar mode needs.

    Args:
        config: Image config.
        entries: Every path of every layer.
        models: The topmost entry of each path under ``/models``.
        layers: All of them, base included.
    """
    settings = config.get("config") or {}
    return (
        _has_models(models),
        _modes(models),
        _owners(models),
        _links(models),
        _entrypoint(settings),
        _tools(settings, entries),
        _user(settings),
        _platform(config),
        _config(config, layers),
        Clause("layers", len(layers) <= MOST_LAYERS, f"{len(layers)}"),
    )


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
    raw = all(layer.media_type.endswith(".raw") for layer in layers)
    same = diff_ids == [str(layer.digest) for layer in layers]
    named = len(models) == len(layers)
    return (
        _has_models(models),
        Clause("raw", raw, "each layer is a file" if raw else "some layers are archives"),
        Clause("paths", named, "every layer is named" if named else "a layer has no file path"),
        Clause("diff ids", same, "as the layers" if same else "not those of the layers"),
    )


def _has_models(models: Sequence[Entry]) -> Clause:
    files = sum(entry.kind == "file" for entry in models)
    return Clause("models", files > 0, f"{files} files under /{ROOT}")


def _modes(models: Sequence[Entry]) -> Clause:
    wrong = [e.path for e in models if e.kind != "link" and not _readable(e)]
    detail = f"not readable by every user: {wrong[0]}" if wrong else "a=rX"
    return Clause("readable", not wrong, detail)


def _readable(entry: Entry) -> bool:
    needed = 0o555 if entry.kind == "directory" else 0o444
    return entry.mode & needed == needed


def _owners(models: Sequence[Entry]) -> Clause:
    wrong = [entry.path for entry in models if entry.owner != (0, 0)]
    return Clause("owner", not wrong, f"not 0:0: {wrong[0]}" if wrong else "0:0")


def _links(models: Sequence[Entry]) -> Clause:
    wrong = [entry.path for entry in models if entry.kind == "link"]
    return Clause("links", not wrong, f"not a file or directory: {wrong[0]}" if wrong else "none")


def _entrypoint(settings: Mapping[str, Any]) -> Clause:
    found = settings.get("Entrypoint")
    ok = not found or found == MODELCAR_ENTRYPOINT
    return Clause(
        "entrypoint", ok, f"{found} would swallow KServe's arguments" if not ok else "fits"
    )


def _tools(settings: Mapping[str, Any], entries: Sequence[Entry]) -> Clause:
    """Check for a shell: scratch has none, so it serves native image volumes only."""
    if settings.get("Entrypoint") == MODELCAR_ENTRYPOINT:
        return Clause("tools", True, "the modelcar entrypoint stands in for a shell")
    names = {entry.path for entry in entries}
    missing = [tool for tool in TOOLS if not any(f"{folder}/{tool}" in names for folder in _BIN)]
    return Clause("tools", not missing, f"no {', '.join(missing)}" if missing else "all there")


def _user(settings: Mapping[str, Any]) -> Clause:
    user = str(settings.get("User") or "")
    ok = user.partition(":")[0].isdigit() and not user.startswith("0")
    return Clause("user", ok, user or "root")


def _config(config: Mapping[str, Any], layers: Sequence[Descriptor]) -> Clause:
    flaw = flaw_of(config, layers)
    return Clause("config", not flaw, flaw or "fits the layers")


def _platform(config: Mapping[str, Any]) -> Clause:
    found = f"{config.get('os')}/{config.get('architecture')}"
    return Clause("platform", config.get("os") == "linux", found)
