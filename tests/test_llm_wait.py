"""An LLMInferenceService serves when it says so, and its own pods run the image."""

from __future__ import annotations

from typing import Any

import pytest

from carferry.serve.llm_wait import status_of

Object = dict[str, Any]
URI = "oci://quay.io/team/granite@sha256:ab"
NOT_YET = "the new pods are not there yet"


def service(ready: str, **lacking: str) -> Object:
    conditions = [{"type": name, "status": "False", "message": m} for name, m in lacking.items()]
    conditions.append({"type": "Ready", "status": ready})
    return {"spec": {"model": {"uri": URI}}, "status": {"conditions": conditions}}


def pods(image: str = URI.removeprefix("oci://"), updated: int = 1, seen: int = 2) -> Object:
    containers = [{"name": "modelcar", "image": image}]
    counts = {"updatedReplicas": updated, "availableReplicas": 1, "observedGeneration": seen}
    return {
        "metadata": {"generation": 2},
        "spec": {"replicas": 1, "template": {"spec": {"containers": containers}}},
        "status": counts,
    }


STATES: list[tuple[Object, Object | None, str]] = [
    ({"status": {}}, None, "KServe has not looked at it yet"),
    (service("Unknown"), None, "KServe has not looked at it yet"),
    (service("False", PresetsCombined="no such config"), None, "PresetsCombined: no such config"),
    (service("True"), None, NOT_YET),
    (service("True"), pods("quay.io/team/granite@sha256:old"), NOT_YET),
    (service("True"), pods(updated=0), NOT_YET),
    (service("True"), pods(seen=1), NOT_YET),
    (service("True"), pods(), "ready"),
]


@pytest.mark.parametrize(("seen", "deployment", "said"), STATES)
def test_ready_is_about_what_was_applied(
    seen: Object, deployment: Object | None, said: str
) -> None:
    assert status_of(seen, deployment) == said
