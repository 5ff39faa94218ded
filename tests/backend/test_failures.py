"""How a run ends if the hub, the registry, the cluster or its parameters are wrong."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rights_samples import OWN_ROLES
from servers.hub import Hub
from servers.registry import Registry
from servers.serving import Exchange

from backend import container
from backend.cluster import NAMESPACE, Cluster
from backend.conftest import Object, files_of
from backend.graph import Pipeline
from backend.kubelet import Pod
from backend.rootfs import carried
from backend.servers import ROOT
from backend.walk import Backend

Values = dict[str, Any]


class Killer:
    """Ends the container that asks the hub for weights, as the node's kernel would.

    Whoever asks first only looks: a plan reads the headers.

    Attributes:
        left: Times that it still does so.
    """

    def __init__(self, hub: Hub, cluster: Cluster, times: int) -> None:
        self.left, self.running = times, ""
        self.asked: Counter[str] = Counter()
        cluster.started = self.note
        hub.before = self.ask

    def note(self, pod: Pod) -> None:
        self.running = pod.name

    def ask(self, exchange: Exchange) -> None:
        if exchange.method != "GET" or not exchange.path.endswith(".safetensors"):
            return
        self.asked[exchange.path] += 1
        if self.left and self.asked[exchange.path] > 1:
            self.left -= 1
            container.kill(self.running)


def weights_asked_for(hub: Hub) -> list[str]:
    """Return the weights that were asked for; configs and indices are read for every plan."""
    asked = [exchange.path for exchange in hub.log if exchange.method == "GET"]
    return [path for path in asked if path.endswith(".safetensors")]


def test_a_worker_that_is_killed_once_is_started_again(
    backend: Backend, installed: Path, values: Values, mirror: Hub, quay: Registry
) -> None:
    Killer(mirror, backend.cluster, 1)
    pipeline = Pipeline.read(installed / "modelcar.yaml")
    run = backend.run(pipeline, **values, serve="no")
    assert not run.failed, run.problems()
    assert [(step.state, step.tries) for step in run.named("stream-layers")] == [("COMPLETE", 2)]
    assert [*quay.tags("org/model")] == ["v1"]
    assert [step.state for step in run.named("condition-2")] == ["CANCELED"]


def test_a_step_that_is_killed_too_often_ends_the_run_and_the_volume_goes(
    backend: Backend, installed: Path, staged: Values, mirror: Hub
) -> None:
    killer = Killer(mirror, backend.cluster, 99)
    pipeline = Pipeline.read(installed / "modelcar-buildah.yaml")
    run = backend.run(pipeline, **staged, serve="no")
    assert run.failed
    (step,) = run.named("download-model")
    assert (step.state, step.tries, step.message) == ("FAILED", 4, "Error (exit code 137)")
    assert 99 - killer.left >= 4
    assert [step.name for step in run.steps][-2:] == ["download-model", "deletepvc"]
    assert (run.steps[-1].state, backend.cluster.claims) == ("COMPLETE", {})


@pytest.mark.parametrize("name", ["modelcar", "modelcar-buildah"])
def test_a_definite_error_ends_the_run_at_once_in_one_line(
    backend: Backend, installed: Path, values: Values, staged: Values, name: str
) -> None:
    form = values if name == "modelcar" else staged
    run = backend.run(Pipeline.read(installed / f"{name}.yaml"), **form | {"model": "org/absent"})
    (bad,) = [step for step in run.steps if step.state == "FAILED"]
    assert (bad.name, bad.tries) == ("fit-model", 1)
    assert re.match(r"Error \(exit code [12]\): carferry: error: ", bad.message)
    assert "org/absent" in bad.message
    assert bad.message.count("\n") == 0
    assert backend.cluster.claims == {}


@pytest.mark.parametrize(
    ("secret", "task", "said"),
    [
        ("carferry-hf", "fit-model", "org/model@main: the repository is gated"),
        ("carferry-registry", "plan-model", "no login was found"),
    ],
)
def test_a_login_that_is_missing_is_found_before_a_byte_moves(
    backend: Backend,
    installed: Path,
    values: Values,
    mirror: Hub,
    secret: str,
    task: str,
    said: str,
) -> None:
    del backend.cluster.secrets[secret]
    run = backend.run(Pipeline.read(installed / "modelcar.yaml"), **values)
    (bad,) = [step for step in run.steps if step.state == "FAILED"]
    assert (bad.name, bad.tries) == (task, 1)
    assert said in bad.message
    assert mirror.read_twice() == []


def test_a_right_that_is_missing_is_found_before_a_byte_moves(
    backend: Backend, installed: Path, values: Values, mirror: Hub
) -> None:
    backend.cluster.kube.roles = {NAMESPACE: [*OWN_ROLES["rhoai-3.4"]]}
    run = backend.run(Pipeline.read(installed / "modelcar.yaml"), **values)
    (bad,) = [step for step in run.steps if step.state == "FAILED"]
    assert (bad.name, bad.tries) == ("fit-model", 1)
    assert "oc apply" in bad.message
    assert weights_asked_for(mirror) == []


@pytest.mark.parametrize("name", ["modelcar", "modelcar-buildah"])
def test_packages_that_no_index_serves_are_one_line(
    backend: Backend, values: Values, staged: Values, name: str, tmp_path: Path
) -> None:
    bare = carried(tmp_path / "bare", [])
    backend.cluster.image = lambda container: bare
    form = values if name == "modelcar" else staged
    run = backend.run(Pipeline.read(ROOT / "compiled" / f"{name}.yaml"), **form)
    (bad,) = [step for step in run.steps if step.state == "FAILED"]
    assert (bad.name, bad.tries) == ("fit-model", 1)
    assert bad.message.startswith("Error (exit code 1): carferry: error: pip install ")
    assert bad.message.count("\n") == 0


@pytest.mark.parametrize("name", ["modelcar", "modelcar-buildah"])
@pytest.mark.parametrize(
    ("done", "said"),
    [
        ("missing", "not in this project; oc apply --server-side -f carferry-library.yaml"),
        ("changed", "wrong bytes; oc apply --server-side -f carferry-library.yaml"),
    ],
)
def test_without_the_library_the_first_step_says_what_to_apply(
    backend: Backend,
    installed: Path,
    values: Values,
    staged: Values,
    library: Object,
    name: str,
    done: str,
    said: str,
) -> None:
    config_map = library["metadata"]["name"]
    held = backend.cluster.config_maps
    if done == "missing":
        del held[config_map]
    else:
        held[config_map] = files_of(library) | {"start.py": b"print('no')\n"}
    form = values if name == "modelcar" else staged
    run = backend.run(Pipeline.read(ROOT / "compiled" / f"{name}.yaml"), **form)
    (bad,) = [step for step in run.steps if step.state == "FAILED"]
    assert bad.name == "fit-model"
    wanted = f"carferry: error: mount ConfigMap {config_map}: {said}"
    assert bad.message == f"Error (exit code 1): {wanted}"
    assert bad.said == f"{wanted}\n"
    assert backend.cluster.claims == {}


@pytest.mark.parametrize(
    ("secrets", "task", "said"),
    [
        ({"secret_hub": ""}, "fit-model", "Expected a non-empty string"),
        ({"secret_hub": "hugging.face"}, "fit-model", 'Invalid value: "hugging.face"'),
        ({"secret_hub": "Hub"}, "fit-model", 'Invalid value: "Hub"'),
        ({"secret_registry": ""}, "fit-model", "Expected a non-empty string"),
        ({"secret_registry": "quay.io"}, "fit-model", 'Invalid value: "quay.io"'),
        (
            {"secret_hub": "both", "secret_registry": "both"},
            "fit-model",
            'Duplicate value: "both"',
        ),
    ],
)
def test_a_secrets_name_that_makes_no_volume_is_refused_as_a_cluster_would(
    backend: Backend,
    installed: Path,
    values: Values,
    secrets: dict[str, str],
    task: str,
    said: str,
) -> None:
    pipeline = Pipeline.read(installed / "modelcar.yaml")
    backend.cluster.secrets["both"] = backend.cluster.secrets["carferry-hf"]
    run = backend.run(pipeline, **values | secrets)
    (bad,) = [step for step in run.steps if step.state == "FAILED"]
    assert (bad.name, bad.tries) == (task, 0)
    assert said in bad.message
