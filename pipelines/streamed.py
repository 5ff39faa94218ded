"""The pipeline that streams: source straight into the registry, spread over pods, then KServe."""

from functools import partial
from typing import NamedTuple

from kfp import dsl
from kfp.dsl.graph_component import GraphComponent

from carferry.components import on, plan_model, seal_image, stream_layers
from carferry.pipelines import pods, shared
from carferry.pipelines.declared import Channels, PipelineParameter, only, pipeline
from carferry.pipelines.parameters import (
    CLAIM,
    CONTENT,
    MODEL,
    ONE_BY_ONE,
    SECRETS,
    SERVING,
    SETTINGS,
    SPREAD,
)
from carferry.pipelines.pods import Site

_ACCESS = ("secret_hub", "secret_registry")
_CLAIMED = ("model_claim", "secret_registry")


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
        partial(_stream, site, _spread(site, _ACCESS), _ACCESS),
        title="Model to ModelCar to KServe",
        gives=Shipped,
    )


def stream_claim(site: Site) -> GraphComponent:
    """Return the same pipeline for a model on a claim.

    One of its own: no backend mounts a claim only where it is named (docs/adr/0031-pvc.md).
    """
    return pipeline(
        "modelcar-pvc",
        "Package a model on a PersistentVolumeClaim as a ModelCar image, push it and serve it.",
        (*CLAIM, *CONTENT, *ONE_BY_ONE, *SECRETS[1:], *SERVING, *SETTINGS),
        partial(_stream, site, _spread(site, _CLAIMED), _CLAIMED),
        title="Model on a volume to ModelCar to KServe",
        gives=Shipped,
    )


def _stream(
    site: Site, spread: GraphComponent, access: tuple[str, ...], given: Channels
) -> Shipped:
    fitted = shared.fit(site, given)
    planned = on(site.runtime, plan_model)(
        model=fitted.outputs["model"],
        image=given["image"],
        include=given["pack_include"],
        workers=given["pack_workers"],
        settings=given["settings"],
    )
    pods.settle(planned, pods.PLANNER, site, **_access(given))
    moved = spread(**only(planned.outputs, "build", "shares"), **only(given, *access))
    sealed = on(site.runtime, seal_image)(build=planned.outputs["build"]).after(moved)
    pods.settle(sealed, pods.PLANNER, site, **_access(given))
    shared.serve(site, given, fitted, sealed)
    return Shipped(sealed.outputs["reference"], sealed.outputs["digest"])


def _spread(site: Site, access: tuple[str, ...]) -> GraphComponent:
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
            *map(PipelineParameter, access),
        ),
        partial(_move_shares, site),
    )


def _move_shares(site: Site, given: Channels) -> None:
    with dsl.ParallelFor(given["shares"], name="shares") as share:
        moved = on(site.runtime, stream_layers)(share=share, build=given["build"])
        pods.settle(moved, pods.MOVER, site, retries=pods.RESTARTS, **_access(given))


def _access(given: Channels) -> dict[str, pods.Text]:
    """Return what a step reads the model and writes the image with."""
    return {**pods.logins(given), "volume": pods.claimed(given)}
