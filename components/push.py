"""Component: OCI layout on a shared volume to a registry."""

from typing import NamedTuple

from carferry.components.runtime import component
from kfp.dsl import Model, Output


@component
def push_image(
    layout: str,
    target: str,
    modelcar: Output[Model],
    plain_http: str = "",
) -> NamedTuple("Pushed", [("reference", str), ("digest", str), ("size_bytes", int)]):  # type: ignore[valid-type]
    """Push an OCI layout to a registry; blobs that are there already do not move.

    Args:
        layout: oci:path:tag on a volume that this step mounts.
        target: docker://host/repository:tag
        modelcar: Lineage: the image by digest. Carries no bytes.
        plain_http: Registry hosts spoken to without TLS, by comma or line.

    Returns:
        reference: The image by digest: host/repository@sha256:...
        digest: The manifest's digest.
        size_bytes: Bytes of all layers.
    """
    from dataclasses import asdict

    from carferry.steps.push import push

    pushed = push(layout, target, plain_http=plain_http)
    modelcar.uri = pushed.uri
    modelcar.metadata.update(asdict(pushed))
    return pushed.reference, pushed.digest, pushed.size_bytes
