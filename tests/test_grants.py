"""YAML that grants missing permissions to an account, and how the account is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from rights_samples import RUNNER, jwt

from carferry.cluster import grants
from carferry.cluster.account import Account, named_in, own_namespace
from carferry.cluster.rights import to_deploy


def test_a_right_that_another_grants_is_never_taken_away_by_the_yaml() -> None:
    """An apply replaces a Role of the same name, so its name holds a digest of its rules."""
    account = Account(RUNNER)
    needs = to_deploy("demo", auth=True)
    texts = [grants.manifest(account, [need]) for need in needs]
    names = {next(yaml.safe_load_all(text))["metadata"]["name"] for text in texts}
    assert len(names) == len(needs)
    assert texts == [grants.manifest(account, [need]) for need in needs]


@pytest.mark.parametrize(
    "token",
    ["", "opaque", "a.b.c", "a.!!!.c", jwt([]), jwt({}), jwt({"sub": None}), jwt({"sub": "ann"}),
     "sha256~" + "x" * 43],
)  # fmt: skip
def test_a_token_of_another_kind_names_no_account(token: str) -> None:
    assert named_in(token) == ""


@pytest.mark.parametrize(
    "user",
    ["kube:admin", "ann@example.com", "CN=a, O=b", 'a"b', "a\nb: c", "# no", "{x}", "", "\u00e9",
     RUNNER, "system:serviceaccount:only"],
)  # fmt: skip
def test_the_yaml_grants_the_same_to_a_user_of_any_name(user: str) -> None:
    text = grants.manifest(Account(user), to_deploy("demo"))
    role, binding = yaml.safe_load_all(text)
    assert (role["kind"], binding["kind"]) == ("Role", "RoleBinding")
    assert binding["subjects"] == [Account(user).subject]
    assert text.isascii()
    granted = {(r["apiGroups"][0], r["resources"][0], v) for r in role["rules"] for v in r["verbs"]}
    needs = [need.permission for need in to_deploy("demo")]
    assert granted == {(p.kind.group, p.resource, p.verb) for p in needs}


def test_a_pod_knows_its_project_and_a_laptop_has_none(tmp_path: Path) -> None:
    (tmp_path / "namespace").write_text("demo\n")
    assert own_namespace(tmp_path) == "demo"
    assert own_namespace(tmp_path / "absent") == ""
