"""What warming nodes gives back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from carferry.errors import ClusterError
from carferry.steps import markdown
from carferry.steps.markdown import Column
from carferry.steps.results import Result
from carferry.warming.run import Pulled


@dataclass(frozen=True, slots=True)
class Warmed(Result):
    """An image on the nodes that may serve it.

    Attributes:
        image: By digest.
        nodes: Each that fits, by name: what became of the image there.
        left: Why other nodes do not fit, in words; empty if all do.
        seconds: All of it took.
    """

    image: str
    nodes: tuple[Pulled, ...]
    left: str = ""
    seconds: float = 0.0

    @property
    def failed(self) -> tuple[Pulled, ...]:
        """The nodes that have not got it."""
        return tuple(each for each in self.nodes if each.state == "failed")

    @property
    def ok(self) -> bool:
        """Whether every node that fits has it."""
        return not self.failed

    @property
    def headline(self) -> str:
        """The answer in one line."""
        has = len(self.nodes) - len(self.failed)
        pulled = sum(each.state == "pulled" for each in self.nodes)
        of = "node that fits has" if len(self.nodes) == 1 else "nodes that fit have"
        return f"{has} of {len(self.nodes)} {of} {self.image}, {pulled} pulled it now"

    def require(self) -> Warmed:
        """Return itself if every node has the image.

        Raises:
            ClusterError: Names the first that has not, with its kubelet's words.
        """
        if self.failed:
            reason = f"{len(self.failed)} of {len(self.nodes)} nodes failed: {self.failed[0]}"
            raise ClusterError("warm", self.image, reason)
        return self

    @property
    def facts(self) -> Iterator[str]:
        """Yield a line for each node, and why others are left out."""
        yield from map(str, self.nodes)
        if self.left:
            yield f"left out: {self.left}"

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers, for charts over many runs."""
        slowest = max((each.seconds for each in self.nodes), default=0.0)
        counts = {"nodes": len(self.nodes), "failed_nodes": len(self.failed)}
        return {**counts, "slowest_pull_seconds": slowest, "seconds": self.seconds}

    @property
    def markdown(self) -> str:
        """What happened on each node."""
        rows = [(each.node, each.state, f"{each.seconds:.1f}", each.reason) for each in self.nodes]
        columns = [Column("Node"), Column("Image"), Column("Seconds", True), Column("Why")]
        facts = [f"left out: {self.left}"] if self.left else []
        return markdown.page(self.headline, facts, markdown.table(columns, rows)) + "\n"
