"""An image with Debian's Buildah, as this machine has it: stands for quay.io/buildah/stable.

What the pods of either kind need of it: the program and what it loads, a shell, ``newuidmap`` and
``newgidmap``, and a user 1000 with users below it (containers/image_build, buildah/Containerfile).
"""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

from servers.busybox import add_busybox
from servers.images import tar_of, write_layout
from servers.python_base import needed
from servers.tools import find

_PROGRAMS = ("buildah", "newuidmap", "newgidmap")
_FILES = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nbuild:x:1000:1000::/home/build:/bin/sh\n",
    "etc/group": b"root:x:0:\nbuild:x:1000:\n",
    "etc/subuid": b"build:1:999\nbuild:1001:64535\n",
    "etc/subgid": b"build:1:999\nbuild:1001:64535\n",
    "etc/containers/policy.json": b'{"default": [{"type": "insecureAcceptAnything"}]}\n',
}


def push_builder(registry: str) -> str:
    """Push the image and return its reference.

    Args:
        registry: Host and port.
    """
    name = f"{registry}/rig/buildah:1"
    with tempfile.TemporaryDirectory() as scratch:
        layout = Path(scratch) / "layout"
        settings = {"Env": ["PATH=/usr/bin:/bin"]}
        write_layout(layout, [_programs(), tar_of(_FILES)], settings=settings)
        words = ["copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false"]
        source, target = f"oci:{layout}:latest", f"docker://{name}"
        subprocess.run([find("skopeo"), "--insecure-policy", *words, source, target], check=True)
    return name


def _programs() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        add_busybox(tar)
        for path in sorted(_closure()):
            tar.add(path.resolve(), str(path).lstrip("/"), filter=_of_root)
    return packed.getvalue()


def _closure() -> Iterable[Path]:
    programs = [Path(find(name)) for name in _PROGRAMS]
    return {*programs, *needed(programs)}


def _of_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Keep the mode: setting users is a right of the file, which everybody may run."""
    entry.uid = entry.gid = 0
    return entry
