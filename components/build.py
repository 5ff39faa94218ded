"""Component: model to ModelCar image, in a registry or in an OCI layout."""

from typing import Any, NamedTuple

from kfp.dsl import Model, Output

from carferry.bundle.component import component


@component
def build_image(
    model: str,
    image: str,
    modelcar: Output[Model],
    engine: str = "stream",
    include: str = "",
    builder: str = "",
    builder_claim: str = "",
    builder_folder: str = "",
    settings: dict[str, Any] = {},  # noqa: B006 - kfp writes the default into the YAML
) -> NamedTuple("Built", [("reference", str), ("digest", str), ("size_bytes", int)]):  # type: ignore[valid-type]
    """Assemble a ModelCar image and write it to its place.

    Args:
        model: Model on the hub (org/name or org/name@revision), a folder this step can see, or
            an image (oci://host/repository:tag).
        image: docker://host/repository:tag, or oci:path:tag for an OCI layout.
        modelcar: Lineage: the image by digest, with its size and source. Carries no bytes.
        engine: stream (no privilege, no container engine) or buildah.
        include: File patterns by comma or line. Empty: what the model's servers load.
        builder: Where Buildah runs. Empty: in this step; job: in a Job of its own.
        builder_claim: Claim that holds the model and the layers, for a Job.
        builder_folder: Where this step has that claim mounted.
        settings: What plan_model takes, and builder_account, builder_image, builder_security.

    Returns:
        reference: The image by digest: host/repository@sha256:...
        digest: The manifest's digest.
        size_bytes: Bytes of all layers.
    """
    from carferry.run.settings import build_settings, buildah_job
    from carferry.steps.build import build

    how = build_settings(settings, include=include, engine=engine)
    how["buildah_job"] = buildah_job(settings, builder, builder_claim, builder_folder)
    built = build(model, image, progress=True, **how)
    modelcar.uri, modelcar.metadata = built.uri, built.as_json()
    return built.reference, built.digest, built.size_bytes
