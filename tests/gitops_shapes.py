"""Whether GitOps and CI tools take a document: a strict look by their own definitions.

``tests/data/crds`` holds the schemas of the CustomResourceDefinitions, each with the file and the
release that it was read from; descriptions, defaults, ``status`` and CEL rules are left out. A
field that a schema does not have is refused: a server would prune it, or a client refuse it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

_FOLDER = Path(__file__).with_name("data") / "crds"
_OPEN = "x-kubernetes-preserve-unknown-fields"
_META = {
    "type": "object",
    "properties": {
        **{name: {"type": "string"} for name in ("name", "generateName", "namespace")},
        **{
            name: {"type": "object", "additionalProperties": {"type": "string"}}
            for name in ("labels", "annotations")
        },
    },
}


def _read() -> dict[tuple[str, str], dict[str, Any]]:
    every = [json.loads(path.read_text()) for path in sorted(_FOLDER.glob("*.json"))]
    return {(each["apiVersion"], each["kind"]): each for each in every}


DEFINITIONS = _read()


def faults(document: Any) -> list[str]:
    """Return what the definition of a document's kind does not take."""
    schema = DEFINITIONS[document["apiVersion"], document["kind"]]["schema"]
    whole = schema | {"properties": schema["properties"] | {"metadata": _META}}
    errors = Draft202012Validator(_strict(whole)).iter_errors(document)
    return sorted(f"{document['kind']}{each.json_path[1:]}: {each.message}" for each in errors)


def _strict(schema: Any) -> Any:
    """Return a schema of Kubernetes as one of JSON Schema that refuses what it does not list."""
    if not isinstance(schema, dict):
        return schema
    made = {key: _strict(value) for key, value in schema.items() if key != "properties"}
    if schema.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
        made.pop("anyOf", None)
    if "properties" in schema:
        made["properties"] = {name: _strict(each) for name, each in schema["properties"].items()}
        if not schema.get(_OPEN) and "additionalProperties" not in schema:
            made["additionalProperties"] = False
    for key in ("oneOf", "anyOf", "allOf"):  # these only add conditions to what is listed above
        if key in schema:
            made[key] = schema[key]
    return made
