"""The pipeline that streams: source straight into the registry, spread over pods, then KServe."""

from functools import partial
from typing import NamedTuple

from kfp import dsl
from kfp.dsl.graph_component import GraphComponent

from carferry.components import on, plan_model, seal_image, stream_layers
from carferry.pipelines import pods, shared
from carferry.pipelines.declared import Channels, PipelineParameter, only, pipeline
from carferry.pipelines.parameters import CONTENT, MODEL, SECRETS, SERVING, SETTINGS, SPREAD
from carferry.pipelines.pods import Site

_SECRETS = ("secret_hub", "secret_registry")


class Shipped(NamedTuple):
    """What a run leaves.

    reference: The image by digest: host/repository@sha256:...
    digest: The manifest's digest.
    """

    reference: str
    digest: str


def stream(site: Site) -> GraphComponent:
    """Return the pipeline that needs no volume: source straight to registry, then KServe."""
    return pipeline(
        "modelcar",
        "Package a model as a ModelCar image, push it and serve it with KServe and vLLM.",
        (*MODEL, *CONTENT, *SPREAD, *SECRETS, *SERVING, *SETTINGS),
        partial(_stream, site, _spread(site)),
        title="Model to ModelCar to KServe",
        gives=Shipped,
    )


def _stream(site: Site, spread: GraphComponent, given: Channels) -> Shipped:
    fitted = shared.fit(site, given)
    planned = on(site.runtime, plan_model)(
        model=fitted.outputs["model"],
        image=given["image"],
        include=given["pack_include"],
        workers=given["pack_workers"],
        settings=given["settings"],
    )
    pods.settle(planned, pods.PLANNER, site, **_secrets(given))
    moved = spread(**only(planned.outputs, "build", "shares"), **only(given, *_SECRETS))
    sealed = on(site.runtime, seal_image)(build=planned.outputs["build"]).after(moved)
    pods.settle(sealed, pods.PLANNER, site, **_secrets(given))
    shared.serve(site, given, fitted, sealed)
    return Shipped(sealed.outputs["reference"], sealed.outputs["digest"])


def _spread(site: Site) -> GraphComponent:
    """Return the part that moves layers, one pod per share.

    A pipeline of its own, because a task can wait for a whole pipeline but not for a loop, and
    collecting a loop's outputs is not known to every backend. The workers hand over nothing:
    their shard manifests are in the registry.
    """
    return pipeline(
        "stream-shares",
        "Move every share's layers from the hub into the registry.",
        (
            PipelineParameter("build", kind=dict),
            PipelineParameter("shares", kind=list),
            *map(PipelineParameter, _SECRETS),
        ),
        partial(_move_shares, site),
    )


def _move_shares(site: Site, given: Channels) -> None:
    with dsl.ParallelFor(given["shares"], name="shares") as share:
        moved = on(site.runtime, stream_layers)(share=share, build=given["build"])
        pods.settle(moved, pods.MOVER, site, retries=pods.RESTARTS, **_secrets(given))


def _secrets(given: Channels) -> dict[str, pods.Text]:
    return {"hub": given["secret_hub"], "registry": given["secret_registry"]}
