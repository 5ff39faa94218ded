"""From what is wanted to what will be applied: the cluster is asked what it is and what it has."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

from carferry.cluster.discovery import readable
from carferry.cluster.kinds import KINDS, Object, ResourceKind
from carferry.cluster.owners import applies
from carferry.errors import ClusterError, InputError
from carferry.serve.objects import make_objects
from carferry.serve.objects.connection import LOGIN, with_login
from carferry.serve.objects.found import Found
from carferry.serve.platforms import Platform, discover, platform_named
from carferry.serve.profiles import check_accelerator, placed_by_profile, profile_version
from carferry.serve.release import check_release
from carferry.serve.settings import VLLM_IMAGE, Deployment, Kind, Mode, Mount
from carferry.serve.templates import find_template

logger = logging.getLogger("carferry")

_MODE = "serving.kserve.io/deploymentMode"
_MODE_FIELD = ("metadata", "annotations", _MODE)
_WORDS = {
    "RawDeployment": Mode.STANDARD,
    "Standard": Mode.STANDARD,
    "Serverless": Mode.KNATIVE,
    "Knative": Mode.KNATIVE,
}
_LEVEL = "pod-security.kubernetes.io/enforce"


class Asks(Protocol):
    """The part of a connection to an API server that is used here."""

    def read(self, path: str) -> Object:
        """Return the JSON object at a path."""

    def get(self, kind: ResourceKind, namespace: str, name: str) -> Object | None:
        """Return one object, or None if there is none of that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A deployment as one cluster will have it.

    Attributes:
        deployment: What was wanted, in the mode that an existing service keeps.
        platform: What the cluster is.
        shown: The objects, fit to be printed.
        objects: The objects to apply; may hold a registry's login.
        notes: What differs from what was wanted, a line each.
    """

    deployment: Deployment
    platform: Platform
    shown: list[Object]
    objects: list[Object] = field(repr=False)
    notes: tuple[str, ...] = ()


def rendered(deployment: Deployment) -> Prepared:
    """Return a deployment for the platform it names; no cluster is asked.

    Raises:
        InputError: The platform has no place for a setting.
    """
    platform = platform_named(deployment.platform)
    made = make_objects(deployment, platform)
    return Prepared(deployment=deployment, platform=platform, shown=made, objects=made)


def prepare(api: Asks, deployment: Deployment) -> Prepared:
    """Ask a cluster what it is and has, and make the objects that fit.

    Reads only. What may not be read is taken for absent, but for the pull secret of an
    OpenShift AI connection, without which there is none.

    Args:
        api: The connection.
        deployment: What is wanted, with its namespace.

    Raises:
        InputError: The cluster cannot serve it; says why, and what to change.
        ClusterError: The server refused discovery, or is away.
        Unreachable: No answer.
    """
    platform = discover(api, name=deployment.platform, llm=deployment.kind is Kind.LLM)
    _check_level(api, deployment, platform)
    check_release(api, deployment)
    if platform.dashboard:
        check_accelerator(api, deployment)
    standing = _standing(api, deployment)
    kept, mode, notes = _kept(standing, deployment)
    if standing and not platform.standard and not applies(standing, _MODE_FIELD):
        mode = ""  # a webhook's or the dashboard's word, which stays if nobody writes one
    if not platform.fills_profile:
        kept = placed_by_profile(api, kept)
    login, missing = _login(api, kept, platform) if kept.pull_secret else ("", ())
    takes_template = platform.dashboard and kept.kind is Kind.ISVC and kept.nodes < 2
    found = Found(
        mode=mode,
        template=find_template(api, kept) if takes_template else None,
        profile_version=profile_version(api, kept) if platform.profile_version else "",
        pull_secret=kept.pull_secret if login and platform.has_oci else "",
    )
    shown = make_objects(kept, platform, found)
    objects = with_login(shown, login) if found.pull_secret else shown
    return Prepared(
        deployment=kept,
        platform=platform,
        shown=shown,
        objects=objects,
        notes=(*notes, *missing, *_notes(kept, platform, found)),
    )


def _check_level(api: Asks, deployment: Deployment, platform: Platform) -> None:
    """Refuse a project that will admit no pod; whoever may not read it finds out later."""
    # OpenShift's own admission completes KServe's containers, whose level then passes.
    if platform.uid is None or deployment.mount is Mount.NATIVE or deployment.stopped:
        return
    project = readable(api, f"/api/v1/namespaces/{deployment.namespace}") or {}
    labels = (project.get("metadata") or {}).get("labels") or {}
    if labels.get(_LEVEL) == "restricted":
        raise InputError(
            "deploy",
            f"{deployment.namespace}/{deployment.name}",
            "the project's Pod Security level is restricted, and the containers modelcar and "
            "modelcar-init that KServe adds have no securityContext: it would admit no pod",
            "mount native (KServe 0.20, Kubernetes 1.35), or another project",
        )


def _standing(api: Asks, deployment: Deployment) -> Object | None:
    """Return the InferenceService of that name, if there is one that may be read."""
    if deployment.kind is Kind.LLM:
        return None
    try:
        return api.get(KINDS["InferenceService"], deployment.namespace, deployment.name)
    except ClusterError as error:
        if error.status not in (403, 404):
            raise
        return None


def _kept(service: Object | None, wanted: Deployment) -> tuple[Deployment, str, tuple[str, ...]]:
    """Return a deployment in the mode that its service has, the word for it, and a note."""
    if service is None:
        return wanted, "", ()
    word = str((service["metadata"].get("annotations") or {}).get(_MODE) or "")
    status = str((service.get("status") or {}).get("deploymentMode") or "")
    mode = _WORDS.get(word or status)
    if mode is None or mode is wanted.deployment_mode:
        return wanted, (word or status) if mode else "", ()
    said = f"{wanted.name} stays {mode}: KServe changes no deployment mode; delete it first"
    least = max(wanted.min_replicas, 1) if mode is Mode.STANDARD else wanted.min_replicas
    return replace(wanted, deployment_mode=mode, min_replicas=least), word or status, (said,)


def _login(api: Asks, deployment: Deployment, platform: Platform) -> tuple[str, tuple[str, ...]]:
    """Return the login in the pull secret, as the API serves it, and what is wrong with it."""
    name, place = deployment.pull_secret, deployment.namespace
    try:
        secret = api.get(KINDS["Secret"], place, name)
    except ClusterError as error:
        if error.status not in (403, 404):
            raise
        return "", ()  # then the connection says only where the model is
    if secret is not None:
        return str((secret.get("data") or {}).get(LOGIN) or ""), ()
    said, remedy = "there is no such Secret", "oc create secret docker-registry, or name another"
    if platform.has_oci:
        raise InputError("pull with", f"{place}/{name}", said, remedy)
    return "", (f"pull with {place}/{name}: {said}; a private image will not come: {remedy}",)


def _is_bundled(deployment: Deployment, platform: Platform) -> bool:
    """Say whether the image of a dashboard's Template was to be taken."""
    is_template = platform.dashboard and deployment.kind is Kind.ISVC
    return is_template and deployment.runtime_image == VLLM_IMAGE


def _notes(deployment: Deployment, platform: Platform, found: Found) -> Iterator[str]:
    template = found.template
    if template and deployment.runtime_image == VLLM_IMAGE:
        said = f"the runtime is the cluster's {template.name}"
        planned = VLLM_IMAGE.rpartition(":")[2]
        if template.version and template.version != planned:
            said += (
                f", vLLM {template.version}; a GPU plan for {planned} may be off: "
                f"plan with --vllm {template.version.lstrip('v')}, or name runtime_image"
            )
        yield said
    elif _is_bundled(deployment, platform) and deployment.nodes > 1:
        yield (
            f"{platform.title} has no vLLM Template for several nodes that holds a model in an "
            f"image: the runtime is carferry's own, with {VLLM_IMAGE}"
        )
    elif _is_bundled(deployment, platform) and not template:
        yield (
            f"no vLLM Template of {platform.title} is to be seen: the runtime is carferry's own, "
            f"with {VLLM_IMAGE}; to take the cluster's, see manifests/openshift-ai"
        )
    if not deployment.gpu_count:
        yield "gpu_count is 0: it is served on CPUs, without any GPU"
    if deployment.auth and not platform.asks_token:
        yield (
            f"{platform.title} itself asks for no token: whoever reaches the endpoint may use it, "
            "unless something of yours stands before it"
        )
