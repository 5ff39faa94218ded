"""A smallest OCI layout, for tests that need some image to move."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def write_layout(
    folder: Path,
    layers: Sequence[bytes],
    tag: str = "latest",
    *,
    settings: Mapping[str, Any] | None = None,
    architecture: str = "amd64",
    types: Sequence[str] = (),
    diff_ids: Sequence[str] = (),
    manifest: Mapping[str, Any] | None = None,
    config: bytes | None = None,
    config_type: str = CONFIG,
) -> str:
    """Write an OCI layout with one image of these (uncompressed) layers; return its digest.

    Args:
        folder: The layout; made here.
        layers: Tar archives, or what else the types say, bottom first.
        tag: Its name in the layout.
        settings: The image config's ``config``: Env, User and the like.
        architecture: As Go names it.
        types: Media type of each layer; by default all are plain tars.
        diff_ids: What the config says of them; by default that they are not compressed.
        manifest: Fields to set in the manifest; those that are None are left out.
        config: Its bytes.
        config_type: Its media type.
    """
    (folder / "blobs" / "sha256").mkdir(parents=True)
    kinds = types or [LAYER] * len(layers)
    described = [_put(folder, body, kind) for body, kind in zip(layers, kinds, strict=True)]
    made = {
        "architecture": architecture,
        "os": "linux",
        "config": dict(settings or {}),
        "rootfs": {
            "type": "layers",
            "diff_ids": list(diff_ids) or [layer["digest"] for layer in described],
        },
    }
    fields = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _put(folder, config or json.dumps(made).encode(), config_type),
        "layers": described,
        **(manifest or {}),
    }
    fields = {name: value for name, value in fields.items() if value is not None}
    entry = _put(folder, json.dumps(fields).encode(), str(fields.get("mediaType", MANIFEST)))
    named = entry | {"annotations": {"org.opencontainers.image.ref.name": tag}}
    index = {"schemaVersion": 2, "manifests": [named]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return str(entry["digest"])


def tar_of(files: Mapping[str, bytes | str]) -> bytes:
    """Return an archive of files; text is the target of a link."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def _put(folder: Path, body: bytes, media_type: str) -> dict[str, Any]:
    name = hashlib.sha256(body).hexdigest()
    (folder / "blobs" / "sha256" / name).write_bytes(body)
    return {"mediaType": media_type, "digest": f"sha256:{name}", "size": len(body)}
