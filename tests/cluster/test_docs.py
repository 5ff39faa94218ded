"""The pages that use a cluster run on the node as they are pasted; see ``tests/docs``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from docs.pages import pages, uses_a_cluster
from docs.running import faults
from docs.world import Stage

from cluster.docs_world import ClusterWorld
from cluster.rig.node import Node
from cluster.small_pods import shrink

ON_A_CLUSTER = [page for page in pages() if uses_a_cluster(page)]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The proxy and the names."""
    with Stage(tmp_path_factory.mktemp("stage")) as made:
        yield made


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", ON_A_CLUSTER)
def test_a_page_runs_on_a_cluster_as_pasted_and_prints_what_it_shows(
    page: str, stage: Stage, node: Node, tmp_path: Path
) -> None:
    with ClusterWorld(stage, page, tmp_path / "world", node) as world:
        said = list(faults(world))
    if said:
        pytest.fail("\n\n".join(said), pytrace=False)


def test_a_pod_is_made_small_in_what_it_asks_for_alone() -> None:
    gpus = {"nvidia.com/gpu": "1"}
    limits = {"cpu": "4", "memory": "16Gi", **gpus}
    few = {"limits": {"cpu": "10m", "memory": "15Mi"}}
    containers = [{"resources": {"limits": limits, "requests": limits}}, {}, {"resources": few}]
    pod = {"spec": {"containers": containers}}
    (change,) = shrink(pod)
    assert change["path"] == "/spec/containers/0/resources"
    assert change["value"] == {
        "limits": limits,
        "requests": {"cpu": "50m", "memory": "64Mi", **gpus},
    }
