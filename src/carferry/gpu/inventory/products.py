"""Every GPU product that people serve models on, as rows of data.

A row's memory is what torch reports as the total, GiB, and its source says how that is known:

- LOG: printed by vLLM or torch on that product, in a public log (tests/data/gpu lists them;
  RTX A2000 vllm#12030, RTX 5080 vllm#14452, RTX 3090 OpenBMB/MiniCPM-V#612).
- NVML: what nvidia-smi reports for the product, less the 0.4 to 0.8 GiB that CUDA keeps, which is
  the difference on every product that has a log.
- SHEET: the data sheet's GB, less a sixteenth where ECC lies in the same memory (GDDR in data
  centres), less what CUDA keeps.

Compute capabilities: NVIDIA's table of CUDA GPUs. gfx targets: ROCm's compatibility matrix. What
CUDA keeps grows little with size, so a SHEET figure errs by half a GiB at the most.
"""

from __future__ import annotations

from typing import NamedTuple

CENTRE, WORKSTATION, CONSUMER = "data centre", "workstation", "consumer"
"""Whom a GPU is sold to: advice for one kind of buyer names no card of another."""

LOG, NVML, SHEET = "log", "nvml", "sheet"


class Row(NamedTuple):
    """One product.

    Attributes:
        name: As ``--gpu`` takes it; ``-<size>GB`` tells apart what is sold in sizes.
        sold: Size on the box, GB.
        gib: What torch reports as total, GiB.
        arch: Compute capability times ten, or AMD's gfx target; empty for others.
        cost: Relative price of an hour.
        source: LOG, NVML or SHEET.
        resource: What hands it out; empty for the usual one of its vendor.
    """

    name: str
    sold: int
    gib: float
    arch: str
    cost: float
    source: str
    resource: str = ""


# The first size of a family is the one that is meant if nobody says which.
NVIDIA_CENTRE = (
    Row("T4", 16, 14.56, "75", 1.0, LOG),
    Row("T4G", 16, 14.56, "75", 1.05, SHEET),
    Row("P4", 8, 7.1, "61", 0.5, SHEET),
    Row("P40", 24, 22.0, "61", 0.9, SHEET),
    Row("P100-16GB", 16, 15.5, "60", 0.8, SHEET),
    Row("P100-12GB", 12, 11.5, "60", 0.7, SHEET),
    Row("M60", 8, 7.1, "52", 0.4, SHEET),
    Row("V100-16GB", 16, 15.77, "70", 2.0, NVML),
    Row("V100-32GB", 32, 31.74, "70", 2.5, LOG),
    Row("A2", 16, 14.5, "86", 1.0, SHEET),
    Row("A10", 24, 22.06, "86", 2.0, LOG),
    Row("A10M", 20, 18.2, "86", 2.05, SHEET),
    Row("A16", 16, 14.5, "86", 1.1, SHEET),
    Row("A30", 24, 23.5, "80", 2.2, NVML),
    Row("A40", 48, 44.4, "86", 3.0, NVML),
    Row("L2", 24, 22.0, "89", 1.65, SHEET),
    Row("L4", 24, 22.03, "89", 1.6, LOG),
    Row("L20", 48, 44.4, "89", 3.7, NVML),
    Row("L40", 48, 44.4, "89", 3.2, NVML),
    Row("L40G", 24, 22.0, "89", 3.65, SHEET),
    Row("L40S", 48, 44.4, "89", 3.6, LOG),
    Row("A100-40GB", 40, 39.49, "80", 5.0, LOG),
    Row("A100-64GB", 64, 63.3, "80", 6.6, SHEET),
    Row("A100-80GB", 80, 79.25, "80", 6.5, LOG),
    Row("A100X", 80, 79.0, "80", 6.7, SHEET),
    Row("A800-80GB", 80, 79.25, "80", 6.6, LOG),
    Row("A800-40GB", 40, 39.4, "80", 5.1, SHEET),
    Row("H100-80GB", 80, 79.18, "90", 10.0, LOG),
    Row("H100-64GB", 64, 63.1, "90", 10.1, SHEET),
    Row("H100-96GB", 96, 94.9, "90", 10.6, NVML),
    Row("H100-NVL", 94, 93.1, "90", 10.5, NVML),
    Row("H800", 80, 79.18, "90", 10.2, NVML),
    Row("H20", 96, 95.0, "90", 10.3, NVML),
    Row("H20-141GB", 141, 139.8, "90", 12.1, LOG),
    Row("H200", 141, 139.81, "90", 12.0, LOG),
    Row("GH200-96GB", 96, 94.5, "90", 11.0, NVML),
    Row("GH200-144GB", 144, 142.5, "90", 12.5, SHEET),
    Row("B100", 192, 178.0, "100", 18.5, SHEET),
    Row("B200", 180, 178.35, "100", 18.0, LOG),
    Row("GB200", 186, 184.0, "100", 19.0, NVML),
    Row("B300", 288, 267.5, "103", 22.0, NVML),
    Row("GB300", 288, 276.5, "103", 23.0, NVML),
)
NVIDIA_WORKSTATION = (
    Row("Quadro-RTX-4000", 8, 7.5, "75", 0.6, SHEET),
    Row("Quadro-RTX-5000", 16, 15.3, "75", 0.9, SHEET),
    Row("Quadro-RTX-6000", 24, 23.1, "75", 1.3, SHEET),
    Row("Quadro-RTX-8000", 48, 46.8, "75", 2.0, SHEET),
    Row("RTX-A2000-6GB", 6, 5.6, "86", 0.5, SHEET),
    Row("RTX-A2000-12GB", 12, 11.53, "86", 0.6, LOG),
    Row("RTX-A4000", 16, 15.4, "86", 0.9, SHEET),
    Row("RTX-A4500", 20, 19.4, "86", 1.2, SHEET),
    Row("RTX-A5000", 24, 23.4, "86", 1.6, SHEET),
    Row("RTX-A5500", 24, 23.4, "86", 1.8, SHEET),
    Row("RTX-A6000", 48, 47.4, "86", 2.6, NVML),
    Row("RTX-2000-Ada", 16, 15.4, "89", 0.9, SHEET),
    Row("RTX-4000-Ada", 20, 19.4, "89", 1.3, SHEET),
    Row("RTX-4500-Ada", 24, 23.4, "89", 1.8, SHEET),
    Row("RTX-5000-Ada", 32, 31.2, "89", 2.3, SHEET),
    Row("RTX-5880-Ada", 48, 47.3, "89", 3.0, SHEET),
    Row("RTX-6000-Ada", 48, 47.4, "89", 3.2, NVML),
    Row("RTX-PRO-2000", 16, 15.3, "120", 1.2, SHEET),
    Row("RTX-PRO-4000", 24, 23.5, "120", 1.9, LOG),
    Row("RTX-PRO-4500", 32, 31.2, "120", 2.6, SHEET),
    Row("RTX-PRO-5000-48GB", 48, 47.2, "120", 3.6, SHEET),
    Row("RTX-PRO-5000-72GB", 72, 70.8, "120", 4.6, SHEET),
    Row("RTX-PRO-6000", 96, 94.97, "120", 5.5, LOG),
    Row("GB10", 128, 119.7, "121", 3.0, NVML),
    Row("TITAN-V", 12, 11.7, "70", 0.9, SHEET),
    Row("TITAN-RTX", 24, 23.4, "75", 1.2, SHEET),
    Row("Jetson-Orin-64GB", 64, 61.0, "87", 1.2, SHEET),
    Row("Jetson-Orin-32GB", 32, 29.5, "87", 0.9, SHEET),
    Row("Jetson-Thor", 128, 122.0, "110", 2.5, SHEET),
)
NVIDIA_CONSUMER = (
    Row("TITAN-Xp", 12, 11.7, "61", 0.6, SHEET),
    Row("GTX-1080", 8, 7.5, "61", 0.4, SHEET),
    Row("GTX-1080-Ti", 11, 10.5, "61", 0.5, SHEET),
    Row("RTX-2060-6GB", 6, 5.6, "75", 0.4, SHEET),
    Row("RTX-2060-12GB", 12, 11.5, "75", 0.5, SHEET),
    Row("RTX-2070", 8, 7.5, "75", 0.5, SHEET),
    Row("RTX-2080", 8, 7.5, "75", 0.6, SHEET),
    Row("RTX-2080-Ti", 11, 10.5, "75", 0.7, SHEET),
    Row("RTX-3050-8GB", 8, 7.5, "86", 0.4, SHEET),
    Row("RTX-3050-6GB", 6, 5.61, "86", 0.4, LOG),
    Row("RTX-3050-4GB", 4, 3.6, "86", 0.3, SHEET),
    Row("RTX-3060-12GB", 12, 11.5, "86", 0.6, SHEET),
    Row("RTX-3060-8GB", 8, 7.5, "86", 0.5, SHEET),
    Row("RTX-3060-Ti", 8, 7.5, "86", 0.6, SHEET),
    Row("RTX-3070", 8, 7.5, "86", 0.7, SHEET),
    Row("RTX-3070-Ti", 8, 7.5, "86", 0.7, SHEET),
    Row("RTX-3080-10GB", 10, 9.6, "86", 0.8, SHEET),
    Row("RTX-3080-12GB", 12, 11.5, "86", 0.9, SHEET),
    Row("RTX-3080-Ti", 12, 11.5, "86", 0.9, SHEET),
    Row("RTX-3090", 24, 23.56, "86", 1.2, LOG),
    Row("RTX-3090-Ti", 24, 23.5, "86", 1.3, SHEET),
    Row("RTX-4060", 8, 7.5, "89", 0.6, SHEET),
    Row("RTX-4060-Ti-8GB", 8, 7.5, "89", 0.6, SHEET),
    Row("RTX-4060-Ti-16GB", 16, 15.5, "89", 0.8, SHEET),
    Row("RTX-4070", 12, 11.5, "89", 0.8, SHEET),
    Row("RTX-4070-SUPER", 12, 11.5, "89", 0.9, SHEET),
    Row("RTX-4070-Ti", 12, 11.5, "89", 0.9, SHEET),
    Row("RTX-4070-Ti-SUPER", 16, 15.5, "89", 1.1, SHEET),
    Row("RTX-4080", 16, 15.5, "89", 1.2, SHEET),
    Row("RTX-4080-SUPER", 16, 15.5, "89", 1.2, SHEET),
    Row("RTX-4090", 24, 23.53, "89", 1.6, LOG),
    Row("RTX-4090-48GB", 48, 47.3, "89", 2.4, SHEET),
    Row("RTX-4090-D", 24, 23.5, "89", 1.5, SHEET),
    Row("RTX-4090-D-48GB", 48, 47.3, "89", 2.3, SHEET),
    Row("RTX-5050", 8, 7.4, "120", 0.6, SHEET),
    Row("RTX-5060", 8, 7.4, "120", 0.7, SHEET),
    Row("RTX-5060-Ti-16GB", 16, 15.4, "120", 0.9, SHEET),
    Row("RTX-5060-Ti-8GB", 8, 7.4, "120", 0.7, SHEET),
    Row("RTX-5070", 12, 11.4, "120", 1.0, SHEET),
    Row("RTX-5070-Ti", 16, 15.4, "120", 1.3, SHEET),
    Row("RTX-5080", 16, 15.48, "120", 1.5, LOG),
    Row("RTX-5090", 32, 31.36, "120", 2.2, LOG),
    Row("RTX-5090-D", 32, 31.3, "120", 2.1, SHEET),
    Row("RTX-5090-D-24GB", 24, 23.3, "120", 1.9, SHEET),
    Row("RTX-3060-Laptop", 6, 5.6, "86", 0.4, SHEET),
    Row("RTX-3070-Laptop", 8, 7.5, "86", 0.5, SHEET),
    Row("RTX-3080-Laptop-8GB", 8, 7.5, "86", 0.6, SHEET),
    Row("RTX-3080-Laptop-16GB", 16, 15.4, "86", 0.8, SHEET),
    Row("RTX-3080-Ti-Laptop", 16, 15.4, "86", 0.8, SHEET),
    Row("RTX-4050-Laptop", 6, 5.6, "89", 0.4, SHEET),
    Row("RTX-4060-Laptop", 8, 7.5, "89", 0.5, SHEET),
    Row("RTX-4070-Laptop", 8, 7.5, "89", 0.6, SHEET),
    Row("RTX-4080-Laptop", 12, 11.5, "89", 0.8, SHEET),
    Row("RTX-4090-Laptop", 16, 15.4, "89", 1.0, SHEET),
    Row("RTX-5050-Laptop", 8, 7.4, "120", 0.5, SHEET),
    Row("RTX-5060-Laptop", 8, 7.4, "120", 0.6, SHEET),
    Row("RTX-5070-Laptop", 8, 7.4, "120", 0.7, SHEET),
    Row("RTX-5070-Ti-Laptop", 12, 11.4, "120", 0.9, SHEET),
    Row("RTX-5080-Laptop", 16, 15.4, "120", 1.1, SHEET),
    Row("RTX-5090-Laptop", 24, 23.3, "120", 1.5, SHEET),
)
# ROCm keeps next to nothing: an MI300X of 192 GB logs 191.69 GiB.
AMD_CENTRE = (
    Row("MI100", 32, 31.9, "gfx908", 1.8, SHEET),
    Row("MI210", 64, 63.9, "gfx90a", 4.5, SHEET),
    Row("MI250", 64, 63.9, "gfx90a", 4.6, SHEET),  # of one die: a card is two devices
    Row("MI250X", 64, 63.9, "gfx90a", 4.7, SHEET),
    Row("MI300A", 128, 125.0, "gfx942", 8.5, SHEET),
    Row("MI300X", 192, 191.69, "gfx942", 11.0, LOG),
    Row("MI308X", 192, 191.5, "gfx942", 11.1, SHEET),
    Row("MI325X", 256, 255.5, "gfx942", 12.0, SHEET),
    Row("MI350X", 288, 287.5, "gfx950", 15.0, SHEET),
    Row("MI355X", 288, 287.5, "gfx950", 16.0, SHEET),
)
AMD_WORKSTATION = (
    Row("Radeon-PRO-W6800", 32, 31.9, "gfx1030", 1.2, SHEET),
    Row("Radeon-PRO-W7800", 32, 31.9, "gfx1100", 1.6, SHEET),
    Row("Radeon-PRO-W7900", 48, 44.9, "gfx1100", 2.2, SHEET),
    Row("Radeon-AI-PRO-R9700", 32, 31.8, "gfx1201", 1.8, SHEET),
    Row("Radeon-8060S", 128, 96.0, "gfx1151", 1.5, SHEET),
)
AMD_CONSUMER = (
    Row("RX-7900-XT", 20, 19.9, "gfx1100", 0.9, SHEET),
    Row("RX-7900-XTX", 24, 23.9, "gfx1100", 1.1, SHEET),
    Row("RX-9070", 16, 15.8, "gfx1201", 0.9, SHEET),
    Row("RX-9070-XT", 16, 15.8, "gfx1201", 1.0, SHEET),
)
HABANA_CENTRE = (
    Row("Gaudi-1", 32, 31.0, "", 2.5, SHEET),
    Row("Gaudi-2", 96, 94.0, "", 5.0, SHEET),
    Row("Gaudi-3", 128, 126.0, "", 7.0, SHEET),
)
_XE = "gpu.intel.com/xe"
INTEL_CENTRE = (
    Row("Flex-140", 6, 5.2, "", 0.4, SHEET),
    Row("Flex-170", 16, 14.2, "", 0.8, SHEET),
    Row("Max-1100", 48, 45.5, "", 3.0, SHEET),
    Row("Max-1550", 64, 61.0, "", 4.0, SHEET),  # of one tile: torch sees two
)
INTEL_WORKSTATION = (
    Row("Arc-Pro-B50", 16, 15.0, "", 0.6, SHEET, _XE),
    Row("Arc-Pro-B60", 24, 22.6, "", 0.9, SHEET, _XE),
    Row("Arc-Pro-B70", 32, 30.2, "", 1.2, SHEET, _XE),
)
INTEL_CONSUMER = (
    Row("Arc-A770", 16, 15.0, "", 0.5, SHEET),
    Row("Arc-B580", 12, 11.2, "", 0.5, SHEET, _XE),
)
TABLES = (
    ("nvidia", CENTRE, NVIDIA_CENTRE),
    ("nvidia", WORKSTATION, NVIDIA_WORKSTATION),
    ("nvidia", CONSUMER, NVIDIA_CONSUMER),
    ("amd", CENTRE, AMD_CENTRE),
    ("amd", WORKSTATION, AMD_WORKSTATION),
    ("amd", CONSUMER, AMD_CONSUMER),
    ("habana", CENTRE, HABANA_CENTRE),
    ("intel", CENTRE, INTEL_CENTRE),
    ("intel", WORKSTATION, INTEL_WORKSTATION),
    ("intel", CONSUMER, INTEL_CONSUMER),
)
"""Vendor, segment and the products, smallest generation first."""

COMMON = (
    "L4", "A10", "L40S", "A100-40GB", "A100-80GB", "H100-80GB", "H200", "B200", "MI300X",
)  # fmt: skip
"""What clouds and data centres mostly have, smallest first: what an overview names."""

NEWER = "MI325X", "MI355X", "B300"
"""What a plan advises besides: what people add to a cluster, and vLLM's usual images serve.

Boards of a CPU and a GPU come as whole machines; other accelerators take another image.
"""

AMD_DEVICES = {
    "738c": "MI100",
    "738e": "MI100",
    "7408": "MI250X",
    "740c": "MI250X",
    "740f": "MI210",
    "7410": "MI210",
    "74a0": "MI300A",
    "74a1": "MI300X",
    "74a9": "MI300X",
    "74b5": "MI300X",
    "74bd": "MI300X",
    "74a2": "MI308X",
    "74a8": "MI308X",
    "74a5": "MI325X",
    "74b9": "MI325X",
    "75a0": "MI350X",
    "75b0": "MI350X",
    "75a3": "MI355X",
    "75b3": "MI355X",
    "744c": "RX-7900-XTX",
    "7448": "Radeon-PRO-W7900",
    "7550": "RX-9070-XT",
    "7551": "Radeon-AI-PRO-R9700",
    "1586": "Radeon-8060S",
}
"""PCI device, as AMD's labeller writes it, to product (vLLM 0.33 platforms/rocm.py; libdrm)."""
