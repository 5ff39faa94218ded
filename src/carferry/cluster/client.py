"""One class for one cluster: connect, check permissions, apply objects, wait for a rollout."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from carferry.cluster.api import Api, connect
from carferry.cluster.apply import apply
from carferry.cluster.kinds import KINDS, Object, ResourceKind
from carferry.cluster.owners import FIELD_MANAGER
from carferry.cluster.watch.clock import Clock, SystemClock
from carferry.cluster.watch.wait import wait

__all__ = ["FIELD_MANAGER", "Clock", "Cluster", "SystemClock"]

logger = logging.getLogger("carferry")


class Cluster:
    """One cluster, as one user."""

    def __init__(self, api: Api) -> None:
        """Keep the connection; nothing is sent yet."""
        self.api = api

    @classmethod
    def connect(
        cls,
        *,
        kubeconfig: Path | None = None,
        context: str = "",
        host: str = "",
        token: str = "",
        ca_file: Path | None = None,
    ) -> Cluster:
        """Connect to the given host or kubeconfig, else as the pod's account, else by kubeconfig.

        Raises:
            InputError: No configuration was given or found; the remedy says what to do.
        """
        return cls(
            connect(kubeconfig=kubeconfig, context=context, host=host, token=token, ca_file=ca_file)
        )

    @property
    def namespace(self) -> str:
        """The namespace of the pod or of the kubeconfig's context, as a default."""
        return self.api.namespace

    def apply(
        self, objects: Iterable[Object], *, dry_run: bool = False, force: bool = False
    ) -> list[Object]:
        """Server-side apply objects in order; see ``carferry.cluster.apply.apply``."""
        return apply(self.api, objects, dry_run=dry_run, force=force)

    def get(self, obj: Object) -> Object | None:
        """Return what the server holds of an object's kind and name; None if nothing."""
        metadata = obj["metadata"]
        return self.api.get(ResourceKind.of(obj), metadata["namespace"], metadata["name"])

    def wait(
        self,
        name: str,
        namespace: str,
        *,
        deadline_s: float,
        kind: ResourceKind = KINDS["InferenceService"],
        is_fixed: bool = True,
        size_bytes: int = 0,
        planned: str = "",
        replaced: int | None = None,
        clock: Clock | None = None,
        report: Callable[[str], None] = logger.info,
    ) -> Object:
        """Wait until an InferenceService serves; see ``carferry.cluster.watch.wait.wait``."""
        return wait(
            self.api, name, namespace, deadline_s=deadline_s, kind=kind, is_fixed=is_fixed,
            size_bytes=size_bytes, planned=planned, replaced=replaced, clock=clock,
            report=report,
        )  # fmt: skip
