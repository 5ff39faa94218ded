"""Component: OCI layout on a shared volume to a registry."""

from typing import Any, NamedTuple

from kfp.dsl import Model, Output

from carferry.bundle.component import component


@component
def push_image(
    layout: str,
    image: str,
    modelcar: Output[Model],
    settings: dict[str, Any] = {},  # noqa: B006 - kfp writes the default into the YAML
) -> NamedTuple(  # type: ignore[valid-type]
    "Pushed", [("reference", str), ("digest", str), ("previous", str), ("size_bytes", int)]
):
    """Push an OCI layout to a registry; blobs that are there already do not move.

    Args:
        layout: oci:path:tag on a volume that this step mounts.
        image: docker://host/repository:tag
        modelcar: Lineage: the image by digest. Carries no bytes.
        settings: plain_http; others are for other steps.

    Returns:
        reference: The image by digest: host/repository@sha256:...
        digest: The manifest's digest.
        previous: What the tag named before. Empty: nothing.
        size_bytes: Bytes of all layers.
    """
    from carferry.run.settings import entry
    from carferry.steps.push import push

    pushed = push(layout, image, plain_http=entry(settings, "plain_http") or (), progress=True)
    modelcar.uri = pushed.uri
    modelcar.metadata.update(pushed.as_json())
    return pushed.reference, pushed.digest, pushed.previous, pushed.size_bytes
