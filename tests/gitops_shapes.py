"""The fields that GitOps and CI tools document of the kinds in examples/, and a strict look.

A field that is not listed here is refused: a server with a structural schema would prune it, and
a client with validation refuse it. Read from the tools' own definitions: argo-cd 3.5 (Application,
v1alpha1), Flux source-controller and kustomize-controller (v1), Tekton Pipelines (v1).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

TEXT, FLAG, NUMBER, ANY = str, bool, int, object
META = {
    "name": TEXT,
    "generateName": TEXT,
    "namespace": TEXT,
    "labels": {"*": TEXT},
    "annotations": {"*": TEXT},
}

_DIFFERENCE = {
    "group": TEXT,
    "kind": TEXT,
    "name": TEXT,
    "namespace": TEXT,
    "jsonPointers": [TEXT],
    "jqPathExpressions": [TEXT],
    "managedFieldsManagers": [TEXT],
}
_APPLICATION = {
    "project": TEXT,
    "source": {"repoURL": TEXT, "targetRevision": TEXT, "path": TEXT, "kustomize": ANY},
    "destination": {"server": TEXT, "name": TEXT, "namespace": TEXT},
    "ignoreDifferences": [_DIFFERENCE],
    "syncPolicy": {
        "automated": {"enabled": FLAG, "prune": FLAG, "selfHeal": FLAG, "allowEmpty": FLAG},
        "syncOptions": [TEXT],
        "retry": ANY,
        "managedNamespaceMetadata": ANY,
    },
    "revisionHistoryLimit": NUMBER,
    "info": ANY,
}
_SOURCE = {
    "interval": TEXT,
    "url": TEXT,
    "ref": {"branch": TEXT, "tag": TEXT, "semver": TEXT, "name": TEXT, "commit": TEXT},
    "secretRef": {"name": TEXT},
    "timeout": TEXT,
    "suspend": FLAG,
}
_FLUX = {
    "interval": TEXT,
    "retryInterval": TEXT,
    "sourceRef": {"kind": TEXT, "name": TEXT, "namespace": TEXT},
    "path": TEXT,
    "prune": FLAG,
    "wait": FLAG,
    "timeout": TEXT,
    "targetNamespace": TEXT,
    "serviceAccountName": TEXT,
    "dependsOn": [{"name": TEXT, "namespace": TEXT}],
    "suspend": FLAG,
}
_PARAM = {"name": TEXT, "type": TEXT, "description": TEXT, "default": ANY, "enum": [TEXT]}
_GIVEN = {"name": TEXT, "value": ANY}
_ENV = {"name": TEXT, "value": TEXT, "valueFrom": ANY}
_STEP = {
    "name": TEXT,
    "image": TEXT,
    "workingDir": TEXT,
    "env": [_ENV],
    "command": [TEXT],
    "args": [TEXT],
    "script": TEXT,
    "computeResources": {"requests": {"*": TEXT}, "limits": {"*": TEXT}},
    "securityContext": ANY,
    "volumeMounts": ANY,
    "timeout": TEXT,
    "onError": TEXT,
}
_TASK = {
    "description": TEXT,
    "params": [_PARAM],
    "results": [{"name": TEXT, "type": TEXT, "description": TEXT}],
    "workspaces": [
        {
            "name": TEXT,
            "description": TEXT,
            "mountPath": TEXT,
            "readOnly": FLAG,
            "optional": FLAG,
        }
    ],
    "stepTemplate": {"env": [_ENV], "securityContext": ANY, "image": TEXT, "workingDir": TEXT},
    "steps": [_STEP],
    "volumes": ANY,
    "sidecars": ANY,
}
_PIPELINE = {
    "description": TEXT,
    "params": [_PARAM],
    "workspaces": [{"name": TEXT, "description": TEXT, "optional": FLAG}],
    "tasks": [
        {
            "name": TEXT,
            "taskRef": {"name": TEXT, "kind": TEXT},
            "runAfter": [TEXT],
            "timeout": TEXT,
            "retries": NUMBER,
            "params": [_GIVEN],
            "workspaces": [{"name": TEXT, "workspace": TEXT, "subPath": TEXT}],
            "when": ANY,
        }
    ],
    "finally": ANY,
    "results": [{"name": TEXT, "description": TEXT, "value": ANY}],
}
_RUN = {
    "pipelineRef": {"name": TEXT},
    "params": [_GIVEN],
    "timeouts": {"pipeline": TEXT, "tasks": TEXT, "finally": TEXT},
    "taskRunTemplate": {"podTemplate": ANY, "serviceAccountName": TEXT},
    "workspaces": [
        {
            "name": TEXT,
            "subPath": TEXT,
            "secret": {"secretName": TEXT},
            "emptyDir": ANY,
            "persistentVolumeClaim": {"claimName": TEXT},
            "volumeClaimTemplate": ANY,
        }
    ],
}
SHAPES: dict[tuple[str, str], Any] = {
    ("argoproj.io/v1alpha1", "Application"): _APPLICATION,
    ("source.toolkit.fluxcd.io/v1", "GitRepository"): _SOURCE,
    ("kustomize.toolkit.fluxcd.io/v1", "Kustomization"): _FLUX,
    ("tekton.dev/v1", "Task"): _TASK,
    ("tekton.dev/v1", "Pipeline"): _PIPELINE,
    ("tekton.dev/v1", "PipelineRun"): _RUN,
}


def faults(document: Any) -> list[str]:
    """Return the fields of a document that its kind does not have, or has otherwise."""
    spec = SHAPES[document["apiVersion"], document["kind"]]
    whole = {"apiVersion": TEXT, "kind": TEXT, "metadata": META, "spec": spec}
    return list(_faults(document, whole, document["kind"]))


def _faults(value: Any, shape: Any, where: str) -> Iterator[str]:
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            yield f"{where}: no object"
            return
        for key, each in value.items():
            if key not in shape and "*" not in shape:
                yield f"{where}.{key}: no such field"
            else:
                yield from _faults(each, shape.get(key, shape.get("*")), f"{where}.{key}")
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield f"{where}: no list"
            return
        for index, each in enumerate(value):
            yield from _faults(each, shape[0], f"{where}[{index}]")
    elif not isinstance(value, shape) or (shape is NUMBER and isinstance(value, bool)):
        yield f"{where}: not {shape.__name__}"
