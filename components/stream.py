"""Component: one worker's share of a model's layers, from the hub straight into the registry."""

from typing import Any

from carferry.components.runtime import component
from kfp.dsl import Metrics, Output


@component
def stream_layers(
    model: str,
    target: str,
    metrics: Output[Metrics],
    share: str = "1/1",
    commit: str = "",
    image_format: str = "modelcar",
    base: str = "registry.access.redhat.com/ubi9/ubi-micro",
    include: str = "",
    exclude: str = "",
    mount_from: str = "",
    plain_http: str = "",
    parallel: int = 2,
) -> None:
    """Move the layers of one share and pin them with a shard manifest; safe to repeat.

    Args:
        model: Model on the hub (org/name) or a folder that this step can see.
        target: docker://host/repository:tag, or oci:path:tag for an OCI layout.
        metrics: Bytes moved and reused, layers sent again.
        share: I/N, as plan_model gives it.
        commit: Commit of a model on the hub, as plan_model gives it.
        image_format: modelcar, or modelpack for native image volumes.
        base: Base image reference; embedded: needs no registry; scratch: image volumes only.
        include: File patterns by comma or line. Empty: safetensors, tokenizer, texts, licence.
        exclude: File patterns left out, by comma or line.
        mount_from: Images of the same registry whose layers may be mounted, by comma or line.
        plain_http: Registry hosts spoken to without TLS, by comma or line.
        parallel: Layers moved at the same time, about 20 MiB of memory each.
    """
    from carferry.report import numbers
    from carferry.steps.settings import BuildSettings
    from carferry.steps.stream import stream

    what: dict[str, Any] = {"include": include, "exclude": exclude, "form": image_format}
    how: dict[str, Any] = {"base": base, "mount_from": mount_from, "plain_http": plain_http}
    settings = BuildSettings(revision=commit, parallel=parallel, **what, **how)
    metrics.metadata.update(numbers(stream(model, target, settings, share)))
