"""Step: a model as a tagged image, by one process."""

from __future__ import annotations

from carferry.assembly import build as engine_room
from carferry.io.progress import Progress
from carferry.io.terminal import open_progress
from carferry.refs import parse_image
from carferry.source.open import open_source
from carferry.steps.builder import open_runner
from carferry.steps.describe import describe
from carferry.steps.results import Built
from carferry.steps.settings import BuildSettings


def build(
    source: str, dest: str, settings: BuildSettings, *, progress: Progress | None = None
) -> Built:
    """Package a model as an image and tag it at ``docker://host/repo:tag`` or ``oci:path:tag``."""
    access = settings.access()
    target = access.open(parse_image(dest), write=True)
    result = engine_room.build(
        open_source(source, settings.revision, retry=access.retry),
        target,
        settings.options(),
        access=access,
        progress=progress or open_progress("auto"),
        runner=open_runner(settings),
    )
    return describe(target, result)
