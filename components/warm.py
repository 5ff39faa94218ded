"""Component: an image pulled where it will be served."""

from typing import Any, NamedTuple

from kfp.dsl import Markdown, Metrics, Output

from carferry.bundle.component import component


@component
def warm_nodes(
    image: str,
    report: Output[Markdown],
    metrics: Output[Metrics],
    nodes: str = "gpu",
    sizing: dict[str, Any] = {},  # noqa: B006 - kfp writes the default into the YAML
    settings: dict[str, Any] = {},  # noqa: B006
) -> NamedTuple("Warm", [("count", int)]):  # type: ignore[valid-type]
    """Pull a ModelCar on the nodes that will serve it, so that a rollout need not wait for that.

    Args:
        image: ModelCar by digest: host/repository@sha256:...
        report: What each node did.
        metrics: Nodes, failures and seconds.
        nodes: gpu: those with the deployment's GPUs; all; or labels as for kubectl -l.
        sizing: As fit_model gives it: gpu_resource, gpu_count, tolerations.
        settings: namespace, pull_secret, node_selector, tolerations.

    Returns:
        count: Nodes that hold the image now.
    """
    from pathlib import Path

    from carferry.run.settings import warm_keywords
    from carferry.steps.warm import warm

    warmed = warm(image, nodes=nodes, progress=True, **warm_keywords(settings, sizing))
    Path(report.path).write_text(warmed.markdown)
    metrics.metadata.update(warmed.numbers)
    return (len(warmed.require().nodes),)
