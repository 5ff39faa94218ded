"""The form that an API server's objects have, checked once, where they come in.

A proxy, an extension API server or a CRD without a schema may answer with anything; those who
read an object index it unchecked. Only what they read is listed here; the rest is let through.
In Kubernetes' JSON a field that is null is one that is absent, and Go writes an empty list so.

Source: Kubernetes API reference v1.30 (core, apps, batch), KServe v1beta1 InferenceServiceStatus,
OpenShift AI's HardwareProfile and AcceleratorProfile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from carferry.cluster.kinds import Object


class Misfit(ValueError):
    """A part of an answer that has not the form of a Kubernetes object."""


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of things of one form."""

    form: Any


@dataclass(frozen=True, slots=True)
class TableOf:
    """An object with keys of any name and values of one form."""

    form: Any


@dataclass(frozen=True, slots=True)
class Needed:
    """A text that must be there."""


_AMOUNT = (str, int, float)
_AMOUNTS = TableOf(_AMOUNT)
_TEXTS = TableOf(str)
_MESSAGES = {"reason": str, "message": str}
_STATE = {"waiting": _MESSAGES, "running": dict, "terminated": {**_MESSAGES, "exitCode": int}}
_CONTAINER_STATUSES = ListOf(
    {
        "name": Needed(),
        "state": _STATE,
        "lastState": _STATE,
        "restartCount": int,
        "ready": bool,
    }
)
_CONTAINERS = ListOf(
    {
        "name": str,
        "image": str,
        "args": ListOf(str),
        "restartPolicy": str,
        "resources": {"limits": _AMOUNTS, "requests": _AMOUNTS},
    }
)
_TAINTS = ListOf({"key": str, "value": str, "effect": str, "operator": str})
_POD_SPEC = {
    "containers": _CONTAINERS,
    "initContainers": _CONTAINERS,
    "nodeName": str,
    "nodeSelector": _TEXTS,
    "schedulingGates": ListOf({"name": str}),
}
_METADATA = {
    "name": str,
    "uid": str,
    "generation": int,
    "labels": _TEXTS,
    "annotations": _TEXTS,
    "deletionTimestamp": str,
    "ownerReferences": ListOf({"uid": str}),
    "continue": str,
    "managedFields": ListOf({"manager": str, "operation": str, "time": str, "fieldsV1": {}}),
    "finalizers": ListOf(str),
}
_SPEC = {
    **_POD_SPEC,
    "replicas": int,
    "template": {"spec": _POD_SPEC},
    "selector": dict,
    "predictor": {"model": {"args": ListOf(str), "storageUri": str}},
    "model": {"uri": str},
    "taints": _TAINTS,
    "tolerations": _TAINTS,
    "limits": ListOf({"max": _AMOUNTS}),
    "identifiers": ListOf(
        {
            "identifier": str,
            "resourceType": str,
            "maxCount": (str, int),
            "defaultCount": (str, int),
        }
    ),
    "identifier": str,
    "displayName": str,
    "scheduling": {"node": {"nodeSelector": _TEXTS, "tolerations": _TAINTS}},
}
_STATUS = {
    **_MESSAGES,
    "phase": str,
    "conditions": ListOf({"type": str, "status": str, **_MESSAGES}),
    "containerStatuses": _CONTAINER_STATUSES,
    "initContainerStatuses": _CONTAINER_STATUSES,
    "modelStatus": {"transitionStatus": str, "lastFailureInfo": _MESSAGES},
    "url": str,
    "address": {"url": str},
    "allocatable": _AMOUNTS,
    "images": ListOf({"names": ListOf(str)}),
    "hard": _AMOUNTS,
    "used": _AMOUNTS,
    "observedGeneration": int,
    "replicas": int,
    "updatedReplicas": int,
    "availableReplicas": int,
    "addresses": ListOf({"url": str}),
    "deploymentMode": str,
    "release": {"version": str},
    "userInfo": {"username": str},
    "allowed": bool,
}
_OBJECT = {
    "apiVersion": str,
    "kind": str,
    "metadata": _METADATA,
    "spec": _SPEC,
    "status": _STATUS,
    "involvedObject": {"name": str, "uid": str, "fieldPath": str},
    "type": str,
    "series": {"lastObservedTime": str},
    "groups": ListOf({"name": str, "versions": ListOf({"version": str})}),
    "resources": ListOf({"name": str}),
    "objects": ListOf({"spec": _SPEC, "metadata": _METADATA}),
    "data": _TEXTS,
    **dict.fromkeys(("firstTimestamp", "lastTimestamp", "eventTime"), str),
    **_MESSAGES,
}
_NAMED = _OBJECT | {"metadata": _METADATA | {"name": Needed()}}
_REFUSAL = {**_MESSAGES, "status": str, "details": {"name": str}}
_NAMES = {str: "a text", int: "a number", dict: "an object", list: "a list", bool: "a truth"}


def checked(found: Object, *, is_named: bool = False) -> Object:
    """Return an answer without the fields that are null.

    Args:
        found: A JSON object: of some kind, a list of them, or a Status.
        is_named: Whether it is one stored object, which has a name.

    Raises:
        Misfit: Names the first part that no Kubernetes object has, and what it is.
    """
    if found.get("kind") == "Status":
        return dict(_fitted(found, _REFUSAL, ""))
    if "items" in found:
        return dict(_fitted(found, {"metadata": _METADATA, "items": ListOf(_NAMED)}, ""))
    return dict(_fitted(found, _NAMED if is_named else _OBJECT, ""))


def _fitted(value: Any, form: Any, place: str) -> Any:
    if isinstance(form, ListOf):
        parts = _of_kind(value, list, place)
        return [_fitted(part, form.form, f"{place}[{n}]") for n, part in enumerate(parts)]
    if isinstance(form, TableOf):
        fields = _of_kind(value, dict, place)
        return {name: _fitted(part, form.form, f"{place}.{name}") for name, part in _kept(fields)}
    if isinstance(form, dict):
        return _fitted_object(_of_kind(value, dict, place), form, place)
    return _of_kind(value, str if isinstance(form, Needed) else form, place)


def _fitted_object(fields: Mapping[str, Any], form: Mapping[str, Any], place: str) -> Object:
    for name, its_form in form.items():
        if _is_needed(its_form) and fields.get(name) is None:
            raise Misfit(f"{place}.{name}".lstrip(".") + " is missing")
    return {
        name: _fitted(part, form[name], f"{place}.{name}") if name in form else part
        for name, part in _kept(fields)
    }


def _is_needed(form: Any) -> bool:
    return isinstance(form, Needed) or (
        isinstance(form, dict) and any(map(_is_needed, form.values()))
    )


def _kept(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((name, part) for name, part in fields.items() if part is not None)


def _of_kind(value: Any, kind: Any, place: str) -> Any:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    # JSON's true is an int to Python, and no number to Kubernetes.
    if type(value) in kinds:
        return value
    what = "null" if value is None else _NAMES.get(type(value), "a number")
    raise Misfit(f"{place.lstrip('.') or 'the answer'} is {what}")
