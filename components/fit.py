"""Component: will it fit, decided before a byte moves."""

from typing import NamedTuple

from carferry.components.runtime import component
from kfp.dsl import HTML, Markdown, Output


@component
def fit_model(
    model: str,
    report: Output[Markdown],
    chart: Output[HTML],
    target: str = "",
    revision: str = "main",
    include: str = "",
    exclude: str = "",
    serve: bool = True,
    gpu: str = "",
    namespace: str = "",
    vllm: str = "0.24.0",
    family: str = "",
    gpu_resource: str = "nvidia.com/gpu",
    gpu_count: int = 0,
    tolerations: str = "",
    max_model_len: int = 0,
    vllm_args: str = "",
) -> NamedTuple(  # type: ignore[valid-type]
    "Fitted",
    [
        ("gpu_resource", str),
        ("gpu_count", int),
        ("tolerations", str),
        ("max_model_len", int),
        ("vllm_args", str),
    ],
):
    """Plan how a model runs on this cluster's GPUs; stop the pipeline where it cannot.

    Args:
        model: Model on the hub (org/name) or a folder that this step can see.
        report: The answer, the arithmetic, and the smallest change where it does not fit.
        chart: The same as a page, with the memory of each GPU option drawn against its capacity.
        target: Where the image goes; nodes that hold it already need no room for it.
        revision: Branch, tag or commit of a model on the hub.
        include: File patterns, as for the build.
        exclude: File patterns, as for the build.
        serve: False: the image is only pushed, so nothing is checked.
        gpu: GPUs to plan for, as in L40S x2. Empty: read the cluster; none: do not check.
        namespace: Project to serve in; its quotas count. Empty: the project this step runs in.
        vllm: Version of vLLM that will serve.
        family: gqa: plan an unknown architecture as a plain decoder. Empty: refuse it.
        gpu_resource: Resource to ask for where nothing is checked.
        gpu_count: GPUs per replica. 0: the plan's choice.
        tolerations: JSON list. Empty: the plan's choice.
        max_model_len: Longest sequence in tokens that must fit. 0: the plan's choice.
        vllm_args: More vLLM arguments; they win over the plan's.

    Returns:
        gpu_resource: Resource to ask for.
        gpu_count: GPUs per replica.
        tolerations: JSON list; empty where the nodes have no taint.
        max_model_len: Longest sequence in tokens. 0: what the model allows.
        vllm_args: Explicit vLLM arguments.
    """
    from carferry.steps.fit import FitSettings
    from carferry.steps.sizing import Sizing, size

    wishes = Sizing(gpu_resource, gpu_count, tolerations, max_model_len, vllm_args)
    files = {"include": include, "exclude": exclude, "image": target}
    settings = FitSettings(gpu=gpu, namespace=namespace, vllm=vllm, family=family, **files)
    reports = {"report": report.path, "chart": chart.path}
    made = size(model, settings, wishes, revision=revision, serve=serve, **reports)
    return (
        made.gpu_resource,
        made.gpu_count,
        made.tolerations,
        made.max_model_len,
        made.vllm_args,
    )
