"""From the strings of a dashboard form or a command line to one checked Deployment."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from carferry.cluster.quantity import Quantity
from carferry.cluster.tolerations import Toleration
from carferry.errors import InputError
from carferry.refs import ImageRef, kubernetes_name
from carferry.serve.settings import (
    NAME_LIMIT,
    ROUTE_LABEL_LIMIT,
    VLLM_IMAGE,
    Deployment,
    HardwareProfileRef,
    Mode,
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One field of the form: its name, its default as text, its one-line help."""

    name: str
    default: str
    help: str


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
    Parameter("gpu_count", "1", "GPUs per replica; above 1 the model is split between them"),
    Parameter("cpu", "4", "CPUs per replica, requested and limited (Kubernetes quantity)"),
    Parameter("memory", "16Gi", "Memory per replica, requested and limited"),
    Parameter("shm_size", "2Gi", "Size of /dev/shm, where vLLM's GPU workers meet"),
    Parameter(
        "tolerations", "", "JSON list; empty: the GPU's own taint or the profile's; []: none"
    ),
    Parameter("node_selector", "", "key=value pairs by comma or line, or a JSON object"),
    Parameter("max_model_len", "0", "Longest sequence in tokens; 0: what the model allows"),
    Parameter("vllm_args", "", "More vLLM arguments, quoted as in a shell"),
    Parameter("env", "", "NAME=value by line, or a JSON object; no secrets"),
    Parameter("deployment_mode", "RawDeployment", "RawDeployment or Serverless"),
    Parameter("pull_secret", "", "Secret to pull the ModelCar with; empty: none"),
    Parameter("hardware_profile", "", "OpenShift AI hardware profile: [namespace/]name"),
    Parameter("model_size_bytes", "0", "Size of the ModelCar; 0: unknown; sets the deadline"),
    Parameter("auth", "false", "Ask for a token at the endpoint: true or false"),
    Parameter("external_route", "false", "Reachable from outside the cluster: true or false"),
    Parameter("min_replicas", "1", "Fewest replicas; 0 only with Serverless"),
    Parameter("max_replicas", "1", "Most replicas"),
)
DEFAULTS: Mapping[str, str] = {parameter.name: parameter.default for parameter in PARAMETERS}

_TOLERATION_KEYS = {"key", "operator", "value", "effect", "tolerationSeconds"}


def settings_from_strings(**values: str) -> Deployment:
    """Parse and check every field; a field left out takes its default from PARAMETERS.

    Args:
        **values: The names of PARAMETERS, as text.

    Raises:
        InputError: One line naming the field that is wrong (also its leaves InvalidName and
            InvalidReference).
    """
    form = _completed(values)
    image = ImageRef.parse(form["image"])
    return Deployment(
        image=image,
        name=form["name"] or _made_name(form, image),
        namespace=form["namespace"],
        display_name=form["display_name"],
        description=form["description"],
        runtime_image=form["runtime_image"] or VLLM_IMAGE,
        gpu_resource=form["gpu_resource"],
        gpu_count=_whole(form, "gpu_count"),
        cpu=Quantity.parse(form["cpu"], what="cpu"),
        memory=Quantity.parse(form["memory"], what="memory"),
        shm=Quantity.parse(form["shm_size"], what="shm_size"),
        tolerations=_tolerations(form),
        node_selector=parse_pairs(form["node_selector"], what="node_selector", split=r"[,\n]"),
        max_model_len=_whole(form, "max_model_len"),
        args=_words(form["vllm_args"]),
        env=parse_pairs(form["env"], what="env", split=r"\n"),
        mode=_mode(form["deployment_mode"]),
        pull_secret=form["pull_secret"],
        profile=_profile(form["hardware_profile"], form["namespace"]),
        size_bytes=_whole(form, "model_size_bytes"),
        auth=_flag(form, "auth"),
        route=_flag(form, "external_route"),
        min_replicas=_whole(form, "min_replicas"),
        max_replicas=_whole(form, "max_replicas"),
    )


def _tolerations(form: Mapping[str, str]) -> tuple[Toleration, ...]:
    if form["tolerations"]:
        return parse_tolerations(form["tolerations"])
    if form["hardware_profile"]:
        return ()  # the profile's own are filled in at admission, where we write none
    resource = form["gpu_resource"]
    # The convention of the GPU operators: the node is tainted with the resource's name.
    key = "nvidia.com/gpu" if resource.startswith("nvidia.com/") else resource
    return (Toleration(key=key, operator="Exists", effect="NoSchedule"),)


def parse_tolerations(text: str) -> tuple[Toleration, ...]:
    """Parse a JSON list of tolerations.

    Raises:
        InputError: Not a JSON list of tolerations.
    """
    items = _json(text, "tolerations")
    if not isinstance(items, list):
        raise InputError("read tolerations", _short(text), "not a JSON list")
    return tuple(_toleration(item) for item in items)


def parse_pairs(text: str, *, what: str, split: str) -> tuple[tuple[str, str], ...]:
    """Parse ``key=value`` pairs, or a JSON object of strings; sorted by key.

    Raises:
        InputError: A part without "=", or JSON that is not an object of strings.
    """
    if text.startswith("{"):
        found = _json(text, what)
        if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
            raise InputError(f"read {what}", _short(text), "not a JSON object of strings")
        return tuple(sorted(found.items()))
    pairs = []
    for part in filter(None, (part.strip() for part in re.split(split, text))):
        key, equals, value = part.partition("=")
        if not equals:
            raise InputError(f"read {what}", repr(part), "no '='", "write key=value")
        pairs.append((key.strip(), value.strip()))
    return tuple(sorted(pairs))


def _toleration(item: object) -> Toleration:
    if not isinstance(item, dict) or item.keys() - _TOLERATION_KEYS:
        raise InputError("read toleration", _short(json.dumps(item)), "not a toleration object")
    texts = {key: item.get(key, "") for key in ("key", "value", "effect")}
    seconds = item.get("tolerationSeconds")
    operator = item.get("operator", "Equal")
    if not all(isinstance(text, str) for text in (*texts.values(), operator)):
        raise InputError("read toleration", _short(json.dumps(item)), "a part is not a string")
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int)):
        raise InputError("read toleration", _short(json.dumps(item)), "seconds is not a number")
    return Toleration(**texts, operator=operator, seconds=seconds)


def _made_name(form: Mapping[str, str], image: ImageRef) -> str:
    limit = min(NAME_LIMIT, ROUTE_LABEL_LIMIT - 1 - len(form["namespace"]))
    text = form["display_name"] or image.repository.rpartition("/")[2]
    return kubernetes_name(text, limit=max(1, limit))


def _completed(values: Mapping[str, str]) -> dict[str, str]:
    for unknown in sorted(values.keys() - DEFAULTS.keys()):
        raise InputError("read settings", repr(unknown), "no such setting")
    form = {**DEFAULTS, **{name: text.strip() for name, text in values.items()}}
    if not form["image"]:
        raise InputError("deploy", "", "no image given", "pass --image")
    return form


def _whole(form: Mapping[str, str], name: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", form[name]):
        raise InputError(f"read {name}", repr(form[name]), "not a whole number of 0 or more")
    return int(form[name])


def _flag(form: Mapping[str, str], name: str) -> bool:
    text = form[name].lower()
    if text not in ("true", "false"):
        raise InputError(f"read {name}", repr(form[name]), "not true or false")
    return text == "true"


def _mode(text: str) -> Mode:
    try:
        return Mode(text)
    except ValueError as error:
        choices = " or ".join(Mode)
        raise InputError("read deployment_mode", repr(text), f"not {choices}") from error


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise InputError("read vllm_args", _short(text), str(error)) from error


def _profile(text: str, namespace: str) -> HardwareProfileRef | None:
    if not text:
        return None
    place, slash, name = text.rpartition("/")
    return HardwareProfileRef(name, place if slash else namespace)


def _json(text: str, what: str) -> object:
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"read {what}", _short(text), f"not JSON ({error})") from error
    return found


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:80] + "...")
