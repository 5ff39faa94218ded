"""Component: ModelCar image to a served model."""

from typing import NamedTuple

from carferry.components.runtime import component
from kfp.dsl import Artifact, Output


@component
def deploy_model(
    image: str,
    manifests: Output[Artifact],
    name: str = "",
    namespace: str = "",
    display_name: str = "",
    gpu_resource: str = "nvidia.com/gpu",
    gpu_count: int = 1,
    cpu: str = "4",
    memory: str = "16Gi",
    max_model_len: int = 0,
    tolerations: str = "",
    vllm_args: str = "",
    runtime_image: str = "docker.io/vllm/vllm-openai:v0.24.0",
    pull_secret: str = "",
    hardware_profile: str = "",
    deployment_mode: str = "RawDeployment",
    auth: bool = False,
    external_route: bool = False,
    model_size_bytes: int = 0,
    apply: bool = True,
    wait_s: str = "",
) -> NamedTuple("Deployed", [("name", str), ("namespace", str), ("url", str)]):  # type: ignore[valid-type]
    """Serve a ModelCar with KServe and vLLM, and wait until it answers.

    Args:
        image: ModelCar by digest: host/repository@sha256:...
        manifests: The Kubernetes objects as YAML, for a GitOps repository.
        name: InferenceService name. Empty: made from the display name or the image.
        namespace: Project to deploy into. Empty: the project this step runs in.
        display_name: Name shown in the dashboard. Empty: the name.
        gpu_resource: nvidia.com/gpu, nvidia.com/mig-1g.10gb, amd.com/gpu or habana.ai/gaudi.
        gpu_count: GPUs per replica; above 1 the model is split between them.
        cpu: CPUs per replica (Kubernetes quantity).
        memory: Memory per replica (Kubernetes quantity).
        max_model_len: Longest sequence in tokens. 0: what the model allows.
        tolerations: JSON list. Empty: tolerate the GPU's own taint.
        vllm_args: More vLLM arguments, quoted as in a shell.
        runtime_image: vLLM image, pinned to a release tag or a digest.
        pull_secret: Secret the cluster pulls the image with. Empty: none.
        hardware_profile: OpenShift AI hardware profile: [namespace/]name
        deployment_mode: RawDeployment or Serverless.
        auth: Ask for a token at the endpoint.
        external_route: Make the endpoint reachable from outside the cluster.
        model_size_bytes: Size of the image; sets the deadline for the pull. 0: unknown.
        apply: False: only write the objects, for clusters that GitOps changes.
        wait_s: Seconds to wait until the model answers. Empty: by the image's size; 0: none.

    Returns:
        name: The InferenceService.
        namespace: Its project.
        url: Its endpoint. Empty: not applied.
    """
    from carferry.steps.deploy import deploy

    form = {"name": name, "namespace": namespace, "display_name": display_name}
    form |= {"gpu_resource": gpu_resource, "gpu_count": str(gpu_count), "cpu": cpu}
    form |= {"memory": memory, "max_model_len": str(max_model_len), "tolerations": tolerations}
    form |= {"vllm_args": vllm_args, "runtime_image": runtime_image, "pull_secret": pull_secret}
    form |= {"hardware_profile": hardware_profile, "deployment_mode": deployment_mode}
    form |= {"auth": str(auth).lower(), "external_route": str(external_route).lower()}
    form |= {"model_size_bytes": str(model_size_bytes)}
    made = deploy(image, form, apply=apply, render_to=manifests.path, wait_s=wait_s)
    return made.name, made.namespace, made.url
