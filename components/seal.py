"""Component: the workers' layers become an image, tagged last of all."""

from typing import Any, NamedTuple

from carferry.components.runtime import component
from kfp.dsl import Markdown, Metrics, Model, Output


@component
def seal_image(
    model: str,
    target: str,
    modelcar: Output[Model],
    report: Output[Markdown],
    metrics: Output[Metrics],
    commit: str = "",
    image_format: str = "modelcar",
    base: str = "registry.access.redhat.com/ubi9/ubi-micro",
    include: str = "",
    exclude: str = "",
    plain_http: str = "",
) -> NamedTuple("Sealed", [("reference", str), ("digest", str), ("size_bytes", int)]):  # type: ignore[valid-type]
    """Check every layer, write the manifest by digest, tag it, and hold it against the contract.

    Args:
        model: Model on the hub (org/name) or a folder that this step can see.
        target: docker://host/repository:tag, or oci:path:tag for an OCI layout.
        modelcar: Lineage: the image by digest, with its size and source. Carries no bytes.
        report: The image: contract and files.
        metrics: Size and layers.
        commit: Commit of a model on the hub, as plan_model gives it.
        image_format: modelcar, or modelpack for native image volumes.
        base: Base image reference; embedded: needs no registry; scratch: image volumes only.
        include: File patterns by comma or line. Empty: safetensors, tokenizer, texts, licence.
        exclude: File patterns left out, by comma or line.
        plain_http: Registry hosts spoken to without TLS, by comma or line.

    Returns:
        reference: The image by digest: host/repository@sha256:...
        digest: The manifest's digest.
        size_bytes: Bytes of all layers.
    """
    from pathlib import Path

    from carferry.report import flat, image_markdown, numbers
    from carferry.steps.inspect import inspect
    from carferry.steps.settings import BuildSettings
    from carferry.steps.stream import seal

    what: dict[str, Any] = {"include": include, "exclude": exclude, "form": image_format}
    sealed = seal(model, target, BuildSettings(commit, base=base, plain_http=plain_http, **what))
    found = inspect(target, plain_http=plain_http, require=base != "scratch")
    Path(report.path).write_text(image_markdown(sealed, found))
    metrics.metadata.update(numbers(sealed))
    modelcar.uri, modelcar.metadata = sealed.uri, flat(sealed)
    return sealed.reference, sealed.digest, sealed.size_bytes
