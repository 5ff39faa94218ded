"""The page of the pipelines' parameters: each compiled pipeline's, with type and default."""

from __future__ import annotations

import json
from pathlib import Path

from carferry.pipelines.arguments.form import Field, Value, fields
from carferry.pipelines.command import ENGINES, LOCAL_DEFAULTS
from carferry.pipelines.pods import HERE, Site
from carferry.pipelines.reference.table import table

PAGE = Path("docs/reference/pipelines.md")
_HEAD = """\
# Pipeline parameters

What each compiled pipeline asks for: the fields of the dashboard's form, and NAME=VALUE of
`python pipelines/modelcar.py`. Generated from the pipelines by
`python -m carferry.pipelines.reference`.

A dashboard sorts the fields by name. All rare options are entries of one field, `settings`:
[settings](settings.md). Parameters of one run may be 10,000 bytes together. Secrets are named,
never passed; a Secret that is not there is no failure.

## Which pipeline has which

`--engine` names the pipeline for `--local` and `--submit`; `pvc` follows from
`model=pvc://claim/path`.

"""
_KINDS = {"String": "text", "Integer": "whole number", "Dict": "JSON object", "Boolean": "switch"}


def page() -> str:
    """Return the page as Markdown."""
    here = Site(HERE, folder=".")
    made = {name: build(here) for name, build in ENGINES.items()}
    every = {name: fields(pipeline) for name, pipeline in made.items()}
    names = sorted({name for known in every.values() for name in known})
    head = ("parameter", *(f"`{engine}`" for engine in ENGINES))
    rows = [(f"`{name}`", *(_mark(known, name) for known in every.values())) for name in names]
    parts = [_HEAD, table(head, rows)]
    for engine, pipeline in made.items():
        parts.append(_section(engine, str(pipeline.name), every[engine]))
    return "".join([*parts, _local()])


def _mark(known: dict[str, Field], name: str) -> str:
    if name not in known:
        return "-"
    return "must be given" if known[name].default is None else "yes"


def _section(engine: str, name: str, known: dict[str, Field]) -> str:
    compiled = f"[`compiled/{name}.yaml`](../../compiled/{name}.yaml)"
    rows = [
        (f"`{field.name}`", _KINDS[field.kind], _default(field.default), field.help)
        for field in sorted(known.values(), key=lambda each: each.name)
    ]
    about = f"{compiled}, `--engine {engine}`."
    return f"\n## `{name}`\n\n{about}\n\n{table(('parameter', 'type', 'default', 'meaning'), rows)}"


def _default(value: Value | None) -> str:
    if value is None:
        return "must be given"
    if value in ("", {}):
        return "empty"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _local() -> str:
    rows = [(f"`{name}`", f"`{value}`") for name, value in LOCAL_DEFAULTS.items()]
    about = "\n## Other defaults of `--local`\n\nNo cluster is asked, and a folder is the volume. "
    about += "With `image=oci:...` nothing is served: `serve` is `no`.\n\n"
    return about + table(("parameter", "default"), rows)
