"""The ways to a served model: straight to its address, or through the cluster's API server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import urllib3

from carferry.cluster.kinds import KINDS, SERVICES, Permission
from carferry.io.net.http import Http, Timeouts

if TYPE_CHECKING:
    from carferry.cluster.api import Api

PROXIES = {"services": SERVICES, "pods": KINDS["Pod"]}


class Door(Protocol):
    """One way to a model server."""

    @property
    def subject(self) -> str:
        """What messages call the server."""

    @property
    def through(self) -> str:
        """What stands between; empty for nothing."""

    @property
    def has_token(self) -> bool:
        """Whether a token of the model's goes with every request."""

    @property
    def proxied(self) -> tuple[Permission, ...]:
        """What the way takes of a login to the cluster; mostly nothing."""

    def open(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        read_s: float = 60.0,
    ) -> urllib3.BaseHTTPResponse:
        """Send one request and return the response, its body unread.

        Raises:
            Unreachable: Nothing answers.
        """


@dataclass(frozen=True, slots=True)
class Direct:
    """Straight to an address.

    Attributes:
        url: Without ``/v1``.
        token: Sent to this address alone; redirects are not followed.
        http: Trust and proxies, as for everything.
        through: Words for the address: its route, inside the cluster.
    """

    url: str
    token: str = field(default="", repr=False)
    http: Http = field(default_factory=Http, repr=False)
    through: str = ""

    @property
    def subject(self) -> str:
        """The address."""
        return self.url

    @property
    def has_token(self) -> bool:
        """Whether there is one."""
        return bool(self.token)

    @property
    def proxied(self) -> tuple[Permission, ...]:
        """Nothing: no login to a cluster is used."""
        return ()

    def open(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        read_s: float = 60.0,
    ) -> urllib3.BaseHTTPResponse:
        """Send one request and return the response, its body unread."""
        login = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        timeouts: Timeouts = replace(self.http.timeouts, read_s=read_s)
        return self.http.request(
            method, f"{self.url}{path}", headers={**(headers or {}), **login}, body=body,
            timeouts=timeouts,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Proxied:
    """Through the proxy of the API server, which whoever edits a project may use.

    A token of the model's cannot take this way: the server reads ``Authorization`` as the login
    to itself, and removes it (apiserver, authentication filter).

    Attributes:
        api: The connection.
        namespace: Of the Service or the pod.
        resource: ``services`` or ``pods``.
        place: ``[https:]NAME:PORT``.
    """

    api: Api
    namespace: str
    resource: str
    place: str

    @property
    def subject(self) -> str:
        """The Service or the pod, as the cluster names it."""
        return f"{self.resource} {self.namespace}/{self.place}"

    @property
    def through(self) -> str:
        """The server's proxy."""
        return "the API server's proxy"

    @property
    def has_token(self) -> bool:
        """False."""
        return False

    @property
    def proxied(self) -> tuple[Permission, ...]:
        """The proxy of the Service or the pod: a GET takes one verb, a POST the other."""
        kind = PROXIES[self.resource]
        return tuple(Permission(verb, kind, self.namespace, "proxy") for verb in ("get", "create"))

    def open(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        read_s: float = 60.0,
    ) -> urllib3.BaseHTTPResponse:
        """Send one request and return the response, its body unread."""
        root = f"/api/v1/namespaces/{self.namespace}/{self.resource}/{self.place}/proxy"
        return self.api.proxied(
            method, f"{root}{path}", headers=headers or {}, body=body, read_s=read_s
        )
