"""Step: a finished image from one place to another."""

from __future__ import annotations

from carferry.image.compose import COMMIT
from carferry.io.progress import Progress
from carferry.io.terminal import open_progress
from carferry.oci.documents import image_size
from carferry.refs import parse_image
from carferry.registry.copy import copy_image
from carferry.steps.access import open_access, uri
from carferry.steps.results import Built


def push(
    source: str,
    dest: str,
    *,
    plain_http: str = "",
    ca_file: str = "",
    parallel: int = 4,
    progress: Progress | None = None,
) -> Built:
    """Copy a finished image, usually an OCI layout to a registry; the digest stays the same."""
    access = open_access(plain_http, ca_file)
    target = access.open(parse_image(dest), write=True)
    start = access.retry.clock()
    copied = copy_image(
        access.open(parse_image(source)),
        target,
        parallel=parallel,
        retry=access.retry,
        progress=progress or open_progress("auto"),
    )
    digest, manifest = copied.document.digest, copied.manifests[0]
    return Built(
        target.location(digest),
        uri(target, digest),
        str(digest),
        manifest.annotations.get(COMMIT, ""),
        image_size(copied.manifests),
        len(manifest.layers),
        copied.moved_bytes,
        copied.reused_bytes,
        0,
        round(access.retry.clock() - start, 3),
    )
