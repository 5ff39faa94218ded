"""What a page that uses a cluster meets: the node of the tests, behind the names of the docs.

The registries' names are the node's own registry, for the page's commands and for the node; vLLM's
image is its stand-in; a namespace ``models`` is made for the page and removed with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from docs.shims import write_oc
from docs.world import BASE, COMPANY, QUAY, Stage, World
from servers.busybox import busybox_base
from servers.tools import find

from cluster.rig import images
from cluster.rig import node as rig
from cluster.rig.expose import exposed
from cluster.rig.node import Node, Refused
from cluster.small_pods import small_pods

NAMESPACE = "models"
DOCKER = "docker.io"
TEAM = "team"
VLLM = "vllm/vllm-openai:v0.24.0"
_NAMES = (QUAY, COMPANY, BASE, DOCKER)


class ClusterWorld(World):
    """A world with a node, see `World`."""

    node: Node
    patience_s = 600.0

    def __init__(self, stage: Stage, page: str, folder: Path, node: Node) -> None:
        super().__init__(stage, page, folder)
        self.node = node

    def enter(self) -> None:
        """Log in to the node and have the names lead to its registry."""
        self.stack.enter_context(alone(self.node))
        bring_images(self.node, self.folder)
        forget_images(self.node)
        for name in (BASE, DOCKER):
            self.lead(name, self.node.registry)
        words = " ".join(self.node.kubectl_command)
        write_oc(self.folder / "bin", f"{words} --cache-dir {self.folder}/kubectl")
        self.write_login()
        self.stack.enter_context(fresh_namespace(self.node))
        self.stack.enter_context(small_pods(self.node, NAMESPACE))

    def store(self, name: str) -> Path:
        """Return a folder whose images are those of the node's registry, whatever the name."""
        root = super().store(name)
        root.mkdir(parents=True)
        (root / "data").symlink_to(self.node.folder / "registry")
        return root

    def want_a_login(self, name: str) -> None:
        """Let the node, too, pull nothing by a registry's name without a login, until the end."""
        port = int(self.registry(name).host.rpartition(":")[2])
        first = int((self.node.folder / "run/init.pid").read_text())
        address = self.stack.enter_context(exposed(port, first))
        told = self.node.folder / "etc/certs.d" / name / "hosts.toml"
        self.stack.callback(told.write_text, told.read_text())
        told.write_text(f'server = "http://{address}"\n')

    def write_login(self) -> None:
        """Write the administrator's login, with the namespace as its own."""
        config = json.loads(self.node.kubeconfig.read_text())
        config["contexts"][0]["context"]["namespace"] = NAMESPACE
        path = self.home / ".kube/config"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(config))


@contextlib.contextmanager
def alone(node: Node) -> Iterator[None]:
    """Have the node for one page, whoever else runs pages on it."""
    with (node.folder / "run/docs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def fresh_namespace(node: Node) -> Iterator[None]:
    """Make the namespace, none of an earlier page left in it; remove it at the end."""
    with contextlib.suppress(Refused):
        node.kubectl("delete", "namespace", NAMESPACE, "--timeout=120s")
    node.kubectl("create", "namespace", NAMESPACE)
    try:
        yield
    finally:
        node.kubectl("delete", "namespace", NAMESPACE, "--timeout=120s")


def bring_images(node: Node, scratch: Path) -> None:
    """Push what pages name but do not make, and have the node find the names; once for a node."""
    told = node.folder / "etc/certs.d" / DOCKER / "hosts.toml"
    if told.exists():
        return
    copy = [find("skopeo"), "--insecure-policy", "copy", "--quiet", "--preserve-digests"]
    insecure = ["--src-tls-verify=false", "--dest-tls-verify=false"]
    standin = images.push_standin(node.registry)
    target = f"docker://{node.registry}/{VLLM}"
    subprocess.run([*copy, *insecure, f"docker://{_without_tag(standin)}", target], check=True)
    base = f"docker://{node.registry}/ubi9/ubi-micro:latest"
    layout = busybox_base(scratch / "base")
    subprocess.run([*copy, "--dest-tls-verify=false", layout, base], check=True)
    for name in _NAMES:
        place = node.folder / "etc/certs.d" / name
        place.mkdir(parents=True, exist_ok=True)
        (place / "hosts.toml").write_text(f'server = "http://{node.registry}"\n')


def forget_images(node: Node) -> None:
    """Remove what earlier pages pushed; a layer is there for those who find it in a repository."""
    repositories = node.folder / "registry/docker/registry/v2/repositories"
    shutil.rmtree(repositories / TEAM, ignore_errors=True)


def _without_tag(image: str) -> str:
    name, _, digest = image.partition("@")
    return f"{name.rpartition(':')[0]}@{digest}"


@contextlib.contextmanager
def attached(stage: Stage, page: str, folder: Path) -> Iterator[ClusterWorld]:
    """Make a page's world on the node that ``CARFERRY_TEST_NODE`` names.

    Raises:
        SystemExit: It names none.
    """
    running = os.environ.get("CARFERRY_TEST_NODE")
    if not running:
        raise SystemExit(f"{page} uses a cluster: set CARFERRY_TEST_NODE to a node's folder")
    with ClusterWorld(stage, page, folder, rig.attach(Path(running))) as world:
        yield world
