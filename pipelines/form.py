"""A pipeline's parameters: what the form asks for, and NAME=VALUE texts as typed values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from carferry.pipelines.pods import ENVIRONMENT
from kfp.dsl.graph_component import GraphComponent

from carferry.errors import InputError
from carferry.steps.plan import MAX_WORKERS
from carferry.steps.run import DEPLOY, Run

Value = str | int | bool | dict[str, Any]
MAX_BYTES = 10_000
"""Of all parameters together (kubeflow/pipelines, MaxParameterBytes)."""
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_KINDS = {"Integer": "a whole number", "Boolean": "true or false", "Dict": "a JSON object"}
_NEVER_EMPTY = ("image", "model", "model_storage_class", "model_storage_size")
_VOLUME_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter of a pipeline.

    Attributes:
        name: As the pipeline calls it.
        kind: KFP's name for its type: String, Integer, Boolean or Dict.
        default: Its default; None: it must be given.
        help: One line.
    """

    name: str
    kind: str
    default: Value | None
    help: str

    def parse(self, text: str) -> Value:
        """Return text as this parameter's type.

        Raises:
            InputError: Not a whole number, not true or false, or not a JSON object.
        """
        try:
            if self.kind == "Integer":
                return int(text)
            if self.kind == "Dict":
                return dict(json.loads(text or "{}"))
            return _BOOLEANS[text.lower()] if self.kind == "Boolean" else text
        except (ValueError, KeyError, TypeError):
            wanted = _KINDS[self.kind]
            raise InputError("read parameter", f"{self.name}={text}", f"not {wanted}") from None


def fields(pipeline: GraphComponent) -> dict[str, Field]:
    """Return a pipeline's parameters by name, in the order of its signature."""
    inputs = pipeline.component_spec.inputs or {}
    found = {}
    for name, spec in inputs.items():
        default = spec.default if spec.optional else None
        found[name] = Field(name, spec.type, default, spec.description or "")
    return found


def arguments(
    known: Mapping[str, Field], given: Iterable[str], defaults: Mapping[str, Value]
) -> dict[str, Value]:
    """Parse NAME=VALUE texts against a pipeline's parameters.

    Args:
        known: The parameters.
        given: Texts from the command line; ``settings.NAME=VALUE`` is one entry of settings.
        defaults: Values for this run where none is given; names the pipeline lacks are left out.

    Returns:
        Only what differs from the pipeline's own defaults by being named here or there.

    Raises:
        InputError: No '=', an unknown name, a wrong type, a missing parameter, or what a run
            would be refused for later.
    """
    values = {name: value for name, value in defaults.items() if name in known}
    entries: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        group, dot, entry = name.partition(".")
        if equals and dot and group == "settings" and group in known:
            entries[entry] = value
        elif equals and name in known:
            values[name] = known[name].parse(value)
        else:
            names = f"known: {', '.join(known)}"
            raise InputError("read parameter", repr(text), "no such parameter", names)
    if entries:
        settings = values.get("settings")
        values["settings"] = {**(settings if isinstance(settings, dict) else {}), **entries}
    emptied = [name for name in _NEVER_EMPTY if values.get(name) == ""]
    if missing := emptied + [
        name for name in known if known[name].default is None and name not in values
    ]:
        raise InputError("read parameters", " ".join(missing), "missing", "write NAME=VALUE")
    _check(known, values)
    return values


def described(known: Mapping[str, Field]) -> str:
    """Return the parameters as lines for a help text."""
    width = max(map(len, known))
    lines = (f"  {field.name:{width}}  {field.help}{_default(field)}" for field in known.values())
    return "\n".join(lines)


def _check(known: Mapping[str, Field], values: Mapping[str, Value]) -> None:
    settings, serve = values.get("settings", {}), str(values.get("serve", DEPLOY))
    include = str(values.get("pack_include", ""))
    told = settings if isinstance(settings, dict) else {}
    Run(str(values["model"]), serve=serve, include=include, settings=told).check()
    size = len(json.dumps(values))
    if size > MAX_BYTES:
        raise InputError("read parameters", "all", f"{size} bytes, at most {MAX_BYTES}", "shorten")
    workers = values.get("pack_workers", 1)
    if not isinstance(workers, int) or not 1 <= workers <= MAX_WORKERS:
        raise InputError("read parameter", f"pack_workers={workers}", f"not 1 to {MAX_WORKERS}")
    _check_secrets(known, values)


def _check_secrets(known: Mapping[str, Field], values: Mapping[str, Value]) -> None:
    secrets = {
        name: str(values.get(name, field.default))
        for name, field in known.items()
        if name.startswith("secret_")
    }
    for name, value in secrets.items():
        if not _VOLUME_NAME.fullmatch(value):
            reason = "a Secret's name becomes a volume's: a-z, 0-9 and dashes, 1 to 63 of them"
            raise InputError("read parameter", f"{name}={value}", reason, "it need not exist")
        if value == ENVIRONMENT or value.startswith("carferry-library-"):
            reason = "a ConfigMap of carferry's has it"
            raise InputError("read parameter", f"{name}={value}", reason, "choose another name")
    if len({*secrets.values()}) < len(secrets):
        reason = "the same Secret twice makes a pod that Kubernetes refuses"
        raise InputError("read parameters", " ".join(secrets), reason, "name two; need not exist")


def _default(field: Field) -> str:
    if field.default is None:
        return " (required)"
    return f" [{field.default}]" if field.default not in ("", {}) else ""
