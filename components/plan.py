"""Component: what a build will move, decided before a byte does."""

from typing import Any, NamedTuple

from carferry.components.runtime import component
from kfp.dsl import Markdown, Metrics, Output


@component
def plan_model(
    model: str,
    target: str,
    report: Output[Markdown],
    metrics: Output[Metrics],
    revision: str = "main",
    image_format: str = "modelcar",
    base: str = "registry.access.redhat.com/ubi9/ubi-micro",
    include: str = "",
    exclude: str = "",
    mount_from: str = "",
    plain_http: str = "",
    workers: int = 8,
) -> NamedTuple("Planned", [("commit", str), ("shares", list), ("bytes_to_move", int)]):  # type: ignore[valid-type]
    """Resolve a model to a commit, look at the target, and divide what is missing among workers.

    Args:
        model: Model on the hub (org/name) or a folder that this step can see.
        target: docker://host/repository:tag, or oci:path:tag for an OCI layout.
        report: The layers: what moves, what is reused, who takes it.
        metrics: Bytes in all and to move, predicted seconds.
        revision: Branch, tag or commit of a model on the hub.
        image_format: modelcar, or modelpack for native image volumes.
        base: Base image reference; embedded: needs no registry; scratch: image volumes only.
        include: File patterns by comma or line. Empty: safetensors, tokenizer, texts, licence.
        exclude: File patterns left out, by comma or line.
        mount_from: Images of the same registry whose layers may be mounted, by comma or line.
        plain_http: Registry hosts spoken to without TLS, by comma or line.
        workers: Pods to divide the work among, at most; small models take fewer.

    Returns:
        commit: What every later step reads, whatever the branch does meanwhile.
        shares: One I/N for each worker that has something to move.
        bytes_to_move: Bytes that are not at the target yet.
    """
    from pathlib import Path

    from carferry.report import numbers, plan_markdown
    from carferry.steps.plan import plan
    from carferry.steps.settings import BuildSettings

    what: dict[str, Any] = {"include": include, "exclude": exclude, "form": image_format}
    how: dict[str, Any] = {"base": base, "mount_from": mount_from, "plain_http": plain_http}
    settings = BuildSettings(revision=revision, **what, **how)
    planned = plan(model, target, settings, workers=workers, at_most=True, prove=True)
    Path(report.path).write_text(plan_markdown(planned))
    metrics.metadata.update(numbers(planned))
    return planned.commit, planned.shares, planned.bytes_to_move
