"""A cluster is asked what it is and what it has, and the objects follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from serve_samples import NAME, settings
from test_serve_platforms import TEMPLATE

from carferry.cluster.kinds import Object, ResourceKind
from carferry.errors import ClusterError, InputError
from carferry.serve.addresses import endpoint, has_route
from carferry.serve.platforms import discover
from carferry.serve.prepare import prepare
from carferry.serve.profiles import scheduled_by_profile

SECOND = "datasciencecluster.opendatahub.io/v1"
THIRD = "datasciencecluster.opendatahub.io/v2"
TEMPLATES = "/apis/template.openshift.io/v1/namespaces/redhat-ods-applications/templates"
OPENSHIFT_AI = ("route.openshift.io/v1", THIRD, "infrastructure.opendatahub.io/v1")


@dataclass
class Answers:
    """What an API server holds, by path; anything else is absent, or closed to this login."""

    groups: tuple[str, ...] = ()
    paths: dict[str, Object] = field(default_factory=dict)
    objects: dict[tuple[str, str], Object] = field(default_factory=dict)
    refusal: int = 404

    def read(self, path: str) -> Object:
        if path == "/apis":
            named: dict[str, list[Any]] = {}
            for group, _, version in (each.partition("/") for each in self.groups):
                named.setdefault(group, []).append({"version": version})
            return {"groups": [{"name": name, "versions": all_} for name, all_ in named.items()]}
        if path not in self.paths:
            raise ClusterError("read", path, "refused", status=self.refusal)
        return self.paths[path]

    def get(self, kind: ResourceKind, namespace: str, name: str) -> Object | None:
        if self.refusal == 403 and (kind.plural, name) not in self.objects:
            raise ClusterError("get", name, "forbidden", status=403)
        return self.objects.get((kind.plural, name))


def release(version: str) -> Object:
    return {"items": [{"status": {"release": {"version": version}}}]}


def clusters(at: str, version: str) -> dict[str, Object]:
    return {f"/apis/{at}/datascienceclusters": release(version)}


CLUSTERS = [
    (Answers(), "kserve"),
    (Answers(("route.openshift.io/v1",)), "kserve"),
    (Answers((SECOND,), clusters(SECOND, "2.19.1")), "openshift-ai-2.22"),
    (Answers((SECOND,), clusters(SECOND, "2.22.0")), "openshift-ai-2.22"),
    (Answers((SECOND,), clusters(SECOND, "2.23.0")), "openshift-ai-2.25"),
    (Answers((SECOND,), clusters(SECOND, "2.25.2")), "openshift-ai-2.25"),
    (Answers((THIRD, SECOND), clusters(THIRD, "3.4.0")), "openshift-ai-3"),
    (Answers((THIRD, SECOND), refusal=403), "openshift-ai-3"),
    (Answers((SECOND, "infrastructure.opendatahub.io/v1alpha1"), refusal=403), "openshift-ai-2.25"),
    (Answers((SECOND, "dashboard.opendatahub.io/v1"), refusal=403), "openshift-ai-2.22"),
    (Answers(("infrastructure.opendatahub.io/v1",)), "openshift-ai-3"),
]


@pytest.mark.parametrize(("cluster", "name"), CLUSTERS)
def test_a_platform_is_known_by_its_release_or_else_by_its_api(cluster: Answers, name: str) -> None:
    assert discover(cluster).name == name


def test_a_platform_that_is_named_is_not_guessed() -> None:
    assert discover(Answers(), name="openshift-ai-3").name == "openshift-ai-3"


@pytest.mark.parametrize(("group", "uid"), [("apps/v1", 1001), ("security.openshift.io/v1", None)])
def test_openshift_chooses_the_user_itself(group: str, uid: int | None) -> None:
    assert discover(Answers((group,))).uid == uid


@pytest.mark.parametrize("version", ["v1alpha1", "v1alpha2"])
def test_the_version_of_the_llm_kind_is_the_one_that_is_served(version: str) -> None:
    group = f"serving.kserve.io/{version}"
    kinds = {"resources": [{"name": "llminferenceservices"}]}
    found = discover(Answers((group,), {f"/apis/{group}": kinds}), llm=True)
    assert found.llm == version
    assert discover(Answers((group,), {f"/apis/{group}": {}}), llm=True).llm == ""


def test_serverless_without_knative_is_refused_at_once() -> None:
    with pytest.raises(InputError, match="KServe has no Knative here; use deployment_mode"):
        prepare(Answers(), settings(deployment_mode="Serverless"))
    made = prepare(Answers(("serving.knative.dev/v1",)), settings(deployment_mode="Serverless"))
    assert made.platform.knative == "Knative"


def standing(mode: str) -> dict[tuple[str, str], Object]:
    annotations = {"serving.kserve.io/deploymentMode": mode} if mode else {}
    service = {"metadata": {"name": NAME, "annotations": annotations}}
    return {("inferenceservices", NAME): service}


KEPT = [
    ("Standard", "Standard", "Standard", 0),
    ("RawDeployment", "Standard", "RawDeployment", 0),
    ("Serverless", "Knative", "Serverless", 0),
    ("Knative", "Standard", "Knative", 1),
    ("Standard", "Knative", "Standard", 1),
    ("", "Standard", "Standard", 0),
]


@pytest.mark.parametrize(("held", "asked", "written", "said"), KEPT)
def test_a_service_keeps_its_mode_by_the_word_it_has(
    held: str, asked: str, written: str, said: int
) -> None:
    cluster = Answers(("serving.knative.dev/v1",), objects=standing(held))
    made = prepare(cluster, settings(deployment_mode=asked))
    service = made.shown[-1]
    assert service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == written
    assert [*made.notes] == [
        f"{NAME} stays {made.deployment.deployment_mode}: KServe changes no deployment mode; "
        "delete it first"
    ] * said


def project(level: str) -> dict[str, Object]:
    labels = {"pod-security.kubernetes.io/enforce": level}
    return {"/api/v1/namespaces/demo": {"metadata": {"labels": labels}}}


def test_a_restricted_project_refuses_kserves_own_containers_before_it_is_applied() -> None:
    strict = Answers(paths=project("restricted"))
    with pytest.raises(InputError, match=r"modelcar-init .* have no securityContext.*mount native"):
        prepare(strict, settings())
    assert prepare(strict, settings(mount="native")).objects
    assert prepare(Answers(paths=project("baseline")), settings()).objects
    assert prepare(Answers(refusal=403), settings()).objects
    assert prepare(Answers(OPENSHIFT_AI, project("restricted")), settings()).objects


def test_a_project_that_admits_no_pod_holds_a_stopped_model() -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    strict = Answers(paths={"/api/v1/namespaces/demo": {"metadata": {"labels": labels}}})
    assert prepare(strict, settings(stopped="true")).objects


@pytest.mark.parametrize("word", ["Serverless", "Knative"])
def test_a_mode_that_only_the_status_tells_is_written_by_its_word(word: str) -> None:
    """KServe compares words: a service without the annotation, as older dashboards made it."""
    live = {"metadata": {"name": NAME}, "status": {"deploymentMode": word}}
    cluster = Answers(("serving.knative.dev/v1",), objects={("inferenceservices", NAME): live})
    for mode in ("Standard", "Knative"):
        made = prepare(cluster, settings(deployment_mode=mode)).objects[-1]
        assert made["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == word


def test_a_dashboard_without_a_template_to_be_seen_is_said() -> None:
    said = "no vLLM Template of OpenShift AI 3 is to be seen"
    (note,) = prepare(Answers(OPENSHIFT_AI, refusal=403), settings()).notes
    assert said in note and "docker.io" in note
    chosen = prepare(Answers(OPENSHIFT_AI), settings(runtime_image="quay.io/v/vllm:1"))
    assert chosen.notes == ()
    assert prepare(Answers(), settings()).notes == ()


def test_an_llm_service_takes_no_template_and_nothing_is_said_of_one() -> None:
    group = "serving.kserve.io/v1alpha2"
    kinds = {"resources": [{"name": "llminferenceservices"}]}
    paths = {f"/apis/{group}": kinds, TEMPLATES: {"items": [template("t", "nvidia.com/gpu")]}}
    cluster = Answers((*OPENSHIFT_AI, group), paths)
    assert prepare(cluster, settings(kind="llm")).notes == ()


PROFILES = "/apis/infrastructure.opendatahub.io/{}/namespaces/demo/hardwareprofiles/a100"


@pytest.mark.parametrize("version", ["v1", "v1alpha1"])
def test_what_admission_will_fill_in_is_known_before(version: str) -> None:
    tolerations = [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    node = {"tolerations": tolerations, "nodeSelector": {"zone": "a"}}
    profile = {"spec": {"scheduling": {"type": "Node", "node": node}}}
    cluster = Answers(OPENSHIFT_AI, {PROFILES.format(version): profile})
    wanted = settings(hardware_profile="a100")
    assert wanted.tolerations == ()
    found = scheduled_by_profile(cluster, wanted)
    assert [each.object for each in found.tolerations] == tolerations
    assert found.node_selector == (("zone", "a"),)
    assert scheduled_by_profile(Answers(OPENSHIFT_AI), wanted) == wanted


LOGIN = "eyJhdXRocyI6IHt9fQ=="


def test_the_login_of_a_private_registry_goes_from_secret_to_secret_unseen() -> None:
    held: dict[tuple[str, str], Object] = {
        ("secrets", "quay"): {"metadata": {}, "data": {".dockerconfigjson": LOGIN}}
    }
    made = prepare(Answers(OPENSHIFT_AI, objects=held), settings(pull_secret="quay"))
    assert made.objects[0]["data"][".dockerconfigjson"] == LOGIN
    assert LOGIN not in str(made.shown)
    assert LOGIN not in repr(made)


def test_a_pull_secret_that_is_not_there_is_named_before_it_is_applied() -> None:
    with pytest.raises(InputError, match="pull with demo/quay: there is no such Secret"):
        prepare(Answers(OPENSHIFT_AI), settings(pull_secret="quay"))


def test_without_a_connection_to_fill_a_missing_pull_secret_is_a_warning() -> None:
    (said,) = prepare(Answers(), settings(pull_secret="quay")).notes
    assert said.startswith("pull with demo/quay: there is no such Secret; a private image")


def test_a_pull_secret_that_may_not_be_read_is_used_by_its_name() -> None:
    made = prepare(Answers(OPENSHIFT_AI, refusal=403), settings(pull_secret="quay"))
    assert made.shown[0]["type"] == "Opaque"
    predictor = made.shown[-1]["spec"]["predictor"]
    assert predictor["imagePullSecrets"] == [{"name": "quay"}]


def template(name: str, *accelerators: str, version: str = "v0.24.0") -> Object:
    shown = "[" + ", ".join(f'"{each}"' for each in accelerators) + "]"
    notes = {"opendatahub.io/recommended-accelerators": shown}
    runtime = {
        **TEMPLATE.runtime,
        "metadata": {"annotations": notes | {"opendatahub.io/runtime-version": version}},
    }
    return {"metadata": {"name": name}, "objects": [runtime]}


def multi(name: str) -> Object:
    found = template(name, "nvidia.com/gpu")
    runtime = dict(found["objects"][0])
    runtime["spec"] = runtime["spec"] | {"workerSpec": {"pipelineParallelSize": 2}}
    return found | {"objects": [runtime]}


OFFERED = {
    TEMPLATES: {
        "items": [
            multi("vllm-multinode-runtime-template"),
            template("vllm-a-runtime-template", "nvidia.com/gpu"),
            template("vllm-cuda-runtime-template", "nvidia.com/gpu", version="v0.21.0"),
            template("vllm-rocm-runtime-template", "amd.com/gpu"),
            template("vllm-spyre-x86-runtime-template", "ibm.com/spyre_pf", "ibm.com/spyre_vf"),
            template("vllm-cpu-x86-runtime-template"),
            {"metadata": {"name": "ovms"}, "objects": [{"kind": "ServingRuntime", "spec": {}}]},
        ]
    }
}
CHOSEN = [
    ({}, "vllm-cuda-runtime-template"),
    ({"gpu_resource": "nvidia.com/mig-1g.5gb"}, "vllm-cuda-runtime-template"),
    ({"gpu_resource": "amd.com/gpu"}, "vllm-rocm-runtime-template"),
    ({"gpu_resource": "ibm.com/spyre_vf"}, "vllm-spyre-x86-runtime-template"),
    ({"gpu_count": "0"}, "vllm-cpu-x86-runtime-template"),
]


@pytest.mark.parametrize(("given", "name"), CHOSEN)
def test_the_template_is_the_one_for_the_accelerator(given: dict[str, str], name: str) -> None:
    made = prepare(Answers(OPENSHIFT_AI, OFFERED), settings(**given))
    runtime = made.shown[1]["metadata"]["annotations"]
    assert runtime["opendatahub.io/template-name"] == name
    assert made.notes[0].startswith(f"the runtime is the cluster's {name}")


def test_a_template_of_another_vllm_than_planned_for_is_said() -> None:
    (said,) = prepare(Answers(OPENSHIFT_AI, OFFERED), settings()).notes
    assert "vLLM v0.21.0; a GPU plan for v0.24.0 may be off: plan with --vllm 0.21.0" in said


def test_without_a_template_for_it_an_accelerator_needs_an_image() -> None:
    with pytest.raises(InputError, match=r"needs NVIDIA GPUs, not habana.ai/gaudi"):
        prepare(Answers(OPENSHIFT_AI, OFFERED), settings(gpu_resource="habana.ai/gaudi"))


def test_kserve_itself_asks_for_no_token_and_that_is_said() -> None:
    (said,) = prepare(Answers(), settings(auth="true")).notes
    assert said.startswith("KServe itself asks for no token")
    there = prepare(Answers(OPENSHIFT_AI), settings(auth="true", runtime_image="quay.io/v/vllm:1"))
    assert there.notes == ()


RULES = [{"key": "pool", "operator": "Exists", "effect": "NoSchedule"}]
OLD_PROFILE = {
    "/apis/dashboard.opendatahub.io/v1alpha1/namespaces/apps/hardwareprofiles/a100": {
        "spec": {"tolerations": RULES, "nodeSelector": {"zone": "a"}}
    }
}
OLD_CLUSTER = (SECOND, "dashboard.opendatahub.io/v1alpha1")
PLACED = [
    ({}, RULES, {"zone": "a"}),
    ({"tolerations": '[{"operator": "Exists"}]'}, [{"operator": "Exists"}], {"zone": "a"}),
    ({"node_selector": "zone=b"}, RULES, {"zone": "b"}),
]


@pytest.mark.parametrize(("given", "tolerations", "nodes"), PLACED)
def test_an_old_platforms_profile_is_written_out_as_its_dashboard_does(
    given: dict[str, str], tolerations: list[Object], nodes: Object
) -> None:
    cluster = Answers(OLD_CLUSTER, OLD_PROFILE)
    made = prepare(cluster, settings(hardware_profile="apps/a100", **given))
    predictor = made.shown[-1]["spec"]["predictor"]
    assert (predictor["tolerations"], predictor["nodeSelector"]) == (tolerations, nodes)


def test_a_new_platforms_profile_is_left_to_admission_and_its_version_noted() -> None:
    path = "/apis/infrastructure.opendatahub.io/v1/namespaces/apps/hardwareprofiles/a100"
    cluster = Answers(OPENSHIFT_AI, {path: {"metadata": {"resourceVersion": "77"}}})
    made = prepare(cluster, settings(hardware_profile="apps/a100")).shown[-1]
    assert "tolerations" not in made["spec"]["predictor"]
    version = "opendatahub.io/hardware-profile-resource-version"
    assert made["metadata"]["annotations"][version] == "77"


def route(group: str, plural: str) -> dict[str, Object]:
    return {f"/apis/{group}/namespaces/demo/{plural}/{NAME}": {"metadata": {}}}


ROUTED = [
    (Answers(), "true", False),
    (Answers(refusal=403), "true", False),
    (Answers(paths=route("networking.k8s.io/v1", "ingresses")), "true", True),
    (Answers(paths=route("networking.k8s.io/v1", "ingresses")), "false", False),
    (Answers(paths=route("gateway.networking.k8s.io/v1", "httproutes")), "true", True),
    (Answers(OPENSHIFT_AI), "true", True),
]
STATUS = {"url": "http://m-demo.example.com", "address": {"url": "http://m.demo.svc:8080"}}


@pytest.mark.parametrize(("cluster", "asked", "routed"), ROUTED)
def test_the_address_outside_is_given_only_if_something_serves_it(
    cluster: Answers, asked: str, routed: bool
) -> None:
    wanted = settings(external_route=asked)
    assert has_route(cluster, wanted, discover(cluster)) is routed
    found = endpoint({"status": STATUS}, exposed=routed)
    assert found == (STATUS["url"] if routed else "http://m.demo.svc:8080")


def test_an_llm_services_addresses_are_a_list() -> None:
    status = {"addresses": [{"url": "https://inside.svc"}], "url": "https://outside"}
    assert endpoint({"status": status}, exposed=False) == "https://inside.svc"
    assert endpoint({"status": status}, exposed=True) == "https://outside"
    assert endpoint({}) == ""
