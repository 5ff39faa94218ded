"""KServe on a node: its own manifests, its own manager, a certificate of ours.

cert-manager, which issues the certificate elsewhere, and Istio are left out: deployments are in
KServe's Standard mode, without ingress.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from cluster.rig.certificates import for_service
from cluster.rig.images import KSERVE
from cluster.rig.node import Node, Refused

CONFIG = ("-n", "kserve", "configmap", "inferenceservice-config")
UID_MODELCAR = 1010
"""What upstream's ConfigMap says; OpenShift AI's says nothing."""
PROFILES = "hardwareprofiles.infrastructure.opendatahub.io"
_SERVICE = "kserve-webhook-server-service.kserve.svc"
_DEFINITION = "CustomResourceDefinition"
_LATE = "ClusterStorageContainer"
_LEFT_OUT = {"Certificate", "Issuer"}
_PATIENCE_S = 180
Object = dict[str, Any]


def define(node: Node, programs: Path) -> None:
    """Make the kinds of KServe known, and wait until the API has them.

    Args:
        node: Answers.
        programs: Has the manifests.
    """
    found = [*_read(programs / "kserve.yaml"), *_read(programs / "llmisvc.yaml")]
    _define(node, [each for each in found if each["kind"] == _DEFINITION])


def define_profiles(node: Node, programs: Path) -> None:
    """Make OpenShift AI's hardware profiles known; a cluster that has them is taken for one.

    The last operator that the Go proxy serves has them as v1alpha1; v1, which 3.x has, is the same
    schema (opendatahub-operator 0beb7e7f, api/infrastructure/v1/hardwareprofile_types.go).
    """
    (definition,) = _read(programs / "hardwareprofiles.yaml")
    (known,) = definition["spec"]["versions"]
    definition["spec"]["versions"] = [known | {"storage": False}, known | {"name": "v1"}]
    _define(node, [definition])


def install(node: Node, programs: Path) -> None:
    """Start KServe and wait until its webhooks answer.

    Args:
        node: Has its kinds, and the manager's image in its registry.
        programs: Has the manifests.
    """
    pair, authority = for_service(_SERVICE)
    found = [each for each in _read(programs / "kserve.yaml") if each["kind"] != _DEFINITION]
    objects = [_edit(each, node.registry, authority) for each in found]
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "kserve-webhook-server-cert", "namespace": "kserve"},
        "data": {"tls.crt": pair.certificate, "tls.key": pair.key},
    }
    early = [secret, *(each for each in objects if each["kind"] != _LATE)]
    node.apply(*_namespaces_first(early))
    manager = "deployment/kserve-controller-manager"
    _wait(node, ["-n", "kserve", "--for=condition=Available", manager])
    node.apply(*(each for each in objects if each["kind"] == _LATE))


def _define(node: Node, definitions: list[Object]) -> None:
    for each in definitions:
        each["metadata"].pop("annotations", None)  # asks cert-manager for an authority
        # Versions are converted by LLMInferenceService's own manager, which is not here.
        each["spec"].pop("conversion", None)
    node.apply(*(_undescribed(each) for each in definitions))
    names = [f"crd/{each['metadata']['name']}" for each in definitions]
    _wait(node, ["--for=condition=Established", *names])


def set_uid_modelcar(node: Node, uid: int | None) -> None:
    """Say as whom KServe runs the server and the model beside it, or leave it to the images.

    The manager reads its ConfigMap anew for each object, so nothing has to start again.
    """
    data = node.get(*CONFIG)["data"]
    changed = json.dumps({"data": {"storageInitializer": _storage(data, uid)}})
    node.kubectl("patch", *CONFIG, "--type=merge", "-p", changed)


def _storage(data: dict[str, str], uid: int | None) -> str:
    storage = json.loads(data["storageInitializer"])
    storage.pop("uidModelcar", None)
    return json.dumps(storage if uid is None else storage | {"uidModelcar": uid})


def _read(path: Path) -> list[Object]:
    found = yaml.load_all(path.read_text(), yaml.CSafeLoader)
    return [each for each in found if each and each["kind"] not in _LEFT_OUT]


def _namespaces_first(objects: Sequence[Object]) -> list[Object]:
    return sorted(objects, key=lambda each: each["kind"] != "Namespace")


def _edit(found: Object, registry: str, authority: str) -> Object:
    """Make an object of the manifests fit this node."""
    for hook in found.get("webhooks", []):
        hook["clientConfig"]["caBundle"] = authority
    if found["kind"] == "ConfigMap" and found["metadata"]["name"] == CONFIG[-1]:
        _configure(found["data"])
    if found["kind"] == "Deployment":
        _shrink(found["spec"]["template"]["spec"], f"{registry}/rig/{KSERVE}")
    return found


def _undescribed(schema: Any) -> Any:
    """Return a definition without its descriptions: most of it, which nobody here reads."""
    if isinstance(schema, list):
        return [_undescribed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _undescribed(value)
        for key, value in schema.items()
        if key != "description" or not isinstance(value, str)
    }


def _configure(data: dict[str, str]) -> None:
    ingress = json.loads(data["ingress"])
    ingress |= {"disableIngressCreation": True, "disableIstioVirtualHost": True}
    data["ingress"] = json.dumps(ingress)
    data["deploy"] = json.dumps({"defaultDeploymentMode": "Standard"})
    data["storageInitializer"] = _storage(data, UID_MODELCAR)
    data.pop("_example", None)


def _shrink(pod: Object, image: str) -> None:
    """Leave the manager alone in its pod, quick to be found ready."""
    pod["containers"] = [each for each in pod["containers"] if each["name"] == "manager"]
    (manager,) = pod["containers"]
    manager |= {"image": image, "imagePullPolicy": "IfNotPresent"}
    pod["tolerations"] = [{"operator": "Exists"}]  # should it have to start again beside the GPUs
    requests = {"cpu": "50m", "memory": "200Mi"}
    manager["resources"] = {"requests": requests, "limits": {"memory": "1Gi"}}
    manager["readinessProbe"] |= {"initialDelaySeconds": 1, "periodSeconds": 1}


def _wait(node: Node, words: list[str]) -> None:
    """Wait for a condition; kubectl trips over an object that has no status yet."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            node.kubectl("wait", f"--timeout={_PATIENCE_S}s", *words)
        except Refused:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)
        else:
            return
