"""LLMInferenceService: the kind that OpenShift AI 3.5 prefers, and KServe serves by llm-d.

Sources: kserve/kserve v0.20 (config/crd/full/llmisvc, config/llmisvcconfig: the preset's command
evaluates VLLM_ADDITIONAL_ARGS in a shell), opendatahub-io/odh-dashboard (packages/llmd-serving of
rhoai-3.5).
"""

from __future__ import annotations

import shlex
from typing import Any

from carferry.cluster.kinds import Object
from carferry.errors import InputError
from carferry.serve.accelerators import NVIDIA, accelerator_of, check_server
from carferry.serve.objects.found import Found
from carferry.serve.objects.metadata import (
    amounts,
    metadata,
    plan_note,
    profile,
    scheduling,
    security_context,
)
from carferry.serve.objects.service import queue, service_notes, vllm_args
from carferry.serve.platforms import Platform
from carferry.serve.settings import VLLM_IMAGE, Deployment, Mode

_ARGS = "VLLM_ADDITIONAL_ARGS"


def llm_service(deployment: Deployment, platform: Platform, found: Found) -> Object:
    """Make the LLMInferenceService of an image.

    With a route it gets gateway, route and scheduler, which is also where a token is asked for;
    without one only its Service inside the cluster.

    Raises:
        InputError: The platform has no such kind, or a setting has no place in it.
    """
    _check(deployment, platform)
    if deployment.runtime_image != VLLM_IMAGE or _is_other(deployment):
        check_server(deployment.runtime_image, deployment.gpu_resource, deployment.gpu_count)
    spec: Object = {
        "model": {"uri": deployment.uri, "name": deployment.name},
        "replicas": deployment.min_replicas,
        "template": {"containers": [_server(deployment, platform)], **scheduling(deployment)},
    }
    if deployment.external_route:
        spec["router"] = {"gateway": {}, "route": {}, "scheduler": {}}
    if deployment.base_refs:
        spec["baseRefs"] = [{"name": each} for each in deployment.base_refs]
    annotations = service_notes(deployment, platform, found) | {
        **plan_note(deployment),
        # Left out, a token is asked for.
        "security.opendatahub.io/enable-auth": "true" if deployment.auth else "false",
        **profile(deployment, platform, "LLMInferenceService", found.profile_version),
    }
    return {
        "apiVersion": f"serving.kserve.io/{platform.llm}",
        "kind": "LLMInferenceService",
        "metadata": metadata(deployment, platform, deployment.name, annotations, queue(deployment)),
        "spec": spec,
    }


def _is_other(deployment: Deployment) -> bool:
    """Say whether the platform's own preset, which is for NVIDIA, would serve another device."""
    wanted = accelerator_of(deployment.gpu_resource)
    return bool(deployment.gpu_count) and wanted is not NVIDIA and not deployment.base_refs


def _server(deployment: Deployment, platform: Platform) -> Object:
    variables = list(deployment.env)
    if args := vllm_args(deployment).render():
        variables.append((_ARGS, shlex.join(args)))
    made: dict[str, Any] = {
        "name": "main",
        "resources": amounts(deployment),
        "securityContext": security_context(platform),
    }
    if variables:
        made["env"] = [{"name": name, "value": value} for name, value in variables]
    if deployment.runtime_image != VLLM_IMAGE:  # else the platform's own preset names one
        made["image"] = deployment.runtime_image
    return made


def _check(deployment: Deployment, platform: Platform) -> None:
    reason = ""
    if not platform.llm:
        reason = f"{platform.title} has no LLMInferenceService here"
    elif deployment.deployment_mode is not Mode.STANDARD:
        reason = "an LLMInferenceService knows no Knative"
    elif deployment.max_replicas > max(1, deployment.min_replicas):
        reason = "an LLMInferenceService takes one number of replicas: min_replicas"
    elif deployment.model_path:
        reason = "an LLMInferenceService serves what lies in /models itself, no folder of it"
    elif deployment.auth and not deployment.external_route:
        reason = "it is the gateway that asks for a token, and without a route there is none"
    if reason:
        remedy = "leave kind at isvc, or change the other setting"
        raise InputError("make LLMInferenceService", deployment.name, reason, remedy)
