"""GPUs that somebody names: ``L40S x2``, ``2 nodes of H100 x8``, ``24GiB x2``, ``mig-3g.20gb``.

A product's name may hold digits, so a number counts GPUs only after ``x`` or ``*``, or in front.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from carferry.errors import InputError
from carferry.gpu.inventory.catalogue import Gpu, find, unnamed

# Clusters have a handful; each kind is planned in some tens of ways.
_MOST_KINDS = 100
_LONGEST_ITEM = 120
_MOST_GPUS, _MOST_NODES, _MOST_GIB = 64, 64, 4096
_EXAMPLE = "write 'L40S x2'"
_NODES = re.compile(r"([0-9]+)\s*(?:x\s*)?nodes?\s+(?:(?:of|with|x)\s+)?(.+?)(?:\s+each)?", re.I)
_FIRST = re.compile(r"([0-9]+)(?:\s*[x*]\s*|\s+)(.+)", re.I)
_LAST = re.compile(r"(.+)(?:\s+[x*]|\*|(?<=[\s0-9a-z])x(?=[0-9]))\s*([^\s].*)", re.I)
_TRAILING = re.compile(r"(.+?)\s+([0-9]{1,2})")
_MEMORY = re.compile(r"([0-9]{1,4}(?:\.[0-9]{1,3})?)\s*(gib|gi|gb|g)", re.I)
_CPU = re.compile(r"cpus?|x86(?:[_-]64)?|intel cpu|amd cpu|xeon|epyc|none gpu|no gpu", re.I)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One kind of node that was named.

    Attributes:
        count: GPUs of each node.
        nodes: How many such nodes.
    """

    gpu: Gpu
    count: int
    nodes: int = 1


def parse_gpus(text: str) -> tuple[Wanted, ...]:
    """Parse ``--gpu`` text: ``L40S``, ``2xH100-80GB, A100-80GB x 4``, ``2 nodes of H100 x8``.

    Raises:
        InputError: An unknown name, a count that is not 1 to 64, or CPUs.
    """
    items = [item.strip() for item in text.split(",") if item.strip()]
    if len(items) > _MOST_KINDS:
        reason = f"{len(items)} kinds of GPU, more than {_MOST_KINDS}"
        raise InputError("plan for", f"{text[:80]}...", reason, "name those that the cluster has")
    if not items:
        raise InputError("parse --gpu", repr(text[:80]), "names no GPU", _EXAMPLE)
    return tuple(map(_parse_one, items))


def _parse_one(item: str) -> Wanted:
    if len(item) > _LONGEST_ITEM:
        raise InputError("parse --gpu", f"{item[:80]!r}...", "no GPU's name", _EXAMPLE)
    match = _NODES.fullmatch(item)
    nodes, rest = (match[1], match[2]) if match else ("1", item)
    name, count = _counted(rest)
    return Wanted(
        _gpu(name),
        _number(item, count, "GPUs in a node", _MOST_GPUS),
        _number(item, nodes, "nodes", _MOST_NODES),
    )


def _counted(text: str) -> tuple[str, str]:
    """Return the name and the text of its count; a name that is a product has none."""
    if _is_gpu(text):
        return text, "1"
    last, first = _LAST.fullmatch(text), _FIRST.fullmatch(text)
    read = [(last[1].strip(), last[2])] if last else []
    read += [(first[2], first[1])] if first else []
    return next((each for each in read if _is_gpu(each[0])), read[-1] if read else (text, "1"))


def _is_gpu(name: str) -> bool:
    return _MEMORY.fullmatch(name) is not None or _known(name)


def _known(name: str) -> bool:
    try:
        find(name)
    except InputError:
        return False
    return True


def _gpu(name: str) -> Gpu:
    if match := _MEMORY.fullmatch(name):
        return _by_memory(name, float(match[1]), binary="i" in match[2].lower())
    if _CPU.fullmatch(name):
        raise InputError(
            "plan for", repr(name), "carferry plans GPUs; vLLM serves on CPUs with another image",
            "deploy without a plan: --gpu-count 0 and vLLM's CPU image as --runtime-image",
        )  # fmt: skip
    try:
        return find(name)
    except InputError as error:
        if (match := _TRAILING.fullmatch(name)) and _known(match[1]):
            reason = (
                f"no product of that name; {match[2]} of {match[1]} are '{match[1]} x{match[2]}'"
            )
            raise InputError("find GPU", repr(name), reason, "write which is meant") from error
        raise


def _by_memory(name: str, amount: float, *, binary: bool) -> Gpu:
    """Return a GPU of so much memory as torch sees it; GB are a thousand to the third."""
    gib = amount if binary else amount * 1e9 / (1 << 30)
    if not 1 <= gib <= _MOST_GIB:
        raise InputError("parse --gpu", repr(name), "no GPU's memory", f"1 to {_MOST_GIB} GiB")
    gpu = unnamed(round(gib, 2), f"{amount:g}{'GiB' if binary else 'GB'}")
    return replace(gpu, typed=True)


def _number(item: str, text: str, what: str, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        reason = f"{text[:20]!r} is no number of {what}"
        raise InputError("parse --gpu", repr(item), reason, f"1 to {most}, as in 'L40S x2'")
    if not 1 <= int(text) <= most:
        raise InputError("parse --gpu", repr(item), f"{int(text)} {what}", f"1 to {most}")
    return int(text)
