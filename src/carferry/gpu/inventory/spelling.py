"""A GPU's name in any spelling, taken apart: product, size, slice, sharing.

Sources: product names as nvidia-smi, GPU Feature Discovery, AMD's labeller, GKE and KubeVirt's
passthrough resources write them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from carferry.gpu.inventory.slices import Profile

_NOISE = frozenset(
    (
        "nvidia", "tesla", "geforce", "grid", "amd", "instinct", "radeon", "intel", "habana",
        "habanalabs", "corporation", "advanced", "graphics", "gpu", "card", "generation",
        "edition", "server", "workstation", "blackwell", "lovelace", "desktop", "active",
        "accelerator", "oam", "pcie", "pci", "sxm", "sxm2", "sxm3", "sxm4", "sxm5", "sxm6",
        "hbm2", "hbm2e", "hbm3", "hbm3e", "nvlink", "mega", "ls", "fhhl", "dgxs", "sff", "ac",
        "nvl72", "nvl36", "nvl4", "mcm", "vf", "hf", "agx", "data", "center", "maxq", "series",
    )
)  # fmt: skip
"""Words that tell no products apart."""

_ALIASES = {
    "a10g": "a10",
    "a100d": "a10080",
    "pg509210": "a100",
    "pg506230": "a100",
    "pg506232": "a30",
    "h100cnx": "h100",
    "h100l": "h100nvl",
    "h100xl": "h100nvl",
    "h200nvl": "h200",
    "h203e": "h20141",
    "v100s": "v10032",
    "v100d": "v10032",
    "dgxspark": "gb10",
    "spark": "gb10",
    "orin": "jetsonorin",
    "thor": "jetsonthor",
    "a2000": "rtxa2000",
    "a4000": "rtxa4000",
    "a4500": "rtxa4500",
    "a5000": "rtxa5000",
    "a5500": "rtxa5500",
    "a6000": "rtxa6000",
    "quadrortxa6000": "rtxa6000",
    "rtx8000": "quadrortx8000",
    "mi250xmi250": "mi250x",
    "mi200": "mi250x",
    "mi308": "mi308x",
    "mi325": "mi325x",
    "mi350": "mi350x",
    "mi355": "mi355x",
    "gaudi": "gaudi1",
    "hl225": "gaudi2",
    "hl225h": "gaudi2",
    "hl325l": "gaudi3",
    "hl338": "gaudi3",
    "w7900": "prow7900",
    "w7800": "prow7800",
    "w6800": "prow6800",
    "r9700": "aipror9700",
    "7900xt": "rx7900xt",
    "7900xtx": "rx7900xtx",
    "9070xt": "rx9070xt",
    "xmax1100": "max1100",
    "xmax1550": "max1550",
}
"""Words joined, as products are also called, to the product's own; a size may follow it."""

_AMBIGUOUS = {
    "rtx2000": ("RTX-2000-Ada", "RTX-PRO-2000"),
    "rtx4000": ("RTX-4000-Ada", "RTX-PRO-4000", "Quadro-RTX-4000"),
    "rtx4500": ("RTX-4500-Ada", "RTX-PRO-4500"),
    "rtx5000": ("RTX-5000-Ada", "RTX-PRO-5000-48GB", "Quadro-RTX-5000"),
    "rtx6000": ("RTX-6000-Ada", "RTX-PRO-6000", "Quadro-RTX-6000"),
    "mi300": ("MI300X", "MI300A"),
    "mi": ("MI300X", "MI325X"),
    "rtx": ("RTX-4090", "RTX-6000-Ada"),
}
_HOST_MEMORY = {"gh200": {120: 96, 480: 96, 576: 144, 624: 144}}
"""Superchips whose names say the processor's memory, not the GPU's, GB."""

_CHIP = re.compile(
    r"^(?:gh100|ga10[0-9](?:gl|glm)?|ad10[0-9](?:gl|glm)?|tu10[0-9](?:gl|glm)?|gv100(?:gl)?|"
    r"gp10[0-9](?:gl)?|gb100|gb102|gb110|gb20[2-7](?:gl)?)-(?=.)"
)
_SLICE = re.compile(r"(?:^|-)(?:mig-)?((?:[1-7]c\.)?[1-7]g\.[0-9]{1,3}gb(?:[.+-](?:me|gfx|all))*)$")
_VGPU = re.compile(r"(?<=[0-9a-z])-(?:[1-7]-)?([0-9]{1,3})[qcab]$")
_SIZE = re.compile(r"([0-9]{1,3})(?:gb?|gib)")
_MARKS = re.compile(r"\((?:r|tm|c)\)|[\u00ae\u2122()\[\]]")


@dataclass(frozen=True, slots=True)
class Spelled:
    """What a name says.

    Attributes:
        words: Of the product, lower case, without what tells none apart.
        size_gb: On the box; 0 if the name does not say.
        profile: Of a MIG slice; None for a whole GPU.
        shared: Time-sliced.
        virtual_gib: Frame buffer of a vGPU; 0 for the GPU itself.
    """

    words: tuple[str, ...]
    size_gb: int = 0
    profile: Profile | None = None
    shared: bool = False
    virtual_gib: int = 0

    @property
    def key(self) -> str:
        """The product's words joined: ``rtx4090``."""
        return key_of(self.words)

    @property
    def keys(self) -> tuple[tuple[str, int], ...]:
        """What it may be looked up by, best first: words joined, and a size if they hold one."""
        key = self.key
        own = _HOST_MEMORY.get(key, {}).get(self.size_gb, self.size_gb)
        known = _ALIASES.get(key, key)
        numbered = re.fullmatch(r"(a100|h20|v100)(80|141|32)", known)
        if numbered and known != key:
            return ((numbered[1], own or int(numbered[2])),)
        found = [(known, own)]
        if known.isdecimal() or re.fullmatch(r"[0-9]{4}(?:ti|d|super|laptop|ada)+", known):
            found.append((f"rtx{known}", own))
        if len(self.words) > 1 and not own and re.fullmatch(r"[0-9]{1,3}", self.words[-1]):
            found.append((key_of(self.words[:-1]), int(self.words[-1])))
        return tuple(found)

    @property
    def readings(self) -> tuple[str, ...]:
        """Products it may mean alike; empty if it says which."""
        bare = f"rtx{self.key}" if self.key.isdecimal() else self.key
        return _AMBIGUOUS.get(bare, ())


def spell(name: str) -> Spelled:
    """Take a name apart; it need not be any product's."""
    text = re.sub(r"[\s_/,:]+", "-", _MARKS.sub("", name.lower()).strip()).strip("-")
    text = text.removeprefix("nvidia.com-").replace("max-q", "maxq")
    is_shared = text.endswith(("-shared", ".shared"))
    text = text.removesuffix("-shared").removesuffix(".shared")
    sliced = _SLICE.search(text)
    profile = Profile.parse(sliced[1]) if sliced else None
    text = text[: sliced.start()] if sliced else text
    virtual = _VGPU.search(text)
    text = text[: virtual.start()] if virtual else text
    words = [word for word in _CHIP.sub("", text).split("-") if word]
    sizes = [int(match[1]) for word in words if (match := _SIZE.fullmatch(word))]
    kept = tuple(w for w in words if w not in _NOISE and w != "mig" and not _SIZE.fullmatch(w))
    return Spelled(
        kept, sizes[0] if sizes else 0, profile, is_shared, int(virtual[1]) if virtual else 0
    )


def key_of(words: tuple[str, ...]) -> str:
    """Return words joined, without those that tell no products apart."""
    return "".join(words)
