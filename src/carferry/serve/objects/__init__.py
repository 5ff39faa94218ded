"""The objects of one deployed model, as plain dicts: what a platform's dashboard would make."""

from __future__ import annotations

from carferry.cluster.kinds import Object
from carferry.errors import InputError
from carferry.serve.objects.access import access_objects
from carferry.serve.objects.connection import connection_secret
from carferry.serve.objects.found import NOTHING, Found
from carferry.serve.objects.llm import llm_service
from carferry.serve.objects.runtime import serving_runtime
from carferry.serve.objects.service import inference_service
from carferry.serve.objects.spread import check_spread
from carferry.serve.platforms import ANY, Platform
from carferry.serve.settings import Deployment, Kind, Mode

__all__ = ["SERVICES", "make_objects"]

SERVICES = ("InferenceService", "LLMInferenceService")
"""Kinds of the object that a deployment is about; those behind it are owned by it."""


def make_objects(
    deployment: Deployment, platform: Platform = ANY, found: Found = NOTHING
) -> list[Object]:
    """Make every object of a deployment, in the order they must be applied.

    Args:
        deployment: What is wanted.
        platform: For which platform.
        found: What the cluster holds already.

    Returns:
        connection Secret, where there is a dashboard; ServingRuntime and InferenceService, or
        LLMInferenceService; with auth also ServiceAccount, Role, RoleBinding and token Secret.
        Equal arguments give equal objects.

    Raises:
        InputError: The platform has no place for a setting.
    """
    _check_profile(deployment, platform)
    check_spread(deployment)
    made = [connection_secret(deployment, platform, found)] if platform.dashboard else []
    resource = "inferenceservices"
    if deployment.kind is Kind.LLM:
        resource = "llminferenceservices"
        made.append(llm_service(deployment, platform, found))
    else:
        _check_mode(deployment, platform)
        made.append(serving_runtime(deployment, platform, found))
        made.append(inference_service(deployment, platform, found))
    if deployment.auth:
        made += access_objects(deployment.name, deployment.namespace, resource)
    return made


def _check_mode(deployment: Deployment, platform: Platform) -> None:
    if deployment.deployment_mode is Mode.KNATIVE and platform.knative is None:
        where = f"{platform.title} has no Knative here"
        raise InputError("deploy", deployment.name, where, "use deployment_mode Standard")


def _check_profile(deployment: Deployment, platform: Platform) -> None:
    if deployment.hardware_profile and not platform.dashboard:
        reason = f"{platform.title} itself knows no hardware profiles"
        remedy = "name gpu_resource, tolerations and node_selector"
        raise InputError("use hardware profile", deployment.hardware_profile.name, reason, remedy)
