"""The arguments of vLLM's server: typed values, rendered in one order, in one place.

Source: vLLM 0.33 ``engine/arg_utils.py`` and ``entrypoints/openai/cli_args.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmArgs:
    """Arguments of ``vllm.entrypoints.openai.api_server``; None leaves one to vLLM.

    A field is the flag of its name, and fields are rendered in the order given here.

    Attributes:
        model: Folder or repository.
        served_model_name: Name of the model in the API.
        speculative_config: JSON, such as ``{"method": "mtp", "num_speculative_tokens": 1}``.
        max_model_len: Longest sequence, tokens; ``auto`` for the longest that the memory allows.
        gpu_memory_utilization: Share of a GPU's total memory, above 0 and at most 1.
        more: Further arguments as written, after all others; the last of two equal flags wins.
    """

    port: int | None = None
    model: str | None = None
    served_model_name: str | None = None
    tensor_parallel_size: int | None = None
    pipeline_parallel_size: int | None = None
    data_parallel_size: int | None = None
    enable_expert_parallel: bool | None = None
    dtype: str | None = None
    quantization: str | None = None
    kv_cache_dtype: str | None = None
    max_model_len: int | str | None = None
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    gpu_memory_utilization: float | None = None
    mm_encoder_tp_mode: str | None = None
    enable_lora: bool | None = None
    max_loras: int | None = None
    max_lora_rank: int | None = None
    speculative_config: str | None = None
    more: tuple[str, ...] = ()

    def render(self) -> tuple[str, ...]:
        """Return the arguments as a command line takes them: ``--name=value``, then ``more``."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        del values["more"]
        flags = (_flag(name, value) for name, value in values.items() if value is not None)
        return (*flags, *self.more)


def _flag(name: str, value: object) -> str:
    """Return one flag; a switch has no value, and ``--no-`` turns it off."""
    plain = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{plain}" if value else f"--no-{plain}"
    return f"--{plain}={value}"
