"""The generated part of the page of versions: what the code's own tables say."""

from __future__ import annotations

import re
from pathlib import Path

from carferry.bundle.start import KFP
from carferry.gpu.vllm.releases import LATEST, PLATFORMS, RANGES, dotted
from carferry.lint.targets import TARGETS
from carferry.pipelines.reference.table import renewed, table
from carferry.runtime.interpreter import OLDEST_PYTHON
from carferry.runtime.pins import PYTHON_BASE
from carferry.serve.platforms import PLATFORMS as SERVING
from carferry.serve.release import BROKEN
from carferry.serve.settings import VLLM_IMAGE

PAGE = Path("docs/reference/versions.md")
_FINAL = 99
"""A release that is no early access."""


def page(text: str) -> str:
    """Return the page with its generated part renewed; the rest is evidence, written by hand."""
    return renewed(text, "versions", block())


def block() -> str:
    """Return the tables."""
    return "\n".join((_used(), _targets(), _vllm(), _boundaries()))


def _used() -> str:
    python = ".".join(map(str, OLDEST_PYTHON))
    titles = ", ".join(f"{one.title} (`{one.name}`)" for one in SERVING.values())
    rows = [
        ("Python", f"{python} or newer"),
        ("KFP SDK", KFP[0].partition("==")[2]),
        ("Platforms that serve", titles),
        ("KServe with `nodes` above 1", f"not {BROKEN}"),
        ("Image that serves by default", f"`{VLLM_IMAGE}`"),
        ("Image that steps run in", f"`{PYTHON_BASE.partition('@')[0]}`, by digest"),
    ]
    return f"## What carferry is made for\n\n{table(('What', 'Version'), rows)}"


def _targets() -> str:
    rows = [
        (f"`{name}`", _joined(one.backend), _joined(one.argo), "yes" if one.is_rhoai else "no")
        for name, one in TARGETS.items()
    ]
    head = ("`--target`", "KFP backend", "Argo Workflows", "checked by default")
    about = "What `carferry lint` knows of: [its rules](lint.md)."
    return f"## Releases that a pipeline is checked for\n\n{about}\n\n{table(head, rows)}"


def _vllm() -> str:
    rows = [
        (_platform(platform), f"`{_name(platform)}`", dotted(release))
        for platform, release in PLATFORMS.items()
    ]
    head = ("OpenShift AI", "`--vllm`", "serves with vLLM")
    return f"## The vLLM of OpenShift AI\n\n{table(head, rows)}"


def _boundaries() -> str:
    since = ", ".join(dotted(each.since) for each in RANGES[1:])
    return (
        "## vLLM releases that the GPU plan tells apart\n\n"
        f"Each range begins at one of these: {since}. The newest that was read is {LATEST};\n"
        "one that was not is planned as the nearest that was, and the plan says so.\n"
    )


def _joined(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _platform(release: tuple[int, int, int]) -> str:
    major, minor, early = release
    return f"{major}.{minor}" + (f" EA{early}" if early != _FINAL else "")


def _name(release: tuple[int, int, int]) -> str:
    return "rhoai-" + re.sub(r" EA(\d+)", r"-ea.\1", _platform(release))
