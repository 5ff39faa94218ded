"""Component: model to a folder on a shared volume."""

from typing import Any, NamedTuple

from kfp.dsl import Model, Output

from carferry.bundle.component import component


@component
def download_model(
    model: str,
    folder: str,
    snapshot: Output[Model],
    include: str = "",
    settings: dict[str, Any] = {},  # noqa: B006 - kfp writes the default into the YAML
) -> NamedTuple("Downloaded", [("path", str), ("commit", str), ("size_bytes", int)]):  # type: ignore[valid-type]
    """Download one commit of a model into a folder that later steps can see.

    Args:
        model: Model on the hub (org/name or org/name@revision), a folder, or an image
            (oci://host/repository:tag).
        folder: Where the files go: a path on a volume that the next step mounts too.
        snapshot: Lineage: the model at the commit that was read. Carries no bytes.
        include: File patterns by comma or line. Empty: what the model's servers load.
        settings: allow_no_weights, exclude, plain_http; others are for other steps.

    Returns:
        path: The folder.
        commit: The 40-hex commit that was read.
        size_bytes: Bytes in the folder.
    """
    from carferry.run.settings import entry, patterns
    from carferry.steps.download import download

    hosts = entry(settings, "plain_http") or ()
    got = download(model, folder, plain_http=hosts, progress=True, **patterns(settings, include))
    snapshot.uri = got.uri
    snapshot.metadata.update(got.as_json())
    return got.path, got.commit, got.size_bytes
