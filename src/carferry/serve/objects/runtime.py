"""The ServingRuntime: the cluster's own Template of one, or the one that comes with carferry.

Sources: opendatahub-io/odh-model-controller (config/runtimes/vllm), opendatahub-io/odh-dashboard
(servingRuntimes.ts).
"""

from __future__ import annotations

import copy
import json
from typing import Any

from carferry.cluster.kinds import Object
from carferry.gpu.vllm_args import VllmArgs
from carferry.serve.accelerators import check_server
from carferry.serve.objects.found import Found, Template
from carferry.serve.objects.metadata import metadata, plan_note, profile, security_context
from carferry.serve.objects.spread import ADDRESS, head_args, sizes, spread_notes, worker
from carferry.serve.platforms import Platform
from carferry.serve.settings import VLLM_IMAGE, Deployment

PORT = 8080
_SHM = "/dev/shm"  # noqa: S108 - a path inside the pod
# Under another UID than the image's own, vLLM has no passwd entry and no writable home
# (kserve/kserve#5666): name the user and keep every cache in /tmp.
RUNTIME_ENV = {
    "HF_HOME": "/tmp/hf_home",  # noqa: S108 - a path inside the pod
    "HF_HUB_OFFLINE": "1",
    "HOME": "/tmp",  # noqa: S108
    "TORCHINDUCTOR_CACHE_DIR": "/tmp/torchinductor",  # noqa: S108
    "TRITON_CACHE_DIR": "/tmp/triton",  # noqa: S108
    "USER": "vllm",
    "VLLM_CACHE_ROOT": "/tmp/vllm",  # noqa: S108
}


def serving_runtime(deployment: Deployment, platform: Platform, found: Found) -> Object:
    """Make the vLLM runtime: one per model, as deleting a deployment deletes its runtime.

    Raises:
        InputError: The cluster has no Template for this accelerator, and carferry no image.
    """
    if found.template:
        return _from_template(deployment, platform, found, found.template)
    check_server(deployment.runtime_image, deployment.gpu_resource, deployment.gpu_count)
    annotations = _notes(deployment, platform, found) | _bundled_notes(deployment, platform)
    server = _server(deployment, platform)
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": metadata(deployment, platform, deployment.name, annotations),
        "spec": {
            "annotations": {
                **({"opendatahub.io/kserve-runtime": "vllm"} if platform.dashboard else {}),
                "prometheus.io/path": "/metrics",
                "prometheus.io/port": str(PORT),
                **_spread_notes(deployment),
            },
            "multiModel": False,
            "supportedModelFormats": [{"name": "vLLM", "autoSelect": True}],
            "containers": [server],
            "volumes": [_shm(deployment)],
            **_workers(deployment, server),
        },
    }


def _spread_notes(deployment: Deployment) -> dict[str, str]:
    if deployment.nodes < 2:
        return {}
    return {"multinode/executor-backend": "mp", **spread_notes(deployment)}


def _workers(deployment: Deployment, server: Object) -> Object:
    if deployment.nodes < 2:
        return {}
    made = {"containers": [worker(deployment, server, PORT)], "volumes": [_shm(deployment)]}
    return {"workerSpec": {**sizes(deployment), **made}}


def _notes(deployment: Deployment, platform: Platform, found: Found) -> dict[str, str]:
    """Return the annotations of any runtime."""
    made = {"openshift.io/display-name": deployment.title, **plan_note(deployment)}
    if platform.dashboard:
        made["opendatahub.io/apiProtocol"] = "REST"
    if platform.dashboard and platform.scoped:
        made["opendatahub.io/serving-runtime-scope"] = "global"
    return made | profile(deployment, platform, "ServingRuntime", found.profile_version)


def _bundled_notes(deployment: Deployment, platform: Platform) -> dict[str, str]:
    if not platform.dashboard:
        return {}
    made = {"opendatahub.io/recommended-accelerators": json.dumps([deployment.gpu_resource])}
    if deployment.gpu_resource.startswith("nvidia.com/"):
        made["opendatahub.io/template-name"] = "vllm-cuda-runtime-template"
        made["opendatahub.io/template-display-name"] = "vLLM NVIDIA GPU ServingRuntime for KServe"
    return made


def _server(deployment: Deployment, platform: Platform) -> Object:
    # KServe fills in the InferenceService's name: the model's name in the API.
    args = VllmArgs(port=PORT, model=deployment.model_folder, served_model_name="{{.Name}}")
    env = [{"name": name, "value": value} for name, value in RUNTIME_ENV.items()]
    return {
        "name": "kserve-container",
        "image": deployment.runtime_image,
        "command": ["python3", "-m", "vllm.entrypoints.openai.api_server"],
        "args": [*args.render(), *head_args(deployment)],
        "env": [*env, ADDRESS] if deployment.nodes > 1 else env,
        "ports": [{"containerPort": PORT, "protocol": "TCP"}],
        "securityContext": security_context(platform),
        "volumeMounts": [{"name": "shm", "mountPath": _SHM}],
    }


def _shm(deployment: Deployment) -> Object:
    limit = {"medium": "Memory", "sizeLimit": str(deployment.shm_size)}
    return {"name": "shm", "emptyDir": limit}


def _from_template(
    deployment: Deployment, platform: Platform, found: Found, template: Template
) -> Object:
    runtime = copy.deepcopy(template.runtime)
    held = runtime.get("metadata") or {}
    titled = template.title if platform.titled_by == "template" else deployment.title
    annotations = {
        **(held.get("annotations") or {}),
        **_notes(deployment, platform, found),
        "openshift.io/display-name": titled,
        "opendatahub.io/apiProtocol": template.protocol or "REST",
        "opendatahub.io/template-name": template.name,
        "opendatahub.io/template-display-name": template.title,
    }
    made = metadata(deployment, platform, deployment.name, annotations, held.get("labels"))
    return {
        "apiVersion": runtime["apiVersion"],
        "kind": runtime["kind"],
        "metadata": made,
        "spec": _fitted(deployment, platform, runtime["spec"]),
    }


def _fitted(deployment: Deployment, platform: Platform, spec: dict[str, Any]) -> dict[str, Any]:
    """Return a Template's spec with what it leaves open: shared memory, rights, our image."""
    server = spec["containers"][0]
    if deployment.runtime_image != VLLM_IMAGE:
        check_server(deployment.runtime_image, deployment.gpu_resource, deployment.gpu_count)
        server["image"] = deployment.runtime_image
    server["args"] = [
        f"--model={deployment.model_folder}" if each.startswith("--model=") else each
        for each in server.get("args") or ()
    ]
    server.setdefault("securityContext", security_context(platform))
    mounts = server.setdefault("volumeMounts", [])
    if not any(each.get("mountPath") == _SHM for each in mounts):
        mounts.append({"name": "shm", "mountPath": _SHM})
        spec.setdefault("volumes", []).append(_shm(deployment))
    return spec
