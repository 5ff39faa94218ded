"""A pipeline from a table of parameters and a function that wires its tasks.

kfp reads a pipeline's form from one function's signature and docstring, so two pipelines with the
same thirty parameters would repeat them. Here they are rows, and the signature is made from them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kfp import dsl
from kfp.dsl.graph_component import GraphComponent

Channels = Mapping[str, Any]
"""Parameter name to the channel that carries its value at run time."""


@dataclass(frozen=True, slots=True)
class PipelineParameter:
    """One field of a pipeline's form.

    Attributes:
        name: As tasks and people call it.
        help: One line.
        default: None: it must be given.
        kind: str, int, bool, list or dict.
    """

    name: str
    help: str = ""
    default: str | int | bool | Mapping[str, Any] | None = None
    kind: type = str


def pipeline(
    name: str,
    about: str,
    parameters: Sequence[PipelineParameter],
    wire: Callable[[Channels], Any],
    *,
    title: str = "",
    gives: type | None = None,
) -> GraphComponent:
    """Return a pipeline.

    Args:
        name: Of the pipeline; also of its YAML file.
        about: One sentence for the dashboard.
        parameters: In the order in which the form shows them.
        wire: Makes the tasks; returns what ``gives`` names.
        title: Display name.
        gives: NamedTuple of the outputs; each field's meaning is a line of its docstring.
    """

    def wired(*channels: Any) -> Any:
        return wire(dict(zip([each.name for each in parameters], channels, strict=True)))

    wired.__doc__ = _docstring(about, parameters, gives)
    wired.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [_argument(each) for each in parameters],
        return_annotation=gives if gives else inspect.Signature.empty,
    )
    made: GraphComponent = dsl.pipeline(name=name, display_name=title or None)(wired)
    return made


def only(channels: Channels, *names: str) -> dict[str, Any]:
    """Return some of the channels, for a task that takes them by the same names."""
    return {name: channels[name] for name in names}


def _argument(each: PipelineParameter) -> inspect.Parameter:
    default = inspect.Parameter.empty if each.default is None else each.default
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Parameter(each.name, kind, default=default, annotation=each.kind)


def _docstring(about: str, parameters: Sequence[PipelineParameter], gives: type | None) -> str:
    lines = [f"{about}\n\nArgs:"]
    lines += [f"    {each.name}: {each.help}" for each in parameters if each.help]
    if gives:
        meanings = (inspect.getdoc(gives) or "").splitlines()[2:]
        lines += ["\nReturns:", *(f"    {meaning}" for meaning in meanings)]
    return "\n".join(lines) + "\n"
