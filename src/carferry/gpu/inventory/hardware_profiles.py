"""Hardware and accelerator profiles of OpenShift AI, and the GPUs they lead to.

Each kind is read by its own schema; an object that is served in two versions, or was migrated
from one group to the other under its name, counts once.

Sources: opendatahub-operator, api/infrastructure/v1 and v1alpha1 (from 2.22 on); odh-dashboard,
manifests/common/crd (HardwareProfile and AcceleratorProfile of 2.x).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from carferry.cluster.quantity import Quantity
from carferry.cluster.tolerations import Toleration
from carferry.errors import InputError
from carferry.gpu.inventory.catalogue import Gpu, find, made_by, mig_slice
from carferry.gpu.inventory.labels import memory_of, product_of
from carferry.gpu.inventory.listing import Json
from carferry.gpu.inventory.nodes import NodeGroup
from carferry.gpu.inventory.resources import (
    UNNAMED,
    is_accelerator,
    is_shared,
    maker_of,
    mig_profile,
)

Lister = Callable[[str, str], list[Json]]
_NEW, _OLD = "/apis/infrastructure.opendatahub.io", "/apis/dashboard.opendatahub.io"
HARDWARE = ((f"{_NEW}/v1", False), (f"{_NEW}/v1alpha1", False), (f"{_OLD}/v1alpha1", True))
"""Where HardwareProfiles are served, newest first; whether by the dashboard's schema."""
ACCELERATOR = (f"{_OLD}/v1", "acceleratorprofiles")


@dataclass(frozen=True, slots=True)
class HardwareProfile:
    """One profile: the resource it asks for, how many at most, and where it schedules.

    Attributes:
        resource: Extended resource, any ``vendor/resource``.
        most: Of it in one pod, as far as the profile says.
        gpu: What its node selector or its title names; None if neither does.
        queue: Kueue's local queue that its pods go to; empty for none.
    """

    name: str
    resource: str
    most: int
    gpu: Gpu | None
    tolerations: tuple[Toleration, ...] = ()
    queue: str = ""

    @property
    def group(self) -> NodeGroup | None:
        """The option it describes; None if it names no GPU."""
        if self.gpu is None:
            return None
        return NodeGroup(
            self.gpu,
            free=self.most,
            total=self.most,
            resource=self.resource,
            tolerations=self.tolerations,
            profile=self.name,
        )


@dataclass(frozen=True, slots=True)
class HardwareProfiles:
    """Every enabled profile that asks for an accelerator."""

    known: tuple[HardwareProfile, ...]

    @property
    def groups(self) -> tuple[NodeGroup, ...]:
        """The options they describe, for a caller who may not list nodes."""
        return tuple(group for profile in self.known if (group := profile.group))

    @property
    def resources(self) -> frozenset[str]:
        """What they ask for: accelerators, whatever they are called."""
        return frozenset(profile.resource for profile in self.known)

    def label(self, group: NodeGroup) -> NodeGroup:
        """Return an option with the profile that leads there, if one does."""
        if group.profile:
            return group
        fitting = (profile.name for profile in self.known if _leads(profile, group))
        return replace(group, profile=next(fitting, ""))

    def absent(self, present: Iterable[NodeGroup]) -> tuple[NodeGroup, ...]:
        """Return the options of profiles whose GPU no node has: pools scaled to zero."""
        there = {_kind(group) for group in present}
        found = (replace(group, absent=True) for group in self.groups)
        return tuple(group for group in found if _kind(group) not in there)

    def queues(self) -> Iterator[str]:
        """Yield a note per profile whose pods Kueue admits."""
        for profile in self.known:
            if profile.queue:
                yield f"hardware profile {profile.name} sends pods to Kueue's queue {profile.queue}"


def read_profiles(items: Lister) -> HardwareProfiles:
    """Read the profiles of a cluster; one that lacks these kinds has none.

    Args:
        items: Lists a kind by its API group's path and its plural.
    """
    found: dict[tuple[str, str], list[HardwareProfile]] = {}
    for api, of_dashboard in HARDWARE:
        read = _of_dashboard if of_dashboard else _hardware
        for item in items(api, "hardwareprofiles"):
            found.setdefault(_identity(item), _usable(read, item))
    older = [profile for item in items(*ACCELERATOR) for profile in _usable(_accelerator, item)]
    return HardwareProfiles((*(each for every in found.values() for each in every), *older))


def _identity(item: Json) -> tuple[str, str]:
    meta = item.get("metadata") or {}
    return str(meta.get("namespace") or ""), str(meta.get("name"))


def _usable(read: Callable[[Json], list[HardwareProfile]], item: Json) -> list[HardwareProfile]:
    """Leave out a profile with a toleration that Kubernetes would refuse in every pod."""
    try:
        return read(item)
    except InputError:
        return []


def _hardware(item: Json) -> list[HardwareProfile]:
    """Read the operator's schema: enabled unless annotated, node or queue below scheduling."""
    meta, spec = item.get("metadata") or {}, item.get("spec") or {}
    notes = meta.get("annotations") or {}
    if str(notes.get("opendatahub.io/disabled", "")).lower() == "true":
        return []
    scheduling = spec.get("scheduling") or {}
    node, kueue = scheduling.get("node") or {}, scheduling.get("kueue") or {}
    title = str(notes.get("opendatahub.io/display-name") or meta.get("name"))
    made = _asked(item, title, node.get("nodeSelector"), node.get("tolerations"))
    return [replace(each, queue=str(kueue.get("localQueueName") or "")) for each in made]


def _of_dashboard(item: Json) -> list[HardwareProfile]:
    """Read the dashboard's schema of 2.x: enabled and display name are fields."""
    spec = item.get("spec") or {}
    if not spec.get("enabled", True):
        return []
    title = str(spec.get("displayName") or (item.get("metadata") or {}).get("name"))
    selector = spec.get("nodeSelector") or {
        str(pair.get("key")): pair.get("value") for pair in spec.get("nodeSelectors") or ()
    }
    return _asked(item, title, selector, spec.get("tolerations"))


def _asked(item: Json, title: str, selector: Any, tolerations: Any) -> list[HardwareProfile]:
    """Return a profile per accelerator that an object's identifiers name."""
    labels = {str(key): str(value) for key, value in (selector or {}).items()}
    made = [
        HardwareProfile(
            name=_identity(item)[1],
            resource=str(wanted.get("identifier")),
            most=_most(wanted),
            gpu=_gpu(labels, title, str(wanted.get("identifier"))),
            tolerations=tolerations_of(tolerations),
        )
        for wanted in (item.get("spec") or {}).get("identifiers") or ()
        if _accelerates(wanted)
    ]
    return [each for each in made if each.most > 0]


def _most(wanted: Json) -> int:
    """Return how many a pod may ask for; counts are integers or text."""
    counts = (_count(wanted.get(key)) for key in ("maxCount", "defaultCount", "minCount"))
    return next((count for count in counts if count is not None), 1)


def _count(value: Any) -> int | None:
    try:
        return None if value in (None, "") else max(int(Quantity.of(value)), 0)
    except InputError:
        return None


def _accelerates(wanted: Json) -> bool:
    if kind := wanted.get("resourceType"):
        return bool(kind == "Accelerator")
    return is_accelerator(str(wanted.get("identifier") or ""))


def _accelerator(item: Json) -> list[HardwareProfile]:
    spec = item.get("spec") or {}
    if not spec.get("enabled", True) or not spec.get("identifier"):
        return []
    name = _identity(item)[1]
    gpu = _gpu({}, str(spec.get("displayName") or name), str(spec["identifier"]))
    rules = tolerations_of(spec.get("tolerations"))
    return [HardwareProfile(name, str(spec["identifier"]), 1, gpu, rules)]


def tolerations_of(items: Any) -> tuple[Toleration, ...]:
    """Return tolerations as an object has them: operator, seconds and a missing key are kept.

    Raises:
        InputError: Kubernetes would refuse it.
    """
    return tuple(
        Toleration(
            key=str(rule.get("key") or ""),
            operator=str(rule.get("operator") or "Equal"),
            value=str(rule.get("value") or ""),
            effect=str(rule.get("effect") or ""),
            seconds=_count(rule.get("tolerationSeconds")),
        )
        for rule in items or ()
    )


def _gpu(selector: Mapping[str, str], title: str, resource: str) -> Gpu | None:
    """Return the GPU that a profile means: by its nodes' labels, its title, its resource."""
    product, label = product_of(selector, resource), memory_of(selector, resource)
    for text in filter(None, (product, *_phrases(title), UNNAMED.get(resource))):
        if found := _named(text, label, resource):
            return found
    return _named("", label, resource)


def _named(product: str, label_mib: int | None, resource: str) -> Gpu | None:
    """Return what a resource hands out of a product; None if that is nothing."""
    profile = mig_profile(resource)
    if not profile and not product:
        return None
    try:
        gpu = (
            mig_slice(product, profile, label_mib)
            if profile
            else find(product, label_mib=label_mib)
        )
    except InputError:
        return None
    gpu = made_by(gpu, maker_of(resource), resource)
    sliced = is_shared(resource) and not gpu.shared
    return replace(gpu, name=f"{gpu.name}-SHARED", shared=True) if sliced else gpu


def _phrases(title: str) -> Iterator[str]:
    """Yield runs of words of a title, the longest first: one may be a GPU's name."""
    words = title.split()[:12]
    for length in range(len(words), 0, -1):
        for start in range(len(words) - length + 1):
            yield " ".join(words[start : start + length]).strip("()[],;:")


def _leads(profile: HardwareProfile, group: NodeGroup) -> bool:
    if profile.resource != group.resource:
        return False
    gpu = profile.gpu
    return gpu is None or gpu.name == group.gpu.name or gpu.name.startswith("MIG-")


def _kind(group: NodeGroup) -> tuple[str, str]:
    anyone = group.gpu.name.startswith("MIG-") or group.gpu.slices
    return group.resource, "" if anyone else group.gpu.name
