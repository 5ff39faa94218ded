"""Component: what a build will move, decided before a byte does."""

from typing import Any, NamedTuple

from kfp.dsl import Markdown, Metrics, Output

from carferry.bundle.component import component


@component
def plan_model(
    model: str,
    image: str,
    report: Output[Markdown],
    metrics: Output[Metrics],
    include: str = "",
    workers: int = 8,
    settings: dict[str, Any] = {},  # noqa: B006 - kfp writes the default into the YAML
) -> NamedTuple("Planned", [("build", dict), ("shares", list), ("bytes_to_move", int)]):  # type: ignore[valid-type]
    """Resolve a model to a commit, look at the registry, and divide what is missing among workers.

    Args:
        model: Model on the hub (org/name or org/name@revision), a folder this step can see, or
            an image (oci://host/repository:tag).
        image: docker://host/repository:tag, or oci:path:tag for an OCI layout.
        report: The layers: what moves, what is reused, who takes it.
        metrics: Bytes in all and to move, predicted seconds.
        include: File patterns by comma or line. Empty: what the model's servers load.
        workers: Pods to divide the work among, at most; small models take fewer.
        settings: allow_no_weights, base, exclude, format, mount_from, parallel, plain_http,
            platforms, reuse.

    Returns:
        build: What stream_layers and seal_image work on: model at one commit, image, settings,
            and a secret of this run that lets the sealer believe its workers.
        shares: One I/N for each worker that has something to move.
        bytes_to_move: Bytes that are not there yet.
    """
    from pathlib import Path

    from carferry.run.settings import build_of, build_settings
    from carferry.steps.plan import plan

    how = build_settings(settings, include=include)
    planned = plan(model, image, workers=workers, at_most=True, prove=True, progress=True, **how)
    Path(report.path).write_text(planned.markdown)
    metrics.metadata.update(planned.numbers)
    build = build_of(planned.model, image, settings, include=include)
    return build, planned.shares, planned.bytes_to_move
