"""What the launcher does around a step's command: inputs in, the command, outputs out.

Source: backend/src/v2/component/launcher_v2.go; provisionOutputs in driver/driver.go.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from backend.container import Ended
from backend.driver import plain, whole
from backend.graph import BackendError, Component, Spec
from backend.kubelet import SCRATCH, USER, empty
from backend.metadata import Metadata, struct, text
from backend.objects import Objects

Document = dict[str, Any]
Start = Callable[[Sequence[str], Mapping[str, Path]], Ended]
"""Runs a command with these folders mounted."""
LOGS = "executor-logs"
_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "STRING": str,
    "NUMBER_INTEGER": int,
    "NUMBER_DOUBLE": float,
    "BOOLEAN": lambda said: {"true": True, "false": False}[said.strip().lower()],
    "LIST": json.loads,
    "STRUCT": json.loads,
}


class Failed(Exception):
    """A step's container ended with another code than 0, or left what cannot be read."""

    def __init__(self, ended: Ended, why: str) -> None:
        super().__init__(why)
        self.ended = ended


@dataclass(frozen=True, slots=True)
class Launcher:
    """The launcher of one task.

    Attributes:
        metadata: Store it publishes in.
        objects: Store of artifacts.
        component: What the task runs.
        execution: The task's, made by the driver.
        asked: The executor input.
        instead: Output parameters to publish in place of the step's own.
    """

    metadata: Metadata
    objects: Objects
    component: Component
    execution: int
    asked: Document
    instead: Mapping[str, Any]

    def attempt(self, pod: str, folder: Path, start: Start) -> Ended:
        """Run the step once in a new pod and publish what it leaves.

        Raises:
            Failed: The command failed; its log is published all the same.
        """
        properties = {"pod_name": text(pod), "pod_uid": text(str(uuid.uuid4()))}
        self.metadata.update(self.execution, "RUNNING", properties)
        mounted = {path: empty(folder / path.strip("/")) for path in SCRATCH}
        place = Place(mounted)
        for artifacts in self.asked["inputs"].get("artifacts", {}).values():
            for each in artifacts["artifacts"]:
                self.objects.download(each["uri"], place.local(each["uri"]))
        self._prepare(place)
        ended = start(arguments(self.component, self.asked), mounted)
        self._local(place, LOGS).write_text(ended.said)
        if ended.code:
            self._publish(place, "FAILED", {}, {}, only=LOGS)
            raise Failed(ended, f"exit code {ended.code}")
        output = self._output(place)
        try:
            values = self._parameters(place, output)
        except (OSError, ValueError, KeyError) as error:
            self._publish(place, "FAILED", {}, {}, only=LOGS)
            raise Failed(ended, f"failed to read output parameter: {error!r}") from error
        self._publish(place, "COMPLETE", values, output.get("artifacts", {}))
        return ended

    def _prepare(self, place: Place) -> None:
        outputs = self.asked["outputs"]
        files = [each["outputFile"] for each in outputs["parameters"].values()]
        files += [place.path(each["artifacts"][0]["uri"]) for each in outputs["artifacts"].values()]
        for file in files:
            place.here(file).parent.mkdir(parents=True, exist_ok=True)
        for root in place.mounted.values():
            for path in root.rglob("*"):
                os.chown(path, USER, 0)  # the launcher is the pod's own user

    def _output(self, place: Place) -> Document:
        file = place.here(self.asked["outputs"]["outputFile"])
        if not file.exists():
            return {}
        found = json.loads(file.read_text())
        json_format.ParseDict(found, pipeline_spec_pb2.ExecutorOutput())  # strict, as Go's is
        return dict(found)

    def _parameters(self, place: Place, output: Document) -> Document:
        values = dict(output.get("parameterValues", {}))
        for name, each in self.asked["outputs"]["parameters"].items():
            if name not in values:
                kind = self.component.outputs[name]["parameterType"]
                values[name] = _PARSERS[kind](place.here(each["outputFile"]).read_text())
        return values | dict(self.instead)

    def _publish(
        self, place: Place, state: str, values: Document, merged: Document, only: str = ""
    ) -> None:
        recorded = {}
        for name, listed in self.asked["outputs"]["artifacts"].items():
            if only and name != only:
                continue
            (artifact,) = listed["artifacts"]
            said = (merged.get(name, {}).get("artifacts") or [{}])[0]
            uri = said.get("uri") or artifact["uri"]
            if uri.startswith("s3://"):
                self.objects.upload(place.local(uri), uri)
            title = artifact["type"]["schemaTitle"]
            known = artifact.get("metadata", {}) | said.get("metadata", {})
            recorded[name] = self.metadata.record(name, title, uri, known)
        properties = {"outputs": struct(values)} if values else {}
        self.metadata.update(self.execution, state, properties, recorded)

    def _local(self, place: Place, name: str) -> Path:
        return place.local(self.asked["outputs"]["artifacts"][name]["artifacts"][0]["uri"])


@dataclass(frozen=True, slots=True)
class Place:
    """A pod's paths on this machine.

    Attributes:
        mounted: Folder in the pod to the one here.
    """

    mounted: Mapping[str, Path]

    def here(self, path: str) -> Path:
        """Return this machine's path of a path of the pod."""
        for root, folder in self.mounted.items():
            if path.startswith(f"{root}/"):
                return folder / path.removeprefix(f"{root}/")
        raise BackendError(f"mkdir {path}: read-only file system")

    def path(self, uri: str) -> str:
        """Return an artifact's path in the pod (LocalPathForURI)."""
        scheme, _, rest = uri.partition("://")
        return f"/{scheme}/{rest}"

    def local(self, uri: str) -> Path:
        """Return an artifact's path on this machine."""
        return self.here(self.path(uri))


def executor_input(
    component: Component, values: Mapping[str, Any], root: str, task: str
) -> Document:
    """Return a container's executor input; its outputs go to a place of their own.

    Args:
        component: What runs.
        values: Its parameters, resolved.
        root: The run's artifacts, ``s3://...``.
        task: The task's name.
    """
    place = f"{root}/{task}/{uuid.uuid4()}"
    logs: Spec = {"artifactType": {"schemaTitle": "system.Artifact"}}
    artifacts = {
        name: {
            "artifacts": [{"name": name, "uri": f"{place}/{name}", "type": each["artifactType"]}]
        }
        for name, each in {**component.artifacts, LOGS: logs}.items()
    }
    parameters = {n: {"outputFile": f"/tmp/kfp/outputs/{n}"} for n in component.outputs}
    outputs = {
        "artifacts": artifacts,
        "parameters": parameters,
        "outputFile": f"/{place.replace('://', '/')}/output_metadata.json",
    }
    made = {"inputs": {"parameterValues": dict(values)}, "outputs": outputs}
    json_format.ParseDict(made, pipeline_spec_pb2.ExecutorInput())
    return made


def arguments(component: Component, asked: Document) -> list[str]:
    """Return the container's command with every placeholder filled in (compileCmdAndArgs)."""
    container = component.container or {}
    filled = json.loads(json.dumps(asked))
    values = filled["inputs"]["parameterValues"]
    for name, spec in component.inputs.items():
        if "defaultValue" in spec:
            values.setdefault(name, whole(spec["defaultValue"]))
    known = {"{{$}}": json.dumps(filled)}
    known |= {f"{{{{$.inputs.parameters['{n}']}}}}": plain(v) for n, v in values.items()}
    for name, each in filled["outputs"]["parameters"].items():
        known[f"{{{{$.outputs.parameters['{name}'].output_file}}}}"] = each["outputFile"]
    for name, each in filled["outputs"]["artifacts"].items():
        uri = each["artifacts"][0]["uri"]
        known[f"{{{{$.outputs.artifacts['{name}'].uri}}}}"] = uri
        known[f"{{{{$.outputs.artifacts['{name}'].path}}}}"] = f"/{uri.replace('://', '/')}"
    words = [*container.get("command", ()), *container.get("args", ())]
    for placeholder, value in known.items():
        words = [word.replace(placeholder, value) for word in words]
    return words


def clear(folder: Path) -> None:
    """Remove what a pod left: its folders go with it."""
    shutil.rmtree(folder, ignore_errors=True)
