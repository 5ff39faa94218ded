"""Applying to a real HTTP API server: order, ownership, refusals, preflight."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from kubernetes import client, dynamic
from serve_samples import NAME, URI, ready_pod, rollout, service, settings
from servers.kube import KubeServer

from carferry.cluster.client import Cluster
from carferry.cluster.kinds import KINDS, Permission
from carferry.cluster.refusals import refused
from carferry.errors import ClusterError, InputError, Unreachable
from carferry.serve.deployed import Deployed
from carferry.serve.objects import make_objects
from carferry.serve.rehearsal import rehearse, title
from carferry.serve.step import deploy

NEW = (f"Secret {NAME}-uri", f"ServingRuntime {NAME}", f"InferenceService {NAME}")


@pytest.fixture
def server() -> Iterator[KubeServer]:
    with KubeServer() as running:
        yield running


@pytest.fixture
def cluster(server: KubeServer) -> Cluster:
    return Cluster.connect(host=server.url, token="t0ken")


def test_objects_are_applied_in_order_by_one_field_manager(
    server: KubeServer, cluster: Cluster
) -> None:
    cluster.apply(make_objects(settings()))
    sent = [(r.method, r.path.rpartition("/")[0].rpartition("/")[2]) for r in server.requests]
    assert sent == [
        ("PATCH", "secrets"),
        ("PATCH", "servingruntimes"),
        ("PATCH", "inferenceservices"),
    ]
    assert {r.query["fieldManager"] for r in server.requests} == {"carferry"}
    model = server.store.get("inferenceservices", NAME)["spec"]["predictor"]["model"]
    assert model["storageUri"] == URI


def test_applying_twice_changes_nothing(server: KubeServer, cluster: Cluster) -> None:
    first = cluster.apply(make_objects(settings(auth="true")))
    assert cluster.apply(make_objects(settings(auth="true"))) == first


def test_a_setting_no_longer_given_leaves_the_cluster(server: KubeServer, cluster: Cluster) -> None:
    cluster.apply(make_objects(settings(max_model_len="8192")))
    cluster.apply(make_objects(settings()))
    assert "args" not in server.store.get("inferenceservices", NAME)["spec"]["predictor"]["model"]


def test_a_field_of_another_manager_is_kept_until_forced(
    server: KubeServer, cluster: Cluster
) -> None:
    cluster.apply(make_objects(settings()))
    edit = {"spec": {"predictor": {"maxReplicas": 3}}}
    server.store.edit("inferenceservices", NAME, edit, "odh-dashboard")
    with pytest.raises(ClusterError, match=r"odh-dashboard.*maxReplicas.*force") as caught:
        cluster.apply(make_objects(settings()))
    assert caught.value.status == 409
    cluster.apply(make_objects(settings()), force=True)
    assert server.store.get("inferenceservices", NAME)["spec"]["predictor"]["maxReplicas"] == 1


def test_what_changed_since_it_was_seen_is_to_be_run_again() -> None:
    """Not the remedy of a field that is another's: --force would overrun what nobody looked at."""
    said = "the object has been modified; please apply your changes to the latest version"
    body = json.dumps({"kind": "Status", "code": 409, "message": said}).encode()
    asked = Permission("patch", KINDS["ServingRuntime"], "demo")
    assert "run this again" in str(refused(409, body, asked, "m"))


def test_what_a_webhook_made_of_our_own_fields_is_no_conflict(
    server: KubeServer, cluster: Cluster
) -> None:
    cluster.apply(make_objects(settings()))
    rewritten = {"metadata": {"annotations": {"serving.kserve.io/deploymentMode": "Standard"}}}
    server.store.edit("inferenceservices", NAME, rewritten, "carferry")
    cluster.apply(make_objects(settings(max_model_len="8192")))
    model = server.store.get("inferenceservices", NAME)["spec"]["predictor"]["model"]
    assert model["args"] == ["--max-model-len=8192"]


def test_a_conflict_with_another_manager_beside_our_own_is_kept(
    server: KubeServer, cluster: Cluster
) -> None:
    cluster.apply(make_objects(settings()))
    for manager, replicas in (("carferry", "minReplicas"), ("kubectl", "maxReplicas")):
        edit = {"spec": {"predictor": {replicas: 5}}}
        server.store.edit("inferenceservices", NAME, edit, manager)
    with pytest.raises(ClusterError, match="kubectl"):
        cluster.apply(make_objects(settings()))


def test_fields_that_were_not_sent_stay(server: KubeServer, cluster: Cluster) -> None:
    cluster.apply(make_objects(settings()))
    label = {"metadata": {"labels": {"team": "search"}}}
    server.store.edit("inferenceservices", NAME, label, "kubectl")
    cluster.apply(make_objects(settings()))
    assert server.store.get("inferenceservices", NAME)["metadata"]["labels"]["team"] == "search"


def test_a_forbidden_write_names_the_rule_and_the_account(
    server: KubeServer, cluster: Cluster
) -> None:
    server.forbidden.add(("patch", "servingruntimes"))
    with pytest.raises(ClusterError) as caught:
        cluster.apply(make_objects(settings()))
    rule = "- {apiGroups: [serving.kserve.io], resources: [servingruntimes], verbs: [patch]}"
    assert f"grant to demo/pipeline-runner in namespace demo: {rule}" in str(caught.value)
    assert caught.value.status == 403


def test_a_cluster_without_kserve_says_so(server: KubeServer, cluster: Cluster) -> None:
    server.uninstalled.add("serving.kserve.io")
    with pytest.raises(ClusterError, match="KServe is not installed"):
        cluster.apply(make_objects(settings()))


def test_a_namespace_that_is_not_there_is_named(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match='namespaces "nowhere" not found'):
        cluster.apply(make_objects(settings(namespace="nowhere")))


def test_a_refused_login_says_to_log_in(server: KubeServer, cluster: Cluster) -> None:
    server.tokens.add("another")
    with pytest.raises(ClusterError, match="log in again") as caught:
        cluster.apply(make_objects(settings()))
    assert "t0ken" not in str(caught.value)


def test_what_an_admission_webhook_denies_is_no_missing_rule(
    server: KubeServer, cluster: Cluster
) -> None:
    server.denials["inferenceservices"] = "hardware profile 'x' cannot be found"
    with pytest.raises(ClusterError, match="hardware profile 'x' cannot be found") as caught:
        cluster.apply(make_objects(settings()))
    assert caught.value.remedy == ""


def test_a_service_without_its_connection_is_denied(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="no Secret"):
        cluster.apply(make_objects(settings())[1:])


@pytest.mark.parametrize("code", [429, 500, 503])
def test_an_overloaded_server_is_a_temporary_failure(
    server: KubeServer, cluster: Cluster, code: int
) -> None:
    server.failing, server.failure = 1, code
    with pytest.raises(ClusterError) as caught:
        cluster.apply(make_objects(settings()))
    assert (caught.value.status, caught.value.temporary) == (code, True)


def test_a_kind_that_is_not_ours_is_refused_before_it_is_sent(
    server: KubeServer, cluster: Cluster
) -> None:
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "demo"}}
    with pytest.raises(InputError, match="Job"):
        cluster.apply([job])
    assert server.requests == []


@pytest.mark.parametrize("auth", ["false", "true"])
def test_a_rehearsal_writes_nothing_and_knows_what_is_new(
    server: KubeServer, cluster: Cluster, auth: str
) -> None:
    objects = make_objects(settings(auth=auth))
    found = rehearse(cluster, objects)
    assert [each.lines for each in found] == [(f"{title(each)}: new",) for each in objects]
    assert server.store.objects == {}


def test_deploy_without_a_cluster_only_renders() -> None:
    done = deploy(settings(), None)
    assert (done.applied, done.ready, done.url) == (False, False, "")
    assert done.manifest.count("\n---\n") == len(make_objects(settings()))


def test_deploy_without_waiting_applies_and_claims_nothing(
    server: KubeServer, cluster: Cluster
) -> None:
    done = deploy(settings(), cluster, wait_s=0)
    assert (done.applied, done.ready, done.image) == (True, False, URI)
    assert ("inferenceservices", "demo", NAME) in server.store.objects


def test_deploy_waits_and_gives_the_address(server: KubeServer, cluster: Cluster) -> None:
    address = f"http://{NAME}-predictor.demo.svc.cluster.local"
    status = {"url": address, "address": {"url": f"{address}:8080"}}
    server.store.script_once_applied([service("True", **status), rollout(1), ready_pod()])
    expected = Deployed(
        name=NAME, namespace="demo", url=f"{address}:8080", ready=True, applied=True,
        image=URI, manifest=deploy(settings(platform="openshift-ai-3"), None).manifest,
        changes=tuple(f"{each}: new" for each in NEW),
    )  # fmt: skip
    assert deploy(settings(), cluster, wait_s=5) == expected


def test_deploy_gives_the_route_if_there_is_one(server: KubeServer, cluster: Cluster) -> None:
    status = {"url": "https://granite.apps.example", "address": {"url": "https://granite:8443"}}
    server.store.script_once_applied([service("True", **status), rollout(1), ready_pod()])
    asked = settings(external_route="true")
    assert deploy(asked, cluster, wait_s=5).url == "https://granite.apps.example"


def test_the_access_objects_belong_to_the_service(server: KubeServer, cluster: Cluster) -> None:
    deploy(settings(auth="true"), cluster, wait_s=0)
    uid = server.store.get("inferenceservices", NAME)["metadata"]["uid"]
    role = server.store.get("roles", f"{NAME}-view-role")
    assert role["metadata"]["ownerReferences"][0]["uid"] == uid


def test_a_negative_wait_is_refused() -> None:
    with pytest.raises(InputError, match="cannot wait"):
        deploy(settings(), None, wait_s=-1)


def test_an_unreachable_cluster_is_temporary_and_named() -> None:
    with KubeServer() as server:
        url = server.url
    with pytest.raises(Unreachable, match=url) as caught:
        Cluster.connect(host=url).apply(make_objects(settings()))
    assert caught.value.temporary


def test_the_servers_own_discovery_satisfies_the_official_client(server: KubeServer) -> None:
    """The test server is a Kubernetes API server as far as the dynamic client can tell."""
    api = client.ApiClient(client.Configuration(host=server.url))
    services = dynamic.DynamicClient(api).resources.get(
        api_version="serving.kserve.io/v1beta1", kind="InferenceService"
    )
    with pytest.raises(dynamic.exceptions.NotFoundError):
        services.get(name="none", namespace="demo")
