"""One failure of each kind, provoked for real: the line that it says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ferrying import carferry, from_folder, to_registry
from gpu.samples import LLAMA, llama_file
from rights_samples import RUNNER, reach
from serve_samples import ready_pod, rollout, service, settings
from servers.chaos import Answer, Rule
from servers.hub import Hub
from servers.kube import KubeServer
from servers.model_api import ModelApi, written
from servers.models import tiny, write
from servers.proxy import Proxy
from servers.registry import Registry
from servers.sockets import free_port
from test_cluster_connect import kubeconfig
from test_cluster_wait import Wait, pod, waiting
from test_fit import BIG, folder_of

import carferry as api
from carferry.cluster.client import Cluster
from carferry.errors import CarferryError
from carferry.pipelines import command
from carferry.selection.patterns import Patterns
from carferry.selection.select import take
from carferry.serve.objects import make_objects
from carferry.steps import endpoint
from carferry.steps.rights import check_rights

IMAGE = f"quay.io/team/granite@sha256:{'ab' * 32}"


@dataclass
class World:
    """What failures are provoked with.

    Attributes:
        folder: An empty one.
        capsys: Of the test.
        request: Of the test: opens servers.
    """

    folder: Path
    capsys: pytest.CaptureFixture[str]
    request: pytest.FixtureRequest

    def run(self, *words: object) -> str:
        """Run a command that fails, and return its line."""
        done = carferry(self.capsys, *words)
        lines = [line for line in done.err.splitlines() if line.startswith("carferry: ")]
        return lines[-1].removeprefix("carferry: ")

    def build(self, *words: object) -> str:
        """Build a model of the folder into a layout, which fails."""
        layout = f"oci:{self.folder / 'out'}:1"
        return self.run("build", self.folder / "model", layout, "--base", "scratch", *words)

    def model(self, more: Mapping[str, bytes] | None = None) -> Path:
        """Write a tiny model."""
        return write(tiny() | dict(more or {}), self.folder / "model")

    def llama(self, **more: object) -> Path:
        """Write a model that the GPU plan knows, but for what is changed."""
        files = {
            "config.json": json.dumps(LLAMA | more).encode(),
            "model.safetensors": llama_file(LLAMA),
        }
        return write(files, self.folder / "llama")


def said(work: Callable[[], Any]) -> str:
    """Return the line of what fails."""
    with pytest.raises(CarferryError) as caught:
        work()
    return str(caught.value)


def unsafe_path(world: World) -> str:
    world.model()
    (world.folder / "model" / "extra.json").symlink_to("/etc/hostname")
    return world.build()


def unsafe_weights(world: World) -> str:
    files = {k: v for k, v in tiny().items() if not k.endswith((".safetensors", "index.json"))}
    write(files | {"pytorch_model.bin": b"PK\3\4" + b"\0" * 64}, world.folder / "model")
    return world.build()


def nothing_selected(world: World) -> str:
    world.model()
    return world.build("--include", "*.gguf")


def incomplete(world: World) -> str:
    path = world.model() / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    return world.build()


def source_denied(world: World) -> str:
    hub: Hub = world.request.getfixturevalue("hub")
    hub.add("team/gated", tiny(), gated=True, token="hf_granted")
    world.request.getfixturevalue("monkeypatch").setenv("HF_ENDPOINT", hub.endpoint)
    return world.run("plan", "team/gated")


def contract(world: World) -> str:
    world.model()
    built = api.build(str(world.folder / "model"), f"oci:{world.folder / 'out'}:1", base="scratch")
    return said(lambda: api.inspect(built.reference, require=True))


def unsupported(world: World) -> str:
    model = world.llama(architectures=["NovelForCausalLM"], model_type="novel")
    return world.run("plan", model, "--gpu", "L4", "--on-unknown", "stop")


def does_not_fit(world: World) -> str:
    model = folder_of(BIG, world.folder / "big")
    return said(lambda: api.fit(str(model), gpus="T4").require())


def rights(world: World) -> str:
    with KubeServer(user=RUNNER, namespaces={"models"}, roles={}) as server:
        return said(lambda: check_rights("deploy", gpus="none", connect=reach(server)))


def refused(world: World, status: int) -> str:
    registry: Registry = world.request.getfixturevalue("registry")
    with Proxy(registry.url, [Rule(Answer(status), method="POST", times=None)]) as proxy:
        target = to_registry(registry, "team/model", host=proxy.host)
        return said(lambda: target.start_upload(1))


def no_login(world: World) -> str:
    registry: Registry = world.request.getfixturevalue("registry_basic")
    where = f"docker://{registry.host}/team/model:1"
    return world.run("inspect", where, "--plain-http", registry.host)


def changed(world: World) -> str:
    source = from_folder(world.model())
    file = take(source, Patterns()).files[0]
    (world.folder / "model" / file.path).write_bytes(b"another")
    return said(lambda: list(source.read(file)))


def vanished(world: World) -> str:
    source = from_folder(world.model())
    file = take(source, Patterns()).files[0]
    (world.folder / "model" / file.path).unlink()
    return said(lambda: list(source.read(file)))


def no_buildah(world: World) -> str:
    world.model()
    world.request.getfixturevalue("monkeypatch").setenv("PATH", str(world.folder))
    return world.build("--engine", "buildah")


def waits(world: World, *script: Any, deadline_s: float = 60) -> str:
    with KubeServer() as server:
        Cluster.connect(host=server.url).apply(make_objects(settings()))
        server.store.script([*script])
        return said(lambda: Wait(server).run(deadline_s))


def no_pull(world: World) -> str:
    held = pod(containerStatuses=[waiting("modelcar", "ErrImagePull", "manifest unknown")])
    return waits(world, service(), rollout(0), held, deadline_s=3600)


def too_late(world: World) -> str:
    old = service("True", message="old pod still serves")
    return waits(world, old, rollout(1, generation=2, observed=1), ready_pod())


def cluster(world: World) -> str:
    with KubeServer(namespaces=set(), forbidden={("get", "namespaces")}) as server:
        config = kubeconfig(world.folder / "config", server.url)
        return world.run("deploy", IMAGE, "--kubeconfig", config, "--wait-s=0")


def no_model_server(world: World) -> str:
    with ModelApi() as server:
        server.answers["/v1/models"] = written({"data": []})
        return said(lambda: endpoint.test_endpoint(server.endpoint))


def not_a_folder(world: World) -> str:
    file = world.folder / "file"
    file.write_text("")
    command.main(["--compile", "--output", str(file / "compiled")])
    return world.capsys.readouterr().err.strip().removeprefix("carferry: ")


SCENES: Mapping[str, Callable[[World], str]] = {
    "CarferryError": not_a_folder,
    "InputError": lambda world: world.run("build", "a/b", "oci:x", "--paralell", "3"),
    "InvalidReference": lambda world: world.run("inspect", "docker://quay.io/Team/model:1"),
    "InvalidName": lambda world: world.run("render", IMAGE, "--name", "Granite"),
    "UnsafePath": unsafe_path,
    "UnsafeWeights": unsafe_weights,
    "NothingSelected": nothing_selected,
    "IncompleteModel": incomplete,
    "BrokenFile": incomplete,
    "SourceNotFound": lambda world: world.run("build", "./no/folder", "oci:x", "--base", "scratch"),
    "SourceDenied": source_denied,
    "ContractViolation": contract,
    "UnsupportedModel": unsupported,
    "DoesNotFit": does_not_fit,
    "RightsMissing": rights,
    "SourceError": vanished,
    "SourceChanged": changed,
    "TargetError": lambda world: refused(world, 400),
    "AuthenticationFailed": no_login,
    "PushDenied": lambda world: refused(world, 403),
    "ManifestMissing": lambda world: world.run("inspect", "oci:/nothing/here:1"),
    "StorageFull": lambda world: refused(world, 507),
    "Unreachable": lambda world: world.run("test", f"http://127.0.0.1:{free_port()}"),
    "ToolFailed": no_buildah,
    "ClusterError": cluster,
    "DeploymentFailed": no_pull,
    "EndpointFailed": no_model_server,
    "DeadlineExceeded": too_late,
}
