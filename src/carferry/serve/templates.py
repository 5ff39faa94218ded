"""The vLLM runtimes that a cluster offers: OpenShift AI's Templates of ServingRuntimes.

Source: opendatahub-io/odh-model-controller (config/runtimes/vllm).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from carferry.cluster.discovery import Reads, readable
from carferry.cluster.kinds import TEMPLATES
from carferry.gpu.inventory.listing import SHARED
from carferry.serve.objects.found import Template
from carferry.serve.settings import Deployment

_CPU = "vllm-cpu-x86-runtime-template", "vllm-cpu-runtime-template"
_FIRST = (
    "vllm-cuda-runtime-template",
    "vllm-runtime-template",  # 2.16 to 2.18
    "vllm-rocm-runtime-template",
    "vllm-gaudi-runtime-template",
    "vllm-spyre-x86-runtime-template",
    *_CPU,
)
"""Names, best first, where several fit: others are multi-node, or for other architectures."""


def find_template(api: Reads, deployment: Deployment) -> Template | None:
    """Return the Template for the accelerator of a deployment; None if there is none to see.

    Args:
        api: The connection.
        deployment: Names the resource of its accelerator; no count means the CPU.

    Raises:
        ClusterError: The server failed in another way than refusing.
        Unreachable: No answer.
    """
    fitting = [each for each in _templates(api) if _fits(each, deployment)]
    return min(fitting, key=_rank, default=None)


def _rank(template: Template) -> tuple[int, str]:
    known = _FIRST.index(template.name) if template.name in _FIRST else len(_FIRST)
    return known, template.name


def _fits(template: Template, deployment: Deployment) -> bool:
    if not deployment.gpu_count:
        return template.name in _CPU
    resource = deployment.gpu_resource
    if resource.startswith("nvidia.com/"):
        resource = "nvidia.com/gpu"  # a slice of one
    notes = (template.runtime.get("metadata") or {}).get("annotations") or {}
    try:
        named = json.loads(str(notes.get("opendatahub.io/recommended-accelerators") or "[]"))
    except ValueError:
        return False
    return isinstance(named, list) and resource in named


def _templates(api: Reads) -> Iterator[Template]:
    for place in SHARED:
        path = TEMPLATES.path(place)
        for item in (readable(api, path) or {}).get("items") or ():
            if found := _template(item):
                yield found


def _template(item: dict[str, Any]) -> Template | None:
    """Return a Template that holds a vLLM runtime of one container, and no open parameter."""
    metadata, objects = item.get("metadata") or {}, item.get("objects") or [{}]
    runtime = objects[0]
    spec = runtime.get("spec") or {}
    formats = [each.get("name") for each in spec.get("supportedModelFormats") or ()]
    if runtime.get("kind") != "ServingRuntime" or "vLLM" not in formats or spec.get("workerSpec"):
        return None
    if not spec.get("containers") or "${" in json.dumps(runtime):
        return None
    notes = metadata.get("annotations") or {}
    name = str(metadata.get("name"))
    title = str(notes.get("openshift.io/display-name") or name)
    return Template(name, title, str(notes.get("opendatahub.io/apiProtocol") or ""), runtime)
