"""The page of the Python API, made from signatures and docstrings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import docstring_parser

import carferry
from carferry.errors import CarferryError
from carferry.pipelines.reference.table import table
from carferry.serve.form import PARAMETERS
from carferry.steps.fit_settings import FitSettings
from carferry.steps.settings import BuildSettings

PAGE = Path("docs/reference/python.md")
HEAD = """\
# The Python API

Every function and result of `import carferry`. Generated from the signatures and docstrings by
`python -m carferry.pipelines.reference`; the examples run as tests, beside a folder `model`.

`import carferry` loads nothing but the standard library; each name is loaded when it is first
used. Nothing is printed unless `progress` asks for it. Several values are a list, sizes are
integers in bytes. Every result is frozen, has `as_json()` or plain attributes, and shows itself in
a notebook. On failure a function raises one of the errors at the end: its text is one line that
says what failed, on which object, why, and what to do.

"""
ORDER = (
    "look", "plan", "fit", "compare", "build", "stream", "seal", "download", "push", "inspect",
    "render", "deploy",
)  # fmt: skip


def page() -> str:
    """Return the page: functions in the order of the work, then results, then errors."""
    every = {name: getattr(carferry, name) for name in carferry.__all__}
    errors = {n: e for n, e in every.items() if _is_error(e)}
    results = [e for n, e in every.items() if n not in ORDER and n not in errors]
    parts = [*(_function(every[name]) for name in ORDER)]
    parts += ["## Results and settings\n", *map(_class, results)]
    parts += ["## Errors\n", _hierarchy(errors.values())]
    return HEAD + "\n".join(parts).replace("``", "`")


def _function(function: Callable[..., Any]) -> str:
    doc = docstring_parser.parse(inspect.getdoc(function) or "")
    signature = inspect.signature(function)
    about = _meanings(function.__name__) | {
        each.arg_name: each.description or "" for each in doc.params
    }
    rows = [
        (f"`{each.name}`", f"`{each.annotation}`", _default(each), about[each.name])
        for each in signature.parameters.values()
    ]
    lines = [f"## `carferry.{function.__name__}`\n", _prose(doc), ""]
    lines += [table(("argument", "type", "default", "meaning"), rows)]
    if doc.returns:
        lines += [f"Returns `{signature.return_annotation}`: {_line(doc.returns.description)}\n"]
    lines += [f"- raises `{each.type_name}`: {_line(each.description)}" for each in doc.raises]
    lines += ["", *_example(doc)]
    return "\n".join(lines)


def _class(made: type) -> str:
    doc = docstring_parser.parse(inspect.getdoc(made) or "")
    rows = [(f"`{each.arg_name}`", _line(each.description)) for each in doc.params]
    for name, value in inspect.getmembers(made):
        if name.startswith("_") or name in {each.arg_name for each in doc.params}:
            continue
        if isinstance(value, property) or inspect.isfunction(value):
            call = "" if isinstance(value, property) else "()"
            rows.append((f"`{name}{call}`", (inspect.getdoc(value) or "").partition("\n")[0]))
    return f"### `{made.__name__}`\n\n{_prose(doc)}\n\n{table(('has', 'meaning'), rows)}"


def _hierarchy(errors: Iterable[type[CarferryError]]) -> str:
    rows = [
        (f"`{e.__name__}`", f"`{e.__mro__[1].__name__}`", str(e.exit_code), _summary(e))
        for e in sorted(errors, key=lambda error: [c.__name__ for c in reversed(error.__mro__)])
    ]
    return table(("error", "is a", "exit code", "meaning"), rows)


def _meanings(name: str) -> dict[str, str]:
    """Return what the keywords of a function mean that its docstring only names together."""
    if name in ("deploy", "render"):
        return {each.name: each.help for each in PARAMETERS}
    settings = FitSettings if name in ("fit", "compare") else BuildSettings
    doc = docstring_parser.parse(inspect.getdoc(settings) or "")
    return {each.arg_name: each.description or "" for each in doc.params}


def _prose(doc: docstring_parser.Docstring) -> str:
    return "\n\n".join(filter(None, (doc.short_description, doc.long_description)))


def _example(doc: docstring_parser.Docstring) -> list[str]:
    texts = [each.description or each.snippet or "" for each in doc.examples]
    return ["```python", *texts, "```", ""] if texts else []


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return "required"
    return "" if parameter.default in ("", None, ()) else f"`{parameter.default!r}`"


def _summary(made: type) -> str:
    return (inspect.getdoc(made) or "").partition("\n")[0]


def _line(text: str | None) -> str:
    return " ".join((text or "").split())


def _is_error(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, CarferryError)
