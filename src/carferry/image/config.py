"""Checks of an image config: typed as the specification says, and consistent with its layers.

Runtimes refuse a config that fails them, on the node and each with another error. Go's tools
write null for an absent value. Source: OCI image-spec v1.1, config.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from carferry.oci.documents import LAYER, Descriptor

_DIFF_ID = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_objects(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_object, value))


def _is_labels(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value.values()))


Kind = tuple[Callable[[Any], bool], str]
_TEXT: Kind = (_is_text, "text")
_TEXTS: Kind = (_is_texts, "a list of texts")
_OBJECT: Kind = (_is_object, "an object")
_FIELDS: Mapping[str, Kind] = {
    "architecture": _TEXT,
    "os": _TEXT,
    "os.version": _TEXT,
    "variant": _TEXT,
    "config": _OBJECT,
    "rootfs": _OBJECT,
    "history": (_is_objects, "a list of objects"),
}
_SETTINGS: Mapping[str, Kind] = {
    "User": _TEXT,
    "WorkingDir": _TEXT,
    "StopSignal": _TEXT,
    "Env": _TEXTS,
    "Entrypoint": _TEXTS,
    "Cmd": _TEXTS,
    "Labels": (_is_labels, "an object of texts"),
    "ExposedPorts": _OBJECT,
    "Volumes": _OBJECT,
}


def flaw_of(config: Mapping[str, Any], layers: Sequence[Descriptor]) -> str:
    """Return the first thing that is wrong with an image's config; empty if nothing is.

    Args:
        config: As parsed.
        layers: The image's, bottom first.
    """
    return next(_flaws(config, layers), "")


def _flaws(config: Mapping[str, Any], layers: Sequence[Descriptor]) -> Iterator[str]:
    """Yield what is wrong; a check may rely on those before it, since the first flaw ends them."""
    yield from _mistyped(config, _FIELDS)
    yield from _mistyped(config.get("config") or {}, _SETTINGS)
    diff_ids = (config.get("rootfs") or {}).get("diff_ids") or []
    if not _is_texts(diff_ids) or not all(map(_DIFF_ID.fullmatch, diff_ids)):
        yield "rootfs.diff_ids is not a list of digests"
    if len(diff_ids) != len(layers):
        yield f"rootfs.diff_ids has {len(diff_ids)} entries for {len(layers)} layers"
    for layer, diff_id in zip(layers, diff_ids, strict=True):
        # Only what is not compressed says its own diff id.
        if layer.media_type == LAYER and str(layer.digest) != diff_id:
            yield f"rootfs.diff_ids has {diff_id} for layer {layer.digest}"


def _mistyped(fields: Mapping[str, Any], kinds: Mapping[str, Kind]) -> Iterator[str]:
    for name, (holds, kind) in kinds.items():
        if fields.get(name) is not None and not holds(fields[name]):
            yield f"{name} is not {kind}"
