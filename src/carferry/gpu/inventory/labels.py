"""What the labels of a node, or a profile's node selector, say of its GPUs.

Sources: NVIDIA GPU Feature Discovery (``<resource>.product``, ``.memory``, ``.replicas``,
``gpu.sharing-strategy``); AMD's labeller (``amd.com/gpu.*``, ``beta.amd.com/gpu.<what>.<value>``);
Intel's NFD rules; Google's, CoreWeave's and Karpenter's own labels; instance types of the clouds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from carferry.cluster.quantity import Quantity
from carferry.errors import InputError
from carferry.gpu.inventory.products import AMD_DEVICES
from carferry.gpu.inventory.resources import GPU, is_shared, vendor_domain

Labels = Mapping[str, object]

_NVIDIA = (
    "nvidia.com/gpu.product",
    "cloud.google.com/gke-accelerator",
    "gpu.nvidia.com/model",
    "karpenter.k8s.aws/instance-gpu-name",
)
_AMD = ("amd.com/gpu.product-name", "beta.amd.com/gpu.product-name")
_AMD_ID = ("amd.com/gpu.device-id", "beta.amd.com/gpu.device-id")
_AMD_VRAM = ("amd.com/gpu.vram", "beta.amd.com/gpu.vram")
_INTEL = ("gpu.intel.com/product",)
_STRATEGIES = ("nvidia.com/gpu.sharing-strategy", "cloud.google.com/gke-gpu-sharing-strategy")
_SHARING = frozenset({"time-slicing", "time-sharing", "mps"})
_CLIENTS = "cloud.google.com/gke-max-shared-clients-per-gpu"
_GKE_SLICE = "cloud.google.com/gke-gpu-partition-size"
_INSTANCE = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")
_PARTS = ("major", "minor")
_MOST_MIB = 4 << 20
_INSTANCES = (
    (r"g4dn\.|.*_t4_v\d", "T4"),
    (r"g5g\.", "T4G"),
    (r"g5\.|.*a10_v\d", "A10"),
    (r"g6e\.", "L40S"),
    (r"g6\.|gr6\.|g2-|.*l4$", "L4"),
    (r".*l40s", "L40S"),
    (r"p3dn\.|p3\.|.*v100", "V100"),
    (r"p4de\.|a2-ultragpu|.*a100_v4|.*a100-?80", "A100-80GB"),
    (r"p4d\.|a2-highgpu|a2-megagpu", "A100-40GB"),
    (r"p5\.|a3-(?:high|mega|edge)gpu|.*h100", "H100-80GB"),
    (r"p5en?\.|a3-ultragpu|.*h200", "H200"),
    (r"p6-b200|a4-highgpu|.*b200", "B200"),
    (r".*mi300x", "MI300X"),
    (r"g7e\.|g4-standard", "RTX-PRO-6000"),
    (r"dl1\.", "Gaudi-1"),
    (r".*gaudi3", "Gaudi-3"),
)
"""Instance types of AWS, Google, Azure and IBM, as their GPU pools have them."""


def product_of(labels: Labels, resource: str = GPU) -> str:
    """Return the name of the product behind a resource; empty if no label says it."""
    return next(filter(None, _products(labels, resource)), "")


def memory_of(labels: Labels, resource: str = GPU) -> int | None:
    """Return the memory that labels claim for what a resource hands out, MiB; None if unsaid."""
    base = resource.removesuffix(".shared")
    if vendor_domain(resource) == "amd.com":
        return next(filter(None, (_gib(_text(labels, key)) for key in _AMD_VRAM)), None)
    return _sane(_whole(labels, f"{base}.memory"))


def capability_of(labels: Labels) -> int:
    """Return the labelled compute capability times ten; 0 if there is none."""
    major, minor = (_whole(labels, f"{GPU}.compute.{part}") for part in _PARTS)
    return 0 if major is None else min(major, 99) * 10 + min(minor or 0, 9)


def is_sharing(labels: Labels, resource: str) -> bool:
    """Return whether several pods get the same device: time slices, or clients of MPS."""
    named = {str(labels.get(key)) for key in _STRATEGIES}
    return is_shared(resource) or bool(named & _SHARING) or (replicas_of(labels, resource) > 1)


def replicas_of(labels: Labels, resource: str) -> int:
    """Return how many pods get the same device; 1 if it is not shared."""
    base = resource.removesuffix(".shared")
    said = (_whole(labels, key) for key in (f"{base}.replicas", f"{GPU}.replicas", _CLIENTS))
    return max(next(filter(None, said), 1), 1)


def _products(labels: Labels, resource: str) -> Iterator[str]:
    base, vendor = resource.removesuffix(".shared"), vendor_domain(resource)
    yield _text(labels, f"{base}.product")
    if vendor == "amd.com":
        yield from (_text(labels, key) for key in _AMD)
        yield AMD_DEVICES.get(next(filter(None, (_text(labels, key) for key in _AMD_ID)), ""), "")
    elif vendor in ("gpu.intel.com", "intel.com"):
        yield from (_text(labels, key).replace("_", " ") for key in _INTEL)
    elif vendor == "nvidia.com":
        part = _text(labels, _GKE_SLICE)
        yield from (_sliced(_text(labels, key), part) for key in _NVIDIA)
    yield from _by_instance(labels, vendor)
    # KubeVirt's passthrough, and resources that an administrator renamed: the name says it.
    yield "" if base == GPU or vendor != "nvidia.com" else base.partition("/")[2]


def _sliced(product: str, part: str) -> str:
    return f"{product}-MIG-{part}" if product and part and "MIG" not in product else product


def _by_instance(labels: Labels, vendor: str) -> Iterator[str]:
    kind = next(filter(None, (str(labels.get(key) or "") for key in _INSTANCE)), "").lower()
    for pattern, product in _INSTANCES:
        if kind and re.match(pattern, kind) and _makes(vendor, product):
            yield product


def _makes(vendor: str, product: str) -> bool:
    maker = {"M": "amd.com", "G": "habana.ai"}.get(product[0], "nvidia.com")
    return vendor == maker


def _text(labels: Labels, key: str) -> str:
    """Return a label's value, also where it stands in the key: ``key.<value>=<how many>``."""
    if value := str(labels.get(key) or ""):
        return value
    begun = (each[len(key) + 1 :] for each in labels if each.startswith(f"{key}."))
    return next(begun, "")


def _whole(labels: Labels, key: str) -> int | None:
    """Return a label that is a number; None if it is absent or no number."""
    value = str(labels.get(key) or "")
    return int(value) if re.fullmatch(r"[0-9]{1,9}", value) else None


def _gib(text: str) -> int | None:
    """Return AMD's ``192G``, which are GiB, in MiB; None if it is no amount."""
    try:
        return _sane(int(Quantity.of(re.sub(r"(?<=[0-9])G$", "Gi", text[:20]))) >> 20)
    except InputError:
        return None


def _sane(mib: int | None) -> int | None:
    """Return a memory that a GPU can have; None for another."""
    return mib if mib and 0 < mib <= _MOST_MIB else None
