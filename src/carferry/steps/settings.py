"""What every step of a build takes alike: given once, typed, checked before anything moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypedDict

from carferry.assembly import buildah
from carferry.assembly.options import Options
from carferry.assembly.trust import Reuse
from carferry.errors import InputError
from carferry.form.parameter import Reader
from carferry.form.readers import (
    read_items,
    read_parallel,
    read_path,
    read_switch,
    read_text,
)
from carferry.image import base as bases
from carferry.image.layers import Format
from carferry.oci.documents import Platform
from carferry.refs import ImageRef
from carferry.registry.access import Access
from carferry.selection.patterns import Patterns
from carferry.steps.access import open_access
from carferry.steps.defaults import DEFAULT_BASE, DEFAULT_PLATFORM
from carferry.steps.signature import defaults_of, read_fields


@dataclass(frozen=True, slots=True)
class BuildahJob:
    """Buildah in a Job of the cluster, for steps whose own container may not run it.

    Attributes:
        claim: PersistentVolumeClaim that holds the model and scratch space.
        folder: Where this step has that claim mounted; absolute.
        account: ServiceAccount of the Job.
        security: How the Job is privileged: ``userns`` or ``setfcap``.
        image: Image with Buildah.
    """

    claim: str
    folder: str | Path
    account: str = buildah.ACCOUNT
    security: str = "userns"
    image: str = buildah.IMAGE

    def __post_init__(self) -> None:
        """Refuse what no Job could be made of.

        Raises:
            InputError: No claim, no absolute folder, or an unknown kind of security.
        """
        if not self.claim or not Path(self.folder).is_absolute():
            reason = "a Job needs the claim's name and where this step has it mounted"
            raise InputError("use builder", "job", reason, "give builder claim and builder folder")
        check_security(self.security)


class BuildKeywords(TypedDict, total=False):
    """The fields of BuildSettings, as keywords of a function."""

    revision: str
    engine: str
    format: str
    base: str
    platforms: Sequence[str]
    include: Sequence[str]
    exclude: Sequence[str]
    allow_no_weights: bool
    plain_http: Sequence[str]
    ca_file: str | Path | None
    mount_from: Sequence[str]
    reuse: str
    run: str
    parallel: int
    workdir: str | Path | None
    buildah_job: BuildahJob | None


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """What every step of a build takes alike.

    Attributes:
        revision: Branch, tag or commit; empty means ``main``.
        engine: ``stream`` or ``buildah``.
        format: ``modelcar`` or ``modelpack``.
        base: Reference, ``oci:path:tag``, ``embedded`` or ``scratch``.
        platforms: As in ``linux/amd64``; more than one makes an index.
        include: Globs; empty means what a server needs.
        exclude: Globs.
        allow_no_weights: Make an image that holds nothing a server could load.
        plain_http: Registry hosts without TLS.
        ca_file: PEM certificates to trust besides, a file or a folder.
        mount_from: Images of the same registry whose layers may be mounted.
        reuse: Whose word is believed that a layer is there: ``none``: nobody's, each is read back
            and compared first; ``tag``: the image's own tag's; ``repository``: any tag's there,
            and that of the images in ``mount_from``.
        run: Secret of 16 characters or more that the workers and the sealer of one run share:
            what they moved is then not read back. The registry never gets to know it.
        parallel: Layers at once.
        workdir: Scratch folder of the buildah engine; None means the system's.
        buildah_job: Where Buildah runs if not on this machine.
    """

    revision: str = ""
    engine: str = "stream"
    format: str = "modelcar"
    base: str = DEFAULT_BASE
    platforms: Sequence[str] = (DEFAULT_PLATFORM,)
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    allow_no_weights: bool = False
    plain_http: Sequence[str] = ()
    ca_file: str | Path | None = None
    mount_from: Sequence[str] = ()
    reuse: str = "none"
    run: str = field(default="", repr=False)
    parallel: int = 2
    workdir: str | Path | None = None
    buildah_job: BuildahJob | None = None

    def __post_init__(self) -> None:
        """Read each field, whatever a caller gave for it.

        Raises:
            InputError: Names the field that cannot be meant.
        """
        read_fields(self, _READERS)

    def options(self) -> Options:
        """Parse.

        Raises:
            InputError: Names the setting that cannot be meant.
        """
        if self.format not in set(Format):
            raise InputError("use format", repr(self.format), f"choose {' or '.join(Format)}")
        if self.reuse not in set(Reuse):
            raise InputError("use reuse", repr(self.reuse), f"choose {', '.join(Reuse)}")
        bases.check_name(self.base)
        return Options(
            engine=self.engine,
            format=Format(self.format),
            base=self.base,
            patterns=Patterns.parse(self.include, self.exclude, self.allow_no_weights),
            platforms=tuple(map(Platform.parse, self.platforms)),
            parallel=self.parallel,
            mount_from=tuple(map(ImageRef.parse, self.mount_from)),
            reuse=Reuse(self.reuse),
            run=self.run,
            workdir=Path(self.workdir) if self.workdir else None,
        )

    def access(self) -> Access:
        """Return how registries are reached."""
        access = open_access(self.plain_http, self.ca_file)
        return replace(access, connections=max(access.connections, self.parallel))


def _read_job(name: str, value: object) -> BuildahJob | None:
    if value is not None and not isinstance(value, BuildahJob):
        raise InputError(f"read {name}", repr(value)[:80], "not a carferry.BuildahJob")
    return value


_READERS: Mapping[str, Reader] = {
    "revision": read_text,
    "engine": read_text,
    "format": read_text,
    "base": read_text,
    "platforms": read_items,
    "include": read_items,
    "exclude": read_items,
    "allow_no_weights": read_switch,
    "plain_http": read_items,
    "ca_file": read_path,
    "mount_from": read_items,
    "reuse": read_text,
    "run": read_text,
    "parallel": read_parallel,
    "workdir": read_path,
    "buildah_job": _read_job,
}
BUILD_DEFAULTS = defaults_of(BuildSettings)


def check_security(security: str) -> None:
    """Refuse a kind of security that no Job has.

    Raises:
        InputError: Names those there are.
    """
    if security not in {*buildah.Security}:
        choice = " or ".join(buildah.Security)
        raise InputError("use builder security", repr(security), f"not {choice}")
