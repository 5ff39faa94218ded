"""A wait ends as ready, failed or too late."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from serve_samples import (
    NAME,
    crashed,
    event,
    pod,
    ready_pod,
    rollout,
    service,
    settings,
    waiting,
)
from servers.kube import KubeServer

from carferry.cluster.client import Cluster
from carferry.errors import ClusterError, DeadlineExceeded, DeploymentFailed
from carferry.serve.objects import make_objects

POD = "granite-31-2b-predictor-1"
Object = dict[str, Any]


class FastClock:
    """Time that passes only in ``sleep``."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
def server() -> Iterator[KubeServer]:
    with KubeServer() as running:
        Cluster.connect(host=running.url).apply(make_objects(settings()))
        yield running


class Wait:
    """One wait against the server, on a clock of its own."""

    def __init__(self, server: KubeServer) -> None:
        self.cluster = Cluster.connect(host=server.url)
        self.clock = FastClock()
        self.said: list[str] = []

    def run(self, deadline_s: float = 3600) -> Object:
        return self.cluster.wait(
            NAME, "demo", deadline_s=deadline_s, clock=self.clock, report=self.said.append
        )

    def fails(self, deadline_s: float = 3600) -> str:
        with pytest.raises(DeploymentFailed) as caught:
            self.run(deadline_s)
        return str(caught.value)


@pytest.fixture
def wait(server: KubeServer) -> Wait:
    return Wait(server)


def test_a_rollout_is_followed_until_it_serves(server: KubeServer, wait: Wait) -> None:
    pulling = pod(initContainerStatuses=[waiting("modelcar-init", "PodInitializing")])
    server.store.script(
        [service(message="predictor is not ready")],
        [rollout(0), pulling, event('Pulling image "quay.io/team/granite"', "Pulling")],
        [ready_pod(), rollout(1)],
        [service("True", url="http://granite")],
    )
    assert wait.run()["status"]["url"] == "http://granite"
    assert wait.said == [
        "KServe has not made the Deployment yet",
        f"pod {POD}, container modelcar-init: PodInitializing: "
        'Pulling image "quay.io/team/granite"',
        "InferenceService is not ready: predictor is not ready",
        "ready",
    ]


def test_a_ready_service_whose_new_pod_is_pending_is_not_ready(
    server: KubeServer, wait: Wait
) -> None:
    old = service("True", message="old pod still serves")
    server.store.script([old, rollout(1, generation=2, observed=1), ready_pod()])
    with pytest.raises(DeadlineExceeded, match="has not seen the change"):
        wait.run(60)


def test_a_ready_service_on_another_image_is_not_ready(server: KubeServer, wait: Wait) -> None:
    other = ready_pod()
    other["spec"]["containers"][0]["image"] = "quay.io/team/granite-3.1-2b@sha256:old"
    server.store.script([service("True"), rollout(1), other])
    with pytest.raises(DeadlineExceeded, match=r"still serves .*sha256:old"):
        wait.run(60)


def test_a_deployment_with_the_old_arguments_is_not_ready(server: KubeServer, wait: Wait) -> None:
    wait.cluster.apply(make_objects(settings(max_model_len="8192")))
    behind, current = rollout(1), rollout(1)
    for made, args in (
        (behind, ["--port=8080"]),
        (current, ["--port=8080", "--max-model-len=8192"]),
    ):
        server_container = {"name": "kserve-container", "args": args}
        made["spec"]["template"] = {"spec": {"containers": [server_container]}}
    server.store.script([service("True"), behind, ready_pod()], [current])
    wait.run()
    assert wait.said == ["the Deployment does not have the new arguments yet", "ready"]


def test_an_old_pod_that_is_still_stopping_is_waited_for(server: KubeServer, wait: Wait) -> None:
    leaving = pod("granite-old", conditions=[], phase="Running")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    server.store.script([service("True"), rollout(1), ready_pod(), leaving])
    with pytest.raises(DeadlineExceeded, match="granite-old is still stopping"):
        wait.run(60)


def test_an_evicted_pod_of_the_past_does_not_fail_what_serves(
    server: KubeServer, wait: Wait
) -> None:
    evicted = pod("granite-old", phase="Failed", reason="Evicted", message="DiskPressure")
    server.store.script([service("True"), rollout(1), ready_pod(), evicted])
    wait.run()


def test_a_finished_pod_of_another_image_does_not_hold_up_what_serves(
    server: KubeServer, wait: Wait
) -> None:
    finished = pod("granite-old", phase="Succeeded")
    finished["spec"]["containers"][0]["image"] = "quay.io/team/granite-3.1-2b@sha256:old"
    server.store.script([service("True"), rollout(1), ready_pod(), finished])
    wait.run()


def test_more_replicas_than_wanted_are_waited_out(server: KubeServer, wait: Wait) -> None:
    server.store.script([service("True"), rollout(1, replicas=2), ready_pod()])
    with pytest.raises(DeadlineExceeded, match="replicas"):
        wait.run(60)


def test_the_crash_of_a_pod_that_is_leaving_does_not_count_for_the_next(
    server: KubeServer, wait: Wait
) -> None:
    leaving = pod(containerStatuses=[crashed("kserve-container", 1, 9)])
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    server.store.script([service(), rollout(0), leaving])
    with pytest.raises(DeadlineExceeded, match="still stopping"):
        wait.run(600)


def test_serverless_has_no_deployment_of_ours_to_look_at(server: KubeServer, wait: Wait) -> None:
    wait.cluster.apply(make_objects(settings(name="knative", deployment_mode="Serverless")))
    ready = service("True")
    ready["metadata"]["name"] = "knative"
    server.store.script([ready])
    done = wait.cluster.wait("knative", "demo", deadline_s=60, clock=wait.clock)
    assert done["metadata"]["name"] == "knative"


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        (
            [pod(initContainerStatuses=[waiting("modelcar-init", "ImagePullBackOff", "Back-off")]),
             event("Failed to pull image: unauthorized: access denied")],
            ["modelcar-init", "unauthorized"],
        ),
        (
            [pod(containerStatuses=[waiting("modelcar", "ErrImagePull", "manifest unknown")])],
            ["container modelcar: ErrImagePull", "manifest unknown"],
        ),
        (
            [pod(initContainerStatuses=[waiting("modelcar-init", "ErrImagePull", "x")]),
             event("write /var/lib/x: no space left on device")],
            ["no space left"],
        ),
        (
            [pod(initContainerStatuses=[crashed("modelcar-init", 1, 1)])],
            ["modelcar-init", "nothing in /models"],
        ),
        (
            [pod(containerStatuses=[waiting("modelcar", "CreateContainerError", "sh: not found")])],
            ["sh: not found", "contract"],
        ),
        (
            [pod(initContainerStatuses=[
                waiting("modelcar-init", "CreateContainerConfigError", "runAsNonRoot")])],
            ["runAsNonRoot", "contract"],
        ),
        (
            [pod(phase="Failed", reason="Evicted", message="node was low on ephemeral-storage")],
            ["evicted", "ephemeral-storage"],
        ),
        (
            [pod(containerStatuses=[crashed("kserve-container", 1, 3)])],
            ["kserve-container", "exit 1", "3 restarts"],
        ),
        (
            [pod(containerStatuses=[crashed("kserve-container", 137, 0, "OOMKilled")])],
            ["OOMKilled", "exit 137"],
        ),
    ],
)  # fmt: skip
def test_what_never_comes_up_fails_with_the_clusters_words(
    server: KubeServer, wait: Wait, objects: list[Object], words: list[str]
) -> None:
    server.store.script([service(), rollout(0), *objects])
    message = wait.fails()
    assert [word for word in words if word not in message] == []
    assert wait.clock.time < 1000 + 60


def test_a_pod_that_cannot_be_made_fails_with_the_quotas_words(
    server: KubeServer, wait: Wait
) -> None:
    stuck = rollout(0)
    reason = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: gpus"}
    stuck["status"]["conditions"] = [reason]
    server.store.script([service(), stuck])
    assert "exceeded quota: gpus" in wait.fails()


def test_an_invalid_spec_fails_with_kserves_words(server: KubeServer, wait: Wait) -> None:
    info = {"reason": "RuntimeNotRecognized", "message": "no runtime of that name"}
    model = {"transitionStatus": "InvalidSpec", "lastFailureInfo": info}
    server.store.script([service(modelStatus=model), rollout(0)])
    assert "RuntimeNotRecognized: no runtime of that name" in wait.fails()


def test_an_old_failure_does_not_count_for_a_model_in_progress(
    server: KubeServer, wait: Wait
) -> None:
    info = {"reason": "ModelLoadFailed", "message": "last week"}
    model = {"transitionStatus": "InProgress", "lastFailureInfo": info}
    server.store.script(
        [service(modelStatus=model), rollout(0)], [service("True"), rollout(1), ready_pod()]
    )
    wait.run()


def test_one_restart_of_the_server_is_tolerated(server: KubeServer, wait: Wait) -> None:
    restarted = pod(containerStatuses=[crashed("kserve-container", 1, 1)])
    server.store.script(
        *[[service(), rollout(0), restarted]] * 20, [service("True"), rollout(1), ready_pod()]
    )
    wait.run()


def test_a_bad_sign_that_passes_does_not_count(server: KubeServer, wait: Wait) -> None:
    bad = pod(containerStatuses=[waiting("modelcar", "ErrImagePull", "unauthorized")])
    server.store.script([service(), rollout(0), bad], [service("True"), rollout(1), ready_pod()])
    wait.run()


def test_a_bad_sign_that_comes_and_goes_is_no_lasting_one(server: KubeServer, wait: Wait) -> None:
    bad = [pod(containerStatuses=[waiting("modelcar", "ErrImagePull", "unauthorized")])]
    good = [pod(containerStatuses=[waiting("modelcar", "ContainerCreating")])]
    up = [service("True"), rollout(1), ready_pod()]
    server.store.script([service(), rollout(0), *bad], *[good] * 9, bad, *[good] * 9, up)
    wait.run()


def test_a_failed_load_counts_once_no_pod_is_left(server: KubeServer, wait: Wait) -> None:
    info = {"reason": "ModelLoadFailed", "message": "exit 1"}
    model = {"transitionStatus": "BlockedByFailedLoad", "lastFailureInfo": info}
    restarted = pod(containerStatuses=[crashed("kserve-container", 1, 1)])
    server.store.script([service(modelStatus=model), rollout(0), restarted])
    with pytest.raises(DeadlineExceeded):
        wait.run(600)
    server.store.delete("pods", POD)
    assert "ModelLoadFailed: exit 1" in wait.fails()


def test_the_newest_event_is_the_one_reported(server: KubeServer, wait: Wait) -> None:
    old, new = event("Pulling image"), event("Still pulling image")
    new["metadata"] = {"name": "newer"}
    new["lastTimestamp"] = "2026-01-01T00:01:00Z"
    creating = pod(containerStatuses=[waiting("modelcar", "ContainerCreating")])
    server.store.script([service(), rollout(0), creating, old, new])
    with pytest.raises(DeadlineExceeded, match="Still pulling image"):
        wait.run(10)


def test_a_pull_that_may_yet_succeed_is_waited_for(server: KubeServer, wait: Wait) -> None:
    slow = pod(containerStatuses=[waiting("modelcar", "ImagePullBackOff", "i/o timeout")])
    server.store.script([service(), rollout(0), slow])
    with pytest.raises(DeadlineExceeded, match="i/o timeout"):
        wait.run(600)


def test_no_node_fits_is_given_an_autoscalers_time(server: KubeServer, wait: Wait) -> None:
    message = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu"
    unscheduled = {"type": "PodScheduled", "status": "False", "message": message}
    server.store.script([service(), rollout(0), pod(conditions=[unscheduled])])
    assert message in wait.fails()
    assert 1300 <= wait.clock.time < 1400
    assert any(message in line for line in wait.said)


def test_the_end_of_the_servers_log_is_part_of_the_reason(server: KubeServer, wait: Wait) -> None:
    log = "loading\ntorch.OutOfMemoryError: CUDA out of memory\nprocess exits\n"
    server.logs[POD, "kserve-container", True] = log
    server.logs[POD, "kserve-container", False] = "loading again"
    server.store.script(
        [service(), rollout(0), pod(containerStatuses=[crashed("kserve-container", 1, 4)])]
    )
    assert "it said: torch.OutOfMemoryError: CUDA out of memory" in wait.fails()


def test_a_stopped_service_says_how_to_start_it(server: KubeServer, wait: Wait) -> None:
    stopped = service()
    stopped["status"]["conditions"] = [{"type": "Stopped", "status": "True"}]
    server.store.script([stopped])
    assert "serving.kserve.io/stop" in wait.fails()


def test_the_deadline_carries_the_last_status(server: KubeServer, wait: Wait) -> None:
    server.store.script([service(), rollout(0), pod()])
    with pytest.raises(DeadlineExceeded) as caught:
        wait.run(61)
    assert f"not ready after 61 s; last status: pod {POD}: Pending" in str(caught.value)
    assert wait.clock.time == 1061


def test_a_service_deleted_meanwhile_ends_the_wait(server: KubeServer, wait: Wait) -> None:
    server.store.delete("inferenceservices", NAME)
    with pytest.raises(ClusterError, match="it was deleted"):
        wait.run()


def test_losing_the_right_to_look_ends_the_wait(server: KubeServer, wait: Wait) -> None:
    server.forbidden.add(("list", "pods"))
    with pytest.raises(ClusterError, match=r"resources: \[pods\], verbs: \[list\]"):
        wait.run()


def test_events_that_may_not_be_read_are_done_without(server: KubeServer, wait: Wait) -> None:
    server.forbidden.add(("list", "events"))
    bad = pod(containerStatuses=[waiting("modelcar", "ErrImagePull", "unauthorized")])
    server.store.script([service(), rollout(0), bad])
    assert "unauthorized" in wait.fails()


def test_an_overloaded_server_is_asked_again(server: KubeServer, wait: Wait) -> None:
    server.failing = 2
    server.store.script([service("True"), rollout(1), ready_pod()])
    wait.run()
    assert any("overloaded" in line for line in wait.said)


def test_each_status_is_reported_once(server: KubeServer, wait: Wait) -> None:
    server.store.script(
        *[[service(), rollout(0), pod()]] * 10, [service("True"), rollout(1), ready_pod()]
    )
    wait.run()
    assert len(wait.said) == len(set(wait.said)) == 2


def test_more_pods_than_a_page_are_all_looked_at(server: KubeServer, wait: Wait) -> None:
    many = [ready_pod(f"granite-{n:03}") for n in range(300)]
    server.store.script([service("True"), rollout(1), *many, pod("granite-zzz")])
    with pytest.raises(DeadlineExceeded, match="granite-zzz"):
        wait.run(5)
