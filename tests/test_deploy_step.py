"""A form that cannot be deployed is refused before the work, in the words of the deployment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ferrying import quick
from serve_samples import DIGEST
from servers.kube import KubeServer
from test_cluster_connect import kubeconfig

from carferry.cluster.client import Cluster
from carferry.errors import ClusterError, InputError
from carferry.run.settings import wait_of
from carferry.serve.deployed import Deployed
from carferry.serve.form import PARAMETERS, make_deployment
from carferry.serve.step import deploy as serve
from carferry.steps.deploy import check, deploy, render

TARGET = "docker://quay.io/team/granite-3.1-2b:v1"
PUSHED = f"quay.io/team/granite-3.1-2b@{DIGEST}"


@pytest.fixture
def laptop(tmp_path: Path) -> Path:
    """Where a pod's account would be, on a machine that is no pod."""
    return tmp_path / "no-pod"


@pytest.fixture
def pod(tmp_path: Path) -> Path:
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "namespace").write_text("team-models")
    return folder


def keywords(form: dict[str, str]) -> dict[str, Any]:
    """Return a form as Python callers write it."""
    return {"gpus" if name == "gpu_count" else name: text for name, text in form.items()}


# A value of each parameter that cannot be meant; what a form can get wrong beside them follows.
WRONG = {
    "name": ["Granite", "3b", "n" * 54, "a b"],
    "namespace": ["Demo", "a.b", "n" * 64],
    "display_name": ["123", "\u00e9\u00e9"],
    "runtime_image": ["quay.io/vllm/vllm:latest", "quay.io/vllm/vllm", "vllm", "docker://"],
    "gpu_resource": ["gpu", "amd.com/gpu", "nvidia.com/"],
    "gpu_count": ["-1", "one", "1.0"],
    "cpu": ["4 cores", "0", ""],
    "memory": ["16GB", "0Gi", "lots"],
    "shm_size": ["-1", "2gb"],
    "tolerations": ["{}", "[1]", "[{", "[{}]", '[{"key": "a", "effect": "Never"}]'],
    "node_selector": ["gpu", "a b=c", "a=b,a=c", "{"],
    "nodes": ["0", "-1", "two", "65"],
    "max_model_len": ["8k", "-1"],
    "vllm_args": ["'unclosed", "--model=/other", "--port 1"],
    "env": ["1A=b", "A", '{"A": 1}'],
    "deployment_mode": ["Raw", "serverless"],
    "pull_secret": ["a b", "My_Secret"],
    "hardware_profile": ["A B", "Apps/a100", "apps/"],
    "model_size_bytes": ["huge", "-1"],
    "auth": ["yes", "1"],
    "external_route": ["maybe", ""],
    "min_replicas": ["0", "2", "x"],
    "max_replicas": ["0", "x"],
    "platform": ["openshift"],
    "kind": ["both", "llmisvc"],
    "mount": ["pvc"],
    "model_path": ["/mnt/models/a", ".."],
    "labels": ["team", "app=mine", "a=b,a=c"],
    "queue": ["Team Queue"],
    "stopped": ["yes"],
    "rollout": ["Recreate"],
    "base_refs": ["A"],
}
CASES = [{name: text} for name, texts in WRONG.items() for text in texts]
CASES += [
    {"name": "n" * 53, "namespace": "team-models"},
    {"name": "n" * 52},
    {"deployment_mode": "Serverless", "max_replicas": "0", "min_replicas": "0"},
    {"deployment_mode": "Knative", "platform": "openshift-ai-3"},
    {"kind": "llm", "platform": "openshift-ai-2.25"},
    {"kind": "llm", "max_replicas": "2"},
    {"kind": "llm", "model_path": "base"},
    {"kind": "llm", "auth": "true"},
    {"nodes": "2", "kind": "llm"},
    {"nodes": "2", "deployment_mode": "Knative"},
    {"nodes": "2", "mount": "native"},
    {"nodes": "2", "max_replicas": "2"},
    {"nodes": "2", "vllm_args": "--data-parallel-size=2"},
    {"nodes": "2", "vllm_args": "--headless"},
]


def test_the_wrong_values_cover_every_parameter_but_the_image_and_free_text() -> None:
    assert {*WRONG} == {each.name for each in PARAMETERS} - {"image", "description", "gpu_plan"}


@pytest.mark.parametrize("values", CASES, ids=str)
def test_a_wrong_value_is_refused_before_in_the_words_of_after(
    values: dict[str, str], pod: Path
) -> None:
    with pytest.raises(InputError) as before:
        check(TARGET, values, account=pod)
    with pytest.raises(InputError) as after:
        render(PUSHED, account=pod, **keywords(values))
    assert str(before.value) == str(after.value)
    assert type(before.value) is type(after.value)


def test_an_unknown_field_is_named_before_and_after(pod: Path) -> None:
    with pytest.raises(InputError, match="'colour': no such setting"):
        check(TARGET, {"colour": "red"}, account=pod)  # type: ignore[typeddict-unknown-key]
    with pytest.raises(TypeError, match="colour"):
        render(PUSHED, account=pod, **keywords({"colour": "red"}))


@pytest.mark.parametrize("wait_s", ["soon", "-1", "1.5", "\u00b2"])
def test_a_wait_that_is_no_number_is_refused(wait_s: str) -> None:
    with pytest.raises(InputError, match=r"read wait_s .* not a whole number of seconds"):
        wait_of({"wait_s": wait_s})


def test_a_wait_that_nobody_names_follows_the_size_of_the_image() -> None:
    assert (wait_of({}), wait_of({"wait_s": 0.0}), wait_of({"wait_s": "60"})) == (True, 0.0, 60.0)


@pytest.mark.parametrize("image", ["oci:out:1", "granite:1", "", "docker://quay.io/Team/x"])
def test_what_no_cluster_can_pull_is_refused(image: str, pod: Path) -> None:
    with pytest.raises(InputError):
        check(image, {}, account=pod)


@pytest.mark.parametrize("target", [TARGET, "quay.io/team/granite-3.1-2b", f"docker://{PUSHED}"])
def test_a_form_that_passes_is_what_will_be_deployed_but_for_the_digest(
    target: str, pod: Path
) -> None:
    form = {"display_name": "My Granite", "cpu": " 8 "}
    checked = check(target, form, account=pod)
    made = make_deployment(**form, image=PUSHED, namespace="team-models")
    assert (checked.name, checked.namespace, checked.cpu) == (made.name, "team-models", made.cpu)
    assert checked.image.name == made.image.name


@pytest.mark.parametrize("count", ["", "0"])
def test_a_count_that_is_left_to_the_plan_is_no_mistake(count: str, pod: Path) -> None:
    assert check(TARGET, {"gpu_count": count}, account=pod).gpu_count == 1


def test_rendering_in_a_pod_means_the_pods_own_project(pod: Path) -> None:
    made = render(PUSHED, auth=True, account=pod)
    assert made.namespace == "team-models"
    places = {each["metadata"]["namespace"] for each in yaml.safe_load_all(made.manifest)}
    assert places == {"team-models"}


@pytest.mark.parametrize("form", [{}, {"namespace": " "}, {"auth": "true"},
                                  {"hardware_profile": "a100"}])  # fmt: skip
def test_rendering_elsewhere_without_a_project_leaves_it_to_whoever_applies(
    form: dict[str, str], laptop: Path
) -> None:
    made = render(PUSHED, account=laptop, **keywords(form))
    assert (made.namespace, made.name) == ("", "granite-31-2b")
    assert "namespace" not in made.manifest


def test_rendering_writes_the_same_file_as_it_returns(laptop: Path, tmp_path: Path) -> None:
    file = tmp_path / "granite.yaml"
    made = render(PUSHED, account=laptop, output=file)
    assert file.read_text() == made.manifest


def test_a_project_that_is_named_wins(pod: Path) -> None:
    made = render(PUSHED, namespace="prod", account=pod)
    assert made.namespace == "prod"


def test_applying_means_the_project_of_the_connection(pod: Path, tmp_path: Path) -> None:
    """A kubeconfig that somebody names in a workbench wins over the workbench's own project."""
    with KubeServer() as server:
        config = kubeconfig(tmp_path / "config", server.url)
        made: Deployed = deploy(
            PUSHED, wait=False, account=pod,
            connect=lambda: Cluster.connect(kubeconfig=config),
        )  # fmt: skip
        assert (made.namespace, made.applied) == ("demo", True)


@pytest.fixture
def server() -> Iterator[KubeServer]:
    with KubeServer() as running:
        yield running


def edited(server: KubeServer) -> None:
    serve(make_deployment(image=PUSHED, namespace="demo"), Cluster.connect(host=server.url),
          wait_s=0)  # fmt: skip
    edit = {"spec": {"predictor": {"maxReplicas": 3}}}
    server.store.edit("inferenceservices", "granite-31-2b", edit, "odh-dashboard")


REFUSALS = {
    "no KServe": lambda server: server.uninstalled.add("serving.kserve.io"),
    "a webhook": lambda server: server.denials.update(inferenceservices="no such profile"),
    "somebody else's edit": edited,
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_the_cluster_would_refuse_is_refused_before_in_the_same_words(
    refusal: str, server: KubeServer, laptop: Path
) -> None:
    REFUSALS[refusal](server)
    held = dict(server.store.objects)

    def connect() -> Cluster:
        return Cluster.connect(host=server.url)

    form, file = {"namespace": "demo"}, laptop.parent / f"{refusal}.yaml".replace(" ", "-")
    with pytest.raises(ClusterError) as before:
        check(TARGET, form, connect=connect, account=laptop)
    assert server.store.objects == held
    with pytest.raises(ClusterError) as after:
        deploy(
            PUSHED, namespace="demo", connect=connect, wait=False, warm=True, account=laptop,
            output=file,
        )  # fmt: skip
    assert str(before.value) == str(after.value)
    # Nothing was pulled on a node for it, and no file tells of it.
    assert not any(path.path == "/api/v1/nodes" for path in server.requests)
    assert not file.exists()


def no_dry_run(server: KubeServer) -> None:
    server.denials["inferenceservices"] = 'webhook "w.test" does not support dry run'


def away(server: KubeServer) -> None:
    server.failing, server.failure, server.failing_words = 1, 503, "overloaded"


@pytest.mark.parametrize("cause", [no_dry_run, away])
def test_a_cluster_that_cannot_rehearse_stops_nobody(
    cause: Callable[[KubeServer], None], server: KubeServer, laptop: Path
) -> None:
    cause(server)
    form = {"namespace": "demo"}
    made = check(TARGET, form, connect=lambda: Cluster.connect(host=server.url), account=laptop)
    assert (made.name, server.store.objects) == ("granite-31-2b", {})


def test_a_cluster_that_is_away_for_a_moment_does_not_lose_the_push(
    server: KubeServer, laptop: Path
) -> None:
    server.failing, server.failing_words = 3, "failed calling webhook: connection refused"
    made = deploy(
        PUSHED, namespace="demo", wait=False, account=laptop, retry=quick(),
        connect=lambda: Cluster.connect(host=server.url),
    )  # fmt: skip
    assert made.applied
    assert len(server.store.objects) == 3


@pytest.mark.parametrize("auth", ["false", "true"])
def test_a_first_deployment_can_be_rehearsed(server: KubeServer, laptop: Path, auth: str) -> None:
    form = {"namespace": "demo", "auth": auth}
    check(TARGET, form, connect=lambda: Cluster.connect(host=server.url), account=laptop)
    tried = [each for each in server.requests if each.method != "GET"]
    assert {each.query["dryRun"] for each in tried} == {"All"}
    assert server.store.objects == {}


def test_a_conflict_that_will_be_forced_is_none(server: KubeServer, laptop: Path) -> None:
    edited(server)
    form = {"namespace": "demo"}

    def connect() -> Cluster:
        return Cluster.connect(host=server.url)

    assert check(TARGET, form, force=True, connect=connect, account=laptop).namespace == "demo"


def test_nothing_is_applied_to_nowhere() -> None:
    settings = make_deployment(image=PUSHED)
    with KubeServer() as server:
        with pytest.raises(InputError, match="no namespace given"):
            serve(settings, Cluster.connect(host=server.url))
        assert server.requests == []
