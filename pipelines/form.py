"""A pipeline's parameters: what the form asks for, and NAME=VALUE texts as typed values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kfp.dsl.graph_component import GraphComponent

from carferry.errors import InputError

Value = str | int | bool
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter of a pipeline.

    Attributes:
        name: As the pipeline calls it.
        kind: KFP's name for its type: String, Integer or Boolean.
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
            InputError: Not a whole number, or not true or false.
        """
        try:
            if self.kind == "Integer":
                return int(text)
            return _BOOLEANS[text.lower()] if self.kind == "Boolean" else text
        except (ValueError, KeyError):
            wanted = "a whole number" if self.kind == "Integer" else "true or false"
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
        given: Texts from the command line.
        defaults: Values for this run where none is given; names the pipeline lacks are left out.

    Returns:
        Only what differs from the pipeline's own defaults by being named here or there.

    Raises:
        InputError: No '=', an unknown name, a wrong type, or a missing parameter.
    """
    values = {name: value for name, value in defaults.items() if name in known}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name not in known:
            raise InputError(
                "read parameter", repr(text), "no such parameter", f"known: {', '.join(known)}"
            )
        values[name] = known[name].parse(value)
    if missing := [name for name in known if known[name].default is None and name not in values]:
        raise InputError("read parameters", " ".join(missing), "missing", "write NAME=VALUE")
    return values


def described(known: Mapping[str, Field]) -> str:
    """Return the parameters as lines for a help text."""
    width = max(map(len, known))
    lines = (f"  {field.name:{width}}  {field.help}{_default(field)}" for field in known.values())
    return "\n".join(lines)


def _default(field: Field) -> str:
    if field.default is None:
        return " (required)"
    return f" [{field.default}]" if field.default != "" else ""
