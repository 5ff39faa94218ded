"""A field that is not there is nobody's; one that has a value stays theirs who set it."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest

from carferry.errors import ClusterError
from carferry.serve.applying import apply_what_differs, tried_on
from carferry.serve.rehearsal import rehearse

Object = dict[str, Any]
LIST: Object = {"f:spec": {"f:containers": {}}}
"""Of a ServingRuntime the server books the list of containers as a whole on whoever set it."""


def runtime(container: Object, **metadata: Any) -> Object:
    about = {"name": "m", "namespace": "demo", **metadata}
    kind = {"apiVersion": "serving.kserve.io/v1alpha1", "kind": "ServingRuntime"}
    return {**kind, "metadata": about, "spec": {"containers": [{"name": "main", **container}]}}


def live(container: Object, *managers: str) -> Object:
    booked = [{"manager": each, "operation": "Apply", "fieldsV1": LIST} for each in managers]
    return runtime(container, resourceVersion="7", managedFields=booked)


@dataclass
class Cluster:
    """Holds one object, and refuses to apply another unless forced."""

    held: Object
    sent: list[tuple[Object, bool]] = field(default_factory=list)

    def get(self, _: Object) -> Object:
        return deepcopy(self.held)

    def apply(self, objects: Sequence[Object], *, dry_run: bool = False, force: bool) -> Any:
        (obj,) = objects
        if not force:
            said = 'Apply failed with 1 conflict: conflict with "kubectl": .spec.containers'
            raise ClusterError("patch", "demo/m", said, status=409)
        if not dry_run:
            self.sent.append((obj, force))
        return [deepcopy(self.held) | {"spec": obj["spec"]}]


def test_a_field_that_nobody_set_is_added_without_force() -> None:
    cluster: Any = Cluster(live({"image": "a"}, "kubectl"))
    objects = [runtime({"image": "a", "runAsUser": 1001})]
    (found,) = rehearse(cluster, objects)
    assert found.lines == ("ServingRuntime m: spec.containers[main].runAsUser: none -> 1001",)
    apply_what_differs(cluster, objects, [found])
    ((sent, forced),) = cluster.sent
    # Forced for what was seen alone: whoever changes it meanwhile is not overrun.
    assert forced and sent["metadata"]["resourceVersion"] == "7"
    assert sent["spec"] == objects[0]["spec"]
    assert "resourceVersion" not in objects[0]["metadata"]


@pytest.mark.parametrize(
    ("there", "wanted", "owners"),
    [
        ({"image": "a"}, {"image": "b", "runAsUser": 1001}, ["kubectl"]),
        ({"image": "a", "args": ["x"]}, {"image": "a"}, ["kubectl"]),
        ({"image": "a", "args": ["x"]}, {"image": "a", "args": ["x", "y"]}, ["kubectl"]),
        ({"image": "a"}, {"image": "b"}, ["carferry", "kubectl"]),
        ({"image": "a"}, {"image": "b"}, []),  # nobody knows whose
        ({"image": "a"}, {"image": "a"}, ["kubectl"]),  # admission has put theirs back
    ],
)
def test_a_value_that_somebody_set_is_kept(
    there: Object, wanted: Object, owners: list[str]
) -> None:
    cluster: Any = Cluster(live(there, *owners))
    with pytest.raises(ClusterError, match="somebody else set what would change") as caught:
        tried_on(cluster, [runtime(wanted)])
    assert caught.value.status == 409
    assert "runAsUser" not in str(caught.value)
    assert cluster.sent == []


def test_what_is_carferrys_own_changes_beside_what_nobody_set() -> None:
    cluster: Any = Cluster(live({"image": "a"}, "carferry"))
    (found,) = rehearse(cluster, [runtime({"image": "b", "runAsUser": 1})])
    assert found.takes
