"""Buildah in a Job: what the Job is, that its script works, and that the image is the same."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ferrying import access, ferry, from_folder, hashes, model_files, to_layout
from kubernetes import client
from servers.kube import KubeServer
from servers.models import sharded, write
from servers.tools import need

from carferry.assembly import buildah
from carferry.assembly.build import build
from carferry.assembly.buildah import ACCOUNT, IMAGE, Recipe
from carferry.assembly.buildah_job import (
    SCC_SETFCAP,
    JobBuildah,
    Security,
    environment,
    job,
    script,
)
from carferry.assembly.options import Options
from carferry.assembly.results import BuildResult
from carferry.cluster.api import Api
from carferry.errors import InputError, ToolFailed
from carferry.image.layers import SMALL_BYTES, arrange
from carferry.refs import LayoutRef
from carferry.run.settings import buildah_job
from carferry.selection.patterns import Patterns
from carferry.selection.select import take

Object = dict[str, Any]
MANIFESTS = Path(__file__).parent.parent / "manifests"
FILES = sharded(2) | {"it's $(touch here) *.json": b"{}", "1_Pooling/config.json": b"{}"}
DATA = Path("/data")


def recipe(folder: Path = DATA, name: str = "a.safetensors") -> Recipe:
    """Return a recipe that is not run."""
    image = LayoutRef(folder / "layers", "tag")
    return Recipe(name, folder / "model", image, (("buildah", "from", "scratch"),), ("true",))


def made(*recipes: Recipe, **changes: Any) -> Object:
    """Return a Job with the changes that matter to a test."""
    given = {"namespace": "demo", "claim": "run-1", "mount_path": DATA} | changes
    return job(recipes or (recipe(),), **given)


def pod_of(job: Object) -> Object:
    return dict(job["spec"]["template"]["spec"])


class Kubelet:
    """A clock that, while a caller sleeps, runs each Job's script here, as its pod would."""

    def __init__(self, server: KubeServer, scratch: Path) -> None:
        self.server, self.scratch = server, scratch
        self.time = 1000.0
        self.ran: list[Object] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        for (plural, _, _), found in [*self.server.store.objects.items()]:
            if plural == "jobs" and found not in self.ran:
                self.ran.append(found)
                self._run(found)

    def _run(self, found: Object) -> None:
        (container,) = found["spec"]["template"]["spec"]["containers"]
        given = {each["name"]: each["value"] for each in container["env"]}
        assert given == environment("/scratch")
        name = found["metadata"]["name"]
        done = follow(container["command"], self.scratch)
        self.server.logs[name, "buildah", False] = done.stdout
        ended = {"exitCode": done.returncode, "reason": "Error"}
        self.server.store.put(
            {
                "kind": "Pod",
                "metadata": {"name": name, "labels": {"job-name": name}},
                "spec": {},
                "status": {
                    "containerStatuses": [{"name": "buildah", "state": {"terminated": ended}}]
                },
            }
        )
        kind = "Failed" if done.returncode else "Complete"
        status = {"conditions": [{"type": kind, "status": "True"}]}
        self.server.store.put({"kind": "Job", "metadata": {"name": name}, "status": status})


def follow(command: list[str], scratch: Path) -> subprocess.CompletedProcess[str]:
    """Run a Job's command here, Buildah's storage in a folder of the test."""
    scratch.mkdir(exist_ok=True)
    return subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], **environment(str(scratch))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )


def reach(server: KubeServer) -> Api:
    """Connect as a pod of the project would."""
    settings = client.Configuration()
    settings.host = server.url
    return Api(settings, namespace="demo")


@pytest.fixture
def server() -> Iterator[KubeServer]:
    with KubeServer() as running:
        yield running


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A claim's folder with a model in it."""
    write(FILES, tmp_path / "volume" / "model")
    return tmp_path / "volume"


@pytest.fixture
def delegated(server: KubeServer, volume: Path, tmp_path: Path) -> JobBuildah:
    """A runner whose cluster is this machine."""
    need("buildah")
    clock = Kubelet(server, tmp_path / "scratch")
    return JobBuildah(reach(server), "run-1", volume, clock=clock)


def packed(volume: Path, runner: JobBuildah) -> BuildResult:
    target = to_layout(volume / "image")
    options = Options(engine="buildah", base="scratch")
    return build(from_folder(volume / "model"), target, options, access=access(), runner=runner)


def test_the_image_is_the_one_that_a_local_buildah_makes(
    delegated: JobBuildah, server: KubeServer, volume: Path, tmp_path: Path
) -> None:
    (volume / "model" / "vocab.txt").write_bytes(bytes(SMALL_BYTES))  # a layer of its own
    local = ferry(from_folder(volume / "model"), to_layout(tmp_path / "local"), engine="buildah")
    remote = packed(volume, delegated)
    assert remote.document.digest == local.document.digest
    vocabulary = {"vocab.txt": bytes(SMALL_BYTES)}
    assert model_files(to_layout(volume / "image")) == hashes(FILES | vocabulary)
    assert remote.layers == 2
    posted = [request for request in server.requests if request.method == "POST"]
    assert len(posted) == 1
    assert [key for key in server.store.objects if key[0] == "jobs"] == []
    assert not (volume / "carferry-buildah").exists()


def test_a_job_whose_buildah_fails_says_what_it_said(delegated: JobBuildah, volume: Path) -> None:
    with delegated.scratch(None) as scratch:
        image = LayoutRef(scratch / "layers", "tag")
        work = (("buildah", "copy", "no-such-container", "/nothing", "/models/"),)
        broken = Recipe("a.safetensors", volume / "model", image, work, ("true",))
        with pytest.raises(ToolFailed, match=r"exit 125: it said: .*no-such-container") as caught:
            delegated.run([broken])
    assert "\n" not in str(caught.value)


def test_every_try_makes_the_same_job(server: KubeServer, volume: Path, tmp_path: Path) -> None:
    need("buildah")
    names = []
    for attempt in ("first", "second"):
        clock = Kubelet(server, tmp_path / attempt)
        packed(volume, JobBuildah(reach(server), "run-1", volume, clock=clock))
        names += [found["metadata"]["name"] for found in clock.ran]
        shutil.rmtree(volume / "image")
    assert len(names) == 2
    assert names[0] == names[1]


def test_what_the_job_leaves_can_be_linked_and_removed_by_another_user(
    delegated: JobBuildah, volume: Path
) -> None:
    files = take(from_folder(volume / "model"), Patterns()).files
    (layer,) = arrange(files, base_layers=0)
    with delegated.scratch(None) as scratch:
        layout = LayoutRef(scratch / "layers")
        delegated.run([buildah.recipe(layer, volume / "model", layout)])
        left = [scratch, *scratch.rglob("*")]
        modes = {(path.is_dir(), oct(stat.S_IMODE(path.stat().st_mode))) for path in left}
    assert modes == {(True, "0o777"), (False, "0o666")}


def test_the_name_follows_from_all_the_job_does_but_not_from_its_node() -> None:
    name = made()["metadata"]["name"]
    assert name == made(node="worker-1")["metadata"]["name"]
    others = [
        made(recipe(name="b.safetensors")),
        made(claim="run-2"),
        made(image="quay.io/buildah/stable:v1.40.0"),
        made(service_account="other"),
        made(security=Security.SETFCAP),
    ]
    assert len({name, *(other["metadata"]["name"] for other in others)}) == 6
    assert len(name) <= 63


def test_the_pod_sees_the_volume_at_the_same_path_and_no_token() -> None:
    pod = pod_of(made())
    (container,) = pod["containers"]
    assert {"name": "data", "mountPath": "/data"} in container["volumeMounts"]
    assert pod["volumes"][0] == {"name": "data", "persistentVolumeClaim": {"claimName": "run-1"}}
    assert pod["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == ACCOUNT
    assert container["image"] == IMAGE


def test_in_a_user_namespace_the_pod_may_only_map_users() -> None:
    pod = pod_of(made(security=Security.USERNS))
    assert pod["hostUsers"] is False
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": True,
        "procMount": "Unmasked",
        "capabilities": {"drop": ["ALL"], "add": ["SETUID", "SETGID"]},
    }
    assert pod["securityContext"]["runAsNonRoot"] is True


def test_without_a_user_namespace_the_pod_is_root_that_may_set_capabilities() -> None:
    pod = pod_of(made(security=Security.SETFCAP))
    assert "hostUsers" not in pod
    assert pod["securityContext"]["runAsUser"] == 0
    assert pod["containers"][0]["securityContext"]["capabilities"] == {"add": ["SETFCAP"]}


def test_the_pod_goes_to_the_node_that_holds_the_volume(
    delegated: JobBuildah, server: KubeServer, volume: Path
) -> None:
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": "run-1"}}
    spec = {"nodeName": "worker-1", "volumes": [claim]}
    finished = {"kind": "Pod", "metadata": {"name": "download"}, "status": {"phase": "Succeeded"}}
    step = {"kind": "Pod", "metadata": {"name": "step"}, "status": {"phase": "Running"}}
    server.store.put(finished | {"spec": spec | {"nodeName": "worker-2"}})
    server.store.put(step | {"spec": spec})
    packed(volume, delegated)
    (posted,) = (request.body for request in server.requests if request.method == "POST")
    assert posted is not None
    required = pod_of(posted)["affinity"]["nodeAffinity"]
    (term,) = required["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term["matchFields"][0] == {
        "key": "metadata.name",
        "operator": "In",
        "values": ["worker-1"],
    }


def test_a_model_off_the_volume_is_refused_before_anything_is_made(
    server: KubeServer, tmp_path: Path
) -> None:
    runner = JobBuildah(reach(server), "run-1", tmp_path / "volume")
    with pytest.raises(InputError, match="not on the volume that the Buildah Job sees"):
        runner.run([recipe(tmp_path / "elsewhere")])
    with (
        pytest.raises(InputError, match="put model and scratch space on it"),
        runner.scratch(tmp_path / "elsewhere"),
    ):
        pass
    assert server.requests == []


def test_more_commands_than_one_argument_holds_are_refused() -> None:
    long = recipe(name="x" * 1000)
    with pytest.raises(InputError, match=r"at most 122880; use --engine stream"):
        script([long] * 130)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("pod", "c", "/data", {}), "choose job"),
        (("job", "", "/data", {}), "needs the claim's name"),
        (("job", "c", "data", {}), "where this step"),
        (("job", "c", "/data", {"builder_security": "root"}), "userns or setfcap"),
    ],
)
def test_settings_that_cannot_be_meant_are_wrong_input(
    given: tuple[str, str, str, dict[str, str]], said: str
) -> None:
    builder, claim, folder, settings = given
    with pytest.raises(InputError, match=said):
        buildah_job(settings, builder, claim, folder)


def documents(path: str) -> dict[tuple[str, str], Object]:
    found = [each for each in yaml.safe_load_all((MANIFESTS / path).read_text()) if each]
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def test_the_manifests_name_what_the_job_asks_for() -> None:
    assert ("ServiceAccount", ACCOUNT) in documents("buildah/account.yaml")
    ours = documents("buildah-setfcap/scc.yaml")
    scc = ours["SecurityContextConstraints", SCC_SETFCAP]
    job = made(security=Security.SETFCAP)
    wanted = job["spec"]["template"]["metadata"]["annotations"]["openshift.io/required-scc"]
    assert wanted == SCC_SETFCAP
    add = pod_of(job)["containers"][0]["securityContext"]["capabilities"]["add"]
    assert set(add) <= set(scc["allowedCapabilities"])
    assert ours["ClusterRole", "carferry-buildah-scc"]["rules"][0]["resourceNames"] == [SCC_SETFCAP]
    bound = [*documents("buildah/nested-container.yaml").values(), *ours.values()]
    subjects = {s["name"] for each in bound for s in each.get("subjects", [])}
    assert subjects == {ACCOUNT}


def test_the_runners_role_allows_every_request_that_was_made(
    delegated: JobBuildah, server: KubeServer, volume: Path
) -> None:
    packed(volume, delegated)
    role = documents("buildah/runner.yaml")["Role", "modelcar-buildah-runner"]
    allowed = {
        (verb, resource)
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    verbs = {"POST": "create", "DELETE": "delete"}
    made = set()
    for request in server.requests:
        plural, _, name = request.path.partition("/namespaces/demo/")[2].partition("/")
        made.add((verbs.get(request.method, "get" if name else "list"), plural))
    assert made <= allowed
