"""The page of permissions, made from the table that preflight asks the server about."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from carferry.cluster.kinds import Permission
from carferry.cluster.rights import Purpose, needed
from carferry.pipelines.reference import people
from carferry.pipelines.reference.table import table

PAGE = Path("docs/reference/rbac.md")
HERE = "manifests/"
NODES = "manifests/gpu-inventory"
FOLDERS = {
    Purpose.DEPLOY: HERE,
    Purpose.SERVICE: HERE,
    Purpose.LLM: "manifests/llm",
    Purpose.CONNECTION: HERE,
    Purpose.AUTH: "manifests/auth",
    Purpose.OPENSHIFT_AI: "manifests/openshift-ai",
    Purpose.TEST: HERE,
    Purpose.DELETE: "manifests/delete",
    Purpose.WARM: "manifests/warm",
    Purpose.PLAN: HERE,
    Purpose.BUILD: "manifests/buildah",
}
"""Folder that grants what a purpose needs within a project; others are granted by none."""
STOPS = "the run stops"
_HEAD = """\
# Permissions

Which Kubernetes permissions (RBAC) a run needs, by what it does, what happens without each, and
which folder of `manifests/` grants it; then those of [people](#for-people). Generated from
`carferry.cluster.rights`, the table that the check before a run asks the server about, by
`python -m carferry.pipelines.reference`.

- A pipeline's first step and `carferry rights` ask for all of them at once and print the missing
  ones as YAML that grants them. [Set up a project](../how-to/set-up-a-project.md) applies the
  folders.
- In "the cluster" a permission takes a ClusterRole, which an administrator grants.
- Folder `-`: none grants it; the YAML that is printed does.
- A login asks about itself with `create` on `selfsubjectaccessreviews.authorization.k8s.io`, and
  for its name on `selfsubjectreviews.authentication.k8s.io`: both are open to every login.

| For | Resource | Verbs | In | Without them | Folder |
|---|---|---|---|---|---|
"""
_FOLDERS = """
## Folders

What each folder grants, to the account `pipeline-runner-dspa`; its `kustomization.yaml` shows how
to name another.

"""


def page() -> str:
    """Return the page as Markdown."""
    lines = (f"| {' | '.join(row)} |\n" for purpose in Purpose for row in rows(purpose))
    grants: dict[str, dict[str, None]] = {}
    for purpose in Purpose:
        for *_, folder in rows(purpose):
            grants.setdefault(folder, {})[purpose.value] = None
    listed = [(_link(folder), ", ".join(grants[folder])) for folder in grants if folder != "-"]
    folders = table(("Folder", "For"), listed)
    return _HEAD + "".join(lines) + _FOLDERS + folders + people.section()


def rows(purpose: Purpose) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a purpose: verbs of one resource together."""
    verbs: dict[tuple[str, str, str, str], list[str]] = {}
    for need in needed("p", purpose):
        one = need.permission
        group = f".{one.kind.group}" if one.kind.group else ""
        place = "the project" if one.namespace else "the cluster"
        folder = folder_of(purpose, one)
        key = f"`{one.resource}{group}`", place, need.without or STOPS, folder
        verbs.setdefault(key, []).append(one.verb)
    for (resource, place, without, folder), each in verbs.items():
        shown = f"`{folder}`" if folder else "-"
        yield purpose.value, resource, ", ".join(each), place, without, shown


def folder_of(purpose: Purpose, permission: Permission) -> str:
    """Return the folder that grants a permission for a purpose; empty: none does."""
    if not permission.namespace and permission.kind.group == "":
        return NODES
    if purpose is Purpose.AUTH and permission.resource == "secrets":
        return HERE  # which grants them for connections too
    return FOLDERS.get(purpose, "")


def _link(folder: str) -> str:
    return f"[{folder}](../../{folder.strip('`/')}/kustomization.yaml)"
