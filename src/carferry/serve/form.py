"""From what a form, a command line or a Python caller gives to one checked Deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, TypedDict, TypeVar, Unpack

from carferry.cluster.names import kubernetes_name
from carferry.cluster.quantity import Quantity
from carferry.cluster.tolerations import Toleration
from carferry.errors import InputError
from carferry.form.parameter import Parameter
from carferry.form.readers import (
    read_arguments,
    read_count,
    read_environment,
    read_labels,
    read_list,
    read_switch,
    read_tolerations,
)
from carferry.refs import ImageRef
from carferry.serve.checks import NAME_LIMIT, ROUTE_LABEL_LIMIT, check_resource
from carferry.serve.platforms import AUTO, NAMES, platform_named
from carferry.serve.settings import (
    VLLM_IMAGE,
    Deployment,
    HardwareProfileRef,
    Kind,
    Mode,
    Mount,
    Rollout,
)

PARAMETERS = (
    Parameter("image", "", "ModelCar by digest: host/repository[:tag]@sha256:..."),
    Parameter("name", "", "InferenceService name; empty: made from the display name or image"),
    Parameter("namespace", "", "Project to deploy into; empty: the caller's own"),
    Parameter("display_name", "", "Name shown in the dashboard; empty: the name"),
    Parameter("description", "", "Text shown in the dashboard"),
    Parameter("runtime_image", VLLM_IMAGE, "vLLM image, pinned to a release tag or a digest"),
    Parameter(
        "gpu_resource",
        "nvidia.com/gpu",
        "Resource that nodes offer: nvidia.com/gpu, nvidia.com/mig-1g.5gb, ibm.com/spyre_pf, ...",
    ),
    Parameter(
        "gpu_count", "1", "GPUs per replica; above 1 the model is split between them", read_count
    ),
    Parameter(
        "nodes",
        "1",
        "Nodes that one replica spans, gpu_count GPUs on each: stages of a pipeline",
        read_count,
    ),
    Parameter("cpu", "4", "CPUs per replica, requested and limited (Kubernetes quantity)"),
    Parameter("memory", "16Gi", "Memory per replica, requested and limited"),
    Parameter("shm_size", "2Gi", "Size of /dev/shm, where vLLM's GPU workers meet"),
    Parameter(
        "tolerations",
        "",
        "JSON list; empty: the GPU's own taint or the profile's; []: none",
        read_tolerations,
    ),
    Parameter(
        "node_selector", "", "key=value pairs by comma or line, or a JSON object", read_labels
    ),
    Parameter(
        "max_model_len", "0", "Longest sequence in tokens; 0: what the model allows", read_count
    ),
    Parameter("vllm_args", "", "More vLLM arguments, quoted as in a shell", read_arguments),
    Parameter("env", "", "NAME=value by line, or a JSON object; no secrets", read_environment),
    Parameter("deployment_mode", "Standard", "Standard (RawDeployment) or Knative (Serverless)"),
    Parameter("pull_secret", "", "Secret to pull the ModelCar with; empty: none"),
    Parameter("gpu_plan", "", "Line of the GPU plan, told again if the model does not come up"),
    Parameter("hardware_profile", "", "OpenShift AI hardware profile: [namespace/]name"),
    Parameter(
        "model_size_bytes", "0", "Size of the ModelCar; 0: unknown; sets the deadline", read_count
    ),
    Parameter("auth", "false", "Ask for a token at the endpoint: true or false", read_switch),
    Parameter(
        "external_route", "false", "Reachable from outside the cluster: true or false", read_switch
    ),
    Parameter("min_replicas", "1", "Fewest replicas; 0 only with Knative", read_count),
    Parameter("max_replicas", "1", "Most replicas", read_count),
    Parameter(
        "platform", AUTO, f"What the objects are for: {', '.join(NAMES)}; auto: as the cluster is"
    ),
    Parameter("kind", "isvc", "isvc: InferenceService; llm: LLMInferenceService"),
    Parameter(
        "mount",
        "modelcar",
        "modelcar: by KServe's sidecar; native: image volume of Kubernetes 1.35",
    ),
    Parameter("model_path", "", "Folder below the image's /models to serve; empty: itself"),
    Parameter(
        "labels", "", "More labels: key=value by comma or line, or a JSON object", read_labels
    ),
    Parameter("queue", "", "Kueue's local queue that admits the pods; empty: none"),
    Parameter("stopped", "false", "Keep the objects and run no pod: true or false", read_switch),
    Parameter(
        "rollout",
        "recreate",
        "recreate: old pod first, on the same GPU; rolling: no gap, one GPU more",
    ),
    Parameter("base_refs", "", "LLMInferenceServiceConfigs to start from, by comma", read_list),
)
Choice = TypeVar("Choice", bound=StrEnum)
_NONE: Mapping[str, str] = {}
_OLD_MODES = {"RawDeployment": "Standard", "Serverless": "Knative"}
"""The words of KServe before 0.16, which it still takes."""
_AMOUNTS = ("cpu", "memory", "shm_size")
DEFAULTS: Mapping[str, str] = {parameter.name: parameter.default for parameter in PARAMETERS}


class DeploymentKeywords(TypedDict, total=False):
    """The fields of PARAMETERS as a Python caller writes them, the image and its GPUs apart."""

    name: str
    namespace: str
    display_name: str
    description: str
    runtime_image: str
    gpu_resource: str
    nodes: int
    cpu: str | float
    memory: str
    shm_size: str
    tolerations: Sequence[Toleration | Mapping[str, Any]] | None
    node_selector: Mapping[str, str]
    max_model_len: int
    vllm_args: Sequence[str]
    env: Mapping[str, str]
    deployment_mode: str
    pull_secret: str
    gpu_plan: str
    hardware_profile: str
    model_size_bytes: int
    auth: bool
    external_route: bool
    min_replicas: int
    max_replicas: int
    platform: str
    kind: str
    mount: str
    model_path: str
    labels: Mapping[str, str]
    queue: str
    stopped: bool
    rollout: str
    base_refs: Sequence[str]


class DeploymentForm(DeploymentKeywords, total=False):
    """Every field but the image."""

    gpu_count: int


def make_deployment(image: str, **given: Unpack[DeploymentForm]) -> Deployment:
    """Read and check every field; one that is not given takes its default from PARAMETERS.

    Args:
        image: ModelCar by digest: ``host/repository[:tag]@sha256:...``.
        **given: The names of PARAMETERS, as values, JSON or text.

    Raises:
        InputError: One line naming the field that is wrong (also its leaves InvalidName and
            InvalidReference).
    """
    form = _read({**given, "image": image})
    ref = ImageRef.parse(form["image"])
    parsed = {
        "image": ref,
        "name": form["name"] or _made_name(form, ref),
        "runtime_image": form["runtime_image"] or VLLM_IMAGE,
        "tolerations": _tolerations(form),
        "deployment_mode": _chosen("deployment_mode", form, Mode, _OLD_MODES),
        "kind": _chosen("kind", form, Kind),
        "mount": _chosen("mount", form, Mount),
        "rollout": _chosen("rollout", form, Rollout),
        "platform": platform_named(form["platform"] or AUTO).name,
        "hardware_profile": _profile(form["hardware_profile"], form["namespace"]),
    }
    amounts = {what: Quantity.parse(form[what], what=what) for what in _AMOUNTS}
    return Deployment(**form | parsed | amounts)


def _read(given: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := sorted(given.keys() - DEFAULTS.keys()):
        raise InputError("read settings", repr(unknown[0]), "no such setting")
    form = {each.name: each.value(given.get(each.name)) for each in PARAMETERS}
    if not form["image"]:
        raise InputError("read settings", "", "image is empty", "write host/repository@sha256:...")
    return form


def _tolerations(form: Mapping[str, Any]) -> tuple[Toleration, ...]:
    given: tuple[Toleration, ...] | None = form["tolerations"]
    if given is not None:
        return given
    if form["hardware_profile"]:
        return ()  # the profile's own are filled in at admission, if we write none
    check_resource(resource := form["gpu_resource"])
    # The convention of the GPU operators: the node is tainted with the resource's name.
    key = "nvidia.com/gpu" if resource.startswith("nvidia.com/") else resource
    return (Toleration(key=key, operator="Exists", effect="NoSchedule"),)


def _made_name(form: Mapping[str, Any], image: ImageRef) -> str:
    limit = min(NAME_LIMIT, ROUTE_LABEL_LIMIT - 1 - len(form["namespace"]))
    text = form["display_name"] or image.repository.rpartition("/")[2]
    return kubernetes_name(text, limit=max(1, limit))


def _chosen(
    name: str, form: Mapping[str, Any], choices: type[Choice], older: Mapping[str, str] = _NONE
) -> Choice:
    text = form[name]
    try:
        return choices(older.get(text, text))
    except ValueError as error:
        known = " or ".join(choices)
        raise InputError(f"read {name}", repr(text), f"not {known}") from error


def _profile(text: str, namespace: str) -> HardwareProfileRef | None:
    if not text:
        return None
    place, slash, name = text.rpartition("/")
    return HardwareProfileRef(name, place if slash else namespace)
