"""One node: where it lives, under which numbers, and as whom its parts log in."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

NODE = "node"
NODE_IP = "10.99.0.1"
SERVICES = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
PODS = "10.88.0.0/16"

# Who: the user and the group that their token stands for.
USERS = {
    "admin": ("admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
    "dns": ("dns", "system:masters"),
    "kubelet": (f"system:node:{NODE}", "system:nodes"),
}


@dataclass(frozen=True, slots=True)
class Rig:
    """A node, running or about to.

    Attributes:
        folder: Holds everything that it writes.
        programs: What ``.ci/cluster`` built.
        api: Port of the API server on 127.0.0.1, inside the node and outside.
        registry: Likewise of the registry.
        group: Name of the control group that holds all of it.
    """

    folder: Path
    programs: Path
    api: int
    registry: int
    group: str

    @property
    def registry_host(self) -> str:
        """The registry as image references name it."""
        return f"127.0.0.1:{self.registry}"

    @property
    def registry_of_pods(self) -> str:
        """The same registry as pods reach it; the kubelet does, too."""
        return f"{NODE_IP}:{self.registry}"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's way in."""
        return self.kubeconfig_of("admin")

    def kubeconfig_of(self, user: str) -> Path:
        """Return where the login of one of `USERS` is."""
        return self.etc / f"{user}.kubeconfig"

    @property
    def etc(self) -> Path:
        """What the parts are told."""
        return self.folder / "etc"

    @property
    def log(self) -> Path:
        """What the parts say, one file each."""
        return self.folder / "log"

    @property
    def run(self) -> Path:
        """The processes' ids, and these settings."""
        return self.folder / "run"

    def save(self) -> None:
        """Write these settings where `load` finds them."""
        self.run.mkdir(parents=True, exist_ok=True)
        told = {name: str(value) for name, value in dataclasses.asdict(self).items()}
        (self.run / "rig.json").write_text(json.dumps(told))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the settings of a node that was started in a folder."""
        told = json.loads((folder / "run/rig.json").read_text())
        return cls(
            Path(told["folder"]),
            Path(told["programs"]),
            int(told["api"]),
            int(told["registry"]),
            told["group"],
        )
