"""Hardware and accelerator profiles of OpenShift AI, and the GPUs they lead to.

Source: OpenShift AI 3.x HardwareProfile (infrastructure.opendatahub.io/v1), 2.x
AcceleratorProfile (dashboard.opendatahub.io/v1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from carferry.cluster.tolerations import Toleration
from carferry.errors import InputError
from carferry.gpu.inventory.catalogue import Gpu, find
from carferry.gpu.inventory.listing import Json
from carferry.gpu.inventory.nodes import NodeGroup

HARDWARE = ("/apis/infrastructure.opendatahub.io/v1", "hardwareprofiles")
ACCELERATOR = ("/apis/dashboard.opendatahub.io/v1", "acceleratorprofiles")
_PRODUCT = "nvidia.com/gpu.product"


@dataclass(frozen=True, slots=True)
class HardwareProfile:
    """One profile: the resource it asks for, how many at most, and where it schedules."""

    name: str
    resource: str
    most: int
    product: str
    title: str
    tolerations: tuple[Toleration, ...]

    @property
    def gpu(self) -> Gpu | None:
        """The GPU its node selector or its title names; None if neither does."""
        for text in filter(None, (self.product, self.title, *self.title.split())):
            try:
                return find(text)
            except InputError:
                continue
        return None


@dataclass(frozen=True, slots=True)
class HardwareProfiles:
    """Every enabled profile that asks for a GPU."""

    known: tuple[HardwareProfile, ...]

    @property
    def groups(self) -> tuple[NodeGroup, ...]:
        """The options they describe, for a caller who may not list nodes."""
        return tuple(
            NodeGroup(
                gpu,
                free=profile.most,
                total=profile.most,
                resource=profile.resource,
                tolerations=profile.tolerations,
                profile=profile.name,
            )
            for profile in self.known
            if (gpu := profile.gpu)
        )

    def label(self, group: NodeGroup) -> NodeGroup:
        """Return an option with the profile that leads there, if one does."""
        if group.profile:
            return group
        fitting = (profile.name for profile in self.known if _leads(profile, group))
        return replace(group, profile=next(fitting, ""))


def read_profiles(items: Callable[[str, str], list[Json]]) -> HardwareProfiles:
    """Read the profiles of a cluster; one that lacks these kinds has none.

    Args:
        items: Lists a kind by its API group's path and its plural.
    """
    hardware = [profile for item in items(*HARDWARE) for profile in _usable(_hardware, item)]
    older = [profile for item in items(*ACCELERATOR) for profile in _usable(_accelerator, item)]
    return HardwareProfiles((*hardware, *older))


def _usable(read: Callable[[Json], list[HardwareProfile]], item: Json) -> list[HardwareProfile]:
    """Leave out a profile with a toleration that Kubernetes would refuse in every pod."""
    try:
        return read(item)
    except InputError:
        return []


def _hardware(item: Json) -> list[HardwareProfile]:
    meta, spec = item.get("metadata") or {}, item.get("spec") or {}
    notes = meta.get("annotations") or {}
    if str(notes.get("opendatahub.io/disabled", "")).lower() == "true":
        return []
    node = (spec.get("scheduling") or {}).get("node") or {}
    return [
        HardwareProfile(
            name=str(meta.get("name")),
            resource=str(wanted["identifier"]),
            most=int(wanted.get("maxCount") or wanted.get("defaultCount") or 1),
            product=str((node.get("nodeSelector") or {}).get(_PRODUCT, "")),
            title=str(notes.get("opendatahub.io/display-name") or meta.get("name")),
            tolerations=_tolerations(node.get("tolerations")),
        )
        for wanted in spec.get("identifiers") or ()
        if _accelerates(wanted)
    ]


def _accelerates(wanted: Json) -> bool:
    return wanted.get("resourceType") == "Accelerator" or "gpu" in str(wanted.get("identifier"))


def _accelerator(item: Json) -> list[HardwareProfile]:
    spec = item.get("spec") or {}
    if not spec.get("enabled", True) or not spec.get("identifier"):
        return []
    name = str((item.get("metadata") or {}).get("name"))
    title = str(spec.get("displayName") or name)
    rules = _tolerations(spec.get("tolerations"))
    return [HardwareProfile(name, str(spec["identifier"]), 1, "", title, rules)]


def _tolerations(items: Any) -> tuple[Toleration, ...]:
    """Return tolerations as a profile has them: a key that ``Exists`` has no value to equal."""
    return tuple(
        Toleration(
            key=str(rule.get("key") or ""),
            operator=str(rule.get("operator") or "Equal"),
            value=str(rule.get("value") or ""),
            effect=str(rule.get("effect") or ""),
            seconds=rule.get("tolerationSeconds"),
        )
        for rule in items or ()
    )


def _leads(profile: HardwareProfile, group: NodeGroup) -> bool:
    if profile.resource != group.resource:
        return False
    return profile.gpu is None or profile.gpu.name == group.gpu.name
