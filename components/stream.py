"""Component: one worker's share of a model's layers, from the hub straight into the registry."""

from typing import Any

from carferry.bundle.component import component


@component
def stream_layers(build: dict[str, Any], share: str = "1/1") -> None:
    """Move the layers of one share and pin them with a shard manifest; safe to repeat.

    It has no output, since Argo keeps five copies of whatever says so, for every worker; its log
    tells what moved, and the sealer finds the layers in the registry.

    Args:
        build: As plan_model gives it.
        share: I/N, as plan_model gives it.
    """
    from carferry.run.settings import parts_of
    from carferry.steps.stream import stream

    model, image, how = parts_of(build)
    stream(model, image, share, progress=True, **how)
