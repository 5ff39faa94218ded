"""The nodes are read when a pod needs one, and then twice a minute at most."""

from __future__ import annotations

from typing import Any

from carferry.cluster.watch.nodes import KEPT_S, Nodes
from carferry.errors import ClusterError

STUCK: dict[str, Any] = {
    "metadata": {"name": "p"},
    "status": {"conditions": [{"type": "PodScheduled", "status": "False"}]},
}
PLACED: dict[str, Any] = {
    "metadata": {"name": "p"},
    "spec": {"nodeName": "n"},
    "status": {"containerStatuses": [{"name": "c"}]},
}


class Server:
    """Counts how often its two pages of nodes are asked for."""

    def __init__(self, status: int = 200) -> None:
        self.asked: list[str] = []
        self.status = status

    def read(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        if self.status != 200:
            raise ClusterError("list", "nodes", "forbidden", status=self.status)
        if "continue" in path:
            return {"items": [{"metadata": {"name": "b"}}]}
        return {"items": [{"metadata": {"name": "a"}}], "metadata": {"continue": "x&y="}}


def test_twenty_minutes_without_a_node_read_the_nodes_twice_a_minute() -> None:
    server: Any = Server()
    now = [0.0]
    nodes = Nodes(lambda: now[0])
    for _ in range(400):
        assert len(nodes.about(server, [STUCK]) or ()) == 2
        now[0] += 3
    assert len(server.asked) / 2 <= 1200 / KEPT_S
    assert server.asked[1].endswith("&continue=x%26y%3D")


def test_a_pod_that_runs_needs_no_nodes() -> None:
    server: Any = Server()
    assert Nodes().about(server, [PLACED]) is None
    assert server.asked == []


def test_nodes_that_may_not_be_read_are_not_asked_for_at_every_look() -> None:
    server: Any = Server(403)
    nodes = Nodes(lambda: 0.0)
    assert [nodes.about(server, [STUCK]) for _ in range(3)] == [None] * 3
    assert len(server.asked) == 1
