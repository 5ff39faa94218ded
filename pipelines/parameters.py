"""What the pipelines ask for: the fields of the dashboard's form, in its order."""

from __future__ import annotations

from carferry.pipelines.declared import Parameter

MODEL = (
    Parameter("model", "Model on the hub: org/name"),
    Parameter("image", "Where the image goes: docker://host/repository:tag"),
)
VOLUME = (
    Parameter(
        "storage_class",
        "StorageClass of the volume between the steps, see: oc get storageclass",
    ),
    Parameter("volume_size", "Size of that volume: three times the model.", "100Gi"),
)
CONTENT = (
    Parameter("revision", "Branch, tag or commit of the model.", "main"),
    Parameter(
        "base",
        "Base image; embedded: needs no registry; scratch: image volumes only.",
        "registry.access.redhat.com/ubi9/ubi-micro",
    ),
    Parameter(
        "include",
        "File patterns by comma or line. Empty: safetensors, tokenizer, texts, licence.",
        "",
    ),
    Parameter("exclude", "File patterns left out, by comma or line.", ""),
)
STREAMING = (
    Parameter("image_format", "modelcar, or modelpack for native image volumes.", "modelcar"),
    Parameter(
        "mount_from",
        "Images of the same registry whose layers may be mounted, by comma or line.",
        "",
    ),
    Parameter(
        "workers", "Pods to divide the work among, at most; small models take fewer.", 8, int
    ),
    Parameter(
        "parallel",
        "Layers each pod moves at the same time, about 20 MiB of memory each.",
        2,
        int,
    ),
)
ACCESS = (
    Parameter("plain_http", "Registry hosts spoken to without TLS, by comma or line.", ""),
    Parameter(
        "hub_secret", "Secret with key HF_TOKEN. Leave as it is where there is none.", "carferry-hf"
    ),
    Parameter(
        "registry_secret",
        "Another Secret, of type kubernetes.io/dockerconfigjson.",
        "carferry-registry",
    ),
)
BUILDER = (
    Parameter(
        "builder_account",
        "ServiceAccount that may run Buildah, made from cluster/buildah.",
        "modelcar-builder",
    ),
    Parameter(
        "builder_security",
        "userns (OpenShift 4.20 or newer) or setfcap (with an SCC of its own).",
        "userns",
    ),
    Parameter(
        "builder_image",
        "Image with Buildah, pinned to a release tag or a digest.",
        "quay.io/buildah/stable:v1.43.1",
    ),
)
SERVING = (
    Parameter("deploy", "False: stop when the image is pushed.", True, bool),
    Parameter(
        "apply",
        "False: only write the Kubernetes objects, for clusters that GitOps changes.",
        True,
        bool,
    ),
    Parameter("name", "InferenceService name. Empty: made from the display name or the image.", ""),
    Parameter("namespace", "Project to deploy into. Empty: the project of this run.", ""),
    Parameter("display_name", "Name shown in the dashboard. Empty: the name.", ""),
    Parameter(
        "gpu",
        "GPUs to plan for, as in L40S x2. Empty: read the cluster; none: do not check.",
        "",
    ),
    Parameter("vllm", "Version of vLLM in the serving image.", "0.24.0"),
    Parameter(
        "family", "gqa: plan an unknown architecture as a plain decoder. Empty: refuse it.", ""
    ),
    Parameter(
        "gpu_resource", "Resource to ask for where the fit is not checked.", "nvidia.com/gpu"
    ),
    Parameter("gpu_count", "GPUs per replica. 0: the plan's choice.", 0, int),
    Parameter("cpu", "CPUs per replica (Kubernetes quantity).", "4"),
    Parameter("memory", "Memory per replica (Kubernetes quantity).", "16Gi"),
    Parameter("max_model_len", "Longest sequence in tokens. 0: the plan's choice.", 0, int),
    Parameter("tolerations", "JSON list. Empty: the plan's choice, or the GPU's own taint.", ""),
    Parameter(
        "vllm_args", "More vLLM arguments, quoted as in a shell; they win over the plan's.", ""
    ),
    Parameter(
        "serving_image",
        "vLLM image, pinned to a release tag or a digest.",
        "docker.io/vllm/vllm-openai:v0.24.0",
    ),
    Parameter("pull_secret", "Secret the cluster pulls the image with. Empty: none.", ""),
    Parameter("hardware_profile", "OpenShift AI hardware profile: [namespace/]name", ""),
    Parameter("deployment_mode", "RawDeployment or Serverless.", "RawDeployment"),
    Parameter("auth", "Ask for a token at the endpoint.", False, bool),
    Parameter(
        "external_route", "Make the endpoint reachable from outside the cluster.", False, bool
    ),
    Parameter(
        "wait_s",
        "Seconds to wait until the model answers. Empty: by the image's size; 0: none.",
        "",
    ),
)
