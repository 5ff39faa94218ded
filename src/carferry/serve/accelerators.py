"""Which accelerator a resource of Kubernetes means, and which one a server's image is made for.

Sources: the vendors' device plugins; OpenShift AI's Templates (odh-model-controller,
config/runtimes/vllm: ``recommended-accelerators``); vLLM 0.24, docs/getting_started/installation,
for the names of its images.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from carferry.errors import InputError
from carferry.refs import ImageRef


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One kind of device.

    Attributes:
        name: As people call it.
        resources: What the resource's name matches.
        images: What an image's repository or tag matches.
        image: Where to find a server for it.
    """

    name: str
    resources: re.Pattern[str]
    images: re.Pattern[str]
    image: str


def _kind(name: str, resources: str, images: str, image: str) -> Accelerator:
    # A word of a name: vllm-rocm-rhel9, rhoai-2.20-rocm, rocm/vllm.
    word = re.compile(rf"(?<![a-z])(?:{images})(?![a-z])")
    return Accelerator(name, re.compile(resources), word, image)


NVIDIA = _kind(
    "NVIDIA GPUs", r"nvidia\.com/.*", "cuda|vllm-openai", "docker.io/vllm/vllm-openai:v0.24.0"
)
CPU = _kind(
    "CPUs",
    "",
    "cpu",
    "public.ecr.aws/q9t5s3a7/vllm-cpu-release-repo, or OpenShift AI's vllm-cpu-runtime-template",
)
_OTHERS = (
    _kind(
        "AMD GPUs",
        r"amd\.com/.*",
        "rocm",
        "docker.io/vllm/vllm-openai-rocm, or OpenShift AI's vllm-rocm-runtime-template",
    ),
    _kind(
        "Gaudi accelerators",
        r"habana\.ai/.*",
        "gaudi|hpu",
        "OpenShift AI's vllm-gaudi-runtime-template",
    ),
    _kind("Intel GPUs", r"(?:gpu\.)?intel\.com/.*", "xpu", "one that is built from Dockerfile.xpu"),
    _kind(
        "Spyre cards",
        r"ibm\.com/(?:aiu|spyre).*",
        "spyre",
        "OpenShift AI's vllm-spyre-x86-runtime-template",
    ),
    _kind("TPUs", r"google\.com/tpu", "tpu", "docker.io/vllm/vllm-tpu"),
    _kind("Neuron devices", r"aws\.amazon\.com/neuron.*", "neuron", "one of the Neuron SDK"),
)


def accelerator_of(resource: str) -> Accelerator | None:
    """Return what a resource means; None if its vendor is not known."""
    known = (NVIDIA, *_OTHERS)
    return next((each for each in known if each.resources.fullmatch(resource)), None)


def made_for(image: str) -> Accelerator | None:
    """Return what a server's image is made for, by its name; None if that does not say.

    ``vllm-openai-rocm`` is for AMD: ``vllm-openai`` alone says NVIDIA. The end of a name says more
    than the folders before it.
    """
    ref = ImageRef.parse(image)
    for text in (f"{ref.repository.rpartition('/')[2]}:{ref.tag or ''}", ref.repository):
        found = [each for each in (CPU, *_OTHERS) if each.images.search(text.lower())]
        if not found and NVIDIA.images.search(text.lower()):
            return NVIDIA
        if found:
            return found[0] if len(found) == 1 else None
    return None


def check_server(image: str, resource: str, count: int) -> None:
    """Refuse a server that would find none of its devices.

    Args:
        image: The server's.
        resource: What its pod asks for.
        count: How many; 0: it is served on the CPU.

    Raises:
        InputError: Names the device, and where an image for it is.
    """
    wanted, made = (accelerator_of(resource) if count else CPU), made_for(image)
    if made is None or made is wanted:
        return
    device = resource if count else "CPU only: gpu_count is 0"
    where = wanted.image if wanted else "that of the accelerator's vendor"
    reason, remedy = f"needs {made.name}, not {device}", f"name another runtime_image: {where}"
    raise InputError("use runtime image", image, reason, remedy)
