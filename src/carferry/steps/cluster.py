"""How a step reaches a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from carferry.form.readers import read_path, read_text

if TYPE_CHECKING:
    from carferry.cluster.client import Cluster


def connected(kubeconfig: str | Path | None, context: str, ca_file: str | Path | None) -> Cluster:
    """Connect to the cluster of a kubeconfig, else as the pod's account.

    Raises:
        InputError: No configuration was given or found, or it is unusable.
    """
    # The Kubernetes client costs 0.3 s to import, which rendering should not pay.
    from carferry.cluster.client import Cluster

    file = read_path("kubeconfig", kubeconfig)
    name, ca = read_text("context", context), read_path("ca_file", ca_file)
    return Cluster.connect(kubeconfig=file, context=name, ca_file=ca)
