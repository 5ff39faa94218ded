"""Component: ModelCar image to a served model."""

from typing import Any, NamedTuple

from kfp.dsl import HTML, Artifact, Output

from carferry.bundle.component import component


@component
def deploy_model(
    image: str,
    manifests: Output[Artifact],
    answer: Output[HTML],
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
        manifests: The objects as YAML, for GitOps.
        answer: What it said when asked, and how fast.
        serve: deploy; render: only write the objects.
        name: InferenceService name. Empty: made from the image.
        runtime_image: vLLM image by tag or digest.
        size_bytes: Of the image; sets the deadline. 0: unknown.
        asked: As fit_model gives it; later runs compare.
        sizing: As fit_model gives it.
        settings: namespace, auth, wait_s, test and more of a deployment.

    Returns:
        name: The InferenceService.
        namespace: Its project.
        url: Its endpoint. Empty: not applied.
    """
    from pathlib import Path

    from carferry.run.served import deploy_asked
    from carferry.run.settings import deploy_keywords, test_of

    fixed = {"name": name, "runtime_image": runtime_image, "model_size_bytes": size_bytes}
    form = deploy_keywords(settings, sizing, output=manifests.path, **fixed)
    made, tested = deploy_asked(serve, image, asked, test_of(settings), **form)
    Path(answer.path).write_text(tested.html)
    answer.metadata.update(tested.numbers)
    return made.name, made.namespace, made.url
