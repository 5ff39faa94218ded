"""The objects the OpenShift AI dashboard would make for one model, as plain dicts.

Sources: opendatahub-io/odh-dashboard (connectionTypes/utils.ts, inferenceServices.ts,
deployModel.ts), red-hat-data-services/odh-model-controller (vLLM runtime template),
kserve/kserve v0.20 (pkg/utils/storage.go: modelcar mode; deployment_reconciler.go).
"""

from __future__ import annotations

import base64
from typing import Any

from carferry.cluster.kinds import Object
from carferry.gpu.vllm_args import VllmArgs
from carferry.serve.access import access_objects, placed
from carferry.serve.settings import Deployment, Mode

PORT = 8080
DASHBOARD = {"opendatahub.io/dashboard": "true"}
# Where KServe links the model; its modelcar sidecar makes the link.
_MODEL_DIR = "/mnt/models"
# KServe fills in the InferenceService's name: the model's name in the API.
_SERVER_ARGS = VllmArgs(port=PORT, model=_MODEL_DIR, served_model_name="{{.Name}}")
# Under another UID than the image's own, vLLM has no passwd entry and no writable home
# (kserve/kserve#5666): name the user and keep every cache in /tmp.
_RUNTIME_ENV = {
    "HF_HOME": "/tmp/hf_home",  # noqa: S108 - a path inside the pod
    "HF_HUB_OFFLINE": "1",
    "HOME": "/tmp",  # noqa: S108
    "TORCHINDUCTOR_CACHE_DIR": "/tmp/torchinductor",  # noqa: S108
    "TRITON_CACHE_DIR": "/tmp/triton",  # noqa: S108
    "USER": "vllm",
    "VLLM_CACHE_ROOT": "/tmp/vllm",  # noqa: S108
}
_BASE_DEADLINE_S = 900
_UNKNOWN_SIZE_DEADLINE_S = 2700
# A cold pull of 140 GB took about 4,600 s in KServe's own measurement
# (docs/samples/storage/oci-image-volume/README.md): about 30 MB/s.
_PULL_BYTES_PER_S = 30_000_000


def deadline_s(size_bytes: int) -> int:
    """Return how long a cold start may take, in seconds, for a model image of that size.

    Args:
        size_bytes: Of the image; 0 if unknown.
    """
    if not size_bytes:
        return _UNKNOWN_SIZE_DEADLINE_S
    return _BASE_DEADLINE_S + -(-size_bytes // _PULL_BYTES_PER_S)


def make_objects(deployment: Deployment) -> list[Object]:
    """Make every object of a deployment, in the order they must be applied.

    Returns:
        connection Secret, ServingRuntime, InferenceService; with auth also ServiceAccount,
        Role, RoleBinding and token Secret. Equal settings give equal objects.
    """
    auth = access_objects(deployment.name, deployment.namespace) if deployment.auth else []
    return [
        connection_secret(deployment),
        serving_runtime(deployment),
        inference_service(deployment),
        *auth,
    ]


def connection_secret(deployment: Deployment) -> Object:
    """Make the dashboard's "URI - v1" connection.

    The value goes in as ``data``: ``stringData`` "does not work well with server-side apply"
    (Kubernetes documentation, Secrets).
    """
    annotations = _texts(
        {
            "openshift.io/display-name": deployment.title,
            "openshift.io/description": deployment.description,
            "opendatahub.io/connection-type-ref": "uri-v1",
            "opendatahub.io/connection-type-protocol": "uri",
        }
    )
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(deployment, deployment.connection, annotations, DASHBOARD),
        "type": "Opaque",
        "data": {"URI": base64.b64encode(deployment.uri.encode()).decode()},
    }


def serving_runtime(deployment: Deployment) -> Object:
    """Make the vLLM runtime: one per model, as deleting a deployment deletes its runtime."""
    annotations = _runtime_annotations(deployment)
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": _metadata(deployment, deployment.name, annotations, DASHBOARD),
        "spec": {
            "annotations": {
                "opendatahub.io/kserve-runtime": "vllm",
                "prometheus.io/path": "/metrics",
                "prometheus.io/port": str(PORT),
            },
            "multiModel": False,
            "supportedModelFormats": [{"name": "vLLM", "autoSelect": True}],
            "containers": [_server(deployment)],
            "volumes": [
                {
                    "name": "shm",
                    "emptyDir": {"medium": "Memory", "sizeLimit": str(deployment.shm_size)},
                }
            ],
        },
    }


def inference_service(deployment: Deployment) -> Object:
    """Make the InferenceService that points the runtime at the image, by digest."""
    predictor: Object = {
        "minReplicas": deployment.min_replicas,
        "maxReplicas": deployment.max_replicas,
        "model": _model(deployment),
    }
    if deployment.deployment_mode is Mode.RAW:
        # The default 25%/25% rolling update waits for a second GPU that may not exist.
        predictor["deploymentStrategy"] = {"type": "Recreate"}
    else:
        limit = f"{deadline_s(deployment.model_size_bytes)}s"
        predictor["annotations"] = {"serving.knative.dev/progress-deadline": limit}
    if deployment.node_selector:
        predictor["nodeSelector"] = dict(deployment.node_selector)
    if deployment.tolerations:
        predictor["tolerations"] = [each.object for each in deployment.tolerations]
    if deployment.pull_secret:
        predictor["imagePullSecrets"] = [{"name": deployment.pull_secret}]
    labels = DASHBOARD | _visibility(deployment)
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": _metadata(deployment, deployment.name, _annotations(deployment), labels),
        "spec": {"predictor": predictor},
    }


def vllm_args(deployment: Deployment) -> VllmArgs:
    """Return the arguments KServe appends to the runtime's own: ours first, the caller's last."""
    return VllmArgs(
        tensor_parallel_size=deployment.gpu_count if deployment.gpu_count > 1 else None,
        max_model_len=deployment.max_model_len or None,
        more=deployment.vllm_args,
    )


def _runtime_annotations(deployment: Deployment) -> dict[str, str]:
    annotations = {
        "openshift.io/display-name": deployment.title,
        "opendatahub.io/recommended-accelerators": f'["{deployment.gpu_resource}"]',
        "opendatahub.io/apiProtocol": "REST",
    }
    if deployment.gpu_resource.startswith("nvidia.com/"):
        annotations["opendatahub.io/template-name"] = "vllm-cuda-runtime-template"
        annotations["opendatahub.io/template-display-name"] = (
            "vLLM NVIDIA GPU ServingRuntime for KServe"
        )
    return annotations


def _server(deployment: Deployment) -> Object:
    return {
        "name": "kserve-container",
        "image": deployment.runtime_image,
        "command": ["python3", "-m", "vllm.entrypoints.openai.api_server"],
        "args": list(_SERVER_ARGS.render()),
        "env": [{"name": name, "value": value} for name, value in _RUNTIME_ENV.items()],
        "ports": [{"containerPort": PORT, "protocol": "TCP"}],
        "volumeMounts": [{"name": "shm", "mountPath": "/dev/shm"}],  # noqa: S108
    }


def _model(deployment: Deployment) -> Object:
    amounts = {"cpu": str(deployment.cpu), "memory": str(deployment.memory)}
    if deployment.gpu_count:
        amounts[deployment.gpu_resource] = str(deployment.gpu_count)
    model: Object = {
        "modelFormat": {"name": "vLLM"},
        "runtime": deployment.name,
        "storageUri": deployment.uri,
        "resources": {"requests": dict(amounts), "limits": dict(amounts)},
    }
    if args := vllm_args(deployment).render():
        model["args"] = list(args)
    if deployment.env:
        model["env"] = [{"name": name, "value": value} for name, value in deployment.env]
    return model


def _annotations(deployment: Deployment) -> dict[str, str]:
    annotations = {
        "openshift.io/display-name": deployment.title,
        "openshift.io/description": deployment.description,
        "opendatahub.io/connections": deployment.connection,
        "opendatahub.io/model-type": "generative",
        "security.opendatahub.io/enable-auth": "true" if deployment.auth else "false",
        "serving.kserve.io/deploymentMode": deployment.deployment_mode.value,
    }
    if deployment.image.tag:
        annotations["carferry/image-tag"] = deployment.image.tag
    if deployment.hardware_profile:
        annotations["opendatahub.io/hardware-profile-name"] = deployment.hardware_profile.name
        # Left out, the webhook looks in the project of the InferenceService.
        annotations["opendatahub.io/hardware-profile-namespace"] = (
            deployment.hardware_profile.namespace
        )
    if deployment.deployment_mode is Mode.SERVERLESS:
        annotations["serving.knative.openshift.io/enablePassthrough"] = "true"
        annotations["sidecar.istio.io/inject"] = "true"
        annotations["sidecar.istio.io/rewriteAppHTTPProbers"] = "true"
    return _texts(annotations)


def _visibility(deployment: Deployment) -> dict[str, str]:
    if deployment.deployment_mode is Mode.RAW:
        return {"networking.kserve.io/visibility": "exposed"} if deployment.external_route else {}
    return (
        {} if deployment.external_route else {"networking.knative.dev/visibility": "cluster-local"}
    )


def _metadata(
    deployment: Deployment, name: str, annotations: dict[str, str], labels: dict[str, str]
) -> Object:
    return {
        "name": name,
        **placed(deployment.namespace),
        "labels": dict(sorted(labels.items())),
        "annotations": dict(sorted(annotations.items())),
    }


def _texts(parts: dict[str, str]) -> dict[str, Any]:
    return {key: text for key, text in parts.items() if text}
