"""The page of errors: each kind with its exit code, its cause, its remedy and an example line."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

from carferry import errors
from carferry.errors import CarferryError
from carferry.pipelines.reference.failures.lines import KINDS, Kind
from carferry.pipelines.reference.table import table

PAGE = Path("docs/reference/errors.md")
_HEAD = """\
# Errors

Every kind of failure with its exit code, its cause and its remedy, and a line as it is printed.
Generated from `carferry.errors` by `python -m carferry.pipelines.reference`; the tests provoke each
line.

- A failure is one line on stderr, `carferry: ` and then what was being done, on which object, why,
  and after a semicolon what to do. An incomplete model has a line for each file. `...` below is a
  name or a number of that run.
- With `--json` the same is a document on stdout ([schema](schemas/error.json)), and the kind is the
  class:

```json
{
  "error": {
    "kind": "ManifestMissing",
    "action": "read",
    "subject": "oci:/nothing/here:1",
    "reason": "no folder /nothing/here",
    "remedy": "check the reference",
    "exit_code": 1
  }
}
```

- In Python every kind is an exception, `from carferry import PushDenied`, with the attributes
  `action`, `subject`, `reason`, `remedy`, `temporary` and `exit_code`. Catch `InputError` for what
  a caller must change, `CarferryError` for all.
- `temporary` is True where the same call may succeed later; it was tried again by then.
- In a pipeline the line is the message of the step's pod, and the end of its log.
- Symptoms of a deployment that does not come up: [diagnosis](diagnosis.md). What a user sees, and
  what to run: [troubleshooting](../troubleshooting.md).

"""


def page() -> str:
    """Return the page as Markdown."""
    every = [*_family(CarferryError)]
    rows = [
        (f"[`{e.__name__}`](#{e.__name__.lower()})", f"{e.exit_code}", _parent(e), _meaning(e))
        for e in every
    ]
    parts = [_HEAD, table(("Kind", "Exit code", "Is a", "Meaning"), rows)]
    return "".join([*parts, *(_section(each, KINDS[each.__name__]) for each in every)])


def _family(kind: type[CarferryError]) -> Iterator[type[CarferryError]]:
    """Yield a class and all below it that the module defines, in its order."""
    order = [name for name, each in vars(errors).items() if inspect.isclass(each)]
    yield kind
    below = [each for each in kind.__subclasses__() if each.__module__ == errors.__name__]
    for child in sorted(below, key=lambda each: order.index(each.__name__)):
        yield from _family(child)


def _section(kind: type[CarferryError], about: Kind) -> str:
    said = f"```text\ncarferry: {about.line}\n```\n"
    return (
        f"\n## {kind.__name__}\n\n{_meaning(kind)} Exit code {kind.exit_code}.\n\n"
        f"- Cause: {about.cause}\n- Remedy: {about.remedy}\n\n{said}"
    )


def _parent(kind: type[CarferryError]) -> str:
    bases = [each.__name__ for each in kind.__bases__]
    return ", ".join(f"`{name}`" for name in bases)


def _meaning(kind: type[CarferryError]) -> str:
    return (inspect.getdoc(kind) or "").partition("\n")[0].replace("``", "`")
