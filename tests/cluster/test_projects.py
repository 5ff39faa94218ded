"""What a project's administrator lays on it is real on this node, and so are the definitions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cluster import projects
from cluster.rig.kserve import PROFILES
from cluster.rig.node import Node, Refused

PROFILE = {
    "apiVersion": "infrastructure.opendatahub.io/v1",
    "kind": "HardwareProfile",
    "metadata": {"name": "large"},
    "spec": {
        "identifiers": [
            {
                "displayName": "GPU",
                "identifier": "nvidia.com/gpu",
                "minCount": 1,
                "defaultCount": 1,
                "resourceType": "Accelerator",
            }
        ]
    },
}


def test_a_restricted_project_refuses_a_pod_that_says_nothing(node: Node, namespace: str) -> None:
    """Pod Security is enforced."""
    projects.restrict(node, namespace)
    with pytest.raises(Refused, match='violates PodSecurity "restricted:latest"'):
        _create(node, _pod(node, namespace))


def test_a_quota_is_counted(node: Node, namespace: str) -> None:
    """A pod that asks for more is refused with the amounts."""
    projects.set_quota(node, namespace, requests_cpu="100m")
    with pytest.raises(Refused, match=r"exceeded quota.*requested: requests.cpu=1"):
        _create(node, _pod(node, namespace, requests={"cpu": "1"}))


def test_limits_are_set_and_held(node: Node, namespace: str) -> None:
    """A container gets the default, and may not have more than the most."""
    projects.set_limits(node, namespace, max={"memory": "64Mi"}, default={"memory": "32Mi"})
    _create(node, _pod(node, namespace))
    (container,) = node.get("-n", namespace, "pod", "main")["spec"]["containers"]
    assert container["resources"]["limits"] == {"memory": "32Mi"}
    with pytest.raises(Refused, match="maximum memory usage per Container is 64Mi"):
        _create(node, _pod(node, namespace, limits={"memory": "1Gi"}))


@pytest.mark.usefixtures("hardware_profiles")
def test_a_hardware_profile_is_checked_by_its_definition(node: Node, namespace: str) -> None:
    """The operator's own: a count that is no number is refused."""
    about = PROFILE["metadata"] | {"namespace": namespace}  # type: ignore[operator]
    node.apply(PROFILE | {"metadata": about})
    assert node.kubectl("get", "-n", namespace, PROFILES, "-o", "name").endswith("/large\n")
    wrong = json.loads(json.dumps(PROFILE | {"metadata": about}))
    wrong["spec"]["identifiers"][0]["minCount"] = {"no": "number"}
    with pytest.raises(Refused, match="minCount"):
        node.apply(wrong)


def test_an_llm_inference_service_is_checked_by_its_definition(node: Node, namespace: str) -> None:
    """KServe's own: it wants a model."""
    about = {"name": "llm", "namespace": namespace}
    kind = {"apiVersion": "serving.kserve.io/v1alpha1", "kind": "LLMInferenceService"}
    with pytest.raises(Refused, match="uri"):
        node.apply(kind | {"metadata": about, "spec": {"model": {}}})
    node.apply(kind | {"metadata": about, "spec": {"model": {"uri": "oci://a/b:v1"}}})


def _create(node: Node, pod: Any) -> None:
    node.kubectl("create", "-f", "-", stdin=json.dumps(pod))


def _pod(node: Node, namespace: str, **resources: Any) -> Any:
    container = {"name": "main", "image": f"{node.registry}/rig/busybox:1", "resources": resources}
    about = {"name": "main", "namespace": namespace}
    spec = {"containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": spec}
