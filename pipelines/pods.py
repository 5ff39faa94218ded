"""A step's pod: CPU and memory, secrets as files, a shared volume; none of it in a local run.

Sources: kfp-kubernetes 2.17; the driver's k8s.go for what each field does. A Secret's name as a
parameter and the run's own name in a constant need KFP 2.5 (OpenShift AI 2.22) or newer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kfp import dsl, kubernetes
from kfp.dsl import PipelineTask

from carferry.bundle.component import CARRIED, Runtime, mount_library
from carferry.cluster.pod import MOUNTED

HF_FILES = f"{MOUNTED}/hf"
REGISTRY_FILES = f"{MOUNTED}/registry"
ENVIRONMENT_FILES = f"{MOUNTED}/environment"
ENVIRONMENT = "carferry-environment"
"""ConfigMap that a project may have: hub address, proxies and certificates for every step. What
holds a password is found in the registry's Secret too: a volume more in each worker is too much."""
CLAIM_FILES = f"{MOUNTED}/claim"
"""Mount of the claim that holds the model."""
VOLUME = "/data"

RESTARTS = 3
"""Times that Argo starts a step again which was killed while it moved bytes. What fails for the
moment is tried again inside the step; what fails for good should not be: Argo cannot tell."""
_BACKOFF = "10s"
_AS_LONG_AS_IT_TAKES = "720h"
"""Argo ends every try at the first one's start plus this, kfp's default being one hour."""

Text = Any
"""A string or a channel that carries one at run time; kfp has no type for both."""


HERE = Runtime("python on this machine", installed=True)
"""What a local run's steps run on: this Python, with carferry in it."""


@dataclass(frozen=True, slots=True)
class Site:
    """The place a pipeline will run in: pods of a cluster, or this machine.

    Attributes:
        runtime: What its steps run on.
        folder: Folder that steps of a local run share; empty: on a cluster, in pods.
    """

    runtime: Runtime = CARRIED
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Pod:
    """Requests and limits of one step, as Kubernetes quantities."""

    cpu: str
    cpu_limit: str
    memory: str
    memory_limit: str


MOVER = Pod(cpu="250m", cpu_limit="4", memory="512Mi", memory_limit="4Gi")
"""Reads, hashes and sends files in constant memory, about 20 MiB a layer."""
PLANNER = Pod(cpu="250m", cpu_limit="2", memory="256Mi", memory_limit="1Gi")
"""Asks the hub and the registry; moves at most a base image's layers."""
BUILDER = Pod(cpu="250m", cpu_limit="4", memory="1Gi", memory_limit="8Gi")
"""Waits for Buildah, then reads and copies layers; page cache counts against the limit."""
CALLER = Pod(cpu="250m", cpu_limit="1", memory="256Mi", memory_limit="1Gi")
"""Talks to the Kubernetes API."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A folder that several steps see: a mounted claim, or a local one.

    Attributes:
        path: The folder, as the steps see it.
        claim: Name of the PersistentVolumeClaim; None in a local run.
    """

    path: str
    claim: Text


def settle(
    task: PipelineTask,
    pod: Pod,
    site: Site,
    *,
    retries: int = 0,
    hub: Text = None,
    registry: Text = None,
    volume: Volume | None = None,
) -> None:
    """Give a task its pod, and no cached result: a step's effect is outside the pipeline.

    Args:
        task: The task.
        pod: Its resources.
        site: Locally nothing but the caching applies.
        retries: Times it may be started again after it failed or was killed.
        hub: Secret whose key ``HF_TOKEN`` opens gated models, mounted as files if it exists.
        registry: Secret of type ``kubernetes.io/dockerconfigjson``, likewise.
        volume: Mounted at its path.
    """
    task.set_caching_options(False)
    if site.folder:
        return
    mount_library(task, site.runtime)
    kubernetes.use_config_map_as_volume(task, ENVIRONMENT, ENVIRONMENT_FILES, optional=True)
    task.set_cpu_request(pod.cpu).set_cpu_limit(pod.cpu_limit)
    task.set_memory_request(pod.memory).set_memory_limit(pod.memory_limit)
    if retries:
        task.set_retry(retries, _BACKOFF, 1, _AS_LONG_AS_IT_TAKES)
    if hub is not None:
        kubernetes.use_secret_as_volume(task, hub, HF_FILES, optional=True)
    if registry is not None:
        kubernetes.use_secret_as_volume(task, registry, REGISTRY_FILES, optional=True)
    if volume is not None:
        kubernetes.mount_pvc(task, pvc_name=volume.claim, mount_path=volume.path)


def claimed(given: Mapping[str, Text]) -> Volume | None:
    """Return the volume of the claim that a pipeline's parameters name, if they name one."""
    return Volume(CLAIM_FILES, given["model_claim"]) if "model_claim" in given else None


def logins(given: Mapping[str, Text]) -> dict[str, Text]:
    """Return the Secrets of a step that reads the model: it may be in an image too."""
    return {"hub": given.get("secret_hub"), "registry": given["secret_registry"]}


def delegated(volume: Volume) -> dict[str, Text]:
    """Return the arguments that make a build run Buildah in a Job; none in a local run.

    A step's container has every capability dropped since KFP 2.16, so Buildah cannot run in it.
    """
    if volume.claim is None:
        return {}
    return {"builder": "job", "builder_claim": volume.claim, "builder_folder": volume.path}


@contextmanager
def shared_volume(site: Site, size: Text, storage_class: Text) -> Iterator[Volume]:
    """Wire tasks between the creation of a claim and its removal, also after a failure.

    The claim carries the run's name, because an exit task may not use another task's outputs.
    """
    if site.folder:
        yield Volume(site.folder, None)
        return
    name = dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER
    remove = kubernetes.DeletePVC(pvc_name=name).set_caching_options(False)
    with dsl.ExitHandler(remove, name="volume"):
        create = kubernetes.CreatePVC(
            pvc_name=name,
            access_modes=["ReadWriteOnce"],
            size=size,
            storage_class_name=storage_class,
        ).set_caching_options(False)
        yield Volume(VOLUME, create.outputs["name"])
