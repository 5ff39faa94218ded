"""A wait ends as ready, failed or too late, whatever the API server answers.

What a kubelet does is not pictured here: see tests/cluster/test_diagnosis.py, and what it recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from serve_samples import (
    NAME,
    crashed,
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
from carferry.serve.trial import pod as pod_of

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
    objects = make_objects(settings(max_model_len="8192"))
    wait.cluster.apply(objects)
    wanted = pod_of(objects)
    assert wanted is not None
    (container,) = wanted["spec"]["containers"]
    args = [each.replace("{{.Name}}", NAME) for each in container["args"]]
    assert args[-1] == "--max-model-len=8192"
    behind, current = rollout(1), rollout(1)
    for made, has in ((behind, args[:-1]), (current, args)):
        spec = {**wanted["spec"], "containers": [{**container, "args": has}]}
        made["spec"]["template"] = {"spec": spec}
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


def test_an_old_failure_does_not_count_for_a_model_in_progress(
    server: KubeServer, wait: Wait
) -> None:
    info = {"reason": "ModelLoadFailed", "message": "last week"}
    model = {"transitionStatus": "InProgress", "lastFailureInfo": info}
    server.store.script(
        [service(modelStatus=model), rollout(0)], [service("True"), rollout(1), ready_pod()]
    )
    wait.run()


def test_a_bad_sign_that_passes_does_not_count(server: KubeServer, wait: Wait) -> None:
    bad = pod(containerStatuses=[waiting("modelcar", "ErrImagePull", "unauthorized")])
    server.store.script([service(), rollout(0), bad], [service("True"), rollout(1), ready_pod()])
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


def test_a_pull_that_may_yet_succeed_is_waited_for(server: KubeServer, wait: Wait) -> None:
    slow = pod(containerStatuses=[waiting("modelcar", "ImagePullBackOff", "i/o timeout")])
    server.store.script([service(), rollout(0), slow])
    with pytest.raises(DeadlineExceeded, match="i/o timeout"):
        wait.run(600)


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


def test_more_pods_than_a_page_are_all_looked_at(server: KubeServer, wait: Wait) -> None:
    many = [ready_pod(f"granite-{n:03}") for n in range(300)]
    server.store.script([service("True"), rollout(1), *many, pod("granite-zzz")])
    with pytest.raises(DeadlineExceeded, match="granite-zzz"):
        wait.run(5)


def test_a_rollout_is_followed_until_it_serves(server: KubeServer, wait: Wait) -> None:
    server.store.script(
        [service(message="predictor is not ready")],
        [rollout(0), pod(initContainerStatuses=[waiting("modelcar-init", "ContainerCreating")])],
        [ready_pod(), rollout(1)],
        [service("True", url="http://granite")],
    )
    assert wait.run()["status"]["url"] == "http://granite"
    assert wait.said == [
        "KServe has not made the Deployment yet",
        f"pod {POD}, container modelcar-init: ContainerCreating",
        "the InferenceService is not ready: predictor is not ready",
        "ready",
    ]


def test_more_replicas_than_wanted_are_waited_out(server: KubeServer, wait: Wait) -> None:
    server.store.script([service("True"), rollout(1, replicas=2), ready_pod()])
    with pytest.raises(DeadlineExceeded, match="1 pods of the revision before have not stopped"):
        wait.run(60)


def test_a_status_is_told_once_and_again_after_half_a_minute(
    server: KubeServer, wait: Wait
) -> None:
    server.store.script(
        *[[service(), rollout(0), pod()]] * 25, [service("True"), rollout(1), ready_pod()]
    )
    wait.run()
    pending = f"pod {POD}: Pending"
    assert wait.said == [
        pending,
        f"still waiting because {pending}; for 30 s",
        f"still waiting because {pending}; for 60 s",
        "ready",
    ]


def test_a_bad_sign_that_comes_and_goes_is_no_lasting_one(server: KubeServer, wait: Wait) -> None:
    bad = [pod(containerStatuses=[waiting("modelcar", "ErrImagePull", "unauthorized")])]
    good = [pod(containerStatuses=[waiting("modelcar", "ContainerCreating")])]
    up = [service("True"), rollout(1), ready_pod()]
    server.store.script([service(), rollout(0), *bad], *[good] * 9, bad, *[good] * 9, up)
    wait.run()


def test_the_patience_of_one_cause_does_not_count_for_the_next(
    server: KubeServer, wait: Wait
) -> None:
    """Three looks long one cause, then another: none has lasted its ten seconds."""
    one = [pod(containerStatuses=[waiting("modelcar", "ErrImagePull", "unauthorized")])]
    other = [pod(containerStatuses=[waiting("modelcar", "ErrImagePull", "manifest unknown")])]
    up = [service("True"), rollout(1), ready_pod()]
    server.store.script([service(), rollout(0), *one], one, one, other, other, other, up)
    wait.run()


@pytest.mark.parametrize("is_running", [True, False])
def test_the_log_of_the_run_that_crashed_is_read(
    server: KubeServer, wait: Wait, is_running: bool
) -> None:
    """The kubelet keeps one run's log besides that of a run under way, and says so with 200."""
    words = "torch.OutOfMemoryError: CUDA out of memory\n"
    lost = "unable to retrieve container logs for containerd://4f2a"
    server.logs[POD, "kserve-container", is_running] = words
    server.logs[POD, "kserve-container", not is_running] = "loading" if is_running else lost
    status = crashed("kserve-container", 1, 1)
    if is_running:
        status["state"] = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    server.store.script([service(), rollout(0), pod(containerStatuses=[status])])
    assert "CUDA out of memory" in wait.fails()


def test_a_log_that_the_kubelet_lost_is_no_log(server: KubeServer, wait: Wait) -> None:
    for previous in (True, False):
        lost = "unable to retrieve container logs for containerd://4f2a"
        server.logs[POD, "kserve-container", previous] = lost
    status = crashed("kserve-container", 1, 4)
    server.store.script([service(), rollout(0), pod(containerStatuses=[status])])
    assert "unable to retrieve" not in wait.fails()


def test_a_deadline_that_follows_the_size_does_not_count_time_in_a_queue(
    server: KubeServer, wait: Wait
) -> None:
    gated = {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
    held = pod(conditions=[gated])
    up = [service("True"), rollout(1), ready_pod()]
    server.store.script([service(), rollout(0), held], *[[held]] * 40, up)
    wait.cluster.wait(
        NAME, "demo", deadline_s=60, is_fixed=False, clock=wait.clock, report=wait.said.append
    )
    assert wait.clock.time > 1000 + 60
    server.store.script([service(), rollout(0), held])
    with pytest.raises(DeadlineExceeded, match="SchedulingGated"):
        wait.run(60)


def test_the_gpu_plan_stands_beside_what_the_gpu_refused(server: KubeServer, wait: Wait) -> None:
    server.logs[POD, "kserve-container", False] = "torch.OutOfMemoryError: CUDA out of memory\n"
    status = crashed("kserve-container", 1, 1)
    server.store.script([service(), rollout(0), pod(containerStatuses=[status])])
    with pytest.raises(DeploymentFailed, match="; planned: 1 x L40S; take a larger GPU"):
        wait.cluster.wait(
            NAME, "demo", deadline_s=60, planned="planned: 1 x L40S", clock=wait.clock
        )


def test_a_pod_of_the_revision_before_does_not_fail_the_new_one(
    server: KubeServer, wait: Wait
) -> None:
    """Its crash is an old story; the new revision's pod comes up."""
    sets = [_replica_set("old", 1), _replica_set("new", 2)]
    before = pod("granite-old", containerStatuses=[crashed("kserve-container", 1, 9)])
    after = ready_pod("granite-new")
    for each, owner in ((before, "old"), (after, "new")):
        each["metadata"]["ownerReferences"] = [{"uid": owner}]
    deployment = rollout(1, replicas=2)
    deployment["metadata"]["uid"] = "d"
    deployment["spec"]["selector"] = {"matchLabels": {"app": "granite"}}
    server.store.script(
        [service("True"), deployment, *sets, before, after],
        *[[before]] * 12,
        [deployment | {"status": {**deployment["status"], "replicas": 1}}],
    )
    wait.run()


def _replica_set(uid: str, revision: int) -> Object:
    marks = {"deployment.kubernetes.io/revision": str(revision)}
    metadata = {"name": uid, "uid": uid, "annotations": marks, "labels": {"app": "granite"},
                "ownerReferences": [{"uid": "d"}]}  # fmt: skip
    return {"kind": "ReplicaSet", "metadata": metadata, "spec": {"replicas": 1}, "status": {}}
