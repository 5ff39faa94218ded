"""Settings and cluster states that several tests of serving start from."""

from __future__ import annotations

from typing import Any

from carferry.serve.form import make_deployment
from carferry.serve.settings import Deployment

DIGEST = "sha256:" + "ab" * 32
IMAGE = f"quay.io/team/granite-3.1-2b:v1@{DIGEST}"
URI = f"oci://quay.io/team/granite-3.1-2b@{DIGEST}"
NAME = "granite-31-2b"

Object = dict[str, Any]


def settings(**values: str) -> Deployment:
    return make_deployment(**{"image": IMAGE, "namespace": "demo", **values})


def pod(name: str = "granite-31-2b-predictor-1", **status: Any) -> Object:
    return {
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"serving.kserve.io/inferenceservice": NAME}},
        "spec": {"containers": [{"name": "modelcar", "image": URI.removeprefix("oci://")}]},
        "status": {"phase": "Pending", **status},
    }


def ready_pod(name: str = "granite-31-2b-predictor-1") -> Object:
    return pod(name, phase="Running", conditions=[{"type": "Ready", "status": "True"}])


def waiting(container: str, reason: str, message: str = "", restarts: int = 0) -> Object:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"name": container, "state": state, "restartCount": restarts}


def crashed(container: str, code: int, restarts: int, reason: str = "Error") -> Object:
    ended = {"terminated": {"exitCode": code, "reason": reason}}
    state = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}}
    return {"name": container, "state": state, "lastState": ended, "restartCount": restarts}


def rollout(available: int, generation: int = 1, observed: int = 1, replicas: int = 1) -> Object:
    return {
        "kind": "Deployment",
        "metadata": {"name": f"{NAME}-predictor", "generation": generation},
        "spec": {"replicas": 1},
        "status": {
            "observedGeneration": observed,
            "replicas": replicas,
            "updatedReplicas": 1,
            "availableReplicas": available,
        },
    }


def service(ready: str = "False", message: str = "", **status: Any) -> Object:
    conditions = [{"type": "Ready", "status": ready, "message": message}]
    return {
        "kind": "InferenceService",
        "metadata": {"name": NAME},
        "status": {"conditions": conditions, **status},
    }


def event(message: str, reason: str = "Failed") -> Object:
    return {
        "kind": "Event",
        "metadata": {"name": "granite-event"},
        "involvedObject": {"name": "granite-31-2b-predictor-1"},
        "reason": reason,
        "message": message,
        "lastTimestamp": "2026-01-01T00:00:00Z",
    }
