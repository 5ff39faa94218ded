"""From what a form, a command line or a Python caller gives to one checked Deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

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
    read_switch,
    read_tolerations,
)
from carferry.refs import ImageRef
from carferry.serve.settings import (
    NAME_LIMIT,
    ROUTE_LABEL_LIMIT,
    VLLM_IMAGE,
    Deployment,
    HardwareProfileRef,
    Mode,
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
        "nvidia.com/gpu, nvidia.com/mig-<n>g.<m>gb, amd.com/gpu or habana.ai/gaudi",
    ),
    Parameter(
        "gpu_count", "1", "GPUs per replica; above 1 the model is split between them", read_count
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
    Parameter("deployment_mode", "RawDeployment", "RawDeployment or Serverless"),
    Parameter("pull_secret", "", "Secret to pull the ModelCar with; empty: none"),
    Parameter("hardware_profile", "", "OpenShift AI hardware profile: [namespace/]name"),
    Parameter(
        "model_size_bytes", "0", "Size of the ModelCar; 0: unknown; sets the deadline", read_count
    ),
    Parameter("auth", "false", "Ask for a token at the endpoint: true or false", read_switch),
    Parameter(
        "external_route", "false", "Reachable from outside the cluster: true or false", read_switch
    ),
    Parameter("min_replicas", "1", "Fewest replicas; 0 only with Serverless", read_count),
    Parameter("max_replicas", "1", "Most replicas", read_count),
)
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
    hardware_profile: str
    model_size_bytes: int
    auth: bool
    external_route: bool
    min_replicas: int
    max_replicas: int


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
        "deployment_mode": _mode(form["deployment_mode"]),
        "hardware_profile": _profile(form["hardware_profile"], form["namespace"]),
    }
    amounts = {what: Quantity.parse(form[what], what=what) for what in _AMOUNTS}
    return Deployment(**form | parsed | amounts)


def _read(given: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := sorted(given.keys() - DEFAULTS.keys()):
        raise InputError("read settings", repr(unknown[0]), "no such setting")
    form = {each.name: each.value(given.get(each.name)) for each in PARAMETERS}
    if not form["image"]:
        raise InputError("deploy", "", "no image given", "pass --image")
    return form


def _tolerations(form: Mapping[str, Any]) -> tuple[Toleration, ...]:
    given: tuple[Toleration, ...] | None = form["tolerations"]
    if given is not None:
        return given
    if form["hardware_profile"]:
        return ()  # the profile's own are filled in at admission, if we write none
    resource = form["gpu_resource"]
    # The convention of the GPU operators: the node is tainted with the resource's name.
    key = "nvidia.com/gpu" if resource.startswith("nvidia.com/") else resource
    return (Toleration(key=key, operator="Exists", effect="NoSchedule"),)


def _made_name(form: Mapping[str, Any], image: ImageRef) -> str:
    limit = min(NAME_LIMIT, ROUTE_LABEL_LIMIT - 1 - len(form["namespace"]))
    text = form["display_name"] or image.repository.rpartition("/")[2]
    return kubernetes_name(text, limit=max(1, limit))


def _mode(text: str) -> Mode:
    try:
        return Mode(text)
    except ValueError as error:
        choices = " or ".join(Mode)
        raise InputError("read deployment_mode", repr(text), f"not {choices}") from error


def _profile(text: str, namespace: str) -> HardwareProfileRef | None:
    if not text:
        return None
    place, slash, name = text.rpartition("/")
    return HardwareProfileRef(name, place if slash else namespace)
