"""Which of vLLM's two model runners runs a model, and what that changes in the profile.

Model runner V2 took over by and by: single models from 0.22, what is dense from 0.25, all from
0.29. It reserves nothing for CUDA graphs before 0.29, and its profile has no image before 0.27.

Sources: vLLM 0.22 to 0.33 ``config/vllm.py`` (use_v2_model_runner),
``v1/worker/gpu/model_runner.py`` (profile_run, profile_cudagraph_memory).
"""

from __future__ import annotations

from carferry.gpu.memory.choice import Choice
from carferry.gpu.shape.shape import LayerKind, ModelShape
from carferry.gpu.vllm.releases import VllmVersion

_V4 = "DeepseekV4ForCausalLM"
_FIRST_ON_AMD = (_V4, "DeepseekV32ForCausalLM")
"""What the first runner keeps on AMD."""


def is_second(shape: ModelShape, choice: Choice, version: VllmVersion) -> bool:
    """Return whether model runner V2 runs the model by default."""
    if choice.gpu.vendor == "amd" and shape.architecture in _FIRST_ON_AMD:
        return False
    if version.second_runner == "all":
        return True
    if shape.pooling:
        return False
    if shape.architecture in version.second_models:
        return True
    plain = shape.experts is None and not shape.count(LayerKind.STATE)
    return version.second_runner == "dense" and plain


def reserves_graphs(shape: ModelShape, choice: Choice, version: VllmVersion) -> bool:
    """Return whether the graphs come out of the KV cache's share."""
    second = is_second(shape, choice, version)
    return version.graphs_budgeted and (version.second_reserves or not second)


def profiles_images(shape: ModelShape, choice: Choice, version: VllmVersion) -> bool:
    """Return whether the profile runs the image encoder."""
    return version.second_encodes or not is_second(shape, choice, version)
