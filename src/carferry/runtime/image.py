"""The runtime image's documents: a pure function of base, Python and files.

The layer is not compressed. Its digest is then its diff id, and no compression library, which
differ from build to build, can change it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from carferry import __version__
from carferry.image.base import Base
from carferry.image.compose import Image
from carferry.oci import tarball
from carferry.oci.documents import CONFIG, EPOCH, MANIFEST, Descriptor, Document, canonical
from carferry.runtime.interpreter import Interpreter

SITE = "opt/carferry"
"""Folder of modules in the image: beside the base's own packages, none of which is replaced."""
PYTHON = "dev.carferry.runtime.python"
_PREFIX = "org.opencontainers.image."


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return a layer with these files, by their path below SITE, readable by every user."""
    placed = {f"{SITE}/{path}": data for path, data in files.items()}
    parts = [tarball.directory_header(folder) for folder in tarball.parents(placed)]
    for path in sorted(placed, key=str.encode):
        data = placed[path]
        parts += [tarball.file_header(path, len(data)), data, tarball.padding(len(data))]
    return b"".join([*parts, tarball.END])


def compose(base: Base, interpreter: Interpreter, layer: Descriptor) -> Image:
    """Put the layer on the base.

    Args:
        base: One platform of it; all its settings are kept.
        interpreter: Its Python.
        layer: Uncompressed, so that its digest is its own diff id.
    """
    facts = _facts(base, interpreter)
    config = Document(CONFIG, canonical(_config(base, layer, facts)))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.descriptor().to_json(),
        "layers": [each.to_json() for each in (*base.layers, layer)],
        "annotations": facts,
    }
    return Image(config, Document(MANIFEST, canonical(manifest)))


def _facts(base: Base, interpreter: Interpreter) -> dict[str, str]:
    """Return annotations; the base by digest alone, since each mirror has its own name for it."""
    return {
        f"{_PREFIX}title": "carferry-runtime",
        f"{_PREFIX}version": __version__,
        f"{_PREFIX}base.digest": str(base.digest or ""),
        PYTHON: interpreter.short,
    }


def _config(base: Base, layer: Descriptor, facts: Mapping[str, str]) -> dict[str, Any]:
    kept = {key: base.config[key] for key in ("variant", "os.version") if key in base.config}
    history = list(base.config.get("history") or [])
    step = {"created": EPOCH, "created_by": f"carferry runtime: /{SITE}"}
    labels = {**(base.settings.get("Labels") or {}), **facts}
    return {
        **kept,
        "created": EPOCH,
        "architecture": base.platform.architecture,
        "os": base.platform.os,
        "config": {**base.settings, "Env": _environment(base), "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [*base.diff_ids, str(layer.digest)]},
        # Partial history would contradict the layers: some bases carry none.
        **({"history": [*history, step]} if history else {}),
    }


def _environment(base: Base) -> list[str]:
    """Return the base's environment, in its order, with what makes the packages found.

    A user that no image knows may have no home and owns nothing: without HOME Python cannot name
    one, and compiled caches have nowhere to go. kfp imports no more than its executor with
    ``_KFP_RUNTIME``, which compiled steps set as well.
    """
    env = base.env
    path = ":".join(filter(None, [f"/{SITE}", env.get("PYTHONPATH", "")]))
    added = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "_KFP_RUNTIME": "true"}
    return [f"{name}={value}" for name, value in ({"HOME": "/tmp"} | env | added).items()]  # noqa: S108
