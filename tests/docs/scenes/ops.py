"""What the pages on operating find already there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from servers import models as tiny

from docs import models
from docs.scenes import scene
from docs.world import QUAY, World

if TYPE_CHECKING:
    from cluster.docs_world import ClusterWorld
    from cluster.rig.node import Node

GPU = "nvidia.com/gpu"


@scene("how-to/gitops.md", "how-to/ci.md", "how-to/roll-back.md")
def author(world: World) -> None:
    """Commits want to know who makes them."""
    world.run("git config --global user.name me; git config --global user.email me@example.com")


@scene("how-to/gitops.md")
def repository(world: World) -> None:
    """The team's repository, empty: its address leads to a bare one of this machine."""
    bare, address = world.folder / "models.git", "https://git.example.com/team/models.git"
    world.run(f"git init --quiet --bare --initial-branch main {bare}")
    world.run(f"git config --global url.{bare}.insteadOf {address}")


@scene("how-to/roll-out-with-one-gpu.md")
def one_gpu(world: World) -> Iterator[None]:
    """Somebody else holds all GPUs of the node but one."""
    free = 1
    node = cast("Node", world.node)
    offered = node.get("nodes")["items"][0]["status"]["allocatable"][GPU]
    with held(node, int(offered) - free):
        yield


@contextmanager
def held(node: Node, count: int) -> Iterator[None]:
    """Hold GPUs by a pod in a project of its own."""
    name = "others"
    limits = {GPU: str(count), "cpu": "1m", "memory": "8Mi"}
    container = {
        "name": "training",
        "image": "registry.access.redhat.com/ubi9/ubi-micro",
        "command": ["sleep", "infinity"],
        "resources": {"limits": limits, "requests": limits},
    }
    about = {"name": "training", "namespace": name}
    spec = {
        "containers": [container],
        "tolerations": [{"operator": "Exists"}],
        "terminationGracePeriodSeconds": 0,
    }
    node.kubectl("create", "namespace", name)
    try:
        node.apply({"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": spec})
        node.kubectl("wait", "-n", name, "pod/training", "--for=condition=Ready", "--timeout=60s")
        yield
    finally:
        node.kubectl("delete", "namespace", name)


@scene("how-to/set-up-a-project.md")
def files(world: World) -> None:
    """A token, a login and a certificate, as their owners have them."""
    world.write("token.txt", models.TOKEN)
    world.write("auth.json", (world.home / ".config/containers/auth.json").read_text())
    world.private_authority()


@scene(
    "how-to/deploy.md",
    "how-to/roll-back.md",
    "how-to/roll-out-with-one-gpu.md",
    "how-to/test-an-endpoint.md",
    "how-to/uninstall.md",
    "how-to/warm-nodes.md",
)
def private(world: World) -> None:
    """The node pulls nothing without a login; where no page makes the Secret, it is there."""
    cast("ClusterWorld", world).want_a_login(QUAY)
    world.write("auth.json", (world.home / ".config/containers/auth.json").read_text())
    if world.page != "how-to/deploy.md":
        kind = "--type=kubernetes.io/dockerconfigjson --from-file=.dockerconfigjson=auth.json"
        world.run(f"oc create secret generic carferry-registry -n models {kind}")


@scene("how-to/uninstall.md")
def installed(world: World) -> None:
    """A project that was set up, and a model that is served."""
    world.run("oc apply --server-side -k manifests/ --namespace models")
    inventory = "oc kustomize manifests/gpu-inventory | sed s/PROJECT/models/"
    world.run(f"{inventory} | oc apply --server-side -f -")
    server = "--host https://ds-pipeline-dspa-models.apps.example.com --token-file token"
    about = f"model={models.SMOL} image=docker://quay.io/team/smollm2:1"
    scheduled = f"--submit --recurring '0 3 * * *' {server} --namespace models {about}"
    world.run(f"python pipelines/modelcar.py {scheduled}")
    secret = "--namespace models --pull-secret carferry-registry"
    built = f"carferry build {models.SMOL} docker://quay.io/team/smollm2:1 --json 2>/dev/null"
    world.run(f"carferry deploy $({built} | jq -r .reference) {secret}")


@scene("how-to/without-kfp.md")
def model(world: World) -> None:
    """A model in a folder."""
    tiny.write(tiny.tiny(), world.cwd / "model")


@scene("how-to/recurring-runs.md")
def logins(world: World) -> None:
    """What a CronJob is given: logins of the hub, the registry and Git."""
    world.write("token.txt", models.TOKEN)
    world.write("auth.json", (world.home / ".config/containers/auth.json").read_text())
    world.write("git-credentials.txt", "https://me:secret@git.example.com\n")
