"""The account of a pod or a login: its name, its project, and how a binding names it.

Source: Kubernetes documentation, Managing Service Accounts (the token's claims, the files that
are mounted into a pod).
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from carferry.cluster.pod import SERVICE_ACCOUNT

_PREFIX = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class Account:
    """A user as the API server names it.

    Attributes:
        user: ``system:serviceaccount:PROJECT:NAME``, or a person's name; empty if unknown.
    """

    user: str

    def __str__(self) -> str:
        """Return ``PROJECT/NAME`` of a ServiceAccount, else the user."""
        return "/".join(self._parts) if self._parts else self.user or "this login"

    @property
    def namespace(self) -> str:
        """The ServiceAccount's project; empty for a person."""
        return self._parts[0] if self._parts else ""

    @property
    def subject(self) -> dict[str, str]:
        """The account as a binding names it."""
        if self._parts:
            namespace, name = self._parts
            return {"kind": "ServiceAccount", "name": name, "namespace": namespace}
        group = "rbac.authorization.k8s.io"
        return {"kind": "User", "apiGroup": group, "name": self.user or "WRITE-THE-USER-HERE"}

    @property
    def _parts(self) -> tuple[str, str] | None:
        namespace, colon, name = self.user.removeprefix(_PREFIX).partition(":")
        return (namespace, name) if colon and self.user.startswith(_PREFIX) else None


def named_in(token: str) -> str:
    """Return the ServiceAccount that a token names; empty for any other token.

    Nothing is verified: the name goes into messages only.
    """
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        user = str(claims["sub"])
    except (LookupError, TypeError, ValueError):
        return ""
    return user if user.startswith(_PREFIX) else ""


def own_namespace(folder: Path = SERVICE_ACCOUNT) -> str:
    """Return the project of the pod this runs in, without a request; empty outside a pod.

    Args:
        folder: Mount of the pod's ServiceAccount.
    """
    try:
        return (folder / "namespace").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
