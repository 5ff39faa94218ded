"""GPU products: their names, the memory torch sees, their compute capability and rank in price.

NVML (and so the ``nvidia.com/gpu.memory`` label) reports more than torch can use; plans use
the torch figure. A product that is not listed gets its label less one percent.

Sources: totals printed by vLLM logs; GPU Feature Discovery README; NVIDIA mig-parted
``examples/config.yaml``. Figures without such a log are marked ``measured=False``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from carferry.errors import InputError
from carferry.form.closest import did_you_mean

CENTRE, WORKSTATION, CONSUMER = "data centre", "workstation", "consumer"
"""Whom a GPU is sold to: advice for one kind of buyer names no card of another."""

# Clusters have a handful; each kind is planned in some tens of ways.
_MOST_KINDS = 100
_LONGEST_ITEM = 200
_UNSEEN = 0.99
"""Share of a label's memory that torch is assumed to see on a product without a measured figure."""

_NEAR_GIB = 2.5
"""How far a label may lie from what torch sees of the same product."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU (or MIG slice) as vLLM will see it.

    Attributes:
        memory_gib: What torch reports as total, GiB.
        capability: CUDA compute capability times ten (90 for 9.0); 0 if it does not apply.
        cost: Relative price of an hour, only for ordering; a caller may give real prices.
        slices: True for a MIG slice: no tensor parallelism across slices.
        shared: True for a time-sliced GPU: other pods hold memory on the same device.
        segment: ``data centre``, ``workstation`` or ``consumer``: who it is sold to.
    """

    name: str
    memory_gib: float
    capability: int
    cost: float
    vendor: str = "nvidia"
    measured: bool = True
    slices: bool = False
    shared: bool = False
    segment: str = CENTRE

    @property
    def resource(self) -> str:
        """The Kubernetes extended resource that hands it out."""
        return {"nvidia": "nvidia.com/gpu", "amd": "amd.com/gpu", "intel": "habana.ai/gaudi"}[
            self.vendor
        ]


_PRODUCTS = (
    Gpu("T4", 14.56, 75, 1.0),
    Gpu("V100-16GB", 15.77, 70, 2.0, measured=False),
    Gpu("V100-32GB", 31.74, 70, 2.5),
    Gpu("A10", 22.06, 86, 2.0),
    Gpu("A30", 23.5, 80, 2.2, measured=False),
    Gpu("A40", 44.4, 86, 3.0, measured=False),
    Gpu("RTX-3090", 23.56, 86, 1.2, measured=False, segment=CONSUMER),
    Gpu("RTX-4090", 23.53, 89, 1.6, segment=CONSUMER),
    Gpu("RTX-5090", 31.36, 120, 2.2, measured=False, segment=CONSUMER),
    Gpu("RTX-A6000", 47.4, 86, 2.6, measured=False, segment=WORKSTATION),
    Gpu("RTX-6000-Ada", 47.4, 89, 3.2, measured=False, segment=WORKSTATION),
    Gpu("RTX-PRO-6000", 95.01, 120, 5.5, segment=WORKSTATION),
    Gpu("L4", 22.0, 89, 1.6, measured=False),
    Gpu("L40", 44.4, 89, 3.2, measured=False),
    Gpu("L40S", 44.4, 89, 3.6),
    Gpu("A100-40GB", 39.49, 80, 5.0),
    Gpu("A100-80GB", 79.25, 80, 6.5),
    Gpu("H100-80GB", 79.18, 90, 10.0),
    Gpu("H100-NVL", 93.1, 90, 10.5, measured=False),
    Gpu("H200", 139.81, 90, 12.0),
    Gpu("H20", 95.1, 90, 8.0, measured=False),
    Gpu("GH200-96GB", 94.5, 90, 11.0, measured=False),
    Gpu("GB10", 119.7, 121, 3.0, measured=False, segment=WORKSTATION),
    Gpu("B200", 178.0, 100, 18.0, measured=False),
    Gpu("B300", 268.0, 103, 22.0, measured=False),
    Gpu("MI300X", 191.69, 0, 11.0, vendor="amd"),
    Gpu("MI325X", 253.0, 0, 12.0, vendor="amd", measured=False),
    Gpu("Gaudi-2", 94.0, 0, 5.0, vendor="intel", measured=False),
    Gpu("Gaudi-3", 126.0, 0, 7.0, vendor="intel", measured=False),
)

COMMON = (
    "L4", "A10", "L40S", "A100-40GB", "A100-80GB", "H100-80GB", "H200", "B200", "MI300X",
)  # fmt: skip
"""What clouds and data centres mostly have, smallest first: what an overview names."""

_ALIASES = {
    "a10g": "A10",
    "a100": "A100-40GB",
    "a100-40": "A100-40GB",
    "a100-80": "A100-80GB",
    "h100": "H100-80GB",
    "h100-pcie": "H100-80GB",
    "v100": "V100-16GB",
    "gh200": "GH200-96GB",
    "gaudi2": "Gaudi-2",
    "gaudi3": "Gaudi-3",
    "rtx-pro-6000-blackwell": "RTX-PRO-6000",
}
_NOISE = re.compile(
    r"^(?:nvidia-|amd-|intel-|tesla-|instinct-|quadro-|geforce-)+|"
    r"-(?:sxm\d?|pcie|hbm\d\w?|oam|generation|server-edition|workstation-edition)(?=-|$)"
)
_MIG = re.compile(r"-mig-(\d+)g\.(\d+)gb$")


def find(name: str, *, label_mib: int | None = None) -> Gpu:
    """Return the product behind a GPU name in any of its spellings.

    Args:
        name: ``L40S``, ``NVIDIA-A100-SXM4-80GB``, ``NVIDIA-H100-80GB-HBM3-MIG-1g.10gb``,
            ``Tesla-T4-SHARED``.
        label_mib: Memory the node's label claims, MiB; used if the product is unknown
            and for MIG slices.

    Raises:
        InputError: No such product and no memory label to go by.
    """
    key = re.sub(r"[\s_]+", "-", name.strip().lower())
    shared = key.endswith("-shared")
    key = key.removesuffix("-shared")
    slice_of = _MIG.search(key)
    found = _product(_MIG.sub("", key), label_mib, bare=slice_of is None)
    if slice_of:
        found = _slice(found or _unknown(name, 0), slice_of, label_mib)
    if found is None and label_mib:
        found = _unknown(name, label_mib)
    if found is None:
        names = [gpu.name for gpu in _PRODUCTS]
        remedy = did_you_mean(name, names, f"known: {', '.join(names)}")
        raise InputError("find GPU", repr(name), "no such product", remedy)
    return replace(found, name=f"{found.name}-SHARED", shared=True) if shared else found


def mig_slice(parent: str, profile: str, label_mib: int | None) -> Gpu:
    """Return the slice that resource ``nvidia.com/mig-<profile>`` hands out on a parent GPU."""
    return find(f"{parent.removesuffix('-SHARED')}-MIG-{profile}", label_mib=label_mib)


def parse_gpus(text: str) -> tuple[tuple[Gpu, int], ...]:
    """Parse ``--gpu`` text: ``L40S``, ``L40S x2``, ``2xH100-80GB, A100-80GB x 4``.

    Raises:
        InputError: An unknown name, or a count that is not 1 to 64.
    """
    named = [item for item in text.split(",") if item.strip()]
    if len(named) > _MOST_KINDS:
        reason = f"{len(named)} kinds of GPU, more than {_MOST_KINDS}"
        raise InputError("plan for", f"{text[:80]}...", reason, "name those that the cluster has")
    items = tuple(map(_parse_one, named))
    if not items:
        raise InputError("parse --gpu", repr(text), "names no GPU", "write 'L40S x2'")
    return items


def products() -> Iterable[Gpu]:
    """Return every product of the catalogue."""
    return _PRODUCTS


def _parse_one(item: str) -> tuple[Gpu, int]:
    if len(item) > _LONGEST_ITEM:
        raise InputError("parse --gpu", f"{item[:80]!r}...", "no GPU's name", "write 'L40S x2'")
    match = re.fullmatch(
        r"\s*(?:(\d+)\s*[xX*]\s*)?(.+?)(?:\s+[xX*]?\s*(\d+)|\s*[x*](\d+))?\s*", item
    )
    before, name, *after = match.groups() if match else (None, item)
    count = int(next((n for n in (before, *after) if n), 1))
    if not 1 <= count <= 64:
        raise InputError("parse --gpu", repr(item), f"{count} GPUs in a node", "1 to 64")
    return find(name), count


def _product(key: str, label_mib: int | None, bare: bool) -> Gpu | None:
    """Return the product a cleaned name means; the label decides between sizes of one name."""
    plain = _NOISE.sub("", _NOISE.sub("", key))
    names = {gpu.name.lower(): gpu for gpu in _PRODUCTS}
    exact = names.get(plain) or names.get(_ALIASES.get(plain, "").lower())
    longer = [gpu for name, gpu in names.items() if plain.startswith(f"{name}-")]
    if label_mib and bare:
        sizes = [gpu for name, gpu in names.items() if name.startswith(f"{plain}-")]
        near = [g for g in (*sizes, *longer) if abs(g.memory_gib - label_mib / 1024) < _NEAR_GIB]
        return next(iter(near), exact)
    return exact or next(iter(longer), None)


def _slice(parent: Gpu, match: re.Match[str], label_mib: int | None) -> Gpu:
    """Return a slice: less memory than its name says, a seventh of the price per compute slice."""
    compute, named = int(match[1]), int(match[2])
    memory = label_mib / 1024 if label_mib else named * 0.95
    return replace(
        parent,
        name=f"{parent.name}-MIG-{compute}g.{named}gb",
        memory_gib=round(memory * _UNSEEN, 2),
        cost=round(parent.cost * compute / 7, 3),
        measured=False,
        slices=True,
    )


def _unknown(name: str, label_mib: int) -> Gpu:
    memory = round(label_mib / 1024 * _UNSEEN, 2)
    return Gpu(name, memory, 0, max(memory / 8, 0.5), measured=False)
