"""What a namespace allows of each accelerator: its quotas, and its LimitRanges.

Source: Kubernetes API reference (ResourceQuota, LimitRange).
"""

from __future__ import annotations

from collections.abc import Iterable

from carferry.cluster.quantity import Quantity
from carferry.gpu.inventory.listing import Json
from carferry.gpu.inventory.resources import is_accelerator

Also = frozenset[str]


def allowances(quotas: Iterable[Json], also: Also = frozenset()) -> dict[str, int]:
    """Return how many of each accelerator's resource the quotas still allow."""
    left: dict[str, int] = {}
    for quota in quotas:
        status = quota.get("status") or {}
        hard, used = status.get("hard") or {}, status.get("used") or {}
        for key in hard:
            resource = str(key).removeprefix("requests.")
            if is_accelerator(resource, also) and resource != key:
                free = int(Quantity.of(hard[key])) - int(Quantity.of(used.get(key, 0)))
                left[resource] = max(min(free, left.get(resource, free)), 0)
    return left


def per_pods(limits: Iterable[Json], also: Also = frozenset()) -> dict[str, int]:
    """Return how many of each accelerator's resource LimitRanges allow one container or pod."""
    most: dict[str, int] = {}
    for item in limits:
        for limit in (item.get("spec") or {}).get("limits") or ():
            for resource, amount in (limit.get("max") or {}).items():
                if is_accelerator(resource, also):
                    count = int(Quantity.of(amount))
                    most[resource] = min(count, most.get(resource, count))
    return most
