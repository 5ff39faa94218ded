"""The InferenceService that points a runtime at an image, by digest.

Sources: opendatahub-io/odh-dashboard (inferenceServices.ts, deployModel.ts, deployUtils.ts),
kserve/kserve v0.20 (pkg/utils/storage.go: modelcar mode; deployment_reconciler.go).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from carferry.cluster.kinds import Object
from carferry.gpu.vllm_args import VllmArgs
from carferry.serve.arguments import parallel_args, without
from carferry.serve.deadline import deadline_s
from carferry.serve.objects.connection import connection_name
from carferry.serve.objects.found import Found
from carferry.serve.objects.metadata import amounts, metadata, profile, scheduling, title
from carferry.serve.objects.spread import WORKER, sizes, spread_notes
from carferry.serve.platforms import Platform
from carferry.serve.settings import Deployment, Mode, Rollout

_QUEUE = "kueue.x-k8s.io/queue-name"
_STRATEGIES: dict[Rollout, dict[str, Any]] = {
    # The default 25%/25% rolling update waits for a second GPU that may not exist.
    Rollout.RECREATE: {"type": "Recreate"},
    # A replica more while it lasts, and never one less: for whoever has a GPU to spare.
    Rollout.ROLLING: {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
    },
}


def inference_service(deployment: Deployment, platform: Platform, found: Found) -> Object:
    """Make the InferenceService."""
    predictor: Object = {
        "minReplicas": deployment.min_replicas,
        "maxReplicas": deployment.max_replicas,
        "model": _model(deployment),
        **scheduling(deployment),
    }
    if deployment.nodes > 1:
        predictor["workerSpec"] = _workers(deployment)
    if deployment.deployment_mode is Mode.STANDARD:
        predictor["deploymentStrategy"] = _STRATEGIES[deployment.rollout]
    else:
        limit = f"{deadline_s(deployment.model_size_bytes)}s"
        predictor["annotations"] = {"serving.knative.dev/progress-deadline": limit}
    annotations = _annotations(deployment, platform, found)
    labels = _visibility(deployment, platform) | queue(deployment)
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": metadata(deployment, platform, deployment.name, annotations, labels),
        "spec": {"predictor": predictor},
    }


def vllm_args(deployment: Deployment) -> VllmArgs:
    """Return the arguments KServe appends to the runtime's own: ours first, the caller's last."""
    split = parallel_args(deployment.gpu_count, deployment.nodes, deployment.vllm_args)
    ours = replace(split, max_model_len=deployment.max_model_len or None)
    return VllmArgs(more=(*without(ours.render(), deployment.vllm_args), *deployment.vllm_args))


def queue(deployment: Deployment) -> dict[str, str]:
    """Return the label by which Kueue admits the pods."""
    return {_QUEUE: deployment.queue} if deployment.queue else {}


def service_notes(deployment: Deployment, platform: Platform, found: Found) -> dict[str, str]:
    """Return the annotations of a service of either kind."""
    made = {
        "carferry/image-tag": deployment.image.tag or "",
        "serving.kserve.io/stop": "true" if deployment.stopped else "false",
    }
    if not platform.dashboard:
        return made
    made |= title(deployment)
    if platform.links_connection:
        made["opendatahub.io/connections"] = connection_name(deployment, platform, found)
    if platform.has_wizard:
        made["opendatahub.io/model-type"] = "generative"
        made["openshift.io/description"] = deployment.description
    return made


def _model(deployment: Deployment) -> Object:
    return {
        "modelFormat": {"name": "vLLM"},
        "runtime": deployment.name,
        "storageUri": deployment.uri,
        **_asked(deployment),
    }


def _asked(deployment: Deployment) -> Object:
    """Return what any pod of the model is asked for."""
    made: Object = {"resources": amounts(deployment)}
    if args := vllm_args(deployment).render():
        made["args"] = list(args)
    if deployment.env:
        made["env"] = [{"name": name, "value": value} for name, value in deployment.env]
    return made


def _workers(deployment: Deployment) -> Object:
    """Return what its workers are asked for: the same as its head."""
    container = {"name": WORKER, **_asked(deployment)}
    return {**sizes(deployment), "containers": [container], **scheduling(deployment)}


def _annotations(deployment: Deployment, platform: Platform, found: Found) -> dict[str, str]:
    mode = deployment.deployment_mode
    word = platform.standard if mode is Mode.STANDARD else platform.knative
    made = service_notes(deployment, platform, found) | {
        # An update that changes the mode is refused, also to the same one by another word.
        "serving.kserve.io/deploymentMode": found.mode or word or "",
        # KServe takes several nodes with this word alone.
        "serving.kserve.io/autoscalerClass": "none" if deployment.nodes > 1 else "",
        **spread_notes(deployment),
        **profile(deployment, platform, "InferenceService", found.profile_version),
    }
    if deployment.auth or (platform.dashboard and platform.says_open):
        made["security.opendatahub.io/enable-auth"] = "true" if deployment.auth else "false"
    if mode is Mode.KNATIVE and platform.has_istio:
        made["serving.knative.openshift.io/enablePassthrough"] = "true"
        made["sidecar.istio.io/inject"] = "true"
        made["sidecar.istio.io/rewriteAppHTTPProbers"] = "true"
    return made


def _visibility(deployment: Deployment, platform: Platform) -> dict[str, str]:
    if deployment.deployment_mode is Mode.KNATIVE:
        value = "" if deployment.external_route else "cluster-local"
        return {"networking.knative.dev/visibility": value} if value else {}
    value = platform.exposed if deployment.external_route else platform.hidden
    return {"networking.kserve.io/visibility": value} if value else {}
