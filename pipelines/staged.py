"""The pipeline that packs with Buildah: download, build, push and serve, over a volume."""

from __future__ import annotations

from functools import partial

from kfp.dsl import PipelineTask
from kfp.dsl.graph_component import GraphComponent

from carferry.components import build_image, download_model, on, push_image
from carferry.pipelines import pods, shared
from carferry.pipelines.declared import Channels, pipeline
from carferry.pipelines.parameters import CONTENT, MODEL, SECRETS, SERVING, SETTINGS, VOLUME
from carferry.pipelines.pods import Site, Volume
from carferry.pipelines.shared import Then


def buildah(site: Site, then: Then | None = None) -> GraphComponent:
    """Return the staged pipeline.

    Args:
        site: The place it runs in.
        then: Adds tasks of your own behind the image: ``shared.Then``.
    """
    return pipeline(
        "modelcar-buildah",
        "Package a model as a ModelCar image with Buildah, push it, serve it with KServe and vLLM.",
        (*MODEL, *VOLUME, *CONTENT, *SECRETS, *SERVING, *SETTINGS),
        partial(_staged, site, then),
        title="Model to ModelCar to KServe (Buildah)",
    )


def _staged(site: Site, then: Then | None, given: Channels) -> None:
    size, kind = given["model_storage_size"], given["model_storage_class"]
    with pods.shared_volume(site, size, kind) as volume:
        fitted = shared.fit(site, given, staged=True)
        with shared.if_due(fitted):
            got = _download(site, given, volume, fitted)
            built = _build(site, given, volume, got)
            pushed = _push(site, given, volume, built)
            shared.serve(site, given, fitted, pushed, then)


def _download(site: Site, given: Channels, volume: Volume, fitted: PipelineTask) -> PipelineTask:
    got = on(site.runtime, download_model)(
        model=fitted.outputs["model"],
        folder=f"{volume.path}/model",
        include=given["pack_include"],
        settings=given["settings"],
    )
    logins = pods.logins(given)
    pods.settle(got, pods.MOVER, site, retries=pods.RESTARTS, **logins, volume=volume)
    return got


def _build(site: Site, given: Channels, volume: Volume, got: PipelineTask) -> PipelineTask:
    built = on(site.runtime, build_image)(
        model=got.outputs["path"],
        image=f"oci:{volume.path}/image:built",
        engine="buildah",
        settings=given["settings"],
        **pods.delegated(volume),
    )
    login = given["secret_registry"]
    pods.settle(built, pods.BUILDER, site, retries=pods.RESTARTS, registry=login, volume=volume)
    return built


def _push(site: Site, given: Channels, volume: Volume, built: PipelineTask) -> PipelineTask:
    pushed = on(site.runtime, push_image)(
        layout=built.outputs["reference"], image=given["image"], settings=given["settings"]
    )
    login = given["secret_registry"]
    pods.settle(pushed, pods.MOVER, site, retries=pods.RESTARTS, registry=login, volume=volume)
    return pushed
