"""The objects that carferry makes, as a real API server and a real kubelet take them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml
from servers import models
from servers.busybox import busybox_base

from cluster.conftest import Outcome
from cluster.rig.node import Node

Carferry = Callable[..., Outcome]
IMAGE = "quay.io/team/granite:v1@sha256:" + "ab" * 32
SMALL = (
    *("--gpu-count", "0", "--cpu", "50m", "--memory", "128Mi", "--shm-size", "16Mi"),
    # Other tests bring nodes on which nothing runs.
    *("--node-selector", "kubernetes.io/hostname=node"),
)
FORMS = {
    "plain": (),
    "native": ("--mount", "native"),
    "auth": ("--auth", "true", "--external-route", "true"),
    "rolling": ("--rollout", "rolling", "--max-replicas", "3"),
    "knative": ("--deployment-mode", "Knative", "--min-replicas", "0"),
    "scheduled": (
        *("--queue", "team", "--labels", "team=a,cost/centre=7", "--node-selector", "zone=a"),
        *("--tolerations", '[{"operator": "Exists", "effect": "NoSchedule"}]'),
    ),
    "stopped": ("--stopped", "true"),
    "private": ("--pull-secret", "quay"),
    "profile": ("--hardware-profile", "apps/a100", "--gpu-count", "2"),
    "folder": (
        *("--model-path", "base", "--gpu-count", "2", "--max-model-len", "4096"),
        *("--vllm-args", "--lora-modules sql=/mnt/models/adapter"),
    ),
    "slices": ("--gpu-resource", "nvidia.com/mig-3g.20gb", "--description", "A model"),
    "spyre": ("--gpu-resource", "ibm.com/spyre_pf", "--runtime-image", "quay.io/v/vllm:1"),
    "nodes": ("--nodes", "2", "--gpu-count", "8", "--max-model-len", "4096", "--env", "A=b"),
    "nodes, slices": (
        *("--nodes", "4", "--gpu-resource", "nvidia.com/mig-3g.20gb", "--pull-secret", "quay"),
        *("--auth", "true", "--external-route", "true", "--node-selector", "zone=a"),
    ),
    "llm": ("--kind", "llm"),
    "llm, all": (
        *("--kind", "llm", "--mount", "native", "--external-route", "true", "--auth", "true"),
        *("--base-refs", "a,b", "--gpu-count", "2", "--pull-secret", "quay", "--stopped", "true"),
        *("--queue", "team", "--env", "A=b", "--runtime-image", "quay.io/v/vllm:1"),
    ),
}
LACKS = {
    "auto": (),
    "kserve": ("profile",),
    "openshift-ai-2.22": ("llm", "llm, all"),
    "openshift-ai-2.25": ("llm", "llm, all"),
    "openshift-ai-3": ("knative",),
}
"""Forms that a platform refuses."""


@pytest.fixture(scope="module")
def place(node: Node) -> Iterator[str]:
    """A namespace for all that is only tried."""
    with made_namespace(node) as name:
        yield name


@contextmanager
def made_namespace(node: Node, **labels: str) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex[:8]}"
    metadata = {"name": name, "labels": labels}
    node.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    try:
        yield name
    finally:
        node.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def two(node: Node, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two models and an adapter in one image, each in a folder of its own; by digest."""
    folder = tmp_path_factory.mktemp("two")
    for name in ("base", "draft"):
        models.write(models.tiny(), folder / "model" / name)
    adapter = {
        "adapter_config.json": b'{"peft_type": "LORA", "r": 8}',
        "adapter_model.safetensors": models.tiny()["model.safetensors"],
    }
    models.write(adapter, folder / "model" / "adapter")
    target = f"docker://{node.registry}/models/two:v1"
    words = ["build", str(folder / "model"), target, "--base", busybox_base(folder / "base")]
    done = subprocess.run(
        [sys.executable, "-m", "carferry", *words, "--allow-no-weights", "--json"],
        env=os.environ | {"HOME": str(folder)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["reference"])


@pytest.mark.parametrize("platform", LACKS)
def test_every_form_passes_the_strictest_validation(
    node: Node, place: str, carferry: Carferry, platform: str
) -> None:
    """As ``kubectl apply --dry-run=server --validate=strict``; each form under its own name."""
    written = ""
    for number, form in enumerate(form for form in FORMS if form not in LACKS[platform]):
        words = ("--name", f"m{number}", "--namespace", place, "--platform", platform)
        done = carferry("render", IMAGE, *words, *FORMS[form])
        assert done.code == 0, done.err
        written += done.out
    try_words = ("--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
    said = node.kubectl("apply", *try_words, stdin=written)
    assert len(said.splitlines()) == len([*yaml.safe_load_all(written)])


def versions(node: Node, namespace: str) -> dict[str, str]:
    kinds = "secrets,servingruntimes,inferenceservices,serviceaccounts,roles,rolebindings"
    found = node.get("-n", namespace, kinds)["items"]
    return {
        f"{each['kind']}/{each['metadata']['name']}": each["metadata"]["resourceVersion"]
        for each in found
    }


def asked(node: Node, namespace: str, name: str, path: str) -> Any:
    service = node.get("-n", namespace, "service", f"{name}-predictor")
    address = service["spec"]["clusterIP"]
    return json.loads(node.run("busybox", "wget", "-q", "-O-", f"http://{address}{path}"))


def test_two_models_of_one_image_are_served_with_all_that_can_be_asked_for(
    node: Node, two: str, vllm: str, carferry: Carferry
) -> None:
    """The whole life: served, applied again, stopped, resumed, rolled."""
    with made_namespace(node) as namespace:
        draft = '{"model": "/mnt/models/draft", "num_speculative_tokens": 3}'
        args = (
            f"--enable-lora --lora-modules sql=/mnt/models/adapter --speculative-config '{draft}'"
        )
        words = (
            *("deploy", two, "--name", "two", "--namespace", namespace, *SMALL),
            *("--runtime-image", vllm, "--model-path", "base", "--vllm-args", args),
            *("--labels", "team=a", "--auth", "true", "--external-route", "true"),
            *("--wait-s", "120"),
        )
        first = carferry(*words)
        assert first.code == 0, first.err
        assert "asks for no token" in first.err
        assert "no route that this login can see: it answers inside" in first.err
        assert first.out.split()[-1] == f"http://two-predictor.{namespace}.svc.cluster.local"
        names = {each["id"] for each in asked(node, namespace, "two", "/v1/models")["data"]}
        assert names == {"two", "sql"}
        held = versions(node, namespace)

        assert carferry(*words).code == 0
        assert versions(node, namespace) == held

        stopped = carferry(*words, "--stopped", "true")
        assert (stopped.code, stopped.out) == (0, f"{namespace}/two stopped\n"), stopped.err
        await_pods(node, namespace, 0)
        resumed = carferry(*words, "--rollout", "rolling")
        assert resumed.code == 0, resumed.err
        deployment = node.get("-n", namespace, "deployment", "two-predictor")
        strategy = deployment["spec"]["strategy"]
        assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        assert deployment["spec"]["template"]["metadata"]["labels"]["team"] == "a"


def await_pods(node: Node, namespace: str, count: int) -> None:
    for _ in range(60):
        if len(node.get("-n", namespace, "pods")["items"]) == count:
            return
        time.sleep(1)
    raise AssertionError(node.kubectl("-n", namespace, "get", "pods"))


def test_a_restricted_project_serves_by_a_native_mount_and_says_so_of_the_other(
    node: Node, modelcar: str, vllm: str, carferry: Carferry
) -> None:
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    with made_namespace(node, **level) as namespace:
        words = ("deploy", modelcar, "--name", "tiny", "--namespace", namespace, *SMALL)
        words = (*words, "--runtime-image", vllm, "--wait-s", "120")
        refused = carferry(*words)
        assert (refused.code, refused.out) == (2, "")
        assert "modelcar-init that KServe adds have no securityContext" in refused.err
        assert versions(node, namespace).keys() == {"ServiceAccount/default"}

        served = carferry(*words, "--mount", "native")
        assert served.code == 0, served.err
        (pod,) = node.get("-n", namespace, "pods")["items"]
        volumes = [each["image"]["reference"] for each in pod["spec"]["volumes"] if "image" in each]
        assert [*volumes] == [modelcar.replace(":v1@", "@")]
        assert asked(node, namespace, "tiny", "/v1/models")["data"][0]["id"] == "tiny"


def test_a_service_keeps_its_mode_and_the_command_says_so(
    node: Node, place: str, carferry: Carferry
) -> None:
    words = ("deploy", IMAGE, "--name", "kept", "--namespace", place, "--wait-s", "0")
    words = (*words, "--stopped", "true")
    assert carferry(*words, "--deployment-mode", "RawDeployment").code == 0
    # KServe changes no mode once it has written one down.
    for _ in range(60):
        service = node.get("-n", place, "inferenceservice", "kept")
        if service.get("status", {}).get("deploymentMode"):
            break
        time.sleep(0.5)
    held = versions(node, place)
    other = carferry(*words, "--deployment-mode", "Knative")
    assert other.code == 0, other.err
    assert "kept stays Standard: KServe changes no deployment mode" in other.err
    assert versions(node, place) == held


def test_knative_is_refused_at_once_where_there_is_none(
    node: Node, place: str, carferry: Carferry
) -> None:
    done = carferry("deploy", IMAGE, "--namespace", place, "--deployment-mode", "Serverless")
    assert (done.code, done.out) == (2, "")
    assert "KServe has no Knative here; use deployment_mode Standard" in done.err
    assert "InferenceService/granite" not in versions(node, place)


def test_an_llm_service_is_applied_in_the_version_that_is_served(
    node: Node, place: str, carferry: Carferry
) -> None:
    words = ("deploy", IMAGE, "--kind", "llm", "--namespace", place, "--wait-s", "0")
    assert carferry(*words).code == 0
    service = node.get("-n", place, "llminferenceservice", "granite")
    assert service["spec"]["model"]["name"] == "granite"
    before = service["metadata"]["resourceVersion"]
    again = carferry(*words)
    assert again.code == 0, again.err
    after = node.get("-n", place, "llminferenceservice", "granite")["metadata"]["resourceVersion"]
    assert after == before


def definition(group: str, version: str, plural: str, kind: str) -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"name": version, "served": True, "storage": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, "singular": kind.lower()},
            "versions": [served | {"schema": {"openAPIV3Schema": schema}}],
        },
    }


OPENSHIFT_AI = (
    definition("route.openshift.io", "v1", "routes", "Route"),
    definition("infrastructure.opendatahub.io", "v1", "hardwareprofiles", "HardwareProfile"),
    definition("template.openshift.io", "v1", "templates", "Template"),
)


@pytest.fixture
def openshift_ai(node: Node) -> Iterator[Node]:
    """The node with what OpenShift AI 3 is known by, as short as may be: others use it, too."""
    node.apply(*OPENSHIFT_AI)
    names = [each["metadata"]["name"] for each in OPENSHIFT_AI]
    try:
        node.kubectl("wait", "--for=condition=Established", *(f"crd/{each}" for each in names))
        yield node
    finally:
        node.kubectl("delete", "crd", *names)


def runtime_template() -> dict[str, Any]:
    notes = {"opendatahub.io/recommended-accelerators": '["ibm.com/spyre_pf"]'}
    server = {"name": "kserve-container", "image": "registry.test/vllm@sha256:" + "1" * 64}
    spec = {"supportedModelFormats": [{"name": "vLLM", "autoSelect": True}], "containers": [server]}
    runtime = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": "vllm", "annotations": notes},
        "spec": spec | {"multiModel": False},
    }
    return {
        "apiVersion": "template.openshift.io/v1",
        "kind": "Template",
        "metadata": {"name": "vllm-spyre-x86-runtime-template", "namespace": "opendatahub"},
        "objects": [runtime],
    }


def test_openshift_ai_is_found_by_what_its_api_serves(
    openshift_ai: Node, place: str, carferry: Carferry
) -> None:
    node = openshift_ai
    login = {"auths": {"quay.io": {"auth": "dTpw"}}}
    pull = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": "quay", "namespace": place},
        "stringData": {".dockerconfigjson": json.dumps(login)},
    }
    node.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "opendatahub"}}, pull)
    profile = {
        "apiVersion": "infrastructure.opendatahub.io/v1",
        "kind": "HardwareProfile",
        "metadata": {"name": "spyre", "namespace": place},
    }
    node.apply(runtime_template(), profile)
    try:
        done = carferry(
            *("deploy", IMAGE, "--name", "found", "--namespace", place, "--wait-s", "0"),
            *("--gpu-resource", "ibm.com/spyre_pf", "--hardware-profile", "spyre"),
            *("--pull-secret", "quay", "--stopped", "true", "--json"),
        )
    finally:
        node.kubectl("delete", "namespace", "opendatahub", "--wait=false")
    assert done.code == 0, done.err
    assert "the runtime is the cluster's vllm-spyre-x86-runtime-template" in done.err
    secret = node.get("-n", place, "secret", "found-oci")
    assert secret["metadata"]["annotations"]["opendatahub.io/connection-type-ref"] == "oci-v1"
    assert secret["data"][".dockerconfigjson"] not in done.out + done.err
    runtime = node.get("-n", place, "servingruntime", "found")
    assert runtime["spec"]["containers"][0]["image"].startswith("registry.test/vllm@")
    service = node.get("-n", place, "inferenceservice", "found")["metadata"]
    assert service["annotations"]["opendatahub.io/hardware-profile-resource-version"]
    assert service["annotations"]["opendatahub.io/connections"] == "found-oci"
