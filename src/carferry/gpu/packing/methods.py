"""The quantization methods of vLLM: the first and last release with each.

A release refuses a checkpoint whose ``quant_method`` it does not know, and ``--quantization`` too;
one that is deprecated needs a flag.

Source: ``QUANTIZATION_METHODS`` and ``DEPRECATED_QUANTIZATION_METHODS`` in vLLM's
``model_executor/layers/quantization/__init__.py``, of every minor release from 0.8 to 0.33.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from carferry.gpu.shape.fields import Fields

Release: TypeAlias = tuple[int, int, int]

_FIRST: Mapping[str, Release] = {
    "auto-round": (0, 9, 0),
    "deepseek-v4-fp8": (0, 20, 0),
    "fp-quant": (0, 11, 1),
    "fp8-per-block": (0, 20, 0),
    "fp8-per-channel": (0, 24, 0),
    "fp8-per-tensor": (0, 20, 0),
    "gpt-oss-mxfp4": (0, 20, 0),
    "inc": (0, 10, 0),
    "int8-per-channel-weight-only": (0, 20, 0),
    "modelopt-fp4": (0, 9, 0),
    "modelopt-mixed": (0, 17, 0),
    "modelopt-mxfp8": (0, 16, 0),
    "mxfp4": (0, 10, 1),
    "mxfp8": (0, 19, 0),
    "nvfp4-per-token": (0, 26, 0),
    "petit-nvfp4": (0, 10, 2),
    "rtn": (0, 9, 2),
}
_LAST: Mapping[str, Release] = {
    "aqlm": (0, 10, 0),
    "bitblas": (0, 14, 1),
    "bitsandbytes": (0, 27, 0),
    "deepspeedfp": (0, 14, 1),
    "gguf": (0, 23, 0),
    "awq-8-bit": (0, 23, 0),
    "gptq-2-bit": (0, 21, 0),
    "gptq-3-bit": (0, 21, 0),
    "gptq-asymmetric": (0, 21, 0),
    "gptq-bitblas": (0, 14, 1),
    "gptq-marlin-24": (0, 14, 1),
    "hqq": (0, 14, 1),
    "ipex": (0, 14, 1),
    "marlin": (0, 10, 1),
    "neuron-quant": (0, 10, 1),
    "petit-nvfp4": (0, 19, 1),
    "ptpc-fp8": (0, 18, 1),
    "qqq": (0, 10, 1),
    "rtn": (0, 14, 1),
    "tpu-int8": (0, 13, 0),
}
_DISCOURAGED: Mapping[str, tuple[Release, Release]] = {
    "deepspeedfp": ((0, 14, 0), (0, 14, 99)),
    "ptpc-fp8": ((0, 14, 0), (0, 18, 99)),
    "fbgemm-fp8": ((0, 14, 0), (9, 0, 0)),
    "fp-quant": ((0, 14, 0), (9, 0, 0)),
    "bitblas": ((0, 14, 0), (0, 14, 99)),
    "gptq-marlin-24": ((0, 14, 0), (0, 14, 99)),
    "gptq-bitblas": ((0, 14, 0), (0, 14, 99)),
    "hqq": ((0, 14, 0), (0, 14, 99)),
    "experts-int8": ((0, 14, 0), (0, 19, 99)),
    "petit-nvfp4": ((0, 14, 0), (0, 19, 99)),
    "rtn": ((0, 14, 0), (0, 14, 99)),
}
"""Methods that vLLM loads only with ``--allow-deprecated-quantization``: from, and up to."""

_ALSO = {"intel/auto-round": "auto-round", "nvfp4": "modelopt-fp4"}
_NEVER: Release = (1 << 16, 0, 0)


def span_of(method: str) -> tuple[Release, Release]:
    """Return the first and the last release with a method; one of all releases for the others.

    Args:
        method: As a config or ``--quantization`` names it, with ``-`` or ``_``.
    """
    name = method.replace("_", "-")
    return _FIRST.get(name, (0, 0, 0)), _LAST.get(name, _NEVER)


def vllm_method(method: str, section: Fields) -> str:
    """Return the method that vLLM takes a checkpoint for.

    ModelOpt's are told apart by their algorithm (``override_quantization_method`` in
    ``modelopt.py``); others go by what the config says.
    """
    algorithm = section.text("quant_algo").upper()
    if method in ("gptq", "awq"):
        return _by_width(method, section)
    if method != "modelopt":
        return _ALSO.get(method, method)
    kinds = (("MIXED", "modelopt-mixed"), ("MXFP8", "modelopt-mxfp8"), ("FP4", "modelopt-fp4"))
    return next((name for word, name in kinds if word in algorithm), method)


def _by_width(method: str, section: Fields) -> str:
    """Return GPTQ and AWQ by what their fast kernels do not take: plain ones are gone since.

    Source: ``gptq_marlin.py`` and ``awq_marlin.py`` to 0.21, ``auto_gptq.py`` and ``auto_awq.py``
    after them.
    """
    bits = section.number("bits", "w_bit", default=4)
    if method == "awq":
        return f"awq-{bits}-bit" if bits != 4 else method
    if bits not in (4, 8):
        return f"gptq-{bits}-bit"
    return method if section.flag("sym", True) else "gptq-asymmetric"


def is_discouraged(method: str, release: Release) -> bool:
    """Return whether a release loads a method only if it is told to allow what is deprecated."""
    first, last = _DISCOURAGED.get(method.replace("_", "-"), (_NEVER, _NEVER))
    return first <= release <= last
