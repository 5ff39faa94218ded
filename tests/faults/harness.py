"""The servers of the seeded runs: one set for all of them, each run in a repository of its own."""

from __future__ import annotations

import base64
import functools
import itertools
import json
import random
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from servers.hub import Hub
from servers.images import write_layout
from servers.models import filled
from servers.personal import PersonalRegistry
from servers.proxy import Proxy
from servers.registry import Registry
from servers.registry_programs import KINDS

from carferry.assembly.build import build
from carferry.assembly.options import Options
from carferry.image.layers import Format
from carferry.io.net.http import Http, Timeouts
from carferry.io.net.retry import Retry
from carferry.refs import ImageRef, LayoutRef, ModelRef
from carferry.registry.access import Access
from carferry.registry.target import Target
from carferry.selection.patterns import Patterns
from carferry.source.hub.source import HubSource

MODELS = 6
LARGE_BYTES = 200_000
TAG = "v1"
# Longer than anything here takes undisturbed, shorter than the stalls that must be noticed.
TIMEOUTS = Timeouts(connect_s=2.0, read_s=0.5, commit_s=0.5)
CALM = Timeouts()


@dataclass(frozen=True, slots=True)
class Place:
    """A registry and the proxy before it.

    Attributes:
        name: Its kind.
        direct: Its own host.
        front: What carferry talks to.
        auth_file: Logins for both hosts.
        registry: The server.
    """

    name: str
    direct: str
    front: Proxy
    auth_file: Path
    registry: Registry | PersonalRegistry

    def access(self, retry: Retry, timeouts: Timeouts = TIMEOUTS) -> Access:
        """Return access to it, from before and from behind the proxy."""
        hosts = (self.direct, self.front.host)
        return Access(
            plain_http=hosts, auth_file=self.auth_file, env={}, retry=retry, timeouts=timeouts
        )

    def open(self, repository: str, access: Access, *, direct: bool = False) -> Target:
        """Return a repository as a target."""
        host = self.direct if direct else self.front.host
        return access.open(ImageRef(host, repository, TAG), write=True)


class Harness:
    """Hub, CDN and every kind of registry; a context manager.

    Attributes:
        hub: Models ``org/model-N`` with the branches ``old`` and ``main``.
        hub_front: The proxy before the hub.
        cdn_front: The proxy before its CDN.
        places: The registries so far, by kind.
        base: Reference of a small base image on disk.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.places: dict[str, Place] = {}
        self._stack = ExitStack()
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        enter = self._stack.enter_context
        self.hub = enter(Hub())
        self.hub_front = enter(Proxy(self.hub.endpoint))
        self.cdn_front = enter(Proxy(self.hub.cdn_endpoint))
        self.hub.cdn_endpoint = self.cdn_front.endpoint
        for number in range(MODELS):
            self._add_model(number)
        write_layout(self.root / "base", [b"b" * 3000, b"c" * 70_000])
        self.base = f"oci:{self.root / 'base'}:latest"
        self._add("bearer", enter(Registry(self.root / "bearer", auth="bearer")))
        self._add("personal", enter(PersonalRegistry()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def fronts(self) -> dict[str, Proxy]:
        """The proxies that faults are put into, but for the registry's."""
        return {"hub": self.hub_front, "cdn": self.cdn_front}

    def calm(self) -> None:
        """Take every fault away and forget what was asked."""
        for front in (*self.fronts.values(), *(place.front for place in self.places.values())):
            front.arm()

    def repository(self) -> str:
        """Return a name that was not used before."""
        return f"run/number-{next(self._numbers)}"

    def source(self, model: int, revision: str, retry: Retry, *, direct: bool = False) -> HubSource:
        """Return a model as a source; ``direct`` waits longer, for a front without faults.

        An image names the endpoint it was read from, so every source is behind the same.
        """
        endpoint = self.hub_front.endpoint
        http = Http(timeouts=CALM if direct else TIMEOUTS)
        return HubSource(
            ModelRef(f"org/model-{model}", revision), endpoint=endpoint, http=http, retry=retry
        )

    def options(self, format: Format, parallel: int = 2) -> Options:
        """Return the options that every run of a format shares."""
        # The empty file: a layer of its own would have no bytes.
        patterns = Patterns(exclude=("LICENSE",)) if format is Format.MODELPACK else Patterns()
        return Options(
            base=self.base,
            format=format,
            patterns=patterns,
            parallel=parallel,
            large_bytes=LARGE_BYTES,
        )

    @functools.cache  # noqa: B019 - one harness per process
    def digest(self, model: int, revision: str, format: Format) -> str:
        """Return the digest of an undisturbed build, made in a layout on disk; cached."""
        self.calm()
        folder = self.root / "calm" / f"{model}-{revision}-{format}"
        target = Access(env={}).open(LayoutRef(folder, TAG), write=True)
        source = self.source(model, revision, Retry(), direct=True)
        return str(build(source, target, self.options(format)).document.digest)

    def place(self, name: str) -> Place:
        """Return a registry; a real one of another kind is started when it is first wanted."""
        if name not in self.places:
            kind = next(each for each in KINDS if each == name)
            self._add(name, self._stack.enter_context(Registry(self.root / name, kind=kind)))
        return self.places[name]

    def _add_model(self, number: int) -> None:
        draw = random.Random(number)
        weights = {
            f"model-{n}.safetensors": filled(
                draw.randrange(LARGE_BYTES, 700_000), draw.randrange(1 << 30)
            )
            for n in range(draw.randint(1, 3))
        }
        # A length that needs no padding ends where the next header begins.
        weights["even.safetensors"] = filled(512 * draw.randint(400, 800), 100 * number + 98)
        small = {
            "config.json": json.dumps({"n": number}).encode(),
            "LICENSE": b"",
            "tokenizer.json": json.dumps(draw.randbytes(draw.randrange(1, 30_000)).hex()).encode(),
            "sub/config.json": b"{}",
            "sub/other.json": b"{}",
        }
        repo = self.hub.add(f"org/model-{number}", {**small, **weights, "config.json": b"{}"})
        repo.branches["old"] = repo.branches["main"]
        repo.change(
            {
                "config.json": small["config.json"],
                "model-0.safetensors": filled(
                    draw.randrange(LARGE_BYTES, 500_000), draw.randrange(1 << 30)
                ),
            }
        )

    def _add(self, name: str, registry: Registry | PersonalRegistry) -> None:
        front = self._stack.enter_context(Proxy(registry.url))
        auths = {}
        if isinstance(registry, Registry) and registry.tokens:
            pair = base64.b64encode(f"{registry.login.user}:{registry.login.password}".encode())
            auths = {host: {"auth": pair.decode()} for host in (registry.host, front.host)}
        auth_file = self.root / f"{name}.json"
        auth_file.write_text(json.dumps({"auths": auths}))
        self.places[name] = Place(name, registry.host, front, auth_file, registry)
