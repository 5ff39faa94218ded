"""A Job ends as done, failed or too late, and leaves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from servers.kube import KubeServer

from carferry.cluster.api import Api, connect
from carferry.cluster.jobs import run_job
from carferry.errors import CarferryError, ClusterError, DeadlineExceeded, ToolFailed

Object = dict[str, Any]
NAME, POD = "packs", "packs-x7k2p"
JOB: Object = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": NAME, "namespace": "demo"},
    "spec": {"template": {}},
}


class ScriptedClock:
    """Time that passes only in ``sleep``, and what happens meanwhile."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.meanwhile: list[Callable[[], None]] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        if self.meanwhile:
            self.meanwhile.pop(0)()


@pytest.fixture
def server() -> Iterator[KubeServer]:
    with KubeServer() as running:
        yield running


@pytest.fixture
def api(server: KubeServer) -> Api:
    return connect(host=server.url)


def job(**conditions: str) -> Object:
    """Return the Job with conditions that are true, each with its message."""
    made = [{"type": kind, "status": "True", "message": m} for kind, m in conditions.items()]
    return JOB | {"status": {"conditions": made}}


def pod(phase: str = "Running", conditions: list[Object] | None = None, **state: Object) -> Object:
    """Return the Job's pod with its container's state."""
    status = {"phase": phase, "conditions": conditions or []}
    containers = [{"name": "buildah", "state": state}] if state else []
    return {
        "kind": "Pod",
        "metadata": {"name": POD, "labels": {"job-name": NAME}},
        "status": status | {"containerStatuses": containers},
    }


def died(code: int, reason: str = "Error") -> Object:
    return pod("Failed", terminated={"exitCode": code, "reason": reason})


def verbs(server: KubeServer) -> list[str]:
    """Return what was done to Jobs besides looking."""
    return [r.method for r in server.requests if "/jobs" in r.path and r.method != "GET"]


def run(api: Api, deadline_s: float = 600, clock: ScriptedClock | None = None) -> list[str]:
    said: list[str] = []
    watch = clock or ScriptedClock()
    run_job(api, JOB, deadline_s=deadline_s, clock=watch, report=said.append)
    return said


def failure(api: Api, kind: type[CarferryError]) -> str:
    with pytest.raises(kind) as caught:
        run(api)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_job_is_created_followed_and_removed_with_its_pods(server: KubeServer, api: Api) -> None:
    server.store.script([], [pod("Pending")], [pod()], [job(Complete="")])
    assert run(api) == [
        "no pod yet",
        f"pod {POD}: Pending",
        f"pod {POD}: Running",
        "done",
    ]
    assert verbs(server) == ["POST", "DELETE"]
    assert server.requests[-1].query == {"propagationPolicy": "Background"}
    assert ("jobs", "demo", NAME) not in server.store.objects


def test_a_failed_job_quotes_the_end_of_the_programs_log(server: KubeServer, api: Api) -> None:
    server.logs[POD, "buildah", False] = "pack a.safetensors\nError: no space left on device\n\n"
    server.store.script([pod()], [died(125), job(Failed="BackoffLimitExceeded")])
    assert failure(api, ToolFailed) == (
        f"run job demo/{NAME}: pod {POD}, container buildah: Error, exit 125: "
        "it said: Error: no space left on device"
    )
    assert verbs(server)[-1] == "DELETE"


def test_a_killed_pod_without_a_log_says_what_killed_it(server: KubeServer, api: Api) -> None:
    server.store.script([died(137, "OOMKilled"), job(Failed="BackoffLimitExceeded")])
    said = failure(api, ToolFailed)
    assert f"pod {POD}, container buildah: killed for memory (OOMKilled, exit 137)" in said
    assert "give it more memory" in said


def test_an_evicted_pod_says_why(server: KubeServer, api: Api) -> None:
    evicted = pod("Failed")
    evicted["status"] |= {"reason": "Evicted", "message": "ephemeral-storage is low"}
    server.store.script([evicted, job(Failed="BackoffLimitExceeded")])
    assert "was evicted from the node: ephemeral-storage is low" in failure(api, ToolFailed)


def test_a_job_that_the_cluster_stopped_says_so(server: KubeServer, api: Api) -> None:
    server.store.script([job(Failed="Job was active longer than specified deadline")])
    assert "active longer than specified deadline" in failure(api, ToolFailed)


def test_a_job_that_does_not_end_is_given_up_and_removed(server: KubeServer, api: Api) -> None:
    server.store.script([pod()])
    with pytest.raises(DeadlineExceeded, match=f"not done after 60 s; last status: pod {POD}: Run"):
        run(api, 60)
    assert verbs(server) == ["POST", "DELETE"]


def test_a_job_that_an_earlier_try_left_running_is_waited_for(server: KubeServer, api: Api) -> None:
    server.store.put(JOB)
    server.store.script([], [pod()], [job(Complete="")])
    assert run(api)[-1] == "done"
    assert verbs(server) == ["DELETE"]


@pytest.mark.parametrize("end", ["Complete", "Failed"])
def test_a_finished_job_of_an_earlier_try_is_replaced(
    server: KubeServer, api: Api, end: str
) -> None:
    server.store.put(job(**{end: "long ago"}))
    server.store.script([], [job(Complete="")])
    assert run(api)[-1] == "done"
    assert verbs(server) == ["DELETE", "POST", "DELETE"]


def test_a_pod_on_its_way_out_says_nothing_about_the_new_job(server: KubeServer, api: Api) -> None:
    leaving = died(125)
    leaving["metadata"] |= {"name": "packs-old", "deletionTimestamp": "2026-01-01T00:00:00Z"}
    server.store.script([leaving, pod()], [job(Failed="BackoffLimitExceeded"), died(137)])
    assert f"pod {POD}, container buildah: Error, exit 137" in failure(api, ToolFailed)


@pytest.mark.parametrize(("verb", "plural"), [("create", "jobs"), ("list", "pods")])
def test_a_missing_permission_is_named_as_a_roles_rule(
    server: KubeServer, api: Api, verb: str, plural: str
) -> None:
    server.forbidden.add((verb, plural))
    group = "batch" if plural == "jobs" else '""'
    said = failure(api, ClusterError)
    assert "grant to demo/pipeline-runner in namespace demo: " in said
    assert said.endswith(f"- {{apiGroups: [{group}], resources: [{plural}], verbs: [{verb}]}}")


def test_a_job_without_a_pod_says_what_its_events_say(server: KubeServer, api: Api) -> None:
    said = 'pods "packs-" is forbidden: unable to validate against any security context constraint'
    refused = {
        "kind": "Event",
        "metadata": {"name": "packs-event"},
        "involvedObject": {"name": NAME},
        "reason": "FailedCreate",
        "message": said,
    }
    server.store.script([refused])
    line = failure(api, ToolFailed)
    assert line.startswith(f"run job demo/{NAME}: no pod was made: ")
    assert f": {said}; bind the account to one that does" in line


def test_without_the_right_to_read_events_a_job_is_followed_all_the_same(
    server: KubeServer, api: Api
) -> None:
    server.forbidden.add(("list", "events"))
    server.store.script([], [pod()], [job(Complete="")])
    assert run(api)[-1] == "done"


def test_an_image_that_cannot_be_pulled_is_not_waited_for_to_the_deadline(
    server: KubeServer, api: Api
) -> None:
    waiting = {"reason": "ImagePullBackOff", "message": "manifest unknown"}
    server.store.script([pod("Pending", waiting=waiting)])
    assert failure(api, ToolFailed).startswith(
        f"run job demo/{NAME}: pod {POD}, container buildah: "
        "the registry holds no such image: manifest unknown; check the image's name"
    )


def test_a_pod_that_fits_no_node_says_why(server: KubeServer, api: Api) -> None:
    why = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes: Insufficient memory"}
    server.store.script([pod("Pending", conditions=[why])])
    said = failure(api, ToolFailed)
    assert f"pod {POD}: no node takes it" in said
    assert "0/3 nodes: Insufficient memory" in said


def test_a_temporary_failure_of_the_api_server_is_retried(server: KubeServer, api: Api) -> None:
    clock = ScriptedClock()
    clock.meanwhile.append(lambda: setattr(server, "failing", 2))
    server.store.script([pod()], [job(Complete="")])
    said = run(api, clock=clock)
    assert said[-1] == "done"
    assert any("503" in line for line in said)


def test_a_job_that_is_deleted_meanwhile_is_an_error(server: KubeServer, api: Api) -> None:
    clock = ScriptedClock()
    clock.meanwhile.append(lambda: server.store.delete("jobs", NAME))
    with pytest.raises(ClusterError, match="it was deleted; run again"):
        run(api, clock=clock)
