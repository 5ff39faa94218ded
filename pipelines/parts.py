"""The ends that both pipelines share: whether the model fits, before; serving it, after."""

from __future__ import annotations

from carferry.components import deploy_model, fit_model, on
from carferry.pipelines import pods
from carferry.pipelines.declared import Channels, only
from carferry.pipelines.pods import Site
from kfp import dsl
from kfp.dsl import PipelineTask

_SIZED = ("gpu_resource", "gpu_count", "tolerations", "max_model_len", "vllm_args")
"""What fit_model decides, by the names deploy_model takes it."""


def fit(site: Site, given: Channels) -> PipelineTask:
    """Plan the GPUs; where nothing fits the run ends here."""
    asked = only(given, "model", "revision", "include", "exclude") | {"target": given["image"]}
    asked |= only(given, "gpu", "namespace", "vllm", "family", *_SIZED)
    fitted = on(site.runtime, fit_model)(serve=given["deploy"], **asked)
    pods.settle(fitted, pods.PLANNER, site, retries=2, hub=given["hub_secret"])
    return fitted


def serve(site: Site, given: Channels, fitted: PipelineTask, made: PipelineTask) -> None:
    """Deploy an image, if the run is to.

    Args:
        site: Where the pipeline runs.
        given: The pipeline's parameters.
        fitted: The task of ``fit``.
        made: The task that put the image where a cluster can pull it.
    """
    form = only(given, "apply", "name", "namespace", "display_name", "cpu", "memory")
    form |= only(given, "pull_secret", "hardware_profile", "deployment_mode", "auth")
    form |= only(given, "external_route", "wait_s") | only(fitted.outputs, *_SIZED)
    form |= {"runtime_image": given["serving_image"], "image": made.outputs["reference"]}
    form |= {"model_size_bytes": made.outputs["size_bytes"]}
    with dsl.If(given["deploy"] == True, name="deploy"):  # noqa: E712 - a channel, not a bool
        pods.settle(on(site.runtime, deploy_model)(**form), pods.CALLER, site)
