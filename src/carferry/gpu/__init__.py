"""Will it fit: decide, before a byte moves, how a model runs on the GPUs of a cluster.

config.json, headers -> ModelShape, tensors
nodes, pods, --gpu   -> Inventory
both, and a Goal     -> GpuPlan -> text, Markdown, HTML
"""

from carferry.gpu.decision import decide
from carferry.gpu.plan import Goal, GpuPlan

__all__ = ["Goal", "GpuPlan", "decide"]
