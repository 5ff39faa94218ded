"""The tasks that both pipelines share: the first checks and sizes, the last deploys."""

from __future__ import annotations

from collections.abc import Callable

from kfp import dsl
from kfp.dsl import PipelineTask

from carferry.components import deploy_model, fit_model, on
from carferry.pipelines import pods
from carferry.pipelines.declared import Channels
from carferry.pipelines.pods import Site

Then = Callable[[PipelineTask], object]
"""Gets the task that pushed the image: its outputs ``reference``, ``digest`` and ``previous``, what
the tag named before. It is called where that task may be used: a pipeline cannot hand out what is
made under a condition, in no form that fits every backend (docs/adr/0045-recurring-runs.md)."""


def fit(site: Site, given: Channels, *, staged: bool = False) -> PipelineTask:
    """Return the task that checks everything and plans the GPUs; it fails if nothing fits.

    Args:
        site: The place the pipeline runs in.
        given: The pipeline's parameters.
        staged: No plan of the layers follows, so this task also checks the base and that the
            image can be uploaded; in a cluster Buildah needs rights of its own.
    """
    fitted = on(site.runtime, fit_model)(
        model=given["model"],
        image=given["image"],
        include=given["pack_include"],
        serve=given["serve"],
        name=given["serve_name"],
        runtime_image=given["serve_image"],
        gpus=given["serve_gpu"],
        max_model_len=given["serve_max_model_len"],
        vllm_args=given["serve_args"],
        prove=staged,
        builder="job" if staged and not site.folder else "",
        **({"claim": given["model_claim"]} if "model_claim" in given else {}),
        settings=given["settings"],
    )
    pods.settle(fitted, pods.PLANNER, site, **pods.logins(given), volume=pods.claimed(given))
    return fitted


def if_due(fitted: PipelineTask) -> dsl.If:
    """Return the condition under which a run goes on after its first task."""
    return dsl.If(fitted.outputs["due"] == "yes", name="due")


def serve(
    site: Site,
    given: Channels,
    fitted: PipelineTask,
    made: PipelineTask,
    then: Then | None = None,
) -> None:
    """Add the task that deploys an image, unless ``serve`` is no, and those that a caller adds.

    Args:
        site: The place the pipeline runs in.
        given: The pipeline's parameters.
        fitted: The task of ``fit``.
        made: The task that pushed the image.
        then: Adds more tasks.
    """
    if then:
        then(made)
    with dsl.If(given["serve"] != "no", name="deploy"):
        deployed = on(site.runtime, deploy_model)(
            image=made.outputs["reference"],
            serve=given["serve"],
            name=given["serve_name"],
            runtime_image=given["serve_image"],
            size_bytes=made.outputs["size_bytes"],
            asked=fitted.outputs["asked"],
            sizing=fitted.outputs["sizing"],
            settings=given["settings"],
        )
        pods.settle(deployed, pods.CALLER, site, registry=given["secret_registry"])
