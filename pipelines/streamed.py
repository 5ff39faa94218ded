"""The pipeline that streams: source straight into the registry, spread over pods, then KServe."""

from functools import partial

from kfp import dsl
from kfp.dsl import PipelineTask
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
from carferry.pipelines.shared import Then

_ACCESS = ("secret_hub", "secret_registry")
_CLAIMED = ("model_claim", "secret_registry")


def stream(site: Site, then: Then | None = None) -> GraphComponent:
    """Return the pipeline that needs no volume: source straight to registry, then KServe.

    Args:
        site: The place it runs in.
        then: Adds tasks of your own behind the image: ``shared.Then``.
    """
    return pipeline(
        "modelcar",
        "Package a model as a ModelCar image, push it and serve it with KServe and vLLM.",
        (*MODEL, *CONTENT, *SPREAD, *SECRETS, *SERVING, *SETTINGS),
        partial(_stream, site, then, _spread(site, _ACCESS), _ACCESS),
        title="Model to ModelCar to KServe",
    )


def stream_claim(site: Site, then: Then | None = None) -> GraphComponent:
    """Return the same pipeline for a model on a claim.

    One of its own: no backend mounts a claim only where it is named (docs/adr/0031-pvc.md).

    Args:
        site: The place it runs in.
        then: Adds tasks of your own behind the image: ``shared.Then``.
    """
    return pipeline(
        "modelcar-pvc",
        "Package a model on a PersistentVolumeClaim as a ModelCar image, push it and serve it.",
        (*CLAIM, *CONTENT, *ONE_BY_ONE, *SECRETS[1:], *SERVING, *SETTINGS),
        partial(_stream, site, then, _spread(site, _CLAIMED), _CLAIMED),
        title="Model on a volume to ModelCar to KServe",
    )


def _stream(
    site: Site,
    then: Then | None,
    spread: GraphComponent,
    access: tuple[str, ...],
    given: Channels,
) -> None:
    fitted = shared.fit(site, given)
    with shared.if_due(fitted):
        sealed = _made(site, spread, access, given, fitted)
        shared.serve(site, given, fitted, sealed, then)


def _made(
    site: Site,
    spread: GraphComponent,
    access: tuple[str, ...],
    given: Channels,
    fitted: PipelineTask,
) -> PipelineTask:
    """Add the tasks that make the image, and return the last."""
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
    return sealed


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
