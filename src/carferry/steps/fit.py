"""Step: will it fit; the GPU plan, from a model's config and headers and a cluster's GPUs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Unpack

from carferry.errors import DoesNotFit
from carferry.form.readers import (
    read_model,
    read_path,
    read_text,
)
from carferry.gpu.inventory.nodes import Inventory
from carferry.gpu.search.decide import decide
from carferry.io.net.retry import Retry
from carferry.selection.patterns import Patterns
from carferry.source.pieces import Pieces
from carferry.steps.access import open_access, patience
from carferry.steps.calibrations import calibrations_for, read_calibrations
from carferry.steps.defaults import SERVED, STOP
from carferry.steps.fit_settings import FIT_DEFAULTS, FitKeywords, FitSettings
from carferry.steps.fitted import Fit
from carferry.steps.models import open_model
from carferry.steps.seen import see
from carferry.steps.signature import takes

if TYPE_CHECKING:
    from carferry.cluster.api import Api


class Lists(Protocol):
    """The part of a connection to an API server that is used here."""

    namespace: str

    def read(self, path: str) -> dict[str, Any]:
        """Read a path as it is, query included."""


@takes(FitKeywords, FIT_DEFAULTS)
def fit(
    model: str | Path,
    *,
    kubeconfig: str | Path | None = None,
    context: str = "",
    connect: Callable[[], Lists] | None = None,
    retry: Retry | None = None,
    opened: Pieces | None = None,
    calibration: str | Path | None = None,
    **settings: Unpack[FitKeywords],
) -> Fit:
    """Decide whether and how a model runs; reads its config and headers, a few MB at the most.

    Args:
        model: ``org/name[@revision]`` on the hub, a folder as ``./path``, or an image that holds
            it, as ``oci://host/repository:tag``.
        kubeconfig: File with the cluster whose GPUs count if none is named; default the pod's,
            or as for kubectl.
        context: Of the kubeconfig; empty means the current one.
        connect: Reaches the cluster some other way.
        retry: How often what fails for the moment is tried again.
        opened: The same model, if it was opened before: what was read of it is not read again.
        calibration: File that keeps what logs of vLLM have corrected; None, ``none``: nothing.
        **settings: The fields of ``carferry.FitSettings``.

    Returns:
        The verdict, the arithmetic in GiB, the smallest change if it does not fit, and the
        vLLM arguments; a notebook shows it with a chart.

    Raises:
        UnsupportedModel: An unknown architecture or quantization, if ``on_unknown`` is ``stop``.
        IncompleteModel: A file is broken or missing.
        InputError: A config or header that does not add up, or an unknown GPU.
        DoesNotFit: The cluster has no GPU at all.

    Example:
        >>> import carferry
        >>> carferry.fit("./model", gpus="L40S", max_model_len=512).verdict
        'fits'
    """
    how, name = FitSettings(**settings), read_model(model)
    how.check()
    kept = calibrations_for(read_calibrations(calibration), how.vllm or SERVED)
    how, said = how.versioned()
    again = retry or patience()
    pieces = opened or _open(name, how, again)
    wanted = Patterns.parse(how.include, how.exclude, how.allow_no_weights)
    seen = see(pieces, wanted, again)
    reach = connect or partial(reach_cluster, kubeconfig, context, how.ca_file)
    selection = seen.selection
    return Fit(
        decide(
            seen.config(),
            gpus=how.gpus or again.call(lambda: _cluster_gpus(reach(), how)),
            read_range=pieces.read,
            files=seen.sizes,
            headers=seen.headers,
            goal=replace(how.goal(selection.files.size_bytes), calibrations=kept),
            subject=selection.files.repo or name,
            family=how.family,
            arguments=selection.arguments,
            notes=(*selection.notes, *said),
            strict=how.on_unknown == STOP,
        )
    )


def _open(name: str, how: FitSettings, retry: Retry) -> Pieces:
    access = replace(open_access(how.plain_http, how.ca_file), retry=retry)
    return Pieces(open_model(name, how.revision, access))


def reach_cluster(kubeconfig: str | Path | None, context: str, ca_file: str | Path | None) -> Api:
    """Connect to the cluster that a kubeconfig names, or that this pod runs in."""
    # The Kubernetes client costs 0.3 s to import, which a plan for named GPUs should not pay.
    from carferry.cluster import api

    file = read_path("kubeconfig", kubeconfig)
    name, ca = read_text("context", context), read_path("ca_file", ca_file)
    return api.connect(kubeconfig=file, context=name, ca_file=ca)


def _cluster_gpus(api: Lists, settings: FitSettings) -> Inventory:
    namespace = settings.namespace or api.namespace
    image = settings.image.removeprefix("docker://")
    # A plan for named GPUs reads no cluster.
    from carferry.gpu.inventory.listing import paged
    from carferry.gpu.inventory.read import read_inventory

    found = read_inventory(paged(api.read), namespace=namespace, image=image)
    if not found.groups and found.source != "nodes":
        raise DoesNotFit(
            "read the GPUs of", "the cluster", "; ".join(found.notes),
            "grant list on nodes and pods, or name the GPU, as in 'L40S x2'",
        )  # fmt: skip
    return found
