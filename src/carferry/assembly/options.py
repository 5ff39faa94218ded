"""How a build is made, checked when it is stated."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from carferry.assembly.trust import SHORTEST_RUN, Reuse
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
        reuse: Whose word on a layer is believed; anything else is read back first.
        run: Secret that the workers and the sealer of one run share; empty: none.
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
    reuse: Reuse = Reuse.NONE
    run: str = field(default="", repr=False)
    workdir: Path | None = None
    large_bytes: int = LARGE_BYTES

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            InputError: Unknown engine, no parallel stream, ModelPack by Buildah, or a run's
                secret that could be guessed.
        """
        if self.engine not in ENGINES:
            raise InputError("use engine", repr(self.engine), f"choose {' or '.join(ENGINES)}")
        if not 1 <= self.parallel <= 64:
            raise InputError("use --parallel", self.parallel, "choose 1 to 64")
        if not self.platforms:
            raise InputError("use --platform", "''", "name at least one, as in linux/amd64")
        if self.run and len(self.run) < SHORTEST_RUN:
            reason = f"it has {len(self.run)} characters and could be guessed"
            remedy = f'write {SHORTEST_RUN} or more, as in --run "$(openssl rand -hex 16)"'
            raise InputError("use --run", "", reason, remedy)
        if self.format is Format.MODELPACK and self.engine != "stream":
            raise InputError(
                "make", "modelpack", "Buildah packs tar layers only", "--engine stream"
            )
