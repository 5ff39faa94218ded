"""Which extended resources hand out accelerators, and which other things.

A resource hands out accelerators if a profile of OpenShift AI calls it one; or if its domain
belongs to a maker of accelerators and its name is none of the other devices, or shares of one,
that these makers' plugins offer too (network functions, memory, cores, time); or, whoever offers
it, if a word of its name says so (``aliyun.com/gpu``, ``example.com/vgpu``).

Sources: NVIDIA, AMD, Intel, Habana device plugins; GPU and network operators; HAMi and Volcano
(shares of a GPU as resources of their own); KubeVirt (passthrough names).
"""

from __future__ import annotations

import re
from functools import lru_cache

MIG = "nvidia.com/mig-"
GPU = "nvidia.com/gpu"
UNNAMED = {"habana.ai/gaudi": "Gaudi-2"}
"""Resources whose nodes need no label for the product: the smaller generation is assumed."""

_MAKERS = frozenset(
    (
        "nvidia.com", "amd.com", "habana.ai", "gpu.intel.com", "npu.intel.com", "huawei.com",
        "aws.amazon.com", "google.com", "cloud-tpus.google.com", "ibm.com", "cambricon.com",
        "hygon.com", "metax-tech.com", "mthreads.com", "iluvatar.ai", "furiosa.ai",
        "rebellions.ai", "tenstorrent.com", "qualcomm.com",
    )
)  # fmt: skip
_VENDORS = {"nvidia.com": "nvidia", "amd.com": "amd", "habana.ai": "habana"}
_VENDORS |= dict.fromkeys(("gpu.intel.com", "intel.com"), "intel")
_BY_WORD_ONLY = frozenset({"aws.amazon.com", "ibm.com", "google.com", "huawei.com", "amd.com"})
"""Makers of many things: the name has to say it."""
_SAYS_SO = re.compile(
    r"(?:^|[._-])(?:v?gpus?|shared-gpu|mig|gaudi|hpu|npu|neuron(?:core|device)?|tpu|spyre(?:_[pv]f)?|"
    r"dcu|mlu|xpu|i915|xe|qaic|ascend[0-9a-z]*|accelerator)(?:$|[._-])"
)
_OTHERS = re.compile(
    r"mem(?:ory)?(?:$|[._-])|cores?(?:$|[._-])|monitoring|millicores|tiles|percent|deploy|rdma|"
    r"sriov|hostdev|nic|netdevice|mlnx|hca|vhost|qat|dsa|iaa|fpga|sgx|kvm|fuse|efa|gdr|bf[23]|"
    r"(?:^|[._-])v?eth"
)
_PARTS = {"spx": 1, "dpx": 2, "tpx": 3, "qpx": 4, "cpx": 8}
_PARTITION = re.compile(r"(spx|dpx|tpx|qpx|cpx)_nps[1-8]")


@lru_cache(maxsize=1024)
def is_accelerator(resource: str, also: frozenset[str] = frozenset()) -> bool:
    """Return whether an extended resource hands out accelerators.

    Args:
        resource: As a node offers it.
        also: What profiles call an accelerator.
    """
    domain, slash, name = resource.partition("/")
    if resource in also:
        return True
    if not slash or domain == "kubernetes.io" or domain.endswith(".kubernetes.io"):
        return False
    if _OTHERS.search(name.lower()):
        return False
    by_word = _SAYS_SO.search(name.lower()) or _PARTITION.fullmatch(name.lower())
    return bool(by_word) or (domain in _MAKERS and domain not in _BY_WORD_ONLY)


def is_shared(resource: str) -> bool:
    """Return whether a resource hands out time slices, or MPS clients, of a device."""
    return resource.endswith(".shared")


def mig_profile(resource: str) -> str:
    """Return the profile of a resource that hands out MIG slices; empty for another."""
    return resource.removeprefix(MIG).removesuffix(".shared") if resource.startswith(MIG) else ""


def amd_parts(name: str) -> int:
    """Return into how many devices a compute partition such as ``cpx_nps4`` cuts a GPU."""
    match = _PARTITION.fullmatch(name.lower())
    return _PARTS[match[1]] if match else 1


def maker_of(resource: str) -> str:
    """Return who makes what a resource hands out, as ``Gpu.vendor``; empty if its domain is open.

    A maker whose products the catalogue lacks is its domain.
    """
    domain = vendor_domain(resource)
    return _VENDORS.get(domain, domain if domain in _MAKERS else "")


def vendor_domain(resource: str) -> str:
    """Return the domain whose labels describe a resource."""
    return resource.partition("/")[0]
