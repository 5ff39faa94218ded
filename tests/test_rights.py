"""Rights are asked before work; one answer holds all that is missing and, applied, grants it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ferrying import carferry
from rights_samples import OWN_ROLES, RUNNER, a_rule, jwt, reach, serve_in_time
from servers.kube import KubeServer
from test_cluster_connect import kubeconfig

from carferry.cluster.account import Account
from carferry.cluster.api import Api, connect
from carferry.cluster.kinds import KINDS, NODES, PROFILES, Permission, ResourceKind
from carferry.cluster.rights import (
    Need,
    to_build,
    to_deploy,
    to_see_gpus,
    to_test,
    to_use_openshift_ai,
    to_use_profile,
)
from carferry.errors import ClusterError, InputError, RightsMissing, Unreachable
from carferry.gpu.inventory.listing import SHARED
from carferry.run.sizing import Sizing, size
from carferry.steps.rights import Rights, check_rights, find_rights


@pytest.fixture
def server() -> Iterator[KubeServer]:
    with KubeServer(user=RUNNER, namespaces={"demo", "models"}) as running:
        yield running


def never() -> Api:
    pytest.fail("a cluster was asked")


def apply_yaml(server: KubeServer, text: str, user: str) -> None:
    """Grant what YAML grants to a user, as an API server would understand it."""
    assert server.roles is not None
    documents = list(yaml.safe_load_all(text))
    roles = {each["metadata"]["name"]: each for each in documents if "rules" in each}
    for binding in (each for each in documents if "roleRef" in each):
        (who,) = binding["subjects"]
        assert f"system:serviceaccount:{who['namespace']}:{who['name']}" == user
        role = roles[binding["roleRef"]["name"]]
        assert binding["roleRef"]["kind"] == role["kind"]
        assert binding["metadata"].get("namespace") == role["metadata"].get("namespace")
        place = role["metadata"].get("namespace", "")
        server.roles.setdefault(place, []).extend(role["rules"])


@pytest.mark.parametrize("release", OWN_ROLES)
def test_the_pipeline_accounts_own_role_is_refused_before_any_work(
    server: KubeServer, release: str
) -> None:
    server.roles = {"demo": [*OWN_ROLES[release]]}
    said: list[str] = []
    with pytest.raises(RightsMissing) as caught:
        check_rights("deploy", gpus="none", connect=reach(server), report=said.append)
    line = str(caught.value)
    assert line == (
        "check the rights of demo/pipeline-runner-dspa: 7 of 16 are missing: secrets (create, "
        "patch), servingruntimes (get, create, patch), namespaces (get), events (list) in demo; "
        "oc apply "
        "--server-side -f - the YAML in the log, or once for the project: "
        "oc apply --server-side -k manifests/ -n demo"
    )
    assert caught.value.exit_code == 2
    assert caught.value.manifest.rstrip() in "\n".join(said)
    assert {request.path for request in server.requests if request.method != "POST"} == {
        *("/apis", "/api/v1/namespaces/demo")
    }
    assert server.store.objects == {}


@pytest.mark.parametrize("release", OWN_ROLES)
@pytest.mark.parametrize("auth", [False, True])
@pytest.mark.parametrize("namespace", ["demo", "models"])
def test_what_the_error_prints_makes_the_next_run_pass(
    server: KubeServer, release: str, auth: bool, namespace: str
) -> None:
    server.roles = {"demo": [*OWN_ROLES[release]]}
    asked: dict[str, Any] = {"namespace": namespace, "auth": auth, "gpus": "", "builder": "job"}
    with pytest.raises(RightsMissing) as caught:
        check_rights("deploy", connect=reach(server), report=len, **asked)
    folders = ["manifests/", "manifests/auth"][: 1 + auth] if namespace == "demo" else []
    assert re.findall(r"-k (\S+)", str(caught.value)) == folders
    apply_yaml(server, caught.value.manifest, RUNNER)
    found = check_rights("deploy", connect=reach(server), report=never, **asked)
    assert (found.missing, found.manifest) == ((), "")
    if namespace == "demo":
        serve_in_time(server, auth=auth)


def test_what_a_run_can_do_without_is_said_and_no_stop(server: KubeServer) -> None:
    missing = [("list", "events"), ("get", "pods/log"), ("list", "nodes"), ("list", "limitranges")]
    server.forbidden.update(missing)
    said: list[str] = []
    found = check_rights("deploy", connect=reach(server), report=said.append)
    assert sorted(
        (need.permission.verb, need.permission.resource) for need in found.missing
    ) == sorted(missing)
    assert found.stops == ()
    for each in found.missing:
        assert each.without in "\n".join(said)
        assert each.without in found.manifest
        assert each.without in found.markdown


def test_without_nodes_and_without_profiles_there_is_nothing_to_plan_from(
    server: KubeServer,
) -> None:
    server.roles = {"demo": [a_rule(need.permission) for need in to_deploy("demo")]}
    with pytest.raises(RightsMissing) as caught:
        check_rights("deploy", connect=reach(server), report=len)
    assert "nodes (list)" in str(caught.value)
    assert "name the GPU" in str(caught.value)
    last = [*yaml.safe_load_all(caught.value.manifest)][-2:]
    assert [each["kind"] for each in last] == ["ClusterRole", "ClusterRoleBinding"]
    assert last[1]["subjects"] == [Account(RUNNER).subject]


@pytest.mark.parametrize("place", ["", "demo", "redhat-ods-applications", "opendatahub"])
@pytest.mark.parametrize("kind", PROFILES)
def test_profiles_anywhere_are_another_way(
    server: KubeServer, kind: ResourceKind, place: str
) -> None:
    server.roles = {"demo": [a_rule(need.permission) for need in to_deploy("demo")]}
    server.roles.setdefault(place, []).append(a_rule(Permission("list", kind, place)))
    assert check_rights("deploy", connect=reach(server), report=len).stops == ()


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"serve": "deploy", "gpus": "none"}, to_deploy("demo")),
        ({"serve": "deploy", "gpus": "L4", "auth": True}, to_deploy("demo", auth=True)),
        ({"serve": "deploy", "gpus": "L4", "namespace": "models"}, to_deploy("models")),
        ({"serve": "deploy"}, [*to_deploy("demo"), *to_see_gpus("demo")]),
        ({"serve": "render"}, to_see_gpus("demo")),
        ({"serve": "render", "namespace": "models"}, to_see_gpus("models")),
        ({"serve": "no", "builder": "job"}, to_build("demo")),
        ({"serve": "no", "builder": "job", "namespace": "models"}, to_build("demo")),
    ],
)
def test_a_run_is_asked_about_what_it_will_do_and_no_more(
    server: KubeServer, asked: dict[str, Any], expected: list[Need]
) -> None:
    found = check_rights(connect=reach(server), report=never, **asked)
    reviews = [request.body for request in server.requests if request.body]
    bodies = [each["spec"]["resourceAttributes"] for each in reviews]
    seen = [
        (b["verb"], b["group"], b["resource"], b["subresource"], b["namespace"]) for b in bodies
    ]
    permissions = [need.permission for need in expected]
    assert seen == [
        (r.verb, r.kind.group, r.kind.plural, r.subresource, r.namespace) for r in permissions
    ]
    assert found.asked == len(expected)


@pytest.mark.parametrize(
    "asked",
    [{"serve": "no"}, {"serve": "no", "gpus": "L4"}, {"serve": "render", "gpus": "none"},
     {"serve": "render", "gpus": "L40S x2"}],
)  # fmt: skip
def test_no_cluster_is_asked_if_nothing_is_needed(asked: dict[str, str]) -> None:
    assert check_rights(connect=never, report=never, **asked) == Rights()


def test_deploying_without_a_cluster_is_refused_before_the_work() -> None:
    def nowhere() -> Api:
        return connect(environ={"KUBECONFIG": "/none"})

    with pytest.raises(InputError, match="no kubeconfig there"):
        check_rights("deploy", gpus="none", connect=nowhere)


def test_what_is_no_way_to_serve_is_refused() -> None:
    with pytest.raises(InputError, match="deploy, render, no"):
        check_rights("maybe", connect=never)


def test_a_cluster_that_answers_no_review_gets_a_warning(server: KubeServer) -> None:
    server.forbidden.add(("create", "selfsubjectaccessreviews"))
    said: list[str] = []
    found = check_rights("deploy", connect=reach(server), report=said.append)
    assert f'User "{RUNNER}" cannot create' in said[0]
    assert "grant to demo/pipeline-runner-dspa in the whole cluster: - {apiGroups" in said[0]
    assert "Rights\n\nrights were not checked" in found.markdown


def test_a_server_that_is_away_for_a_moment_is_asked_again(server: KubeServer) -> None:
    server.failing = 2
    assert check_rights("deploy", gpus="none", connect=reach(server), report=never).missing == ()


def test_a_login_that_is_refused_stops(server: KubeServer) -> None:
    server.tokens.add("another")
    with pytest.raises(ClusterError, match="log in again"):
        check_rights("deploy", connect=reach(server))


def test_a_server_that_is_not_there_stops() -> None:
    with KubeServer() as server:
        api = reach(server)
    with pytest.raises(Unreachable):
        check_rights("deploy", connect=api)


def test_the_token_names_the_account_if_the_server_does_not(server: KubeServer) -> None:
    server.anonymous, server.roles = True, {}
    token = jwt({"sub": RUNNER})
    with pytest.raises(RightsMissing, match="demo/pipeline-runner-dspa") as caught:
        check_rights("deploy", connect=reach(server, token), report=len)
    assert token not in str(caught.value) + caught.value.manifest


def test_the_first_step_stops_before_it_reads_the_model_and_leaves_the_list(
    server: KubeServer, tmp_path: Path
) -> None:
    server.roles = {"demo": [*OWN_ROLES["rhoai-3.4"]]}
    report, chart = tmp_path / "report", tmp_path / "chart"
    with pytest.raises(RightsMissing) as caught:
        size(
            "org/absent", {}, Sizing(), serve="deploy", report=str(report),
            chart=str(chart), connect=reach(server),
        )  # fmt: skip
    assert caught.value.manifest in report.read_text()
    assert str(caught.value) in report.read_text()
    assert "demo/pipeline-runner-dspa" in chart.read_text()


@pytest.mark.parametrize(
    ("serve", "auth", "asked"),
    [("deploy", auth, len(to_deploy("demo", auth=auth))) for auth in (True, False)],
)
def test_the_first_step_says_that_all_rights_are_there(
    server: KubeServer, tmp_path: Path, serve: str, auth: bool, asked: int
) -> None:
    report = tmp_path / "report"
    size(
        "org/absent", {"gpus": "none"}, Sizing(), serve=serve, auth=auth,
        report=str(report), connect=reach(server),
    )  # fmt: skip
    assert f"all {asked} rights that this run needs are there" in report.read_text()


def test_the_command_prints_what_is_missing_ready_to_be_applied(
    server: KubeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.roles = {"demo": [*OWN_ROLES["rhoai-3.4"]]}
    config = kubeconfig(tmp_path / "config", server.url)
    command = ("rights", "--kubeconfig", str(config), "--gpu", "none")
    first = carferry(capsys, *command)
    assert (first.code, first.err.count("\n")) == (2, 1)
    assert "lacks 11 of 20 rights: secrets (create, patch)" in first.err
    assert "; it can do without namespaces (get), events (list), services/proxy" in first.err
    document = json.loads(carferry(capsys, *command, "--json").out)
    assert document["manifest"] == first.out
    assert [each["permission"]["kind"]["plural"] for each in document["missing"]].count(
        "servingruntimes"
    ) == 3
    apply_yaml(server, first.out, RUNNER)
    assert carferry(capsys, *command).code == 0


def test_what_was_found_without_stopping_is_the_same(server: KubeServer) -> None:
    server.forbidden.add(("list", NODES.plural))
    quiet = find_rights("deploy", connect=reach(server))
    assert quiet == check_rights("deploy", connect=reach(server), report=len)
    assert [need.permission.resource for need in quiet.missing] == ["nodes"]


def test_what_the_cluster_does_not_serve_is_not_asked_for(server: KubeServer) -> None:
    extras = {"profile": "demo", "routed": True, "tests": True}
    found = find_rights("deploy", gpus="none", connect=reach(server), **extras)  # type: ignore[arg-type]
    asked = to_use_profile("demo")[:1]  # dashboard.opendatahub.io and template.openshift.io are not
    assert found.asked == len([*to_deploy("demo"), *asked, *to_test("demo")])


@pytest.mark.parametrize("place", SHARED)
def test_the_templates_of_the_cluster_are_a_right_that_a_run_can_do_without(
    server: KubeServer, place: str
) -> None:
    """Without it the runtime was another one, and nobody said so."""
    server.more = (*server.more, "template.openshift.io/v1", "datasciencecluster.opendatahub.io/v2")
    server.roles = {"demo": [a_rule(need.permission) for need in to_deploy("demo")]}
    found = find_rights("deploy", gpus="none", connect=reach(server))
    assert found.missing == tuple(to_use_openshift_ai(SHARED[0]))
    assert "the runtime is carferry's own" in found.text
    apply_yaml(server, found.manifest, RUNNER)
    assert find_rights("deploy", gpus="none", connect=reach(server)).missing == ()
    held = server.roles.pop(SHARED[0])
    server.roles[place] = held
    assert find_rights("deploy", gpus="none", connect=reach(server)).missing == ()


@pytest.mark.parametrize(
    ("asked", "folders", "advises"),
    [
        ({"llm": True}, ["manifests/", "manifests/llm"], False),
        ({"warms": True}, ["manifests/", "manifests/warm"], False),
        ({"gpus": ""}, ["manifests/"], True),
        ({"serve": "no", "deletes": True}, ["manifests/delete"], False),
        ({"deletes": True}, ["manifests/", "manifests/delete"], False),
    ],
)
def test_the_remedy_names_the_folder_that_grants_it(
    server: KubeServer, asked: dict[str, Any], folders: list[str], advises: bool
) -> None:
    server.roles = {"demo": []}
    with pytest.raises(RightsMissing) as caught:
        asked = {"serve": "deploy", "gpus": "none", **asked}
        check_rights(**asked, connect=reach(server), report=len)
    assert sorted({*re.findall(r"-k (\S+)", str(caught.value))}) == folders
    assert ("name the GPU" in str(caught.value)) is advises


@pytest.mark.parametrize(
    "user", ["alice", "system:serviceaccount:demo:me", "system:serviceaccount:demo:default"]
)
def test_no_folder_is_named_to_an_account_that_it_does_not_bind(
    server: KubeServer, user: str
) -> None:
    """Applied, it changed nothing, and the same refusal came again."""
    server.user, server.roles = user, {"demo": []}
    with pytest.raises(RightsMissing) as caught:
        check_rights("deploy", gpus="none", connect=reach(server), report=len)
    assert str(caught.value).endswith("; oc apply --server-side -f - the YAML in the log")


@pytest.mark.parametrize("more", [(), ("--auth",), ("--kind", "llm"), ("--external-route",)])
def test_rights_and_deploy_ask_for_the_same(
    server: KubeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    """Two lists of 17 were two lists: one with nodes, one with the way to ask the model."""
    config = kubeconfig(tmp_path / "config", server.url)

    def asked(*words: str) -> list[Any]:
        server.requests.clear()
        carferry(capsys, *words, "--kubeconfig", str(config), "--namespace", "demo")
        reviews = [each.body["spec"] for each in server.requests if "selfsubjecta" in each.path]
        return sorted(json.dumps(each, sort_keys=True) for each in reviews)

    image = f"quay.io/team/model@sha256:{'0' * 64}"
    switched = [f"{each}=true" if each in ("--auth", "--external-route") else each for each in more]
    by_rights = asked("rights", *more)
    assert by_rights == asked("deploy", image, "--dry-run", *switched)
    assert not [each for each in by_rights if '"nodes"' in each]
    assert [each for each in asked("rights", *more, "--gpu", "cluster") if '"nodes"' in each]


def test_rights_that_a_run_can_do_without_are_no_failure(
    server: KubeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.forbidden.update(
        {("list", "nodes"), ("list", "events"), ("get", "services/proxy")},
    )
    config = kubeconfig(tmp_path / "config", server.url)
    found = carferry(capsys, "rights", "--kubeconfig", str(config))
    assert found.code == 0
    assert "lacks 2 of" in found.err


def test_a_project_that_is_not_there_is_said(server: KubeServer) -> None:
    """An administrator was told that all rights are there, in a project that was not."""
    with pytest.raises(InputError) as caught:
        find_rights("deploy", namespace="nothere", connect=reach(server))
    assert str(caught.value) == (
        "look at project nothere: it is not there; "
        "make it (oc new-project nothere), or name yours as namespace"
    )


def test_what_is_deleted_with_its_project_is_no_fault(server: KubeServer) -> None:
    assert not find_rights("no", deletes=True, namespace="nothere", connect=reach(server)).missing


def test_who_may_not_look_at_a_project_is_asked_about_the_rest(server: KubeServer) -> None:
    server.forbidden.add(("get", "namespaces"))
    found = find_rights("deploy", namespace="nothere", gpus="none", connect=reach(server))
    assert [each.permission.resource for each in found.missing] == ["namespaces"]


def test_an_object_for_a_project_that_is_not_there_names_the_remedy(server: KubeServer) -> None:
    runtimes = Permission("patch", KINDS["ServingRuntime"], "nothere")
    with pytest.raises(ClusterError, match=r"make it \(oc new-project nothere\)"):
        reach(server)().call(runtimes, "x", method="PATCH", body={})
