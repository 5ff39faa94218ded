"""The contract KServe relies on, clause by clause: pure judgement of what an image holds.

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
class Rule:
    """One clause of the contract and how the image stands to it."""

    name: str
    ok: bool
    detail: str = ""


def modelcar_rules(
    config: Mapping[str, Any],
    entries: Sequence[Entry],
    models: Sequence[Entry],
    layers: Sequence[Descriptor],
) -> tuple[Rule, ...]:
    """Judge an image for modelcar mode.

    Args:
        config: Image config.
        entries: Every path of every layer.
        models: The last word on each path under ``/models``.
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
        Rule("layers", len(layers) <= MOST_LAYERS, f"{len(layers)}"),
    )


def modelpack_rules(
    config: Mapping[str, Any], layers: Sequence[Descriptor], models: Sequence[Entry]
) -> tuple[Rule, ...]:
    """Judge an artifact for native image volumes and artifact mounts.

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
        Rule("raw", raw, "each layer is a file" if raw else "some layers are archives"),
        Rule("paths", named, "every layer is named" if named else "a layer has no file path"),
        Rule("diff ids", same, "as the layers" if same else "not those of the layers"),
    )


def _has_models(models: Sequence[Entry]) -> Rule:
    files = sum(entry.kind == "file" for entry in models)
    return Rule("models", files > 0, f"{files} files under /{ROOT}")


def _modes(models: Sequence[Entry]) -> Rule:
    wrong = [e.path for e in models if e.kind != "link" and not _readable(e)]
    detail = f"not readable by every user: {wrong[0]}" if wrong else "a=rX"
    return Rule("readable", not wrong, detail)


def _readable(entry: Entry) -> bool:
    needed = 0o555 if entry.kind == "directory" else 0o444
    return entry.mode & needed == needed


def _owners(models: Sequence[Entry]) -> Rule:
    wrong = [entry.path for entry in models if entry.owner != (0, 0)]
    return Rule("owner", not wrong, f"not 0:0: {wrong[0]}" if wrong else "0:0")


def _links(models: Sequence[Entry]) -> Rule:
    wrong = [entry.path for entry in models if entry.kind == "link"]
    return Rule("links", not wrong, f"not a file or directory: {wrong[0]}" if wrong else "none")


def _entrypoint(settings: Mapping[str, Any]) -> Rule:
    found = settings.get("Entrypoint")
    ok = not found or found == MODELCAR_ENTRYPOINT
    return Rule("entrypoint", ok, f"{found} would swallow KServe's arguments" if not ok else "fits")


def _tools(settings: Mapping[str, Any], entries: Sequence[Entry]) -> Rule:
    """Scratch has no shell: fine for native image volumes, not for the modelcar sidecar."""
    if settings.get("Entrypoint") == MODELCAR_ENTRYPOINT:
        return Rule("tools", True, "the modelcar entrypoint stands in for a shell")
    names = {entry.path for entry in entries}
    missing = [tool for tool in TOOLS if not any(f"{folder}/{tool}" in names for folder in _BIN)]
    return Rule("tools", not missing, f"no {', '.join(missing)}" if missing else "all there")


def _user(settings: Mapping[str, Any]) -> Rule:
    user = str(settings.get("User") or "")
    ok = user.partition(":")[0].isdigit() and not user.startswith("0")
    return Rule("user", ok, user or "root")


def _config(config: Mapping[str, Any], layers: Sequence[Descriptor]) -> Rule:
    flaw = flaw_of(config, layers)
    return Rule("config", not flaw, flaw or "fits the layers")


def _platform(config: Mapping[str, Any]) -> Rule:
    found = f"{config.get('os')}/{config.get('architecture')}"
    return Rule("platform", config.get("os") == "linux", found)
