"""Component: the workers' layers become an image, tagged last of all."""

from typing import Any, NamedTuple

from kfp.dsl import Markdown, Metrics, Model, Output

from carferry.bundle.component import component


@component
def seal_image(
    build: dict[str, Any],
    modelcar: Output[Model],
    report: Output[Markdown],
    metrics: Output[Metrics],
) -> NamedTuple("Sealed", [("reference", str), ("digest", str), ("size_bytes", int)]):  # type: ignore[valid-type]
    """Check every layer, write the manifest by digest, tag it, and hold it against the contract.

    Args:
        build: As plan_model gives it.
        modelcar: Lineage: the image by digest, with its size and source. Carries no bytes.
        report: The image: contract and files.
        metrics: Size and layers.

    Returns:
        reference: The image by digest: host/repository@sha256:...
        digest: The manifest's digest.
        size_bytes: Bytes of all layers.
    """
    from pathlib import Path

    from carferry.steps.form import told
    from carferry.steps.inspect import inspect
    from carferry.steps.markdown import flat, image_markdown, numbers
    from carferry.steps.stream import seal

    model, target, how = told(build)
    sealed = seal(model, target, how)
    found = inspect(target, plain_http=how.plain_http, require=how.base != "scratch")
    Path(report.path).write_text(image_markdown(sealed, found))
    metrics.metadata.update(numbers(sealed))
    modelcar.uri, modelcar.metadata = sealed.uri, flat(sealed)
    return sealed.reference, sealed.digest, sealed.size_bytes
