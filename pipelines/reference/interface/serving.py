"""The page of a deployment's fields, made from the form that every caller fills in."""

from __future__ import annotations

from pathlib import Path

from carferry.pipelines.reference.table import table
from carferry.serve.form import PARAMETERS
from carferry.serve.platforms import ANY, PLATFORMS, Platform

PAGE = Path("docs/reference/serving.md")
_HEAD = """\
# Fields of a deployment

What a deployment may say: the keywords of `carferry.deploy` and `carferry.render`, the options of
`carferry deploy` and `carferry render` (`gpu_count` is `--gpu-count`), and entries of the
pipelines' [`settings`](settings.md). Generated from `carferry.serve.form` by
`python -m carferry.pipelines.reference`.

| Field | Default | Meaning |
|---|---|---|
"""
_PLATFORMS = """
## Platforms

What `platform` takes, and what each is told. How to deploy: [deploy](../how-to/deploy.md).

"""


def page() -> str:
    """Return the page as Markdown."""
    rows = "".join(
        f"| `{each.name}` | {f'`{each.default}`' if each.default else ''} | {each.help} |\n"
        for each in PARAMETERS
    )
    platforms = [*PLATFORMS.values(), ANY]
    return _HEAD + rows + _PLATFORMS + table(_COLUMNS, map(_row, platforms))


_COLUMNS = (
    "`platform`", "What it is", "Deployment of its own", "Knative", "Connection Secret",
    "Hardware profile on", "LLMInferenceService", "Asks for a token",
)  # fmt: skip


def _row(one: Platform) -> tuple[str, ...]:
    return (
        f"`{one.name}`",
        "what all of them understand; for `render`" if one is ANY else one.title,
        f"`{one.standard}`" if one.standard else "nothing is written",
        f"`{one.knative}`" if one.knative else "no",
        _connection(one),
        one.profile_on,
        f"`{one.llm}`" if one.llm else "no",
        "with `auth`" if one.asks_token else "never",
    )


def _connection(one: Platform) -> str:
    if not one.dashboard:
        return "none"
    return "`oci-v1` with a login, else `uri-v1`" if one.has_oci else "`uri-v1`"
