"""Which releases of vLLM serve a model: those with its class, and with the way it is packed.

A class that came after transformers' own may run in an earlier image through that, if the image
holds a transformers new enough: nobody can say, so such a model is unchecked there and not refused.
"""

from __future__ import annotations

from collections.abc import Iterator

from carferry.gpu.inventory.catalogue import Gpu
from carferry.gpu.packing.methods import is_discouraged, span_of
from carferry.gpu.shape.shape import ModelShape
from carferry.gpu.sizing.classes import ENDED, FIRST, STAND_INS
from carferry.gpu.vllm.releases import Release, VllmVersion, dotted

_OLDEST: Release = (0, 0, 0)
_NEWEST: Release = (1 << 16, 0, 0)


def release_reason(shape: ModelShape, gpu: Gpu, version: VllmVersion) -> str:
    """Return why a release cannot serve a model: something came later or is gone; empty if it can.

    Images for other vendors' GPUs are built from forks that may be a minor release ahead.
    """
    if version.release is None:
        return ""
    ahead = _ahead(version.release, gpu)
    for name, first, last in _spans(shape):
        if version.release[:2] > last[:2]:
            return f"vLLM {version.dated} no longer has {name}: {dotted(last)} was the last"
        if ahead < first:
            return f"vLLM {version.dated} has no {name}: it came with {dotted(first)}"
    return ""


def other_release(shape: ModelShape, gpu: Gpu, version: VllmVersion) -> tuple[str, str]:
    """Return the release that serves a model if this one cannot, and that in words; else empty."""
    if not release_reason(shape, gpu, version):
        return "", ""
    spans = tuple(_spans(shape))
    first = max((first for _, first, _ in spans), default=_OLDEST)
    last = min((last for _, _, last in spans), default=_NEWEST)
    if first[:2] > last[:2]:
        return "", ""
    if version.release and version.release < first:
        return dotted(first), f"vLLM {dotted(first)} or later"
    return dotted(last), f"vLLM {dotted(last)} or earlier"


def needed_flags(shape: ModelShape, version: VllmVersion) -> tuple[str, ...]:
    """Return what vLLM must be told besides to load a model's weights."""
    packed, release = shape.quantization, version.release
    old = packed and release and any(is_discouraged(method, release) for method in packed.needs)
    return ("--allow-deprecated-quantization",) if old else ()


def doubt(shape: ModelShape, version: VllmVersion) -> str:
    """Return in words why nobody can say whether a release runs a model; empty if one can."""
    first, release = FIRST.get(shape.architecture), version.release
    if first is None or release is None or release >= first or shape.architecture not in STAND_INS:
        return ""
    return (
        f"{shape.architecture} in vLLM {version.dated}, whose own class came with {dotted(first)}"
    )


def _spans(shape: ModelShape) -> Iterator[tuple[str, Release, Release]]:
    """Yield (what, first release, last release) of all that a model needs of vLLM."""
    name = shape.architecture
    first = _OLDEST if name in STAND_INS else FIRST.get(name, _OLDEST)
    yield name, first, ENDED.get(name, _NEWEST)
    if shape.quantization:
        for method in shape.quantization.needs:
            yield f"quantization {method}", *span_of(method)


def _ahead(release: Release, gpu: Gpu) -> Release:
    major, minor, _ = release
    return release if gpu.vendor == "nvidia" else (major, minor + 1, 99)
