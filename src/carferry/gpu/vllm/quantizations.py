"""What each quantization method of vLLM asks of the GPU and of the dtype, by release.

Each config class names the least compute capability and the dtypes of the activations it takes;
vLLM refuses others before it reads a weight (``config/vllm.py``, ``_get_quantization_config``).
compressed-tensors and Quark ask more for some of their schemes. Who reads a checkpoint decides:
FP8 of ModelOpt, of Quark and plain FP8 ask for different GPUs.

Source: ``get_min_capability`` and ``get_supported_act_dtypes`` in
``model_executor/layers/quantization`` of every minor release from 0.8.5 to 0.33.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from carferry.gpu.vllm.releases import Release, VllmVersion

_NEWEST: Release = (1 << 15, 0, 0)
_HALVES = ("bfloat16", "float16")
_ALL = ("bfloat16", "float16", "float32")
_BRAIN = ("bfloat16",)


@dataclass(frozen=True, slots=True)
class Method:
    """What one method asks for.

    Attributes:
        least: (first release, least compute capability times ten), oldest first.
        dtypes: Of the activations.
    """

    least: tuple[tuple[Release, int], ...]
    dtypes: tuple[str, ...] = _HALVES

    def capability(self, version: VllmVersion) -> int:
        """Return the least compute capability, times ten, in a release."""
        release = version.release or _NEWEST
        return [least for since, least in self.least if since <= release][-1]


def _always(least: int, dtypes: tuple[str, ...] = _HALVES) -> Method:
    return Method((((0, 0, 0), least),), dtypes)


def _since(first: int, *later: tuple[Release, int], dtypes: tuple[str, ...] = _HALVES) -> Method:
    return Method((((0, 0, 0), first), *later), dtypes)


_FP8 = _since(80, ((0, 14, 0), 75))
_ONLINE = _always(75)

_METHODS: Mapping[str, Method] = {
    "aqlm": _always(60, ("float16",)),
    "auto-round": _always(60),
    "awq": _always(75),
    "awq-marlin": _since(80, ((0, 14, 0), 75)),
    "bitblas": _always(70),
    "bitsandbytes": _always(70, _ALL),
    "compressed-tensors": _always(70),
    "compressed-tensors/compressed-tensors-int4": _since(80, ((0, 12, 0), 75)),
    "compressed-tensors/compressed-tensors-int8": _always(75),
    "compressed-tensors/fp8": _since(80, ((0, 16, 0), 75)),
    "compressed-tensors/nvfp4": _since(80, ((0, 16, 0), 75)),
    "deepseek-v4-fp8": _FP8,
    "deepspeedfp": _always(60),
    "experts-int8": _always(80),
    "fbgemm-fp8": _always(80),
    "fp-quant": _always(100, _BRAIN),
    "fp8": _FP8,
    "fp8-per-block": _ONLINE,
    "fp8-per-channel": _ONLINE,
    "fp8-per-tensor": _ONLINE,
    "gpt-oss-mxfp4": _always(80, _BRAIN),
    "gptq": _always(60),
    "gptq-2-bit": _always(60, ("float16",)),
    "gptq-3-bit": _always(60, ("float16",)),
    "gptq-asymmetric": _always(60, ("float16",)),
    "gptq-bitblas": _since(70, ((0, 9, 0), 80)),
    "gptq-marlin": _since(80, ((0, 14, 0), 75)),
    "gptq-marlin-24": _always(80, ("float16",)),
    "hqq": _always(80),
    "inc": _always(60),
    "int8-per-channel-weight-only": _ONLINE,
    "marlin": _always(80, ("float16",)),
    "modelopt": _since(89, ((0, 27, 0), 80)),
    "modelopt-fp4": _since(100, ((0, 9, 0), 80), ((0, 14, 0), 75)),
    "modelopt-mixed": _since(89, ((0, 24, 0), 75)),
    "modelopt-mxfp8": _since(100, ((0, 20, 0), 80), dtypes=_BRAIN),
    "moe-wna16": _always(70),
    "mxfp4": _always(80, _BRAIN),
    "mxfp4/mxfp4-online": _always(80),
    "mxfp8": _since(100, ((0, 20, 0), 75)),
    "nvfp4-per-token": _ONLINE,
    "petit-nvfp4": _always(90),
    "ptpc-fp8": _FP8,
    "quark": _always(70),
    "quark/fp8": _always(89),
    "rtn": _always(80),
    "torchao": _always(75, _ALL),
}
"""By vLLM's name of the method; ``method/kind`` where it asks more for some of its schemes.

The class of compressed-tensors takes float32 as well, but no kernel behind it does
(``cutlass_scaled_mm``, Marlin).
"""

_UNKNOWN = _always(75)


def method_of(name: str, kind: str) -> Method:
    """Return what a method asks for.

    Args:
        name: As vLLM calls it.
        kind: What it packs, as ``Quantization.method`` says.
    """
    plain = name.replace("_", "-")
    known = (_METHODS.get(key) for key in (f"{plain}/{kind}", plain, kind))
    return next(filter(None, known), _UNKNOWN)
