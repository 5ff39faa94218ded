"""Functions that take many keywords show each of them: in help(), in editors, in the reference."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def takes(keywords: type, defaults: Mapping[str, object]) -> Callable[[Function], Function]:
    """Spell out a function's ``**keywords`` in its signature (decorator).

    Args:
        keywords: The TypedDict of the keywords; type checkers read it from the annotation.
        defaults: Each keyword's default.
    """

    def spelled(function: Function) -> Function:
        shown = inspect.signature(function)
        fixed = [each for each in shown.parameters.values() if each.kind is not each.VAR_KEYWORD]
        more = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=defaults[name],
                annotation=getattr(annotation, "__forward_arg__", annotation),
            )
            for name, annotation in keywords.__annotations__.items()
        ]
        function.__signature__ = shown.replace(parameters=[*fixed, *more])  # type: ignore[attr-defined]
        return function

    return spelled


def defaults_of(settings: type) -> dict[str, object]:
    """Return the defaults of a frozen dataclass by field, all of which have one."""
    made = settings()
    return {name: getattr(made, name) for name in settings.__dataclass_fields__}  # type: ignore[attr-defined]
