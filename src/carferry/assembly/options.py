"""How a build is made, checked when it is stated."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from carferry.errors import InputError
from carferry.image import base
from carferry.image.layers import LARGE_BYTES, Format
from carferry.oci.documents import Platform
from carferry.refs import ImageRef
from carferry.selection.patterns import Patterns

ENGINES = ("stream", "buildah")


@dataclass(frozen=True, slots=True)
class Options:
    """How a build is made.

    Attributes:
        engine: ``stream`` (no container engine, no disk) or ``buildah``.
        format: ModelCar, or ModelPack (stream engine only; it stands on no base).
        base: Reference, ``oci:path:tag``, ``embedded`` or ``scratch``.
        patterns: Which files enter the image.
        platforms: One image for each; more than one makes an index.
        parallel: Layers on their way at once.
        mount_from: Images of the same registry whose layers may be mounted.
        workdir: Where the buildah engine may write; default the system's temporary folder.
        large_bytes: From this size on a file has a layer of its own; part of the image.
    """

    engine: str = "stream"
    format: Format = Format.MODELCAR
    base: str = base.DEFAULT
    patterns: Patterns = field(default_factory=Patterns)
    platforms: tuple[Platform, ...] = (Platform(),)
    parallel: int = 2
    mount_from: tuple[ImageRef, ...] = ()
    workdir: Path | None = None
    large_bytes: int = LARGE_BYTES

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            InputError: Unknown engine, no parallel stream, or ModelPack by Buildah.
        """
        if self.engine not in ENGINES:
            raise InputError("use engine", repr(self.engine), f"choose {' or '.join(ENGINES)}")
        if not 1 <= self.parallel <= 64:
            raise InputError("use --parallel", self.parallel, "choose 1 to 64")
        if not self.platforms:
            raise InputError("use --platform", "''", "name at least one, as in linux/amd64")
        if self.format is Format.MODELPACK and self.engine != "stream":
            raise InputError(
                "make", "modelpack", "Buildah packs tar layers only", "--engine stream"
            )
