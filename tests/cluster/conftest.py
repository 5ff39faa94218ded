"""A real node for all tests of this folder, and what each of them starts from.

``CARFERRY_TEST_NODE`` names the folder of a node that runs already (``python -m cluster.rig up``);
without it one is started, and ends with the tests.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import models
from servers.busybox import busybox_base
from servers.tools import lacking, need

from carferry.cli import main
from cluster import command
from cluster.command import Outcome
from cluster.rig import built, furniture, images
from cluster.rig import node as rig
from cluster.rig.kserve import PROFILES, UID_MODELCAR, define_profiles, set_uid_modelcar
from cluster.rig.node import Node

Carferry = Callable[..., Outcome]
_NEEDED = ("docker-registry", "runc", "skopeo", "iptables", "ip")


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """A node with KServe, a registry, and eight GPUs that it claims to have."""
    running = os.environ.get("CARFERRY_TEST_NODE")
    if running:
        yield rig.attach(Path(running))
        return
    for program in _NEEDED:
        need(program)
    try:
        programs = built.programs()
    except built.NotBuilt as why:
        lacking(str(why))
    with rig.started(programs) as made:
        furniture.furnish(made, programs)
        yield made


@pytest.fixture
def namespace(node: Node) -> Iterator[str]:
    """A fresh namespace, deleted at the end; nobody waits for that."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    node.kubectl("create", "namespace", name)
    yield name
    node.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def shared_namespace(node: Node) -> Iterator[str]:
    """A namespace for all tests of a module."""
    name = f"shared-{uuid.uuid4().hex[:8]}"
    node.kubectl("create", "namespace", name)
    yield name
    node.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def kserve(node: Node) -> Iterator[Callable[..., None]]:
    """Change how KServe is set up; as upstream ships it again at the end."""
    yield lambda *, uid_modelcar: set_uid_modelcar(node, uid_modelcar)
    set_uid_modelcar(node, UID_MODELCAR)


@pytest.fixture(scope="session")
def modelcar(node: Node, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny ModelCar that carferry pushed, by digest."""
    folder = tmp_path_factory.mktemp("modelcar")
    model, base = models.write(models.tiny(), folder / "model"), busybox_base(folder / "base")
    target = f"docker://{node.registry}/models/tiny:v1"
    done = command.carferry(node, folder, "build", model, target, "--base", base, "--json")
    assert done.code == 0, done.err
    return str(json.loads(done.out)["reference"])


@pytest.fixture(scope="session")
def vllm(node: Node) -> str:
    """The image of vLLM's stand-in: by digest, for a node that runs longer may have another."""
    return images.push_standin(node.registry)


@pytest.fixture
def carferry(
    node: Node, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Carferry:
    """Run the command line in this process, logged in to the node."""
    monkeypatch.setenv("KUBECONFIG", str(node.kubeconfig))

    def run(*arguments: object) -> Outcome:
        began = time.monotonic()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        seconds = time.monotonic() - began
        shown = capsys.readouterr()
        return Outcome(code, shown.out, shown.err, seconds)

    return run


@pytest.fixture
def hardware_profiles(node: Node) -> Iterator[None]:
    """OpenShift AI's kind of hardware profiles, with the definition that its operator brings."""
    if node.programs is None:
        lacking("the node that runs was not started by cluster.rig, which has the definitions")
    define_profiles(node, node.programs)
    yield
    node.kubectl("delete", "crd", PROFILES)
