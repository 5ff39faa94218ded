"""What KServe makes of a service: names, labels and containers; and the version that it serves.

Sources: kserve/kserve v0.20 (pkg/constants; pkg/controller/v1beta1/inferenceservice;
pkg/controller/v1alpha2/llmisvc/workload_single_node.go; pkg/utils/storage.go: modelcar mode).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from carferry.cluster.discovery import Reads, Served, resources, served
from carferry.cluster.kinds import KINDS, KSERVE_GROUP, ResourceKind

SERVICE_LABEL = "serving.kserve.io/inferenceservice"
SERVER = "kserve-container"
"""Container that serves an InferenceService."""
MODELCARS = ("modelcar", "modelcar-init")
"""Containers that KServe adds for an ``oci://`` model: the one that holds it, and its first run."""
_LLM = KINDS["LLMInferenceService"]
_LLM_LABELS = "app.kubernetes.io/name={},app.kubernetes.io/part-of=llminferenceservice"
_WORKLOAD = "app.kubernetes.io/component=llminferenceservice-workload"
_LLM_VERSIONS = ("v1alpha2", "v1alpha1")


@dataclass(frozen=True, slots=True)
class Made:
    """What KServe makes of a service.

    Attributes:
        deployment: Name of the Deployment, where it is no Knative service.
        selector: Labels of the pods that serve.
        every: Labels of all of its pods, those that only route included.
        server: Name of the container that serves.
    """

    deployment: str
    selector: str
    every: str
    server: str


def made_of(kind: ResourceKind, name: str) -> Made:
    """Return what KServe makes of an InferenceService or an LLMInferenceService of any version."""
    if kind.plural == _LLM.plural:
        every = _LLM_LABELS.format(name)
        return Made(f"{name}-kserve", f"{every},{_WORKLOAD}", every, "main")
    labels = f"{SERVICE_LABEL}={name}"
    return Made(f"{name}-predictor", labels, labels, SERVER)


def llm_version(api: Reads, found: Served) -> str:
    """Return the newest version of LLMInferenceService that a cluster serves; empty for none.

    Raises:
        ClusterError: The server failed in another way than refusing.
        Unreachable: No answer.
    """
    for version in _LLM_VERSIONS:
        if found.has(KSERVE_GROUP, version) and _LLM.plural in resources(
            api, KSERVE_GROUP, version
        ):
            return version
    return ""


def llm_kind(api: Reads) -> ResourceKind | None:
    """Return the resource type of LLMInferenceServices as a cluster serves it; None: it does not.

    Raises:
        ClusterError: The server refused discovery, or is away.
        Unreachable: No answer.
    """
    version = llm_version(api, served(api))
    return replace(_LLM, version=version) if version else None
