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
) -> NamedTuple(  # type: ignore[valid-type]
    "Sealed", [("reference", str), ("digest", str), ("previous", str), ("size_bytes", int)]
):
    """Check every layer, write the manifest by digest, tag it, and check it against the contract.

    Args:
        build: As plan_model gives it.
        modelcar: Lineage: the image by digest, with its size and source. Carries no bytes.
        report: The image: contract and files.
        metrics: Size and layers.

    Returns:
        reference: The image by digest: host/repository@sha256:...
        digest: The manifest's digest.
        previous: What the tag named before. Empty: nothing.
        size_bytes: Bytes of all layers.
    """
    from pathlib import Path

    from carferry.run.settings import parts_of
    from carferry.steps.inspect import inspect
    from carferry.steps.stream import seal

    model, image, how = parts_of(build)
    sealed = seal(model, image, progress=True, **how)
    needed = how.get("base") != "scratch"
    found = inspect(image, plain_http=how.get("plain_http", ()), require=needed)
    Path(report.path).write_text(found.markdown)
    metrics.metadata.update(sealed.numbers)
    modelcar.uri, modelcar.metadata = sealed.uri, sealed.as_json()
    return sealed.reference, sealed.digest, sealed.previous, sealed.size_bytes
