"""The objects are those the dashboard would make, and only the asked-for parts differ."""

from __future__ import annotations

import base64
import random
from typing import Any

import pytest
from serve_samples import DIGEST, NAME, URI, settings

from carferry.serve.deadline import deadline_s
from carferry.serve.objects import make_objects

Object = dict[str, Any]


def made(**values: str) -> dict[str, Object]:
    return {each["kind"]: each for each in make_objects(settings(**values))}


def predictor(**values: str) -> Object:
    found: Object = made(**values)["InferenceService"]["spec"]["predictor"]
    return found


def test_objects_come_in_the_order_they_must_be_applied() -> None:
    kinds = [each["kind"] for each in make_objects(settings(auth="true"))]
    first = ["Secret", "ServingRuntime", "InferenceService"]
    assert kinds == [*first, "ServiceAccount", "Role", "RoleBinding", "Secret"]


def test_the_connection_is_the_dashboards_uri_type() -> None:
    secret = made(description="A small model")["Secret"]
    assert base64.b64decode(secret["data"]["URI"]).decode() == URI
    assert secret["metadata"] == {
        "name": "granite-31-2b-uri",
        "namespace": "demo",
        "labels": {"opendatahub.io/dashboard": "true"},
        "annotations": {
            "opendatahub.io/connection-type-protocol": "uri",
            "opendatahub.io/connection-type-ref": "uri-v1",
            "openshift.io/description": "A small model",
            "openshift.io/display-name": NAME,
        },
    }


def test_the_model_is_served_by_digest_and_its_tag_only_recorded() -> None:
    service = made()["InferenceService"]
    model = service["spec"]["predictor"]["model"]
    assert model["storageUri"] == URI
    assert model["runtime"] == made()["ServingRuntime"]["metadata"]["name"] == NAME
    assert service["metadata"]["annotations"]["carferry/image-tag"] == "v1"


def test_an_image_without_a_tag_records_none() -> None:
    service = made(image=f"quay.io/team/granite@{DIGEST}")["InferenceService"]
    assert "carferry/image-tag" not in service["metadata"]["annotations"]


@pytest.mark.parametrize("resource", ["nvidia.com/gpu", "nvidia.com/mig-1g.5gb"])
def test_gpus_are_requested_and_limited_alike(resource: str) -> None:
    resources = predictor(gpu_resource=resource, gpu_count="2", cpu="8", memory="64Gi")
    amounts = {"cpu": "8", "memory": "64Gi", resource: "2"}
    assert resources["model"]["resources"] == {"requests": amounts, "limits": amounts}


def test_no_gpu_resource_is_named_if_none_is_asked_for() -> None:
    model = predictor(gpu_count="0", runtime_image="quay.io/vendor/vllm-cpu:1")["model"]
    assert model["resources"]["limits"] == {"cpu": "4", "memory": "16Gi"}


def test_several_gpus_split_the_model_and_the_callers_arguments_come_last() -> None:
    model = predictor(gpu_count="4", max_model_len="8192", vllm_args="--dtype=half")["model"]
    assert model["args"] == ["--tensor-parallel-size=4", "--max-model-len=8192", "--dtype=half"]


def test_vllm_gets_no_argument_that_was_not_asked_for() -> None:
    assert "args" not in predictor()["model"]


def test_the_runtime_has_shared_memory_and_writable_caches() -> None:
    spec = made(shm_size="8Gi")["ServingRuntime"]["spec"]
    server = spec["containers"][0]
    assert spec["volumes"] == [
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "8Gi"}}
    ]
    assert server["volumeMounts"] == [{"name": "shm", "mountPath": "/dev/shm"}]
    env = {each["name"]: each["value"] for each in server["env"]}
    assert (env["HOME"], env["HF_HUB_OFFLINE"]) == ("/tmp", "1")
    assert {name: v for name, v in env.items() if v.startswith("/") and "/tmp" not in v} == {}


@pytest.mark.parametrize(("resource", "named"), [("nvidia.com/gpu", True), ("amd.com/gpu", False)])
def test_the_cuda_template_is_named_only_for_its_own_gpus(resource: str, named: bool) -> None:
    runtime = made(gpu_resource=resource, runtime_image="quay.io/vendor/vllm:1")["ServingRuntime"]
    assert ("opendatahub.io/template-name" in runtime["metadata"]["annotations"]) is named


def test_standard_mode_recreates_and_leaves_knative_alone() -> None:
    service = made()["InferenceService"]
    assert service["spec"]["predictor"]["deploymentStrategy"] == {"type": "Recreate"}
    assert "annotations" not in service["spec"]["predictor"]
    assert service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "RawDeployment"


def test_serverless_mode_gives_knative_time_for_the_images_size() -> None:
    spec = predictor(deployment_mode="Serverless", model_size_bytes=str(140 * 10**9))
    # KServe measured 4,600 s for a cold pull of that size.
    limit = spec["annotations"]["serving.knative.dev/progress-deadline"]
    assert 4600 < int(limit.removesuffix("s")) < 3 * 4600
    assert "deploymentStrategy" not in spec


def test_a_larger_image_never_gets_less_time() -> None:
    sizes = [1, 10**6, 10**9, 10**10, 10**12]
    assert [deadline_s(s) for s in sizes] == sorted(deadline_s(s) for s in sizes)
    assert deadline_s(0) > deadline_s(1)


@pytest.mark.parametrize(
    ("mode", "route", "labels"),
    [
        ("RawDeployment", "true", {"networking.kserve.io/visibility": "exposed"}),
        ("RawDeployment", "false", {}),
        ("Serverless", "true", {}),
        ("Serverless", "false", {"networking.knative.dev/visibility": "cluster-local"}),
    ],
)
def test_the_route_is_asked_for_as_each_mode_wants(
    mode: str, route: str, labels: dict[str, str]
) -> None:
    service = made(deployment_mode=mode, external_route=route)["InferenceService"]
    assert service["metadata"]["labels"] == {"opendatahub.io/dashboard": "true", **labels}


def test_scheduling_and_pull_settings_reach_the_predictor() -> None:
    spec = predictor(
        tolerations='[{"key":"pool","operator":"Exists","effect":"NoExecute","tolerationSeconds":5}]',
        node_selector="zone=a",
        pull_secret="quay-pull",
        env="VLLM_LOGGING_LEVEL=DEBUG",
    )
    toleration = {
        "key": "pool",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 5,
    }
    assert spec["tolerations"] == [toleration]
    assert spec["nodeSelector"] == {"zone": "a"}
    assert spec["imagePullSecrets"] == [{"name": "quay-pull"}]
    assert spec["model"]["env"] == [{"name": "VLLM_LOGGING_LEVEL", "value": "DEBUG"}]


def test_a_hardware_profile_is_named_on_the_service() -> None:
    annotations = made(hardware_profile="apps/a100")["InferenceService"]["metadata"]["annotations"]
    assert annotations["opendatahub.io/hardware-profile-name"] == "a100"
    assert annotations["opendatahub.io/hardware-profile-namespace"] == "apps"


def test_auth_lets_one_account_get_this_one_service() -> None:
    objects = make_objects(settings(auth="true"))
    account, role, binding, token = objects[3:]
    assert account["metadata"]["name"] == "granite-31-2b-sa"
    assert role["rules"][0]["resourceNames"] == [NAME]
    assert binding["subjects"][0]["name"] == account["metadata"]["name"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    annotations = token["metadata"]["annotations"]
    assert annotations["kubernetes.io/service-account.name"] == account["metadata"]["name"]
    assert "data" not in token


def test_without_auth_the_service_says_so() -> None:
    annotations = made()["InferenceService"]["metadata"]["annotations"]
    assert annotations["security.opendatahub.io/enable-auth"] == "false"


def test_objects_share_nothing_with_each_other_or_the_next_call() -> None:
    first = make_objects(settings())
    first[0]["metadata"]["labels"]["mine"] = "yes"
    first[2]["spec"]["predictor"]["model"]["resources"]["limits"]["cpu"] = "99"
    assert "mine" not in make_objects(settings())[2]["metadata"]["labels"]
    assert first[2]["spec"]["predictor"]["model"]["resources"]["requests"]["cpu"] == "4"


def test_the_order_of_pairs_given_does_not_change_the_objects() -> None:
    pairs = [f"K{n}={n}" for n in range(9)]
    shuffled = random.sample(pairs, len(pairs))
    assert make_objects(settings(env="\n".join(pairs))) == make_objects(
        settings(env="\n".join(shuffled))
    )
