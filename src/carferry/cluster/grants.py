"""Missing rights as YAML that grants them: a Role for each project, a ClusterRole for the rest.

Each is named after its content, so applying one never revokes what another grants.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from carferry.cluster.account import Account
from carferry.cluster.kinds import as_yaml
from carferry.cluster.rights import Need

_RBAC = "rbac.authorization.k8s.io"
_LABEL = "app.kubernetes.io/part-of: carferry"


def manifest(account: Account, needs: Iterable[Need]) -> str:
    """Return YAML that grants an account what it lacks; empty for nothing.

    It is fit for ``oc apply --server-side -f -``.

    Args:
        account: Who is granted it.
        needs: What is missing. Cluster-wide rights come last: only an administrator can grant
            them, and ``oc apply`` goes on after what it may not make.
    """
    places: dict[str, list[Need]] = {}
    for need in needs:
        places.setdefault(need.permission.namespace, []).append(need)
    ordered = sorted(places, key=lambda place: (not place, place))
    return "".join(_grant(account, place, places[place]) for place in ordered)


def brief(needs: Iterable[Need]) -> str:
    """Return missing rights as a few words: ``secrets (create, patch), events (list) in demo``."""
    places: dict[str, dict[str, list[str]]] = {}
    for need in needs:
        needed = need.permission
        verbs = places.setdefault(needed.namespace, {}).setdefault(needed.resource, [])
        verbs.append(needed.verb)
    return "; ".join(
        ", ".join(f"{resource} ({', '.join(each)})" for resource, each in found.items())
        + f" in {place or 'the whole cluster'}"
        for place, found in places.items()
    )


def _grant(account: Account, namespace: str, needs: list[Need]) -> str:
    rules = as_yaml(need.permission for need in needs)
    scope = "" if namespace else "Cluster"
    place = f"  namespace: {json.dumps(namespace)}\n" if namespace else ""
    about = json.dumps([account.user, namespace, *rules]).encode()
    name = f"carferry-rights-{hashlib.sha256(about).hexdigest()[:8]}"
    metadata = f"metadata:\n  name: {name}\n{place}  labels:\n    {_LABEL}\n"
    subject = ", ".join(f"{key}: {json.dumps(text)}" for key, text in account.subject.items())
    return (
        f"---\n{_comment(needs)}apiVersion: {_RBAC}/v1\nkind: {scope}Role\n{metadata}rules:\n"
        + "".join(f"{rule}\n" for rule in rules)
        + f"---\napiVersion: {_RBAC}/v1\nkind: {scope}RoleBinding\n{metadata}"
        f"roleRef: {{apiGroup: {_RBAC}, kind: {scope}Role, name: {name}}}\n"
        f"subjects:\n- {{{subject}}}\n"
    )


def _comment(needs: list[Need]) -> str:
    lost = dict.fromkeys(need.without for need in needs)
    return "" if "" in lost else "".join(f"# Without it {text}.\n" for text in lost)
