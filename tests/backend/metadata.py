"""What the driver and the launcher write into ML Metadata, over gRPC, under the same keys.

Message types come from the server's own descriptors, so that neither ml-metadata's package nor
its protobuf is needed here. Source: backend/src/v2/metadata/client.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

from backend.servers import served

Value = Any
"""A parameter's value, as JSON has it."""
CONTAINER, DAG = "system.ContainerExecution", "system.DAGExecution"
_PIPELINE, _RUN = "system.Pipeline", "system.PipelineRun"
_SERVICE = "ml_metadata.MetadataStoreService"


class Metadata:
    """A client of the metadata server.

    Messages are given and returned as dicts by their proto names.
    """

    def __init__(self, channel: grpc.Channel, descriptors: bytes) -> None:
        pool = DescriptorPool()
        for file in FileDescriptorSet.FromString(descriptors).file:
            pool.Add(file)
        self._methods = pool.FindServiceByName(_SERVICE).methods_by_name
        self._channel = channel

    def call(self, name: str, /, **request: Any) -> dict[str, Any]:
        """Call a method of the service."""
        method = self._methods[name]
        asked = message_factory.GetMessageClass(method.input_type)()
        answered = message_factory.GetMessageClass(method.output_type)
        json_format.ParseDict(request, asked)
        send = self._channel.unary_unary(
            f"/{_SERVICE}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answered.FromString,
        )
        return json_format.MessageToDict(send(asked), preserving_proto_field_name=True)

    def open_run(self, pipeline: str, run: str, root: str) -> list[dict[str, Any]]:
        """Return the contexts of a run, made if they are missing."""
        parent = self._context(_PIPELINE, pipeline, {})
        child = self._context(_RUN, run, {"pipeline_root": text(root)})
        link = {"child_id": child["id"], "parent_id": parent["id"]}
        self.call("PutParentContexts", parent_contexts=[link])
        return [parent, child]

    def create(
        self, kind: str, contexts: list[dict[str, Any]], properties: Mapping[str, Any], state: str
    ) -> int:
        """Record an execution and return its id."""
        type_id = self.call("PutExecutionType", execution_type={"name": kind})["type_id"]
        execution = {
            "type_id": type_id,
            "last_known_state": state,
            "custom_properties": dict(properties),
        }
        made = self.call("PutExecution", execution=execution, contexts=contexts)
        return int(made["execution_id"])

    def update(
        self,
        number: int,
        state: str,
        properties: Mapping[str, Any] | None = None,
        artifacts: Mapping[str, int] | None = None,
    ) -> None:
        """Give an execution a state, more properties, and its output artifacts by name."""
        execution = self.execution(number)
        execution["last_known_state"] = state
        execution.setdefault("custom_properties", {}).update(properties or {})
        pairs = [
            {"event": {"artifact_id": each, "type": "OUTPUT", "path": {"steps": [{"key": name}]}}}
            for name, each in (artifacts or {}).items()
        ]
        self.call("PutExecution", execution=execution, artifact_event_pairs=pairs)

    def record(self, name: str, title: str, uri: str, properties: Mapping[str, Value]) -> int:
        """Record an artifact and return its id."""
        type_id = self.call("PutArtifactType", artifact_type={"name": title})["type_id"]
        known = {key: scalar(value) for key, value in properties.items()}
        artifact = {
            "type_id": type_id,
            "uri": uri,
            "state": "LIVE",
            "custom_properties": {"display_name": text(name)} | known,
        }
        return int(self.call("PutArtifacts", artifacts=[artifact])["artifact_ids"][0])

    def execution(self, number: int) -> dict[str, Any]:
        """Return one execution."""
        return dict(self.call("GetExecutionsByID", execution_ids=[number])["executions"][0])

    def outputs(self, number: int) -> dict[str, Value]:
        """Return the output parameters that an execution published."""
        return _struct(self.execution(number), "outputs")

    def artifacts(self, number: int) -> dict[str, dict[str, Any]]:
        """Return an execution's output artifacts by name."""
        events = self.call("GetEventsByExecutionIDs", execution_ids=[number]).get("events", [])
        names = {e["artifact_id"]: e["path"]["steps"][0]["key"] for e in events}
        if not names:
            return {}
        found = self.call("GetArtifactsByID", artifact_ids=list(names))["artifacts"]
        return {names[each["id"]]: each for each in found}

    def executions(self, run: str) -> list[dict[str, Any]]:
        """Return everything that a run recorded, as a user interface would list it."""
        context = self.call("GetContextByTypeAndName", type_name=_RUN, context_name=run)["context"]
        return list(self.call("GetExecutionsByContext", context_id=context["id"])["executions"])

    def _context(self, kind: str, name: str, properties: Mapping[str, Any]) -> dict[str, Any]:
        type_id = self.call("PutContextType", context_type={"name": kind})["type_id"]
        asked = {"type_name": kind, "context_name": name}
        if found := self.call("GetContextByTypeAndName", **asked).get("context"):
            return dict(found)
        made = {"type_id": type_id, "name": name, "custom_properties": dict(properties)}
        self.call("PutContexts", contexts=[made])
        return dict(self.call("GetContextByTypeAndName", **asked)["context"])


def text(value: str) -> dict[str, Any]:
    """Return a property that holds text."""
    return {"string_value": value}


def number(value: int) -> dict[str, Any]:
    """Return a property that holds a whole number."""
    return {"int_value": value}


def struct(values: Mapping[str, Value]) -> dict[str, Any]:
    """Return a property that holds parameters."""
    return {"struct_value": dict(values)}


def scalar(value: Value) -> dict[str, Any]:
    """Return an artifact's metadata as the launcher converts it (StructValueToMLMDValue)."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bool):
        return number(int(value))
    if isinstance(value, int | float):
        return {"double_value": float(value)}
    return struct(value) if isinstance(value, Mapping) else struct({"list": value})


@contextmanager
def metadata_server(folder: Path) -> Iterator[Metadata]:
    """Serve an empty store and yield a client; the folder takes the types."""
    types = folder / "types"
    with served("metadata", types) as port, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Metadata(channel, types.read_bytes())


def _struct(execution: Mapping[str, Any], key: str) -> dict[str, Value]:
    found = execution.get("custom_properties", {}).get(key, {})
    return dict(found.get("struct_value", {}))
