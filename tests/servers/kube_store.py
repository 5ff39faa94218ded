"""What our Kubernetes API server holds: objects, who owns their fields, and what comes next."""

from __future__ import annotations

import uuid
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from servers.kube_apply import Conflict, merge

Object = dict[str, Any]
Key = tuple[str, str, str]  # plural, namespace, name

RESOURCES = {
    "v1": {
        "Secret": "secrets",
        "ServiceAccount": "serviceaccounts",
        "Pod": "pods",
        "Event": "events",
    },
    "batch/v1": {"Job": "jobs"},
    "apps/v1": {"Deployment": "deployments", "ReplicaSet": "replicasets"},
    "rbac.authorization.k8s.io/v1": {"Role": "roles", "RoleBinding": "rolebindings"},
    "argoproj.io/v1alpha1": {"Workflow": "workflows"},
    "serving.kserve.io/v1alpha1": {"ServingRuntime": "servingruntimes"},
    "serving.kserve.io/v1beta1": {"InferenceService": "inferenceservices"},
}


class Refusal(Exception):
    """An answer other than success: code, reason, message, and what it is about."""

    def __init__(self, code: int, reason: str, message: str, name: str = "") -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.name = code, reason, message, name


@dataclass
class Store:
    """Objects in memory; a lock is the server's business."""

    objects: dict[Key, Object] = field(default_factory=dict)
    owners: dict[Key, dict[str, str]] = field(default_factory=dict)
    _steps: list[list[Object]] = field(default_factory=list)
    _held: list[list[Object]] = field(default_factory=list)

    def script(self, *steps: list[Object]) -> None:
        """Queue what controllers write: each step is put in place before one look."""
        self._steps.extend(steps)

    def script_once_applied(self, *steps: list[Object]) -> None:
        """Queue what controllers write after an InferenceService was applied."""
        self._held.extend(steps)

    def get(self, plural: str, name: str, namespace: str = "demo") -> Object:
        return deepcopy(self.objects[plural, namespace, name])

    def put(self, obj: Object, namespace: str = "demo") -> None:
        """Write an object as a controller: its parts replace those that are there."""
        plural = next(v[obj["kind"]] for v in RESOURCES.values() if obj["kind"] in v)
        key = (plural, namespace, obj["metadata"]["name"])
        old = self.objects.get(key, {})
        metadata = {"namespace": namespace} | old.get("metadata", {}) | obj["metadata"]
        self.objects[key] = {**old, **deepcopy(obj), "metadata": metadata}

    def edit(self, plural: str, name: str, change: Object, manager: str) -> None:
        """Change an object by an update, booked on a field manager: a person, a webhook."""
        manager = f"{manager} update"  # another owner than the same name's apply
        key = (plural, "demo", name)
        self.objects[key] = merge(
            self.objects[key], change, manager, self.owners.setdefault(key, {}), force=True
        )

    def delete(self, plural: str, name: str, namespace: str = "demo") -> None:
        del self.objects[plural, namespace, name]

    def do(self, verb: str, key: Key, query: dict[str, str], body: Object) -> Object:
        if verb == "list":
            return self._list(key[0], key[1], query)
        if verb == "patch":
            return self._apply(key, query, body)
        if verb == "create":
            return self._create(key, query, body)
        if verb == "get" and self._is_scripted(key) and self._steps:
            for obj in self._steps.pop(0):
                self.put(obj, key[1])
        if key not in self.objects:
            raise Refusal(404, "NotFound", f'{key[0]} "{key[2]}" not found', key[2])
        return deepcopy(self.objects.pop(key) if verb == "delete" else self.objects[key])

    def _is_scripted(self, key: Key) -> bool:
        """Return whether a controller changes the object: a service or a Job that was created."""
        return key[0] in ("inferenceservices", "jobs") and key in self.objects

    def _list(self, plural: str, namespace: str, query: dict[str, str]) -> Object:
        found = [
            deepcopy(obj)
            for (kind, place, _), obj in sorted(self.objects.items())
            if (kind, place) == (plural, namespace) and _selected(obj, query)
        ]
        start, limit = int(query.get("continue", 0)), int(query.get("limit", 500))
        rest = str(start + limit) if len(found) > start + limit else ""
        return {
            "kind": "List",
            "metadata": {"continue": rest},
            "items": found[start : start + limit],
        }

    def _create(self, key: Key, query: dict[str, str], body: Object) -> Object:
        key = (*key[:2], body["metadata"]["name"])
        if key in self.objects:
            raise Refusal(409, "AlreadyExists", f'{key[0]} "{key[2]}" already exists', key[2])
        return self._store(key, deepcopy(body), query)

    def _apply(self, key: Key, query: dict[str, str], body: Object) -> Object:
        manager = query.get("fieldManager", "")
        self._admit(key, body)
        owners = dict(self.owners.get(key, {}))
        try:
            merged = merge(
                self.objects.get(key, {}),
                body,
                manager,
                owners,
                force=query.get("force") == "true",
            )
        except Conflict as conflict:
            raise Refusal(409, "Conflict", str(conflict), key[2]) from conflict
        if not query.get("dryRun"):
            self.owners[key] = owners
            if key[0] == "inferenceservices":
                self._steps, self._held = [*self._steps, *self._held], []
        merged["metadata"]["managedFields"] = [
            {"manager": name.split()[0], "operation": "Update" if " " in name else "Apply"}
            for name in sorted(set(owners.values()))
        ]
        return self._store(key, merged, query)

    def _admit(self, key: Key, body: Object) -> None:
        """Deny a binding to no Role, as Kubernetes does, and a link to no Secret.

        The second is OpenShift AI's connection webhook.
        """
        role = (body.get("roleRef") or {}).get("name")
        if role and ("roles", key[1], role) not in self.objects:
            raise Refusal(404, "NotFound", f'roles "{role}" not found', role)
        annotations = body["metadata"].get("annotations") or {}
        secret = annotations.get("opendatahub.io/connections")
        if secret and ("secrets", key[1], secret) not in self.objects:
            said = f'admission webhook "connection" denied the request: no Secret "{secret}"'
            raise Refusal(403, "Forbidden", said, key[2])

    def _store(self, key: Key, obj: Object, query: dict[str, str]) -> Object:
        old = self.objects.get(key)
        metadata = obj["metadata"]
        metadata.setdefault("uid", str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(key))))
        generation = old["metadata"].get("generation", 1) if old else 1
        changed = old is not None and old.get("spec") != obj.get("spec")
        metadata["generation"] = generation + changed
        if not query.get("dryRun"):
            self.objects[key] = obj
        return deepcopy(obj)


def _selected(obj: Object, query: dict[str, str]) -> bool:
    label, _, value = query.get("labelSelector", "").partition("=")
    if label and (obj["metadata"].get("labels") or {}).get(label) != value:
        return False
    wanted = query.get("fieldSelector", "").removeprefix("involvedObject.name=")
    return not wanted or (obj.get("involvedObject") or {}).get("name") == wanted
