"""Functions that take many keywords: each is shown, an unknown one is refused, all are read."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from carferry.form.parameter import Reader

Function = TypeVar("Function", bound=Callable[..., Any])


def takes(keywords: type, defaults: Mapping[str, object]) -> Callable[[Function], Function]:
    """Spell out a function's ``**keywords`` in its signature (decorator).

    Args:
        keywords: The TypedDict of the keywords; type checkers read it from the annotation.
        defaults: Each keyword's default.
    """

    def spelled(function: Function) -> Function:
        @functools.wraps(function)
        def checked(*args: Any, **given: Any) -> Any:
            if unknown := given.keys() - known:
                which, name = ", ".join(sorted(unknown)), function.__name__
                raise TypeError(
                    f"{name}() got an unexpected keyword argument: {which}; see help({name})"
                )
            return function(*args, **given)

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
        known = {each.name for each in (*fixed, *more)}
        checked.__signature__ = shown.replace(parameters=[*fixed, *more])  # type: ignore[attr-defined]
        return cast(Function, checked)

    return spelled


def defaults_of(settings: type) -> dict[str, object]:
    """Return the defaults of a frozen dataclass by field, all of which have one."""
    made = settings()
    return {name: getattr(made, name) for name in settings.__dataclass_fields__}  # type: ignore[attr-defined]


def read_fields(settings: object, readers: Mapping[str, Reader]) -> None:
    """Read the fields of a frozen dataclass in place, from its ``__post_init__``.

    Args:
        settings: Just made.
        readers: What reads each field; one for every field.

    Raises:
        InputError: A field cannot be read.
    """
    for name, read in readers.items():
        object.__setattr__(settings, name, read(name, getattr(settings, name)))
