"""What pages about the plan find: a log of vLLM's start."""

from __future__ import annotations

from gpu.vllm_logs import Start, lines, messages

from docs.scenes import scene
from docs.world import World

QWEN = Start(
    model="/mnt/models", length=32_768, weights=14.25, activation=5.95, non_torch=0.13,
    kv=50.93, tokens=953_568,
)  # fmt: skip


@scene("how-to/calibrate.md")
def a_log(world: World) -> None:
    """The log of a pod, as `oc logs` would have written it."""
    world.write("vllm.log", lines(messages(QWEN, debug=True)))
