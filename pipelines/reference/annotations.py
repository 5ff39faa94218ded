"""The page of annotations and labels: on images, on objects that are made, on what is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from carferry.assembly.shards import SHARD
from carferry.assembly.trust import MAC
from carferry.cluster.kserve import SERVICE_LABEL
from carferry.image import compose, provenance
from carferry.pipelines.reference.table import table
from carferry.runtime.image import PYTHON
from carferry.serve.notes import ASKED, LAST_GOOD
from carferry.serve.objects.connection import FROM
from carferry.warming.pods import LABEL as WARM

PAGE = Path("docs/reference/annotations.md")
_HEAD = """\
# Annotations and labels

Every annotation and label that carferry writes on images and Kubernetes objects, and every one that
it reads there. Generated from the constants of the code by
`python -m carferry.pipelines.reference`; a test compares the page with what the source names and
with what real images and rendered objects hold.

Nothing here is a time or a name of the machine that built: the same model gives the same image.
Labels that you add with `labels` are yours.

"""
_OCI = "org.opencontainers.image."
_SERVICE, _RUNTIME = "InferenceService", "ServingRuntime"
_BOTH = "InferenceService, LLMInferenceService"
Rows = Mapping[str, tuple[str, str]]
IMAGE: Rows = {
    provenance.SOURCE: ("manifest", "Model: `hf://org/name`, or the place it was read from"),
    provenance.COMMIT: ("manifest", "Commit of the model"),
    provenance.ENGINE: ("manifest", "What built the image: `stream` or `buildah`"),
    f"{_OCI}title": ("manifest; layer of a ModelPack", "Model's name; of a layer its file"),
    f"{_OCI}source": ("manifest", "Page of the model at its commit"),
    f"{_OCI}revision": ("manifest", "Commit of the model"),
    f"{_OCI}licenses": ("manifest", "Licence, as SPDX writes it"),
    f"{_OCI}base.name": ("manifest", "Base image; `scratch` for none"),
    f"{_OCI}base.digest": ("manifest", "Its digest"),
    f"{_OCI}ref.name": ("index of a layout", "Tag"),
    compose.CONTENT_KEY: ("layer", "Key of what it holds, by which a build knows it again"),
    compose.LAYER_PATH: ("layer", "Path of its one file"),
    compose.LAYER_SOURCE: ("layer", "Id of its one file at the source"),
    compose.LAYER_SOURCES: ("layer", "Ids of its files at the source"),
    SHARD: ("manifest of a shard tag", "Which share of which build it keeps"),
    MAC: ("manifest of a shard tag", "Proof that this run wrote it"),
    "org.cncf.model.filepath": ("layer of a ModelPack", "Path of its file"),
    "org.cncf.model.file.mediatype.untested": ("layer of a ModelPack", "`true`: type by name"),
    PYTHON: ("manifest of a runtime image", "Version of its Python"),
}
"""Written by a build; those of a manifest are labels of the config too."""
IMAGE_READ: Rows = {
    f"{_OCI}version": ("config", "Version of vLLM in a serving image"),
    "ai.vllm.image.tag": ("config", "The same"),
    "vnd.docker.reference.type": ("index", "Attestations of BuildKit are no image"),
    "io.containerd.image.name": ("index of a layout", "Name of an image without a tag"),
}
OBJECTS: Rows = {
    "carferry/image-tag": (_BOTH, "Tag that stood beside the digest"),
    "carferry/gpu-plan": (f"{_RUNTIME}, LLMInferenceService", "Line of the GPU plan"),
    LAST_GOOD: (_RUNTIME, "Image that served last, for `--rollback`"),
    ASKED: (_RUNTIME, "Id of what was asked of the deployment, with `if_changed`"),
    FROM: ("connection Secret", "Secret that its login is a copy of"),
    "serving.kserve.io/stop": (_BOTH, "`stopped`"),
    "serving.kserve.io/deploymentMode": (_SERVICE, "Standard or Knative, in the platform's word"),
    "serving.kserve.io/autoscalerClass": (_SERVICE, "`none` where a replica spans nodes"),
    "serving.kserve.io/gpu-resource-types": (_SERVICE, "Resource that KServe does not know"),
    "serving.knative.dev/progress-deadline": ("its pods", "Time to come up, on Knative"),
    "serving.knative.openshift.io/enablePassthrough": (_SERVICE, "For OpenShift's Knative"),
    "sidecar.istio.io/inject": ("InferenceService, Buildah's Job", "Whether a mesh adds a sidecar"),
    "sidecar.istio.io/rewriteAppHTTPProbers": (_SERVICE, "For OpenShift's Knative"),
    "networking.kserve.io/visibility": (f"label of {_SERVICE}", "`external_route`"),
    "networking.knative.dev/visibility": (f"label of {_SERVICE}", "The same on Knative"),
    "kueue.x-k8s.io/queue-name": (f"label of {_BOTH}", "`queue`"),
    "security.opendatahub.io/enable-auth": (_BOTH, "`auth`"),
    "opendatahub.io/dashboard": ("label of all objects", "OpenShift AI's dashboard shows them"),
    "opendatahub.io/connections": (_BOTH, "Name of the connection Secret"),
    "opendatahub.io/model-type": (_BOTH, "`generative`"),
    "opendatahub.io/connection-type-ref": ("connection Secret", "`uri-v1` or `oci-v1`"),
    "opendatahub.io/connection-type-protocol": ("connection Secret", "`uri` or `oci`"),
    "opendatahub.io/hardware-profile-name": ("service or runtime", "`hardware_profile`"),
    "opendatahub.io/hardware-profile-namespace": ("service or runtime", "Its project"),
    "opendatahub.io/hardware-profile-resource-version": ("service", "Its version when applied"),
    "opendatahub.io/apiProtocol": (_RUNTIME, "`REST`"),
    "opendatahub.io/kserve-runtime": (_RUNTIME, "`vllm`: its metrics are known"),
    "opendatahub.io/recommended-accelerators": (_RUNTIME, "`gpu_resource`"),
    "opendatahub.io/serving-runtime-scope": (_RUNTIME, "`global`"),
    "opendatahub.io/template-name": (_RUNTIME, "Template that it is made from"),
    "opendatahub.io/template-display-name": (_RUNTIME, "Its title"),
    "openshift.io/display-name": ("all objects", "`display_name`"),
    "openshift.io/description": ("service, connection Secret", "`description`"),
    "openshift.io/required-scc": ("pod of Buildah's Job", "What it may run by (SCC)"),
    "prometheus.io/path": (f"pods of {_RUNTIME}", "Where metrics are"),
    "prometheus.io/port": (f"pods of {_RUNTIME}", "The same"),
    "kubernetes.io/service-account.name": ("token Secret of `auth`", "Its ServiceAccount"),
    WARM: ("label of warming pods", "`true`"),
    "app.kubernetes.io/part-of": ("label of the library, warming pods, Roles", "`carferry`"),
    "app.kubernetes.io/component": ("label of the library, Buildah's Job", "Which part"),
    "app.kubernetes.io/version": ("label of the library", "Version of carferry"),
    "app.kubernetes.io/managed-by": ("label of Buildah's Job", "`carferry`"),
    "internal.serving.kserve.io/storage-initializer-sourceuri": (
        "the pod that is tried before a deployment, and not kept", "Image, as KServe writes it",
    ),
}  # fmt: skip
"""Written; annotations unless they say label."""
OBJECTS_READ: Rows = {
    SERVICE_LABEL: ("pods", "Whose they are"),
    "app.kubernetes.io/name": ("pods of an LLMInferenceService", "Whose they are"),
    "deployment.kubernetes.io/revision": ("ReplicaSets", "Which revision a pod is of"),
    "pod-security.kubernetes.io/enforce": ("project", "Pod Security level"),
    "opendatahub.io/runtime-version": ("Template", "Version of vLLM"),
    "opendatahub.io/disabled": ("hardware profile", "It is not offered"),
    "opendatahub.io/display-name": ("hardware profile", "Its title"),
    "node-role.kubernetes.io/control-plane": ("nodes", "Not counted among those for models"),
    "node-role.kubernetes.io/master": ("nodes", "The same, older"),
    "node.kubernetes.io/unschedulable": ("taint of nodes", "Cordoned"),
    "node.kubernetes.io/instance-type": ("nodes", "Instance type: GPU, where no label names it"),
    "beta.kubernetes.io/instance-type": ("nodes", "The same, older"),
    "nvidia.com/gpu.product": ("nodes", "GPU"),
    "gpu.nvidia.com/model": ("nodes", "GPU"),
    "cloud.google.com/gke-accelerator": ("nodes", "GPU, on GKE"),
    "karpenter.k8s.aws/instance-gpu-name": ("nodes", "GPU, on EKS"),
    "amd.com/gpu.product-name": ("nodes", "GPU"),
    "beta.amd.com/gpu.product-name": ("nodes", "GPU"),
    "amd.com/gpu.device-id": ("nodes", "GPU, by its id"),
    "beta.amd.com/gpu.device-id": ("nodes", "GPU, by its id"),
    "amd.com/gpu.vram": ("nodes", "Memory of one GPU"),
    "beta.amd.com/gpu.vram": ("nodes", "Memory of one GPU"),
    "amd.com/compute-memory-partition": ("nodes", "Partition of a GPU"),
    "gpu.intel.com/product": ("nodes", "GPU"),
    "nvidia.com/gpu.sharing-strategy": ("nodes", "GPUs that are shared"),
    "cloud.google.com/gke-gpu-sharing-strategy": ("nodes", "GPUs that are shared, on GKE"),
    "cloud.google.com/gke-max-shared-clients-per-gpu": ("nodes", "By how many"),
    "cloud.google.com/gke-gpu-partition-size": ("nodes", "MIG slices, on GKE"),
    "workflows.argoproj.io/pod-name-format": ("Workflow of a run", "How its pods are named"),
}
"""Read, and not written."""


def page() -> str:
    """Return the page as Markdown."""
    parts = [
        ("On images", IMAGE, "Annotations; those of a manifest are labels of its config too."),
        ("Read on images", IMAGE_READ, "Annotations of others' images, and labels of configs."),
        ("On Kubernetes objects", OBJECTS, "Annotations, unless they say that they are labels."),
        ("Read in a cluster", OBJECTS_READ, "Labels of nodes and pods, annotations of the rest."),
    ]
    sections = (
        f"## {title}\n\n{about}\n\n{table(_COLUMNS, _lines(rows))}" for title, rows, about in parts
    )
    return _HEAD + "\n".join(sections)


_COLUMNS = ("Name", "On", "Meaning")


def _lines(rows: Rows) -> list[tuple[str, str, str]]:
    return [(f"`{name}`", where, about) for name, (where, about) in rows.items()]
