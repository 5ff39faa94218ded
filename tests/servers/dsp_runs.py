"""Runs as the pipelines API server shows them: what it makes of a Workflow, and what it drops.

The v2beta1 form lists every node by display name and state, sorted by node id, with no message
and no error; children are named by Argo's node ids, in a field called ``pod_name``. It cannot
read packed nodes and repeats what it saw before. The v1beta1 form holds the Workflow itself.

Source: backend/src/apiserver/server/api_converter.go and resource/resource_manager.go, 2.5 to 2.16.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from servers.argo import Look, workflow

Object = dict[str, Any]
_STATES = {
    "Pending": "PENDING",
    "Running": "RUNNING",
    "Succeeded": "SUCCEEDED",
    "Skipped": "SKIPPED",
    "Failed": "FAILED",
    "Error": "FAILED",
}


@dataclass
class Run:
    """One run: what was asked for, and what a look finds."""

    request: Object
    spec: Object
    looks: list[Look]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    looked: int = 0
    history: list[str] = field(default_factory=lambda: ["PENDING"])
    tasks: list[Object] = field(default_factory=list)
    manifest: str = ""

    def v2beta1(self) -> Object:
        """Return the run as it is now, and let time pass until the next look."""
        self._report(self.looks[min(self.looked, len(self.looks) - 1)])
        self.looked += 1
        return self.shown()

    def shown(self) -> Object:
        shown: Object = {
            **self.request,
            "run_id": self.id,
            "storage_state": "AVAILABLE",
            "state": self.history[-1],
            "state_history": [{"state": state} for state in self.history],
        }
        return shown | ({"run_details": {"task_details": self.tasks}} if self.tasks else {})

    def v1beta1(self) -> Object:
        run = {"id": self.id, "name": self.request["display_name"]}
        return {"run": run, "pipeline_runtime": {"workflow_manifest": self.manifest}}

    def _report(self, look: Look) -> None:
        """Take in what the persistence agent reports."""
        found = workflow(self.spec, self.id, look)
        state = "CANCELING" if look.cancelled and look.state == "RUNNING" else look.state
        if self.history[-1] != state:
            self.history.append(state)
        if state == "PENDING":
            return
        self.manifest = json.dumps(found)
        nodes = found["status"].get("nodes") or {}
        if nodes:
            self.tasks = [self._task(nodes[key], nodes) for key in sorted(nodes)]

    def _task(self, node: Object, nodes: dict[str, Object]) -> Object:
        below = [
            {"pod_name": key}
            for key, each in nodes.items()
            if each["name"].rpartition(".")[0] == node["name"]
        ]
        task = {
            "run_id": self.id,
            "task_id": str(uuid.uuid5(uuid.NAMESPACE_OID, self.id + node["id"])),
            "display_name": node["displayName"],
            "state": _STATES.get(node["phase"], "RUNTIME_STATE_UNSPECIFIED"),
        }
        return task | ({"child_tasks": below} if below else {})
