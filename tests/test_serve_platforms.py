"""Each platform gets what its own dashboard writes: the table of the reference, field by field."""

from __future__ import annotations

import base64
import os
import shlex
import subprocess
from typing import Any

import pytest
from serve_samples import NAME, URI, settings

from carferry.cluster.kinds import Object
from carferry.errors import InputError
from carferry.serve.objects import make_objects
from carferry.serve.objects.found import Found, Template
from carferry.serve.platforms import ANY, KSERVE, OPENSHIFT_AI_3, PLATFORMS, platform_named

OLD, LAST_2, THREE = "openshift-ai-2.22", "openshift-ai-2.25", "openshift-ai-3"
DASHBOARDS = (OLD, LAST_2, THREE)
ALL = ("kserve", *DASHBOARDS)
MODE = "serving.kserve.io/deploymentMode"
AUTH = "security.opendatahub.io/enable-auth"
VISIBLE = "networking.kserve.io/visibility"
KNATIVE_VISIBLE = "networking.knative.dev/visibility"
PROFILE = "opendatahub.io/hardware-profile-name"
VERSION = "opendatahub.io/hardware-profile-resource-version"


def made(platform: str, found: Found | None = None, **values: str) -> dict[str, Object]:
    objects = make_objects(settings(**values), platform_named(platform), found or Found())
    return {each["kind"]: each for each in reversed(objects)}


def notes(obj: Object) -> dict[str, str]:
    return dict(obj["metadata"].get("annotations", {}))


def labels(obj: Object) -> dict[str, str]:
    return dict(obj["metadata"].get("labels", {}))


# Platform, settings, kind, annotation or label, its value; None: it is not there.
TABLE: list[tuple[str, dict[str, str], str, str, str | None]] = [
    # The mode annotation: 2.x means Serverless without it, the wizard of 3.x writes none.
    ("kserve", {}, "InferenceService", MODE, "Standard"),
    (OLD, {}, "InferenceService", MODE, "RawDeployment"),
    (LAST_2, {}, "InferenceService", MODE, "RawDeployment"),
    (THREE, {}, "InferenceService", MODE, None),
    ("kserve", {"deployment_mode": "Serverless"}, "InferenceService", MODE, "Knative"),
    (LAST_2, {"deployment_mode": "Knative"}, "InferenceService", MODE, "Serverless"),
    # Auth: "true" or absent in 2.x, always said in 3.x.
    ("kserve", {}, "InferenceService", AUTH, None),
    (OLD, {}, "InferenceService", AUTH, None),
    (LAST_2, {}, "InferenceService", AUTH, None),
    (THREE, {}, "InferenceService", AUTH, "false"),
    *((each, {"auth": "true"}, "InferenceService", AUTH, "true") for each in ALL),
    # The route: a label turns it on in OpenShift AI, and off in KServe itself.
    ("kserve", {}, "InferenceService", VISIBLE, "cluster-local"),
    ("kserve", {"external_route": "true"}, "InferenceService", VISIBLE, None),
    *((each, {}, "InferenceService", VISIBLE, None) for each in DASHBOARDS),
    *(
        (each, {"external_route": "true"}, "InferenceService", VISIBLE, "exposed")
        for each in DASHBOARDS
    ),
    *(
        (each, {"deployment_mode": "Knative"}, "InferenceService", KNATIVE_VISIBLE, "cluster-local")
        for each in ("kserve", OLD, LAST_2)
    ),
    # The hardware profile: on the runtime up to 2.22, on the service from 2.23 on.
    (OLD, {"hardware_profile": "apps/a100"}, "ServingRuntime", PROFILE, "a100"),
    (OLD, {"hardware_profile": "apps/a100"}, "InferenceService", PROFILE, None),
    (LAST_2, {"hardware_profile": "apps/a100"}, "ServingRuntime", PROFILE, None),
    (LAST_2, {"hardware_profile": "apps/a100"}, "InferenceService", PROFILE, "a100"),
    (THREE, {"hardware_profile": "apps/a100"}, "InferenceService", PROFILE, "a100"),
    # The connection: the service names it in 3.x, and it names its protocol.
    (OLD, {}, "InferenceService", "opendatahub.io/connections", None),
    (LAST_2, {}, "InferenceService", "opendatahub.io/connections", None),
    (THREE, {}, "InferenceService", "opendatahub.io/connections", f"{NAME}-uri"),
    *((each, {}, "Secret", "opendatahub.io/connection-type-ref", "uri-v1") for each in DASHBOARDS),
    (LAST_2, {}, "Secret", "opendatahub.io/connection-type-protocol", None),
    (THREE, {}, "Secret", "opendatahub.io/connection-type-protocol", "uri"),
    # What only the wizard of 3.x writes.
    (LAST_2, {}, "InferenceService", "opendatahub.io/model-type", None),
    (THREE, {}, "InferenceService", "opendatahub.io/model-type", "generative"),
    (LAST_2, {"description": "d"}, "InferenceService", "openshift.io/description", None),
    (THREE, {"description": "d"}, "InferenceService", "openshift.io/description", "d"),
    # Labels and titles.
    *((each, {}, "InferenceService", "opendatahub.io/dashboard", "true") for each in DASHBOARDS),
    ("kserve", {}, "InferenceService", "opendatahub.io/dashboard", None),
    ("kserve", {}, "ServingRuntime", "opendatahub.io/template-name", None),
    *((each, {}, "InferenceService", "openshift.io/display-name", NAME) for each in DASHBOARDS),
    # Stop and resume, queue, labels: alike everywhere.
    *((each, {}, "InferenceService", "serving.kserve.io/stop", "false") for each in ALL),
    *(
        (each, {"stopped": "true"}, "InferenceService", "serving.kserve.io/stop", "true")
        for each in ALL
    ),
    *(
        (each, {"queue": "team"}, "InferenceService", "kueue.x-k8s.io/queue-name", "team")
        for each in ALL
    ),
    *((each, {"labels": "team=a"}, "ServingRuntime", "team", "a") for each in ALL),
]


@pytest.mark.parametrize(("platform", "values", "kind", "key", "expected"), TABLE)
def test_an_annotation_or_label_is_as_the_platform_has_it(
    platform: str, values: dict[str, str], kind: str, key: str, expected: str | None
) -> None:
    obj = made(platform, **values)[kind]
    assert {**notes(obj), **labels(obj)}.get(key) == expected


@pytest.mark.parametrize("platform", ["kserve", OLD, LAST_2])
def test_only_openshifts_knative_is_in_a_mesh(platform: str) -> None:
    service = made(platform, deployment_mode="Knative")["InferenceService"]
    assert ("sidecar.istio.io/inject" in notes(service)) is (platform != "kserve")


def test_plain_kserve_gets_no_connection() -> None:
    assert [*made("kserve")] == ["InferenceService", "ServingRuntime"]


@pytest.mark.parametrize("platform", ["kserve", *DASHBOARDS, "auto"])
def test_the_server_keeps_to_the_strictest_level_of_pod_security(platform: str) -> None:
    context = made(platform)["ServingRuntime"]["spec"]["containers"][0]["securityContext"]
    uid = context.pop("runAsUser", None)
    assert uid == (1001 if platform == "kserve" else None)
    assert context == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_a_rolling_rollout_takes_a_replica_more_and_never_one_less() -> None:
    spec = made("kserve", rollout="rolling")["InferenceService"]["spec"]["predictor"]
    assert spec["deploymentStrategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
    }


def test_a_native_mount_is_the_scheme_of_the_address_everywhere() -> None:
    native = URI.replace("oci://", "oci+native://")
    objects = made(THREE, mount="native")
    assert objects["InferenceService"]["spec"]["predictor"]["model"]["storageUri"] == native
    assert base64.b64decode(objects["Secret"]["data"]["URI"]).decode() == native


def test_a_model_in_a_folder_and_its_adapter_are_served_from_where_they_are() -> None:
    args = """--lora-modules sql=/mnt/models/sql
    --speculative-config '{"model": "/mnt/models/draft", "num_speculative_tokens": 3}'"""
    objects = made("kserve", model_path="base", vllm_args=args)
    server = objects["ServingRuntime"]["spec"]["containers"][0]
    assert "--model=/mnt/models/base" in server["args"]
    model = objects["InferenceService"]["spec"]["predictor"]["model"]
    assert model["args"][:2] == ["--lora-modules", "sql=/mnt/models/sql"]


def test_the_mode_that_a_service_has_is_written_as_it_has_it() -> None:
    kept = made(THREE, Found(mode="Standard"))["InferenceService"]
    assert notes(kept)[MODE] == "Standard"


def test_a_profiles_version_is_noted_where_it_is_known() -> None:
    found = Found(profile_version="77")
    service = made(THREE, found, hardware_profile="a100")["InferenceService"]
    assert notes(service)[VERSION] == "77"


def test_a_private_registrys_connection_names_the_login_and_does_not_hold_it() -> None:
    objects = made(THREE, Found(pull_secret="quay"), pull_secret="quay")
    secret = objects["Secret"]
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    # The type of a Secret is immutable: one name for each.
    open_ = made(THREE)
    assert open_["Secret"]["type"] == "Opaque"
    assert open_["Secret"]["metadata"]["name"] != secret["metadata"]["name"]
    for each in (open_, objects):
        linked = notes(each["InferenceService"])["opendatahub.io/connections"]
        assert linked == each["Secret"]["metadata"]["name"]
    data = {name: base64.b64decode(text).decode() for name, text in secret["data"].items()}
    assert data == {"OCI_HOST": "quay.io", "ACCESS_TYPE": '["Pull"]'}
    assert notes(secret)["opendatahub.io/connection-type-ref"] == "oci-v1"
    assert notes(secret)["opendatahub.io/connection-type-protocol"] == "oci"
    assert notes(secret)["carferry/login-of"] == "quay"
    predictor = objects["InferenceService"]["spec"]["predictor"]
    assert predictor["imagePullSecrets"] == [{"name": "quay"}]
    assert predictor["model"]["storageUri"] == URI


TEMPLATE = Template(
    "vllm-cuda-runtime-template",
    "vLLM NVIDIA GPU ServingRuntime for KServe",
    "REST",
    {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {
            "name": "vllm-cuda-runtime",
            "labels": {"opendatahub.io/dashboard": "true"},
            "annotations": {
                "openshift.io/display-name": "a title",
                "opendatahub.io/recommended-accelerators": '["nvidia.com/gpu"]',
                "opendatahub.io/runtime-version": "v0.21.0",
            },
        },
        "spec": {
            "multiModel": False,
            "supportedModelFormats": [{"autoSelect": True, "name": "vLLM"}],
            "containers": [
                {
                    "name": "kserve-container",
                    "image": "registry.example/vllm@sha256:" + "1" * 64,
                    "args": ["--port=8080", "--model=/mnt/models"],
                    "env": [{"name": "HF_HOME", "value": "/tmp/hf_home"}],
                }
            ],
        },
    },
)


def test_a_clusters_own_template_is_taken_with_what_it_leaves_open() -> None:
    runtime = made(THREE, Found(template=TEMPLATE), model_path="base")["ServingRuntime"]
    server = runtime["spec"]["containers"][0]
    assert server["image"] == "registry.example/vllm@sha256:" + "1" * 64
    assert server["args"] == ["--port=8080", "--model=/mnt/models/base"]
    assert server["volumeMounts"] == [{"name": "shm", "mountPath": "/dev/shm"}]
    assert runtime["spec"]["volumes"][0]["emptyDir"] == {"medium": "Memory", "sizeLimit": "2Gi"}
    assert runtime["metadata"]["name"] == NAME
    assert notes(runtime) == {
        "opendatahub.io/apiProtocol": "REST",
        "opendatahub.io/recommended-accelerators": '["nvidia.com/gpu"]',
        "opendatahub.io/runtime-version": "v0.21.0",
        "opendatahub.io/serving-runtime-scope": "global",
        "opendatahub.io/template-display-name": "vLLM NVIDIA GPU ServingRuntime for KServe",
        "opendatahub.io/template-name": "vllm-cuda-runtime-template",
        "openshift.io/display-name": "vLLM NVIDIA GPU ServingRuntime for KServe",
    }


@pytest.mark.parametrize(("platform", "title"), [(LAST_2, NAME), (THREE, TEMPLATE.title)])
def test_a_runtime_bears_the_title_that_its_dashboard_gives_it(platform: str, title: str) -> None:
    runtime = made(platform, Found(template=TEMPLATE))["ServingRuntime"]
    assert notes(runtime)["openshift.io/display-name"] == title


def test_an_image_that_is_given_wins_over_the_templates() -> None:
    image = "quay.io/vendor/vllm:1"
    runtime = made(THREE, Found(template=TEMPLATE), runtime_image=image)["ServingRuntime"]
    assert runtime["spec"]["containers"][0]["image"] == image


@pytest.mark.parametrize("given", [{"gpu_resource": "amd.com/gpu"}, {"gpu_count": "0"}])
def test_other_accelerators_need_a_template_or_an_image(given: dict[str, str]) -> None:
    with pytest.raises(InputError, match="needs NVIDIA GPUs"):
        made(THREE, **given)
    assert made(THREE, Found(template=TEMPLATE), **given)


RESOURCES = ("ibm.com/spyre_pf", "gpu.intel.com/i915", "nvidia.com/mig-1g.5gb.me", "x.io/a.b-c")


@pytest.mark.parametrize("resource", RESOURCES)
def test_any_vendors_resource_is_asked_for_as_it_is(resource: str) -> None:
    objects = made("kserve", gpu_resource=resource, runtime_image="quay.io/vendor/vllm:1")
    model = objects["InferenceService"]["spec"]["predictor"]["model"]
    assert model["resources"]["limits"][resource] == "1"


def llm(**values: str) -> Object:
    return made(THREE, kind="llm", **values)["LLMInferenceService"]


def test_an_llm_service_is_what_the_wizard_of_3_5_makes() -> None:
    service = llm(
        gpu_count="2", max_model_len="8192", vllm_args="--chat-template '{{ x }}'", env="A=b",
        pull_secret="quay", external_route="true", base_refs="spyre", min_replicas="2",
        max_replicas="2", tolerations="[]", node_selector="zone=a",
    )  # fmt: skip
    assert service["apiVersion"] == "serving.kserve.io/v1alpha2"
    spec = service["spec"]
    (server,) = spec["template"].pop("containers")
    assert spec == {
        "model": {"uri": URI, "name": NAME},
        "replicas": 2,
        "template": {"nodeSelector": {"zone": "a"}, "imagePullSecrets": [{"name": "quay"}]},
        "router": {"gateway": {}, "route": {}, "scheduler": {}},
        "baseRefs": [{"name": "spyre"}],
    }
    args = "--tensor-parallel-size=2 --max-model-len=8192 --chat-template '{{ x }}'"
    assert server["name"] == "main"
    assert server["env"] == [
        {"name": "A", "value": "b"},
        {"name": "VLLM_ADDITIONAL_ARGS", "value": args},
    ]
    assert server["resources"]["limits"] == {"cpu": "4", "memory": "16Gi", "nvidia.com/gpu": "2"}
    assert "image" not in server


ODD = [
    "--speculative-config",
    '{"model": "/mnt/models/d"}',
    "--x=$(id) `id` $HOME;",
    "it's",
    "a  b",
]


def test_arguments_of_an_llm_service_survive_the_shell_that_the_preset_puts_them_through() -> None:
    """KServe's preset is a bash script that evaluates the variable."""
    service = llm(vllm_args=shlex.join(ODD))
    (variable,) = service["spec"]["template"]["containers"][0]["env"]
    script = """eval "exec printf '%s\\n' ${VLLM_ADDITIONAL_ARGS}" """
    environment = {variable["name"]: variable["value"], "PATH": os.environ["PATH"]}
    words = ["bash", "-c", script]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ODD


@pytest.mark.parametrize(("auth", "said"), [("false", "false"), ("true", "true")])
def test_an_llm_service_always_says_whether_it_asks_for_a_token(auth: str, said: str) -> None:
    assert notes(llm(auth=auth, external_route="true"))[AUTH] == said


def test_the_token_of_an_llm_service_opens_that_kind() -> None:
    role = made(THREE, kind="llm", auth="true", external_route="true")["Role"]
    assert role["rules"][0]["resources"] == ["llminferenceservices"]


WRONG_LLM: list[tuple[str, dict[str, str], str]] = [
    (LAST_2, {}, "has no LLMInferenceService"),
    (THREE, {"deployment_mode": "Knative"}, "knows no Knative"),
    (THREE, {"max_replicas": "2"}, "one number of replicas"),
    (THREE, {"model_path": "base"}, "no folder of it"),
    (THREE, {"auth": "true"}, "without a route there is none"),
]


@pytest.mark.parametrize(("platform", "values", "words"), WRONG_LLM)
def test_what_an_llm_service_cannot_do_is_refused(
    platform: str, values: dict[str, str], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        made(platform, kind="llm", **values)


def test_a_hardware_profile_is_refused_where_nothing_reads_it() -> None:
    with pytest.raises(InputError, match="knows no hardware profiles; name gpu_resource"):
        made("kserve", hardware_profile="a100")


def test_knative_is_refused_where_there_is_none() -> None:
    with pytest.raises(InputError, match="OpenShift AI 3 has no Knative here; use"):
        made(THREE, deployment_mode="Serverless")


def test_without_a_cluster_all_platforms_understand_what_is_written() -> None:
    """The mode is said, for 2.x; the connection and that no token is asked for, for 3.x."""
    service = made("auto")["InferenceService"]
    assert notes(service)[MODE] == "RawDeployment"
    assert notes(service)["opendatahub.io/connections"] == f"{NAME}-uri"
    assert notes(service)[AUTH] == "false"


def test_the_table_names_each_platform_once() -> None:
    assert {*PLATFORMS} == {*ALL}
    assert platform_named("auto") is ANY
    assert (platform_named("kserve"), platform_named(THREE)) == (KSERVE, OPENSHIFT_AI_3)


def test_equal_settings_give_equal_objects_that_share_nothing() -> None:
    first: Any = make_objects(settings(), OPENSHIFT_AI_3, Found(template=TEMPLATE))
    first[1]["spec"]["containers"][0]["image"] = "changed"
    again = make_objects(settings(), OPENSHIFT_AI_3, Found(template=TEMPLATE))
    assert again[1]["spec"]["containers"][0]["image"].startswith("registry.example/")
