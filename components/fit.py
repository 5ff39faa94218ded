"""Component: the check that a model fits and the run is permitted, before a byte moves."""

from typing import Any, NamedTuple

from kfp.dsl import HTML, Markdown, Output

from carferry.bundle.component import component


@component
def fit_model(
    model: str,
    report: Output[Markdown],
    chart: Output[HTML],
    image: str = "",
    include: str = "",
    serve: str = "deploy",
    name: str = "",
    runtime_image: str = "docker.io/vllm/vllm-openai:v0.24.0",
    gpus: str = "",
    max_model_len: int = 0,
    vllm_args: str = "",
    prove: bool = False,
    builder: str = "",
    claim: str = "",
    settings: dict[str, Any] = {},  # noqa: B006 - kfp writes the default into the YAML
) -> NamedTuple(  # type: ignore[valid-type]
    "Fitted",
    [("model", str), ("sizing", dict), ("asked", str), ("due", str), ("reference", str)],
):
    """Check all that a run will need, and plan the GPUs; stop the pipeline if it cannot be done.

    Args:
        model: Model on the hub (org/name or org/name@revision), a folder this step can see, or
            an image (oci://host/repository:tag).
        report: The answer, the arithmetic, and the smallest change if it does not fit.
        chart: The same as a page, with the memory of each GPU option drawn against its capacity.
        image: Where the image goes; nodes that hold it already need no room for it.
        include: File patterns, as for the build.
        serve: deploy, render or no; with no, nothing is planned.
        name: InferenceService name, as for the deployment.
        runtime_image: vLLM image that will serve; its tag says the version to plan for.
        gpus: GPUs to plan for, as in L40S x2. Empty: read the cluster; none: do not check.
        max_model_len: Longest sequence in tokens that must fit. 0: the plan's choice.
        vllm_args: More vLLM arguments; they win over the plan's.
        prove: Open an upload at the registry and look at the base, if no plan_model follows.
        builder: job if Buildah will run in a Job of its own. Empty: it will not.
        claim: Claim that the pipeline has mounted for a model pvc://claim/path. Empty: none.
        settings: vllm, family, gpu_count, gpu_resource, tolerations, and all of a deployment's.

    Returns:
        model: The model at one commit, for every later step.
        sizing: gpu_resource, gpu_count, tolerations, max_model_len and vllm_args to deploy with.
        asked: Id of what the deployment is asked to be, for deploy_model to keep.
        due: yes: the run goes on; no: settings has if_changed, and nothing is to be done.
        reference: The image by digest that is there, if the run does not go on. Else empty.
    """
    from carferry.run.first import first
    from carferry.run.request import Run

    plan = {"gpus": gpus, "max_model_len": max_model_len, "vllm_args": vllm_args}
    how = {"name": name, "runtime_image": runtime_image, "builder": builder, "prove": prove}
    how["claim"] = claim
    run = Run(model, image, include, serve, settings=settings, **plan, **how)  # type: ignore[arg-type]
    found = first(run, report=report.path, chart=chart.path)
    return found.model, found.sizing, found.asked, found.due, found.reference
