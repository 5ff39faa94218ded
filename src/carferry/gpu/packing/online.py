"""What ``--quantization`` can do to a checkpoint that is not packed, by vLLM version.

Sources: vLLM 0.8.5 to 0.33.0 ``model_executor/layers/quantization`` and, from 0.20,
``config/quantization.py`` (``_ONLINE_SHORTHANDS``); which release has a method: ``methods``.
Methods that only load what is packed already are not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from carferry.errors import InputError
from carferry.gpu.packing import widths
from carferry.gpu.packing.methods import span_of
from carferry.gpu.shape.shape import Quantization

_LINEAR = ("attention", "mlp", "shared", "experts", "state")


@dataclass(frozen=True, slots=True)
class _Online:
    """One method: bits per weight, the parts it packs, and the first release where it packs.

    ``since`` is the (major, minor) from which on it does so while loading; a method that is older
    only loaded what was packed until then.
    """

    bits: float
    parts: tuple[str, ...] = _LINEAR
    since: tuple[int, int] = (0, 0)
    kind: str = "fp8"
    block: tuple[int, int] | None = None


_METHODS: Mapping[str, _Online] = {
    "fp8": _Online(8.0),
    "fp8_per_tensor": _Online(8.0),
    "fp8_per_block": _Online(widths.blocked((128, 128)), block=(128, 128)),
    "fp8_per_channel": _Online(8.0),
    "ptpc_fp8": _Online(8.0),
    "mxfp8": _Online(widths.MXFP8, since=(0, 20), kind="mxfp8"),
    "mxfp4": _Online(widths.MXFP4, since=(0, 28), kind="mxfp4-online"),
    "nvfp4_per_token": _Online(widths.NVFP4, ("experts",), kind="nvfp4"),
    "experts_int8": _Online(8.0, ("experts",), kind="experts-int8"),
    "int8_per_channel_weight_only": _Online(8.0, ("experts",), kind="experts-int8"),
    "bitsandbytes": _Online(widths.NF4, kind="bitsandbytes"),
    "rtn": _Online(8 + 16 / 128, kind="rtn"),
}


def online_methods(release: tuple[int, ...]) -> tuple[str, ...]:
    """Return the methods with which a vLLM release packs weights while it loads them."""
    return tuple(name for name, one in _METHODS.items() if _packs(name, one, release[:2]))


def _packs(name: str, one: _Online, minor: tuple[int, ...]) -> bool:
    first, last = span_of(name)
    return max(first[:2], one.since) <= minor <= last[:2]


def check_online(method: str, release: tuple[int, ...]) -> None:
    """Refuse what a vLLM release cannot do to a checkpoint that is not packed.

    Args:
        method: As given to ``--quantization``; empty to load as stored.
        release: (major, minor) of vLLM.

    Raises:
        InputError: Names the methods there are.
    """
    known = online_methods(release)
    if method and method not in known:
        version = ".".join(map(str, release[:2]))
        reason = f"vLLM {version} packs no weights that way while loading"
        raise InputError("quantize", repr(method), reason, f"one of: {', '.join(known)}")


def online(method: str) -> Quantization:
    """Return the packing vLLM makes itself when asked for ``--quantization fp8``.

    Raises:
        InputError: No vLLM has such a method.
    """
    found = _METHODS.get(method)
    if found is None:
        reason = "no method that packs weights while loading"
        raise InputError("quantize", repr(method), reason, f"one of: {', '.join(_METHODS)}")
    bits = tuple((part, found.bits) for part in found.parts)
    return Quantization(found.kind, bits, block=found.block, needs=(method,))
