"""What every step of a build must be told alike, as text a form can give."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from carferry.assembly import buildah
from carferry.assembly.options import Options
from carferry.errors import InputError
from carferry.image import base as bases
from carferry.image.layers import Format
from carferry.oci.documents import Platform
from carferry.refs import ImageRef
from carferry.registry.access import Access
from carferry.source.patterns import Patterns, split_list
from carferry.steps.access import open_access

DEFAULT_BASE = bases.DEFAULT
DEFAULT_PLATFORM = "linux/amd64"


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """What every step of a build must be told alike, as text.

    Attributes:
        revision: Branch, tag or commit; empty means ``main``.
        engine: ``stream`` or ``buildah``.
        form: ``modelcar`` or ``modelpack``.
        base: Reference, ``oci:path:tag``, ``embedded`` or ``scratch``.
        platforms: As in ``linux/amd64,linux/arm64``.
        include: Globs; empty means what a server needs.
        exclude: Globs.
        plain_http: Registry hosts without TLS.
        ca_file: PEM certificates to trust.
        mount_from: Repositories of the same registry to mount layers from.
        parallel: Layers at once.
        workdir: Scratch folder of the buildah engine.
        builder: Where Buildah runs: empty, here; ``job``, in a Job of the cluster.
        builder_claim: Claim that holds model and scratch space, for a Job.
        builder_folder: Where this step has that claim mounted.
        builder_account: ServiceAccount of the Job.
        builder_security: How the Job is privileged: ``userns`` or ``setfcap``.
        builder_image: Image with Buildah, for a Job.
    """

    revision: str = ""
    engine: str = "stream"
    form: str = "modelcar"
    base: str = DEFAULT_BASE
    platforms: str = DEFAULT_PLATFORM
    include: str = ""
    exclude: str = ""
    plain_http: str = ""
    ca_file: str = ""
    mount_from: str = ""
    parallel: int = 2
    workdir: str = ""
    builder: str = ""
    builder_claim: str = ""
    builder_folder: str = ""
    builder_account: str = buildah.ACCOUNT
    builder_security: str = "userns"
    builder_image: str = buildah.IMAGE

    def options(self) -> Options:
        """Parse.

        Raises:
            InputError: Names the setting that cannot be meant.
        """
        if self.form not in set(Format):
            raise InputError("use format", repr(self.form), f"choose {' or '.join(Format)}")
        return Options(
            engine=self.engine,
            format=Format(self.form),
            base=self.base,
            patterns=Patterns.parse(self.include, self.exclude),
            platforms=tuple(map(Platform.parse, split_list(self.platforms))),
            parallel=self.parallel,
            mount_from=tuple(map(ImageRef.parse, split_list(self.mount_from))),
            workdir=Path(self.workdir) if self.workdir else None,
        )

    def check(self) -> None:
        """Refuse what a step would refuse later.

        Raises:
            InputError: Names the setting that cannot be meant.
        """
        self.options()
        if self.builder_security not in {*buildah.Security}:
            choice = " or ".join(buildah.Security)
            raise InputError("use builder security", repr(self.builder_security), f"not {choice}")

    def access(self) -> Access:
        """Return how registries are reached."""
        access = open_access(self.plain_http, self.ca_file)
        return replace(access, connections=max(access.connections, self.parallel))
