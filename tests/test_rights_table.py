"""The table of rights, compared with what a deployment really requests of an API server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rights_samples import RUNNER, hold, serve_in_time
from serve_samples import settings
from servers.kube import KubeServer

from carferry.cluster.kinds import PROFILES, Permission, ResourceKind
from carferry.cluster.rights import Need, to_deploy
from carferry.errors import ClusterError
from carferry.gpu.inventory.hardware_profiles import ACCELERATOR, HARDWARE
from carferry.serve.objects import make_objects


@pytest.fixture
def server() -> Iterator[KubeServer]:
    with KubeServer(user=RUNNER, namespaces={"demo", "models"}) as running:
        yield running


@pytest.mark.parametrize("auth", [False, True])
def test_the_table_lets_every_kind_of_a_deployment_be_compared_and_applied(auth: bool) -> None:
    objects = make_objects(settings(auth=str(auth).lower()))
    kinds = {ResourceKind.of(each) for each in objects}
    held = {need.permission for need in to_deploy("demo", auth=auth)}
    verbs = ("get", "create", "patch")
    assert {Permission(verb, kind, "demo") for kind in kinds for verb in verbs} <= held


def test_the_profiles_asked_about_are_those_the_plan_reads() -> None:
    """Rights know no versions: a group's kind is granted in each."""
    read = {(path.split("/")[2], "hardwareprofiles") for path, _ in HARDWARE}
    read.add((ACCELERATOR[0].split("/")[2], ACCELERATOR[1]))
    assert {(kind.group, kind.plural) for kind in PROFILES} == read


@pytest.mark.parametrize("auth", [False, True])
def test_a_deployment_goes_through_with_exactly_the_table(server: KubeServer, auth: bool) -> None:
    hold(server, to_deploy("demo", auth=auth))
    serve_in_time(server, auth=auth)


# Asked for beside create and patch, as kubectl's own apply needs it; nothing of ours gets them.
UNUSED = {"secrets", "servingruntimes", "serviceaccounts", "roles", "rolebindings"}


@pytest.mark.parametrize(
    "dropped",
    [n for n in to_deploy("demo", auth=True) if (n.permission.verb, n.permission.resource)
     not in {("get", each) for each in UNUSED}],
    ids=lambda need: f"{need.permission.verb}-{need.permission.resource}",
)  # fmt: skip
def test_without_one_of_the_table_a_deployment_fails_if_the_table_says_so(
    server: KubeServer, dropped: Need
) -> None:
    hold(server, [need for need in to_deploy("demo", auth=True) if need != dropped])
    if dropped.without:
        serve_in_time(server, auth=True)
        return
    with pytest.raises(ClusterError) as caught:
        serve_in_time(server, auth=True)
    assert caught.value.status == 403
