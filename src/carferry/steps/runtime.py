"""Step: the image that steps run in on a cluster without a package index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from carferry.errors import InputError
from carferry.form.parameter import Reader
from carferry.form.readers import read_image, read_items, read_parallel, read_path, read_text
from carferry.image import base as bases
from carferry.io.show.progress import Progress
from carferry.io.show.terminal import human_bytes
from carferry.oci.documents import Platform
from carferry.refs import check_push_tag, parse_image
from carferry.registry.target import Target
from carferry.runtime.make import RuntimeBuild, make_runtime
from carferry.runtime.pins import PYTHON_BASE
from carferry.steps.access import open_access, shown
from carferry.steps.defaults import DEFAULT_PLATFORM
from carferry.steps.markdown import page
from carferry.steps.results import Result
from carferry.steps.signature import read_fields

DEFAULT_BASE = PYTHON_BASE


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """How a runtime image is made.

    Attributes:
        base: An image with Python and glibc: reference or ``oci:path:tag``.
        platforms: As in ``linux/amd64``; more than one makes an index.
        python: Version of the base's Python, if the base does not say.
        plain_http: Registry hosts without TLS.
        ca_file: PEM certificates to trust besides, a file or a folder.
        parallel: Blobs at once.
    """

    base: str = DEFAULT_BASE
    platforms: Sequence[str] = (DEFAULT_PLATFORM,)
    python: str = ""
    plain_http: Sequence[str] = ()
    ca_file: str | Path | None = None
    parallel: int = 4

    def __post_init__(self) -> None:
        """Read each field, whatever a caller gave for it.

        Raises:
            InputError: Names the field that cannot be meant.
        """
        read_fields(self, _READERS)


_READERS: Mapping[str, Reader] = {
    "base": read_text,
    "platforms": read_items,
    "python": read_text,
    "plain_http": read_items,
    "ca_file": read_path,
    "parallel": read_parallel,
}


@dataclass(frozen=True, slots=True)
class RuntimeImage(Result):
    """A tagged runtime image.

    Attributes:
        reference: ``host/repo@sha256:...`` or ``oci:path:tag``.
        digest: Of the manifest or index.
        base: Digest of the base.
        runs: What it holds, as in ``Python 3.12 on linux/amd64``, one for each platform.
        size_bytes: All blobs together.
        layers: Of the first platform, base included.
        moved_bytes: What crossed the network, or was written into the layout.
        reused_bytes: What did not have to.
        seconds: Wall time.
    """

    reference: str
    digest: str
    base: str
    runs: tuple[str, ...]
    size_bytes: int
    layers: int
    moved_bytes: int
    reused_bytes: int
    seconds: float

    @property
    def markdown(self) -> str:
        """The image, what it runs, and its size."""
        size = f"{human_bytes(self.size_bytes)} in {self.layers} layers"
        return page(self.reference, [self.digest, *self.runs, size])


def runtime(
    image: str, settings: RuntimeSettings | None = None, *, progress: Progress | bool = False
) -> RuntimeImage:
    """Make an image with kfp's executor, carferry and its packages, and tag it.

    Args:
        image: ``docker://host/repository:tag`` or ``oci:path:tag``.
        settings: How.
        progress: True shows bars on a terminal and lines elsewhere, on stderr.
    """
    settings = settings or RuntimeSettings()
    display = shown(progress)
    access = open_access(settings.plain_http, settings.ca_file).reporting(display)
    start = access.retry.clock()
    target = access.open(parse_image(read_image(image)), write=True)
    check_push_tag(target.ref, action="make")
    named, platforms = _with_python(settings.base), _platforms(settings)
    found = bases.open_bases(named, platforms, access.open, access.retry)
    made = make_runtime(
        target,
        found,
        python=settings.python,
        parallel=settings.parallel,
        retry=access.retry,
        progress=display,
    )
    return _describe(target, made, str(found[0].digest), round(access.retry.clock() - start, 3))


def _with_python(base: str) -> str:
    if base in {bases.SCRATCH, bases.EMBEDDED}:
        raise InputError("use --base", base, "it has no Python", "name an image such as python-312")
    return base


def _platforms(settings: RuntimeSettings) -> tuple[Platform, ...]:
    platforms = tuple(map(Platform.parse, settings.platforms))
    if not platforms or len(set(platforms)) < len(platforms):
        raise InputError(
            "use --platform", repr(",".join(settings.platforms)), "name each platform once"
        )
    return platforms


def _describe(target: Target, made: RuntimeBuild, base: str, seconds: float) -> RuntimeImage:
    return RuntimeImage(
        target.location(made.document.digest),
        str(made.document.digest),
        base,
        tuple(map(str, made.interpreters)),
        made.size_bytes,
        len(made.manifests[0].layers),
        made.moved_bytes,
        made.size_bytes - made.moved_bytes,
        seconds,
    )
