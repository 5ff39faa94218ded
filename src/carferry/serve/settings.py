"""What a deployment is made of: one frozen value, every part parsed and checked.

Sources: RFC 1123 names; their limits are those of InferenceService admission (53 characters,
RHOAI 3.2) and of route labels (63, name-namespace).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from carferry.cluster.names import check_kubernetes_name
from carferry.cluster.quantity import Quantity
from carferry.cluster.tolerations import LABEL_KEY, Toleration
from carferry.errors import InputError, InvalidName
from carferry.refs import ImageRef
from carferry.serve.secrets import check_secrets

# The upstream release of the vLLM version that RHOAI 3.5 names in its CUDA template
# (red-hat-data-services/odh-model-controller, rhoai-3.5, config/runtimes/vllm). The template
# itself resolves to an image behind Red Hat's login; this one needs none.
VLLM_IMAGE = "docker.io/vllm/vllm-openai:v0.24.0"

_GPU_RESOURCES = re.compile(
    r"nvidia\.com/gpu|nvidia\.com/mig-\d+g\.\d+gb|amd\.com/gpu|habana\.ai/gaudi"
)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_FIXED_ARGS = ("--model", "--port", "--served-model-name")
NAME_LIMIT = 53
ROUTE_LABEL_LIMIT = 63


class Mode(StrEnum):
    """How KServe runs the model: as a Deployment, or through Knative."""

    RAW = "RawDeployment"
    SERVERLESS = "Serverless"


@dataclass(frozen=True, slots=True)
class HardwareProfileRef:
    """An OpenShift AI hardware profile, named; its webhook fills in what we leave out."""

    name: str
    namespace: str

    def __post_init__(self) -> None:
        """Check both names."""
        check_kubernetes_name(self.name, kind="hardware profile", limit=253)
        if self.namespace:
            check_kubernetes_name(self.namespace, kind="hardware profile namespace", limit=63)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Everything the KServe objects of one model are made from.

    Attributes:
        image: The pushed ModelCar; a digest is required, its tag is only recorded.
        name: Of the InferenceService, its runtime and the model in the API.
        namespace: Where it will be; empty in objects whose applier says where, as GitOps does.
        runtime_image: The vLLM server's image.
        gpu_resource: Resource name to ask for, ``gpu_count`` of it per replica.
        max_model_len: Longest sequence in tokens; 0 leaves it to vLLM.
        vllm_args: Further vLLM arguments, after ours.
        model_size_bytes: Of the model image; 0 if unknown. Sets the deadline.
        auth: Ask for a token at the endpoint.
        external_route: Make the endpoint reachable from outside the cluster.
    """

    image: ImageRef
    name: str
    namespace: str
    display_name: str = ""
    description: str = ""
    runtime_image: str = VLLM_IMAGE
    gpu_resource: str = "nvidia.com/gpu"
    gpu_count: int = 1
    cpu: Quantity = Quantity("4")
    memory: Quantity = Quantity("16Gi")
    shm_size: Quantity = Quantity("2Gi")
    tolerations: tuple[Toleration, ...] = ()
    node_selector: tuple[tuple[str, str], ...] = ()
    max_model_len: int = 0
    vllm_args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    deployment_mode: Mode = Mode.RAW
    pull_secret: str = ""
    hardware_profile: HardwareProfileRef | None = None
    model_size_bytes: int = 0
    auth: bool = False
    external_route: bool = False
    min_replicas: int = 1
    max_replicas: int = 1

    def __post_init__(self) -> None:
        """Refuse what Kubernetes, KServe or vLLM would refuse later and less clearly."""
        _check_image(self.image)
        _check_names(self.name, self.namespace)
        _check_runtime(self.runtime_image, self.gpu_resource, self.gpu_count)
        _check_numbers(self)
        _check_pairs("environment", self.env, _ENV_NAME, re.compile(r"[^\0]*"))
        _check_pairs("node selector", self.node_selector, LABEL_KEY, _LABEL_VALUE)
        _check_args(self.vllm_args)
        check_secrets(self.env, self.vllm_args)
        if self.pull_secret:
            check_kubernetes_name(self.pull_secret, kind="pull secret", limit=63)

    @property
    def uri(self) -> str:
        """``oci://host/repository@sha256:...``: what KServe serves."""
        return f"oci://{self.image.name}@{self.image.digest}"

    @property
    def title(self) -> str:
        """The name people see."""
        return self.display_name or self.name

    @property
    def connection(self) -> str:
        """Name of the connection Secret."""
        return f"{self.name}-uri"


def _check_image(image: ImageRef) -> None:
    if image.digest is None:
        raise InputError(
            "deploy",
            image,
            "a tag can move under a running model",
            "pass the digest that push printed: host/repository@sha256:...",
        )


def _check_names(name: str, namespace: str) -> None:
    check_kubernetes_name(name, kind="InferenceService", limit=NAME_LIMIT)
    if not namespace:
        return
    if not re.fullmatch(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", namespace):
        raise InvalidName("name namespace", repr(namespace), "not a DNS-1123 label")
    joined = len(name) + 1 + len(namespace)
    if joined > ROUTE_LABEL_LIMIT:
        raise InvalidName(
            "name InferenceService",
            repr(name),
            f"{name}-{namespace} has {joined} characters, at most {ROUTE_LABEL_LIMIT}",
            "shorten the name",
        )


def _check_runtime(image: str, resource: str, count: int) -> None:
    if not _GPU_RESOURCES.fullmatch(resource):
        raise InputError(
            "ask for GPUs",
            repr(resource),
            "unknown resource",
            "one of nvidia.com/gpu, nvidia.com/mig-<n>g.<m>gb, amd.com/gpu, habana.ai/gaudi",
        )
    parsed = ImageRef.parse(image)
    if parsed.digest is None and parsed.tag in (None, "latest"):
        raise InputError("use runtime image", image, "not pinned", "name a release tag or a digest")
    if image == VLLM_IMAGE and (count == 0 or not resource.startswith("nvidia.com/")):
        device = resource if count else "CPU only"
        raise InputError("use runtime image", image, f"needs NVIDIA GPUs, not {device}", _OTHER)


_OTHER = "pass the runtime image of your accelerator (the cluster's vLLM templates name one)"


def _check_numbers(deployment: Deployment) -> None:
    for what in ("gpu_count", "max_model_len", "model_size_bytes", "min_replicas"):
        if getattr(deployment, what) < 0:
            raise InputError(f"read {what}", getattr(deployment, what), "negative")
    if deployment.max_replicas < max(1, deployment.min_replicas):
        raise InputError("read max_replicas", deployment.max_replicas, "under min_replicas or 1")
    if deployment.deployment_mode is Mode.RAW and deployment.min_replicas == 0:
        raise InputError("read min_replicas", 0, "RawDeployment does not scale to zero", "write 1")


def _check_pairs(
    what: str, pairs: Iterable[tuple[str, str]], key: re.Pattern[str], value: re.Pattern[str]
) -> None:
    seen: set[str] = set()
    for name, text in pairs:
        if not key.fullmatch(name) or not value.fullmatch(text):
            shown = name if what == "environment" else f"{name}={text}"
            raise InputError(f"read {what}", repr(shown), "malformed key or value")
        if name in seen:
            raise InputError(f"read {what}", repr(name), "given twice")
        seen.add(name)


def _check_args(args: tuple[str, ...]) -> None:
    for arg in args:
        if arg.partition("=")[0] in _FIXED_ARGS:
            raise InputError("read vLLM arguments", repr(arg), "carferry sets it")
