"""What pages about the plan find: a log of vLLM's start."""

from __future__ import annotations

from gpu.vllm_logs import Start, lines, messages

from docs.scenes import scene
from docs.world import World

QWEN = Start(
    model="/mnt/models", length=32_768, weights=14.25, activation=7.92, non_torch=0.13,
    kv=48.98, tokens=917_104,
)  # fmt: skip


@scene("how-to/calibrate.md")
def a_log(world: World) -> None:
    """The log of a pod, as `oc logs` would have written it."""
    world.write("vllm.log", lines(messages(QWEN, debug=True)))
