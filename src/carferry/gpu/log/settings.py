"""The settings that vLLM repeats when it starts: its arguments, and the configuration they made.

Three spellings: ``tensor_parallel_size=2`` (the engine's configuration and, up to 0.8, all
arguments), ``'tensor_parallel_size': 2`` (arguments that are no defaults).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from carferry.shown import one_line, redact

_COUNTS = {
    "tensor_parallel_size": "tp",
    "pipeline_parallel_size": "pp",
    "data_parallel_size": "dp",
    "decode_context_parallel_size": "context_ranks",
    "max_seq_len": "max_model_len",
    "max_model_len": "max_model_len",
    "max_num_seqs": "max_num_seqs",
    "max_num_batched_tokens": "max_num_batched_tokens",
    "block_size": "block",
    "num_spec_tokens": "speculative_tokens",
    "num_speculative_tokens": "speculative_tokens",
}
_WORDS = {"dtype": "dtype", "quantization": "quantization", "kv_cache_dtype": "kv_dtype"}
_SWITCHES = {
    "enforce_eager": "eager",
    "enable_expert_parallel": "expert_parallel",
    "enable_lora": "lora",
}
_MODELS = re.compile(r"""(?<![\w.])['"]?model(?:_tag)?['"]?\s*[:=]\s*['"]([^'"\n]{1,500})['"]""")
_UTILIZATION = re.compile(r"""\bgpu_memory_utilization['"]?\s*[:=]\s*(\d(?:\.\d{1,9})?)\b""")


def _after(name: str, value: str) -> re.Pattern[str]:
    return re.compile(rf"""(?<![\w.-])['"]?{name}['"]?\s*[:=]\s*['"]?({value})""")


_COUNTED = tuple((field, _after(name, r"\d{1,9}\b")) for name, field in _COUNTS.items())
_WORDED = tuple((field, _after(name, r"[\w.:-]{1,40}")) for name, field in _WORDS.items())
_SWITCHED = tuple((field, _after(name, "True")) for name, field in _SWITCHES.items())
_SHORT = {"half": "float16", "float": "float32"}
_OPEN = ("none", "auto")


def read_settings(line: str) -> dict[str, Any]:
    """Return the settings one line tells, by the fields of ``StartLog``."""
    return dict(_settings(line))


def _settings(line: str) -> Iterator[tuple[str, Any]]:
    counted = ((field, pattern.search(line)) for field, pattern in _COUNTED)
    yield from ((field, int(found[1])) for field, found in counted if found)
    worded = ((field, pattern.search(line)) for field, pattern in _WORDED)
    words = ((field, _word(found[1])) for field, found in worded if found)
    yield from ((field, word) for field, word in words if word)
    yield from ((field, True) for field, pattern in _SWITCHED if pattern.search(line))
    if found := _UTILIZATION.search(line):
        yield "utilization", float(found[1])
    if found := _MODELS.search(line):
        yield "model", redact(one_line(found[1]))


def _word(text: str) -> str:
    """Return a dtype or a method as plans have it; empty for what leaves it open."""
    plain = text.removeprefix("torch.").lower()
    if plain.startswith("fp8_"):
        return "fp8"
    return "" if plain in _OPEN else _SHORT.get(plain, plain)
