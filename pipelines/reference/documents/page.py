"""The page of the documents, and their schemas as files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carferry.pipelines.reference.documents.examples import EXAMPLES
from carferry.pipelines.reference.documents.schema import Schema, document
from carferry.pipelines.reference.documents.shapes import (
    BothDocument,
    ComparedDocument,
    FitAloneDocument,
    LintReport,
    LocalRun,
    LookDocument,
    MoveDocument,
    Schedule,
    TestDocument,
)
from carferry.pipelines.reference.documents.told import ErrorDocument, Event
from carferry.serve.deployed import Deployed
from carferry.serve.removal import Removed
from carferry.steps.inspected import Inspected
from carferry.steps.results import Built, Downloaded, Streamed
from carferry.steps.rights import Rights
from carferry.steps.runtime import RuntimeImage
from carferry.steps.warmed import Warmed

PAGE = Path("docs/reference/json.md")
FOLDER = Path("docs/reference/schemas")


@dataclass(frozen=True, slots=True)
class Document:
    """One document that a command prints.

    Attributes:
        kind: Type that it is made of.
        printed: By what, and when.
    """

    kind: Any
    printed: str


def _command(name: str, more: str = "") -> str:
    return f"`carferry {name} --json`{more}"


DOCUMENTS: Mapping[str, Document] = {
    "plan": Document(
        MoveDocument | FitAloneDocument | BothDocument | LookDocument | ComparedDocument,
        _command("plan", ": with IMAGE or GPUs, of MODEL alone, or with `--log`"),
    ),
    "build": Document(Built, _command("build")),
    "stream": Document(Streamed, _command("stream", ": one worker's share")),
    "seal": Document(Built, _command("seal")),
    "push": Document(Built, _command("push")),
    "download": Document(Downloaded, _command("download")),
    "inspect": Document(Inspected, _command("inspect", ", exit code 2 if a clause is broken")),
    "rights": Document(Rights, _command("rights", ", exit code 2 if a run would stop")),
    "render": Document(Deployed, _command("render")),
    "deploy": Document(Deployed, _command("deploy", ", with `--dry-run` too")),
    "delete": Document(Removed, _command("delete")),
    "warm": Document(Warmed, _command("warm", ", exit code 1 if a node failed")),
    "test": Document(TestDocument, _command("test")),
    "runtime": Document(RuntimeImage, _command("runtime")),
    "lint": Document(list[LintReport], _command("lint", ", one entry for each file")),
    "error": Document(ErrorDocument, "every command with `--json` that fails"),
    "progress": Document(Event, "each line on stderr with `--progress json`"),
    "schedules": Document(list[Schedule], "`python pipelines/modelcar.py --schedules --json`"),
    "local": Document(LocalRun, "`python pipelines/modelcar.py --local`, with or without `--json`"),
}
"""Every document that is printed for programs, by name."""
_HEAD = """\
# JSON documents

What each command prints on stdout with `--json`, with an example and its
[JSON Schema](https://json-schema.org/draft/2020-12) (2020-12). Generated from the result classes by
`python -m carferry.pipelines.reference`; the tests compare the schemas with what the commands
print.

- One document per command, UTF-8, and nothing else on stdout. A failure is the document
  [error](#error), and the exit code says the same.
- Every field of a schema is there, unless the schema says that it may be missing. Schemas are
  strict: they describe this release, and allow no other field. A later release may add fields, so a
  program that reads several releases ignores what it does not know.
- Sizes are bytes, times seconds, lists are never null, unknown texts are empty.
- `python pipelines/modelcar.py --submit` prints the page of the run, one line, `--json` or not;
  a failure with `--json` is the document [error](#error).

"""


def page() -> str:
    """Return the page as Markdown."""
    lines = [f"| [{n}](#{n}) | {d.printed} | {_link(n)} |\n" for n, d in DOCUMENTS.items()]
    parts = [_HEAD, "| Document | Printed by | Schema |\n|---|---|---|\n", *lines]
    for name, one in DOCUMENTS.items():
        parts.append(
            f"\n## {name}\n\n{one.printed[0].upper()}{one.printed[1:]}. Schema: {_link(name)}.\n"
        )
        parts += [_example(EXAMPLES[each]) for each in EXAMPLES if each.split(" ")[0] == name]
    return "".join(parts)


def schemas() -> dict[Path, str]:
    """Return each schema's file and text."""
    return {
        FOLDER / f"{name}.json": json.dumps(schema_of(name), indent=2) + "\n" for name in DOCUMENTS
    }


def schema_of(name: str) -> Schema:
    """Return the schema of a document."""
    return document(DOCUMENTS[name].kind, f"carferry: {name}")


def _link(name: str) -> str:
    return f"[`{name}.json`](schemas/{name}.json)"


def _example(example: Any) -> str:
    return f"\n```json\n{json.dumps(example, indent=2)}\n```\n"
