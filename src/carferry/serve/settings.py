"""What a deployment is made of: one frozen value, every part parsed and checked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from carferry.cluster.names import check_kubernetes_name
from carferry.cluster.quantity import Quantity
from carferry.cluster.tolerations import Toleration
from carferry.refs import ImageRef
from carferry.serve import checks
from carferry.serve.secrets import check_secrets

# The upstream release of the vLLM version that RHOAI 3.5 names in its CUDA template
# (red-hat-data-services/odh-model-controller, rhoai-3.5, config/runtimes/vllm). The template
# itself resolves to an image behind Red Hat's login; this one needs none.
VLLM_IMAGE = "docker.io/vllm/vllm-openai:v0.24.0"
_COUNTS = ("gpu_count", "nodes", "max_model_len", "model_size_bytes", "min_replicas")
MODELS = "/mnt/models"
"""Where KServe puts what an image holds in ``/models``."""


class Mode(StrEnum):
    """How KServe runs the model: as a Deployment, or through Knative."""

    STANDARD = "Standard"
    KNATIVE = "Knative"


class Kind(StrEnum):
    """Which of KServe's two kinds serves the model."""

    ISVC = "isvc"
    LLM = "llm"

    @property
    def resource(self) -> str:
        """The kind as Kubernetes names it."""
        return "LLMInferenceService" if self is Kind.LLM else "InferenceService"


class Mount(StrEnum):
    """How the model's files reach the server: through a sidecar, or as a volume of Kubernetes."""

    MODELCAR = "modelcar"
    NATIVE = "native"


class Rollout(StrEnum):
    """Whether the old pod leaves before the new one comes."""

    RECREATE = "recreate"
    ROLLING = "rolling"


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
        gpu_resource: Resource name to ask for, ``gpu_count`` of it per pod.
        nodes: Pods of one replica, each a stage of the pipeline that the model is split into.
        max_model_len: Longest sequence in tokens; 0 leaves it to vLLM.
        vllm_args: Further vLLM arguments, after ours.
        model_size_bytes: Of the model image; 0 if unknown. Sets the deadline.
        gpu_plan: What the GPU plan said, in one line.
        auth: Ask for a token at the endpoint.
        external_route: Make the endpoint reachable from outside the cluster.
        platform: Name of a platform; ``auto`` is found out, or left open.
        model_path: Folder of the image's ``/models`` that holds the model; empty: itself.
        labels: More labels of every object.
        queue: Of Kueue, which then decides when the pods run; empty: none.
        stopped: Keep the objects and run no pod.
        base_refs: Of an LLMInferenceService: the configurations it starts from.
    """

    image: ImageRef
    name: str
    namespace: str
    display_name: str = ""
    description: str = ""
    runtime_image: str = VLLM_IMAGE
    gpu_resource: str = "nvidia.com/gpu"
    gpu_count: int = 1
    nodes: int = 1
    cpu: Quantity = Quantity("4")
    memory: Quantity = Quantity("16Gi")
    shm_size: Quantity = Quantity("2Gi")
    tolerations: tuple[Toleration, ...] = ()
    node_selector: tuple[tuple[str, str], ...] = ()
    max_model_len: int = 0
    vllm_args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    deployment_mode: Mode = Mode.STANDARD
    pull_secret: str = ""
    hardware_profile: HardwareProfileRef | None = None
    gpu_plan: str = ""
    model_size_bytes: int = 0
    auth: bool = False
    external_route: bool = False
    min_replicas: int = 1
    max_replicas: int = 1
    platform: str = "auto"
    kind: Kind = Kind.ISVC
    mount: Mount = Mount.MODELCAR
    model_path: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    queue: str = ""
    stopped: bool = False
    rollout: Rollout = Rollout.RECREATE
    base_refs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what Kubernetes, KServe or vLLM would refuse later and less clearly."""
        checks.check_image(self.image)
        checks.check_names(self.name, self.namespace)
        checks.check_references((("pull secret", self.pull_secret), ("queue", self.queue)))
        checks.check_references(("LLMInferenceServiceConfig", each) for each in self.base_refs)
        checks.check_runtime(self.runtime_image)
        checks.check_resource(self.gpu_resource)
        checks.check_nodes(self.nodes)
        checks.check_counts((each, getattr(self, each)) for each in _COUNTS)
        checks.check_replicas(
            self.min_replicas,
            self.max_replicas,
            scales_to_zero=self.deployment_mode is Mode.KNATIVE,
        )
        checks.check_memory((("memory", self.memory), ("shm_size", self.shm_size)))
        checks.check_environment(self.env)
        checks.check_labels("node selector", self.node_selector)
        checks.check_own_labels(self.labels)
        checks.check_arguments(self.vllm_args)
        checks.check_folder(self.model_path)
        check_secrets(self.env, self.vllm_args)

    @property
    def uri(self) -> str:
        """``oci://host/repository@sha256:...``: what KServe serves, and how it is mounted."""
        scheme = "oci+native" if self.mount is Mount.NATIVE else "oci"
        return f"{scheme}://{self.image.name}@{self.image.digest}"

    @property
    def title(self) -> str:
        """The name people see."""
        return self.display_name or self.name

    @property
    def connection(self) -> str:
        """Name of the connection Secret that says where the model is, and holds no login."""
        return f"{self.name}-uri"

    @property
    def model_folder(self) -> str:
        """Where the server finds the model."""
        return f"{MODELS}/{self.model_path}" if self.model_path else MODELS
