"""Step: will it fit; the GPU plan, from a model's config and headers and a cluster's GPUs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from carferry.errors import DoesNotFit, InputError
from carferry.gpu.inventory.listing import paged
from carferry.gpu.inventory.nodes import Inventory
from carferry.gpu.inventory.read import read_inventory
from carferry.gpu.model.config import load_config
from carferry.gpu.search.decide import decide
from carferry.gpu.search.plan import Goal, GpuPlan
from carferry.io.retry import Retry
from carferry.source import Patterns, Source, SourceFile, open_source

# The version in the default serving image: the plan must be for what will run.
SERVED = "0.24.0"
_CONFIG = "config.json"
_CONFIG_CAP_BYTES = 16 * 1024 * 1024


class Lists(Protocol):
    """The part of a connection to an API server that is used here."""

    namespace: str

    def read(self, path: str) -> dict[str, Any]:
        """Read a path as it is, query included."""


@dataclass(frozen=True, slots=True)
class FitSettings:
    """What the GPU plan is told, as text a form can give; empty is the plan's to choose.

    Attributes:
        gpu: Such as ``L40S x2``; empty reads the cluster.
        namespace: Where the model will be served; its quotas count.
        vllm: Version of the serving image.
        max_model_len: Context that must fit, tokens.
        max_num_seqs: Sequences at once.
        gpu_count: GPUs in one pod.
        nodes: Nodes the model may span; 1 for what a plain InferenceService can serve.
        quantization: ``fp8`` to quantize while loading.
        family: ``gqa`` plans an unknown architecture as a plain decoder.
        image: The ModelCar, to find nodes that hold it already.
        include: Globs, as for the build.
        exclude: Globs, as for the build.
    """

    gpu: str = ""
    namespace: str = ""
    vllm: str = SERVED
    max_model_len: str = ""
    max_num_seqs: str = ""
    gpu_count: str = ""
    nodes: str = ""
    quantization: str = ""
    family: str = ""
    image: str = ""
    include: str = ""
    exclude: str = ""

    def goal(self, image_bytes: int) -> Goal:
        """Parse.

        Raises:
            InputError: A number that is none.
        """
        return Goal(
            vllm=self.vllm or SERVED,
            max_model_len=_number("max_model_len", self.max_model_len),
            max_num_seqs=_number("max_num_seqs", self.max_num_seqs),
            gpu_count=_number("gpu_count", self.gpu_count),
            nodes=_number("nodes", self.nodes),
            quantization=self.quantization,
            image_bytes=image_bytes,
        )


def fit(
    model: str,
    settings: FitSettings,
    *,
    revision: str = "",
    connect: Callable[[], Lists] | None = None,
    retry: Retry | None = None,
) -> GpuPlan:
    """Decide how a model runs; reads its config and headers, a few MB at the most.

    Args:
        model: ``org/name`` or a folder.
        settings: GPUs and wishes.
        revision: Branch, tag or commit.
        connect: Reaches the cluster where no GPU is named; default as kubectl would.
        retry: How often what fails for the moment is tried again.

    Raises:
        UnsupportedModel: An unknown architecture.
        InputError: A config or header that does not add up, or a GPU nobody knows.
        DoesNotFit: The cluster has no GPU at all.
    """
    again = retry or Retry()
    source = open_source(model, revision, retry=again)
    snapshot = source.listing(Patterns.parse(settings.include, settings.exclude))
    files = {file.path: file for file in snapshot.files}

    def read_range(path: str, start: int, end: int) -> bytes:
        file = files[path]
        return b"".join(source.read(file, start, min(end, file.size_bytes)))

    return decide(
        _config(source, files),
        gpus=settings.gpu or again.call(lambda: _cluster_gpus((connect or _connect)(), settings)),
        read_range=read_range,
        files={path: file.size_bytes for path, file in files.items()},
        goal=settings.goal(snapshot.size_bytes),
        subject=snapshot.repo or model,
        family=settings.family,
    )


def _config(source: Source, files: Mapping[str, SourceFile]) -> dict[str, Any] | None:
    file = files.get(_CONFIG)
    if file is None:
        return None
    if file.size_bytes > _CONFIG_CAP_BYTES:
        raise InputError("read", _CONFIG, f"{file.size_bytes} bytes long, no config is")
    return load_config(b"".join(source.read(file)))


def _connect() -> Lists:
    """The Kubernetes client costs 0.3 s to import: only who asks a cluster pays."""
    from carferry.cluster import api

    return api.connect()


def _cluster_gpus(api: Lists, settings: FitSettings) -> Inventory:
    namespace = settings.namespace or api.namespace
    image = settings.image.removeprefix("docker://")
    found = read_inventory(paged(api.read), namespace=namespace, image=image)
    if not found.groups and found.source != "nodes":
        raise DoesNotFit(
            "read the GPUs of", "the cluster", "; ".join(found.notes),
            "grant list on nodes and pods, or name the GPU, as in 'L40S x2'",
        )  # fmt: skip
    return found


def _number(name: str, text: str) -> int | None:
    if text in {"", "0"}:
        return None
    if not text.isdecimal():
        raise InputError(f"read {name}", repr(text), "not a whole number")
    return int(text)
