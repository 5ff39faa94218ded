"""Component: ModelCar image to a served model."""

from typing import Any, NamedTuple

from kfp.dsl import Artifact, Output

from carferry.bundle.component import component


@component
def deploy_model(
    image: str,
    manifests: Output[Artifact],
    serve: str = "deploy",
    name: str = "",
    runtime_image: str = "docker.io/vllm/vllm-openai:v0.24.0",
    size_bytes: int = 0,
    asked: str = "",
    sizing: dict[str, Any] = {},  # noqa: B006 - kfp writes the default into the YAML
    settings: dict[str, Any] = {},  # noqa: B006
) -> NamedTuple("Deployed", [("name", str), ("namespace", str), ("url", str)]):  # type: ignore[valid-type]
    """Serve a ModelCar with KServe and vLLM, and wait until it answers.

    Args:
        image: ModelCar by digest: host/repository@sha256:...
        manifests: The Kubernetes objects as YAML, for a GitOps repository.
        serve: deploy; render: only write the objects, for clusters that GitOps changes.
        name: InferenceService name. Empty: made from the display name or the image.
        runtime_image: vLLM image, pinned to a release tag or a digest.
        size_bytes: Size of the image; sets the deadline for the pull. 0: unknown.
        asked: As fit_model gives it: by it a later run knows that nothing else is asked for.
        sizing: As fit_model gives it: gpu_resource, gpu_count, max_model_len, vllm_args, ...
        settings: namespace, cpu, memory, pull_secret, auth, wait_s and more of a deployment.

    Returns:
        name: The InferenceService.
        namespace: Its project.
        url: Its endpoint. Empty: not applied.
    """
    from carferry.run.served import deploy_asked
    from carferry.run.settings import deploy_keywords

    fixed = {"name": name, "runtime_image": runtime_image, "model_size_bytes": size_bytes}
    form = deploy_keywords(settings, sizing, output=manifests.path, **fixed)
    made = deploy_asked(serve, image, asked, **form)
    return made.name, made.namespace, made.url
