"""The overlays of examples/gitops, as the API server of a real node with KServe takes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.rig.node import Node

EXAMPLE = Path(__file__).parents[2] / "examples" / "gitops"


@pytest.fixture(params=["dev", "staging", "prod"])
def environment(request: pytest.FixtureRequest, node: Node) -> Iterator[str]:
    """An environment whose project is there; projects have the names that the overlays give."""
    name = f"models-{request.param}"
    node.kubectl("create", "namespace", name)
    yield str(request.param)
    node.kubectl("delete", "namespace", name, "--wait=false")


def test_an_overlay_is_taken_and_applied_again_changes_nothing(
    node: Node, environment: str
) -> None:
    folder, project = str(EXAMPLE / "overlays" / environment), f"models-{environment}"
    strict = ("--server-side", "--field-manager", "argocd-controller", "--validate=strict")
    node.kubectl("apply", *strict, "-k", folder)
    asked = ("-n", project, "isvc", "smollm2")
    first = node.get(*asked)
    assert first["spec"]["predictor"]["minReplicas"] == (2 if environment == "prod" else 1)
    node.kubectl("apply", *strict, "-k", folder)
    assert node.get(*asked)["metadata"]["generation"] == first["metadata"]["generation"]


def test_what_the_overlay_leaves_out_stays_as_somebody_set_it(
    node: Node, tmp_path: Path, namespace: str
) -> None:
    """The page's way with Flux: a field that is not in Git is not Git's."""
    patch = EXAMPLE.parents[1] / "docs" / "how-to" / "gitops.md"
    (drop,) = [
        block
        for block in patch.read_text().split("```yaml")
        if block.startswith("\npatches:") and "op: remove" in block
    ]
    text = (
        f"kind: Kustomization\nnamespace: {namespace}\nresources: [smollm2.yaml]\n"
        + drop.partition("```")[0]
    )
    (tmp_path / "kustomization.yaml").write_text(text)
    (tmp_path / "smollm2.yaml").write_text((EXAMPLE / "base" / "smollm2.yaml").read_text())
    apply = ("apply", "--server-side", "--field-manager", "flux", "-k", str(tmp_path))
    node.kubectl(*apply)
    where = ("-n", namespace, "isvc", "smollm2")
    wanted = '{"spec": {"predictor": {"maxReplicas": 3}}}'
    node.kubectl("patch", *where, "--type=merge", "-p", wanted)
    node.kubectl(*apply)
    assert node.get(*where)["spec"]["predictor"]["maxReplicas"] == 3
