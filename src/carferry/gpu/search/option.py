"""An option: a node type with the model cut across it one way, and how it came out."""

from __future__ import annotations

from dataclasses import dataclass

from carferry.gpu.inventory.nodes import NodeGroup
from carferry.gpu.sizing.estimate import Estimate, Verdict

ORDER = {Verdict.FITS: 0, Verdict.TIGHT: 1, Verdict.UNCHECKED: 2, Verdict.NO: 3}
"""Verdicts from best to worst."""


@dataclass(frozen=True, slots=True)
class Cut:
    """How a model is spread over GPUs.

    Attributes:
        tp: Tensor parallel size: GPUs of one node that share each layer.
        pp: Pipeline parallel size: nodes that share the layers.
        dp: Data parallel size: engines in one pod that share the experts.
        experts: Whether experts are dealt out whole instead of being cut.
    """

    tp: int
    pp: int = 1
    dp: int = 1
    experts: bool = False

    @property
    def pod(self) -> int:
        """GPUs of one pod."""
        return self.tp * self.dp

    @property
    def gpus(self) -> int:
        """GPUs of all pods."""
        return self.pod * self.pp


@dataclass(frozen=True, slots=True)
class Option:
    """A node type with the model cut one way: its best estimate, or the reason there is none.

    Attributes:
        tp: Tensor parallel size: GPUs of one node.
        pp: Pipeline parallel size: nodes.
        cost: Price of an hour of all its GPUs, in the goal's unit or the catalogue's ranks.
        best: The gentlest settings that fit, else the closest; None if a rule forbids all.
        reason: Why there is no estimate; empty if there is one.
        dp: Data parallel size: engines of one pod.
        expert_parallel: Whether experts are dealt out whole.
    """

    group: NodeGroup
    tp: int
    pp: int
    cost: float
    best: Estimate | None
    reason: str = ""
    dp: int = 1
    expert_parallel: bool = False

    @property
    def verdict(self) -> Verdict:
        """The estimate's verdict; ``no`` if a rule forbids the option."""
        return self.best.verdict if self.best else Verdict.NO

    @property
    def gpu_resource(self) -> str:
        """The extended resource each pod asks for."""
        return self.group.resource

    @property
    def spread(self) -> str:
        """What a pipeline's stages are on: ``pods``, if there are fewer nodes than stages."""
        return "nodes" if self.pp <= self.group.nodes else "pods"

    @property
    def gpu_count(self) -> int:
        """GPUs each pod asks for."""
        return self.tp * self.dp


def option_of(
    group: NodeGroup, cut: Cut, cost: float, best: Estimate | None, reason: str = ""
) -> Option:
    """Return the option of a cut."""
    return Option(group, cut.tp, cut.pp, cost, best, reason, cut.dp, cut.experts)
