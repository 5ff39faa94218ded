"""GPU products by name: the memory torch sees, compute capability, rank in price, whom it serves.

NVML (and so the ``nvidia.com/gpu.memory`` label) reports more than torch can use; plans use
the torch figure. A product that is not listed gets its label, less one percent or half a GiB.
The rows are in ``products``; how a name is read, in ``spelling``; slices, in ``slices``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache

from carferry.errors import InputError
from carferry.form.closest import did_you_mean
from carferry.gpu.inventory.products import CENTRE, COMMON, LOG, NEWER, TABLES, Row
from carferry.gpu.inventory.slices import (
    Profile,
    compute_slices,
    listed_gib,
    parents_of,
    profiles_of,
)
from carferry.gpu.inventory.spelling import Spelled, key_of, spell

_SEEN, _KEPT_GIB = 0.99, 0.5
"""Of a label: the share that torch sees, and what CUDA keeps at the least."""

_NEAR_GIB = 3.0
"""How far a label may lie from what torch sees of the same product."""

_VIRTUAL = 0.93
"""Share of a vGPU's frame buffer that torch sees, with ECC on."""

_LOWEST_MIG = 80
"""MIG begins with Ampere: compute capability 8.0."""

_RESOURCES = {
    "nvidia": "nvidia.com/gpu",
    "amd": "amd.com/gpu",
    "habana": "habana.ai/gaudi",
    "intel": "gpu.intel.com/i915",
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU (or MIG slice) as vLLM will see it.

    Attributes:
        memory_gib: What torch reports as total, GiB.
        capability: CUDA compute capability times ten (90 for 9.0); 0 if it does not apply.
        cost: Relative price of an hour, only for ordering; a caller may give real prices.
        slices: True for a MIG slice: no tensor parallelism across slices.
        shared: True for a time-sliced GPU: other pods hold memory on the same device.
        segment: ``data centre``, ``workstation`` or ``consumer``: whom it is sold to.
        arch: AMD's gfx target; empty for others.
        typed: True for a memory that somebody typed: no product, no price.
        plugin: Resource that hands it out; empty for the usual one of its vendor.
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
    arch: str = ""
    plugin: str = ""
    typed: bool = False

    @property
    def resource(self) -> str:
        """The Kubernetes extended resource that hands it out."""
        return self.plugin or _RESOURCES[self.vendor]


def find(name: str, *, label_mib: int | None = None) -> Gpu:
    """Return the product behind a GPU name in any of its spellings.

    Args:
        name: ``L40S``, ``NVIDIA-A100-SXM4-80GB``, ``NVIDIA-H100-80GB-HBM3-MIG-1g.10gb``,
            ``mig-3g.20gb``, ``Tesla-T4-SHARED``.
        label_mib: Memory the node's label claims, MiB; used if the product is unknown,
            comes in several sizes, and for MIG slices.

    Raises:
        InputError: No such product and no memory label to go by.
    """
    said = spell(name)
    found = _whole(name, said, None if said.profile else label_mib)
    if said.profile:
        found = _slice(found, said, label_mib)
    elif found and said.virtual_gib:
        found = _virtual(found, said.virtual_gib, label_mib)
    if found is None and label_mib:
        found = _unknown(name, label_mib)
    if found is None:
        raise _no_such(name, said)
    return replace(found, name=f"{found.name}-SHARED", shared=True) if said.shared else found


def mig_slice(parent: str, profile: str, label_mib: int | None) -> Gpu:
    """Return the slice that resource ``nvidia.com/mig-<profile>`` hands out on a parent GPU.

    Args:
        parent: Its GPU's name; empty if nobody says.
        profile: ``3g.20gb``, also with the attributes of a device plugin's name.
        label_mib: Memory its label claims, MiB.

    Raises:
        InputError: No such slice.
    """
    whole = spell(parent).profile is None and parent
    name = f"{whole}-MIG-{profile}" if whole else f"MIG-{profile}"
    try:
        return find(name.replace("-SHARED", ""), label_mib=label_mib)
    except InputError:
        if not label_mib:
            raise
        return find(f"MIG-{profile}", label_mib=label_mib)


def unnamed(gib: float, name: str = "") -> Gpu:
    """Return a GPU that is known by its memory alone: no rule of its kernels is checked.

    Args:
        gib: What torch sees, GiB.
        name: What to call it; default its memory.
    """
    return Gpu(name or f"{gib:g}GiB", gib, 0, max(gib / 8, 0.5), measured=False)


def made_by(gpu: Gpu, maker: str, resource: str) -> Gpu:
    """Return a GPU that no row describes as its maker's, whose resource hands it out."""
    if not maker or gpu.name in _named() or gpu.vendor != "nvidia" or maker == "nvidia":
        return gpu
    return replace(gpu, vendor=maker, plugin=resource)


@cache
def products() -> tuple[Gpu, ...]:
    """Return every product of the catalogue."""
    return tuple(
        _from_row(row, vendor, segment) for vendor, segment, rows in TABLES for row in rows
    )


@cache
def advised() -> tuple[tuple[Gpu, ...], ...]:
    """Return the products that advice may name, cheapest first: the common ones, then others."""
    return tuple(
        tuple(sorted(map(find, names), key=lambda gpu: gpu.cost)) for names in (COMMON, NEWER)
    )


@cache
def _families() -> Mapping[str, Mapping[int, Gpu]]:
    """Return products by their words joined, then by size; the first is meant without a size."""
    found: dict[str, dict[int, Gpu]] = {}
    for _, _, rows in TABLES:
        for row in rows:
            found.setdefault(spell(row.name).key, {})[row.sold] = _named()[row.name]
    return found


@cache
def _named() -> Mapping[str, Gpu]:
    return {gpu.name: gpu for gpu in products()}


def _from_row(row: Row, vendor: str, segment: str) -> Gpu:
    return Gpu(
        row.name,
        row.gib,
        int(row.arch) if row.arch.isdecimal() else 0,
        row.cost,
        vendor=vendor,
        measured=row.source == LOG,
        segment=segment,
        arch="" if row.arch.isdecimal() else row.arch,
        plugin=row.resource,
    )


def _whole(name: str, said: Spelled, label_mib: int | None) -> Gpu | None:
    """Return the whole GPU that a name means; the label decides between sizes of one name."""
    for key, size in said.keys:
        if family := _families().get(key):
            return _sized(name, family, size, label_mib if not said.virtual_gib else None)
    if label_mib is None:
        return None
    near = [gpu for gpu in _begun(said) if _is_near(gpu, label_mib)]
    return near[0] if near else None


def _begun(said: Spelled) -> Iterable[Gpu]:
    """Yield the products whose name a longer one begins with, or that an unclear one may mean."""
    yield from (_named()[each] for each in said.readings)
    for end in range(len(said.words) - 1, 0, -1):
        yield from _families().get(key_of(said.words[:end]), {}).values()


def _sized(name: str, family: Mapping[int, Gpu], size: int, label_mib: int | None) -> Gpu | None:
    first = next(iter(family.values()))
    if label_mib:
        near = [gpu for gpu in family.values() if _is_near(gpu, label_mib)]
        gpu = min(near, key=lambda each: _distance(each, label_mib), default=None)
        return gpu or _resized(name, first, label_mib)
    if size and size not in family:
        sizes = " and ".join(f"{each} GB" for each in family)
        reason = f"{first.name.removesuffix(f'-{next(iter(family))}GB')} has {sizes}, not {size}"
        raise InputError("find GPU", repr(name), reason, "name one that is made")
    return family.get(size, first)


def _resized(name: str, gpu: Gpu, label_mib: int) -> Gpu:
    """Return a product of another memory than any on sale: the label is right about that."""
    odd = _unknown(name, label_mib)
    return replace(gpu, name=name, memory_gib=odd.memory_gib, cost=odd.cost, measured=False)


def _is_near(gpu: Gpu, label_mib: int) -> bool:
    return _distance(gpu, label_mib) < max(_NEAR_GIB, 0.03 * gpu.memory_gib)


def _distance(gpu: Gpu, label_mib: int) -> float:
    return abs(gpu.memory_gib - label_mib / 1024)


def _slice(parent: Gpu | None, said: Spelled, label_mib: int | None) -> Gpu | None:
    """Return a slice: less memory than its name says, its share of the price."""
    profile = said.profile
    if profile is None or (said.words and parent is None and not label_mib):
        return None
    if parent and not label_mib and str(profile) not in profiles_of(parent.name):
        known = ", ".join(dict.fromkeys(profiles_of(parent.name)))
        reason = f"{parent.name} has no slice {profile}"
        raise InputError("find GPU", f"{parent.name}-MIG-{profile}", reason, f"it has {known}")
    parents = [_named()[each] for each in parents_of(profile)]
    if parent is None and len(parents) == 1 and not said.words:
        parent = parents[0]
    return _of(parent, profile, label_mib) if parent else _anyone(parents, profile, label_mib)


def _of(parent: Gpu, profile: Profile, label_mib: int | None) -> Gpu:
    gib = label_mib / 1024 if label_mib else listed_gib(parent.name, profile)
    return replace(
        parent,
        name=f"{parent.name}-MIG-{profile}",
        memory_gib=round(gib * _SEEN, 2),
        cost=round(parent.cost * min(profile.compute / compute_slices(parent.name), 1), 3),
        measured=False,
        slices=True,
        plugin=profile.resource,
    )


def _anyone(parents: list[Gpu], profile: Profile, label_mib: int | None) -> Gpu:
    """Return a slice of nobody knows which GPU: the least of those that it can be of."""
    each = [_of(parent, profile, label_mib) for parent in parents]
    least = min(each, key=lambda gpu: gpu.memory_gib, default=None)
    if least is None:
        least = _of(replace(unnamed(profile.named_gb), name=""), profile, label_mib)
    capability = min((gpu.capability for gpu in each), default=_LOWEST_MIG)
    return replace(least, name=f"MIG-{profile}", capability=capability)


def _virtual(gpu: Gpu, frame_gib: int, label_mib: int | None) -> Gpu:
    gib = label_mib / 1024 if label_mib else frame_gib
    share = round(min(gib * _VIRTUAL, gpu.memory_gib), 2)
    cost = round(gpu.cost * min(share / gpu.memory_gib, 1), 3)
    name = f"{gpu.name}-{frame_gib}C"
    return replace(gpu, name=name, memory_gib=share, cost=cost, measured=False)


def _unknown(name: str, label_mib: int) -> Gpu:
    label = label_mib / 1024
    return unnamed(round(max(min(label * _SEEN, label - _KEPT_GIB), 0.0), 2), name)


def _no_such(name: str, said: Spelled) -> InputError:
    if said.readings:
        remedy = f"write {' or '.join(said.readings)}"
        return InputError("find GPU", repr(name), "may be one of several", remedy)
    names = list(_named())
    more = f"known: {', '.join(COMMON)} and {len(names) - len(COMMON)} more, or write its memory"
    remedy = did_you_mean(name, names, f"{more}, as in 24GiB")
    return InputError("find GPU", repr(name), "no such product", remedy)
