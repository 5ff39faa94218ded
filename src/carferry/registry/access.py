"""How registries are reached: without TLS or with it, which login, which certificates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from carferry.io.net.http import Http, Timeouts
from carferry.io.net.retry import Retry
from carferry.io.show.progress import Progress, Silent
from carferry.refs import ImageRef, LayoutRef
from carferry.registry.layout import LayoutTarget
from carferry.registry.logins.auth import Sources
from carferry.registry.logins.helpers import forget
from carferry.registry.logins.login import Login
from carferry.registry.logins.places import find_login
from carferry.registry.loopback import answers_plainly
from carferry.registry.repository import RegistryTarget
from carferry.registry.session import Session
from carferry.registry.target import Target


@dataclass(frozen=True, slots=True)
class Access:
    """How registries are reached.

    Attributes:
        plain_http: Hosts (``host`` or ``host:port``) that are spoken to without TLS; one of this
            machine's own that knows no TLS need not be among them.
        auth_file: Login file to use alone; default the usual places.
        ca_file: Extra certificates to trust.
        env: Environment that names login files; default the process's.
        retry: How often and how long to try again.
        connections: Kept per host; one per layer on its way.
        timeouts: How long a registry may stay silent.
    """

    plain_http: tuple[str, ...] = ()
    auth_file: Path | None = None
    ca_file: Path | None = None
    env: Mapping[str, str] | None = None
    retry: Retry = field(default_factory=Retry)
    connections: int = 16
    timeouts: Timeouts = field(default_factory=Timeouts)

    def reporting(self, progress: Progress) -> Access:
        """Return the same access, whose retries and pauses say a line each; by default logged."""
        if isinstance(progress, Silent):
            return self
        return replace(self, retry=replace(self.retry, report=progress.note))

    def open(self, ref: ImageRef | LayoutRef, *, write: bool = False) -> Target:
        """Return the target that a reference names; only this machine's own is contacted.

        Raises:
            InputError: The login file cannot be used.
            ToolFailed: A credential helper failed.
        """
        if isinstance(ref, LayoutRef):
            return LayoutTarget(ref)
        session = Session(
            ref,
            self._login(ref),
            sources=Sources(partial(self._login_anew, ref), self._login_elsewhere),
            http=Http(
                ca_file=self.ca_file,
                connections=self.connections,
                timeouts=self.timeouts,
                retry=self.retry,
            ),
            plain_http=ref.registry in self.plain_http or answers_plainly(ref.registry),
            retry=self.retry,
            write=write,
        )
        return RegistryTarget(session)

    def _login(self, ref: ImageRef) -> Login | None:
        return find_login(ref, env=self.env, auth_file=self.auth_file)

    def _login_anew(self, ref: ImageRef) -> Login | None:
        forget()
        return self._login(ref)

    def _login_elsewhere(self, host: str, tls: bool) -> Login | None:
        """Return the login for another host, unless it would go there in clear unasked."""
        return self._login(ImageRef(host, "")) if tls or host in self.plain_http else None
