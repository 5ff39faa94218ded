"""The pipeline that packs with Buildah: download, build, push and serve, over a volume."""

from __future__ import annotations

from functools import partial

from carferry.components import build_image, download_model, on, push_image
from carferry.pipelines import parts, pods
from carferry.pipelines.declared import Channels, only, pipeline
from carferry.pipelines.parameters import ACCESS, BUILDER, CONTENT, MODEL, SERVING, VOLUME
from carferry.pipelines.pods import Site, Volume
from kfp.dsl import PipelineTask
from kfp.dsl.graph_component import GraphComponent


def buildah(site: Site) -> GraphComponent:
    """Return the staged pipeline; it has no outputs, since an exit handler may not return any."""
    return pipeline(
        "modelcar-buildah",
        "Package a model as a ModelCar image with Buildah, push it, serve it with KServe and vLLM.",
        (*MODEL, *VOLUME, *CONTENT, *ACCESS, *BUILDER, *SERVING),
        partial(_staged, site),
        title="Model to ModelCar to KServe (Buildah)",
    )


def _staged(site: Site, given: Channels) -> None:
    with pods.shared_volume(site, given["volume_size"], given["storage_class"]) as volume:
        fitted = parts.fit(site, given)
        got = _download(site, given, volume).after(fitted)
        built = _build(site, given, volume, got)
        pushed = _push(site, given, volume, built)
        parts.serve(site, given, fitted, pushed)


def _download(site: Site, given: Channels, volume: Volume) -> PipelineTask:
    what = only(given, "model", "revision", "include", "exclude")
    got = on(site.runtime, download_model)(folder=f"{volume.path}/model", **what)
    pods.settle(got, pods.MOVER, site, retries=2, hub=given["hub_secret"], volume=volume)
    return got


def _build(site: Site, given: Channels, volume: Volume, got: PipelineTask) -> PipelineTask:
    how = only(given, "builder_account", "builder_security", "builder_image")
    built = on(site.runtime, build_image)(
        model=got.outputs["path"],
        target=f"oci:{volume.path}/image:built",
        engine="buildah",
        base=given["base"],
        **pods.delegated(volume, *how.values()),
    )
    login = given["registry_secret"]
    pods.settle(built, pods.BUILDER, site, retries=2, registry=login, volume=volume)
    return built


def _push(site: Site, given: Channels, volume: Volume, built: PipelineTask) -> PipelineTask:
    pushed = on(site.runtime, push_image)(
        layout=built.outputs["reference"], target=given["image"], plain_http=given["plain_http"]
    )
    login = given["registry_secret"]
    pods.settle(pushed, pods.MOVER, site, retries=2, registry=login, volume=volume)
    return pushed
