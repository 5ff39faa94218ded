"""Component: model to ModelCar image, in a registry or in an OCI layout."""

from typing import Any, NamedTuple

from carferry.components.runtime import component
from kfp.dsl import Model, Output


@component
def build_image(
    model: str,
    target: str,
    modelcar: Output[Model],
    revision: str = "main",
    engine: str = "stream",
    base: str = "registry.access.redhat.com/ubi9/ubi-micro",
    include: str = "",
    exclude: str = "",
    parallel: int = 2,
    plain_http: str = "",
    builder: str = "",
    builder_claim: str = "",
    builder_folder: str = "",
    builder_account: str = "modelcar-builder",
    builder_security: str = "userns",
    builder_image: str = "quay.io/buildah/stable:v1.43.1",
) -> NamedTuple("Built", [("reference", str), ("digest", str), ("size_bytes", int)]):  # type: ignore[valid-type]
    """Assemble a ModelCar image and write it to its target.

    Args:
        model: Model on the hub (org/name) or a folder that this step can see.
        target: docker://host/repository:tag, or oci:path:tag for an OCI layout.
        modelcar: Lineage: the image by digest, with its size and source. Carries no bytes.
        revision: Branch, tag or commit of a model on the hub.
        engine: stream (no privilege, no container engine) or buildah.
        base: Base image reference; embedded: needs no registry; scratch: image volumes only.
        include: File patterns by comma or line. Empty: safetensors, tokenizer, texts, licence.
        exclude: File patterns left out, by comma or line.
        parallel: Files moved at the same time.
        plain_http: Registry hosts spoken to without TLS, by comma or line.
        builder: Where Buildah runs. Empty: in this step; job: in a Job of its own.
        builder_claim: Claim that holds the model and the layers, for a Job.
        builder_folder: Where this step has that claim mounted.
        builder_account: ServiceAccount of the Job, see cluster/buildah.
        builder_security: userns (OpenShift 4.20 or newer) or setfcap (with an SCC of its own).
        builder_image: Image with Buildah, pinned to a release tag or a digest.

    Returns:
        reference: The image by digest: host/repository@sha256:...
        digest: The manifest's digest.
        size_bytes: Bytes of all layers.
    """
    from dataclasses import asdict

    from carferry.steps.build import build
    from carferry.steps.settings import BuildSettings

    what: dict[str, Any] = {"revision": revision, "include": include, "exclude": exclude}
    how: dict[str, Any] = {"engine": engine, "base": base, "plain_http": plain_http}
    where: dict[str, Any] = {"builder_claim": builder_claim, "builder_folder": builder_folder}
    where |= {"builder_account": builder_account, "builder_security": builder_security}
    where |= {"builder": builder, "builder_image": builder_image}
    settings = BuildSettings(parallel=parallel, **what, **how, **where)
    built = build(model, target, settings)
    modelcar.uri = built.uri
    modelcar.metadata.update(asdict(built))
    return built.reference, built.digest, built.size_bytes
