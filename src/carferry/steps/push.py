"""Step: a finished image from one place to another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from carferry.form.readers import read_image, read_parallel
from carferry.image.provenance import COMMIT
from carferry.io.show.progress import Progress
from carferry.oci.documents import image_size
from carferry.refs import parse_image
from carferry.registry.copy import copy_image
from carferry.steps.access import open_access, shown, uri
from carferry.steps.results import Built


def push(
    origin: str,
    image: str,
    *,
    plain_http: Sequence[str] = (),
    ca_file: str | Path | None = None,
    parallel: int = 4,
    progress: Progress | bool = False,
) -> Built:
    """Copy a finished image, usually an OCI layout to a registry; the digest stays the same.

    Args:
        origin: The image as it is: ``oci:path:tag`` or ``docker://host/repository:tag``.
        image: Where it goes, in the same forms.
        plain_http: Registry hosts without TLS.
        ca_file: PEM certificates to trust besides, a file or a folder.
        parallel: Blobs at once.
        progress: True shows bars on a terminal and lines elsewhere, on stderr.

    Returns:
        The image by digest, with its size in bytes and what moved.

    Raises:
        InputError: A reference that cannot be parsed.
        TargetError: Nothing at ``origin``, or one of both sides refused or failed.

    Example:
        >>> import carferry
        >>> built = carferry.build("./model", "oci:out:latest", base="embedded")
        >>> carferry.push("oci:out:latest", "oci:copy:1").digest == built.digest
        True
    """
    at_once = read_parallel("parallel", parallel)
    display = shown(progress)
    access = open_access(plain_http, ca_file).reporting(display)
    target = access.open(parse_image(read_image(image)), write=True)
    start = access.retry.clock()
    copied = copy_image(
        access.open(parse_image(read_image(origin))),
        target,
        parallel=at_once,
        retry=access.retry,
        progress=display,
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
        previous=str(copied.previous or ""),
    )
