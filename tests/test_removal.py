"""What a deployment leaves behind or takes along, kind by kind, whatever version is served."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from carferry.cluster.kinds import KINDS, Object, Permission, ResourceKind
from carferry.endpoint.find import find as served
from carferry.errors import ClusterError, DeadlineExceeded
from carferry.serve.removal import remove

GROUP = "serving.kserve.io"
OURS = [{"manager": "carferry", "operation": "Apply", "fieldsV1": {}}]


@dataclass
class Cluster:
    """A cluster that serves LLMInferenceService in one version, as OpenShift AI 3.0 to 3.4 does."""

    llm: str = "v1alpha1"
    objects: dict[tuple[str, str], Object] = field(default_factory=dict)
    pods: list[Object] = field(default_factory=list)
    closed: tuple[str, ...] = ()
    selectors: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)

    def read(self, path: str) -> Object:
        versions = [{"version": each} for each in ("v1beta1", "v1alpha1", self.llm) if each]
        kinds = [{"name": "llminferenceservices"}] if path.endswith(f"/{self.llm}") else []
        return {"groups": [{"name": GROUP, "versions": versions}], "resources": kinds}

    def get(self, kind: ResourceKind, namespace: str, name: str) -> Object | None:
        self._check(kind)
        return self.objects.get((kind.plural, name))

    def list(self, kind: ResourceKind, namespace: str, **query: str) -> list[Object]:
        self._check(kind)
        self.selectors.append(query.get("labelSelector", ""))
        if kind.plural == "pods":
            return self.pods
        return [each for (plural, _), each in self.objects.items() if plural == kind.plural]

    def call(self, asked: Permission, name: str, **_: Any) -> None:
        self.deleted.append(f"{asked.kind.plural}/{name}")
        del self.objects[asked.kind.plural, name]

    def add(self, kind: str, name: str, version: str = "", **more: Any) -> Cluster:
        known = KINDS[kind]
        group = f"{known.group}/" if known.group else ""
        about = {"name": name, "namespace": "demo", "uid": name, "managedFields": OURS}
        made = {"apiVersion": f"{group}{version or known.version}", "kind": kind, "metadata": about}
        self.objects[known.plural, name] = {**made, **more}
        return self

    def _check(self, kind: ResourceKind) -> None:
        if kind.plural in self.closed:
            raise ClusterError("get", kind.plural, "forbidden", status=403)
        if kind.plural == "llminferenceservices" and kind.version != self.llm:
            raise ClusterError("get", kind.plural, "not found", status=404)


class Still:
    """Time that passes by sleeping."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


def removed(cluster: Cluster) -> tuple[str, ...]:
    done = remove(cluster, "m", "demo", clock=Still(), wait_s=5)  # type: ignore[arg-type]
    return done.lines


def with_llm(llm: str = "v1alpha1") -> Cluster:
    made = Cluster(llm).add("LLMInferenceService", "m", llm).add("Secret", "m-uri")
    return made.add("ServiceAccount", "m-sa")


@pytest.mark.parametrize("version", ["v1alpha1", "v1alpha2"])
def test_an_llm_service_goes_first_in_whatever_version_it_is_served(version: str) -> None:
    cluster = with_llm(version)
    removed(cluster)
    assert cluster.deleted == ["llminferenceservices/m", "secrets/m-uri", "serviceaccounts/m-sa"]


def test_the_pods_of_an_llm_service_are_waited_for() -> None:
    cluster = with_llm()
    cluster.pods = [{"metadata": {"name": "m-kserve-1"}}]
    with pytest.raises(DeadlineExceeded, match="its pods still hold their GPUs: m-kserve-1"):
        removed(cluster)
    assert cluster.deleted == ["llminferenceservices/m"]
    wanted = "app.kubernetes.io/name=m,app.kubernetes.io/part-of=llminferenceservice"
    assert cluster.selectors[-1] == wanted


def test_what_an_unreadable_llm_service_may_stand_on_stays() -> None:
    cluster = with_llm().add("ServingRuntime", "m")
    cluster.closed = ("llminferenceservices",)
    assert removed(cluster) == (
        "removed ServingRuntime m",
        "left    LLMInferenceService m, if it is there: this login may not read it",
        "left    Secret m-uri: LLMInferenceService m may use it",
        "left    ServiceAccount m-sa: LLMInferenceService m may use it",
    )


def test_a_login_without_llm_services_removes_its_inference_service() -> None:
    cluster = Cluster().add("InferenceService", "m").add("Secret", "m-uri")
    cluster.closed = ("llminferenceservices",)
    removed(cluster)
    assert cluster.deleted == ["inferenceservices/m", "secrets/m-uri"]


def test_a_cluster_without_the_kind_is_not_asked_for_it() -> None:
    cluster = Cluster(llm="").add("InferenceService", "m")
    cluster.closed = ("llminferenceservices",)
    assert removed(cluster) == ("removed InferenceService m",)


def test_what_somebody_elses_llm_service_stands_on_stays() -> None:
    cluster = with_llm()
    cluster.objects["llminferenceservices", "m"]["metadata"]["managedFields"] = []
    assert removed(cluster) == (
        "left    LLMInferenceService m: made by somebody else, not by carferry",
        "left    Secret m-uri: LLMInferenceService m uses it",
        "left    ServiceAccount m-sa: LLMInferenceService m uses it",
        "next    if they are yours: oc delete -n demo LLMInferenceService/m",
    )


def test_whether_it_is_served_on_is_told_by_its_service_alone() -> None:
    cluster = Cluster().add("InferenceService", "m").add("Role", "m-view-role")
    cluster.objects["roles", "m-view-role"]["metadata"]["managedFields"] = []
    done = remove(cluster, "m", "demo", clock=Still(), wait_s=5)  # type: ignore[arg-type]
    assert (done.others, done.is_served) == (("Role/m-view-role",), False)
    cluster.add("InferenceService", "m")
    cluster.objects["inferenceservices", "m"]["metadata"]["managedFields"] = []
    done = remove(cluster, "m", "demo", clock=Still(), wait_s=5)  # type: ignore[arg-type]
    assert done.is_served
    what = "InferenceService/m Role/m-view-role"
    assert done.lines[-1] == f"next    if they are yours: oc delete -n demo {what}"


@pytest.mark.parametrize("version", ["v1alpha1", "v1alpha2"])
def test_an_llm_service_is_found_in_whatever_version_it_is_served(version: str) -> None:
    cluster = Cluster(version).add("LLMInferenceService", "m", version)
    assert served(cluster, "m", "demo").kind == "LLMInferenceService"  # type: ignore[arg-type]
