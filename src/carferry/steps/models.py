"""How a step opens a model, wherever it lies; the one way for every step."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from carferry.io.show.progress import Progress
from carferry.refs import ImageRef, LayoutRef
from carferry.registry.access import Access
from carferry.source.open import Reach, open_source
from carferry.source.source import Source

if TYPE_CHECKING:
    from carferry.image.source import ImageSource


def open_model(
    model: str, revision: str, access: Access, progress: Progress | None = None
) -> Source:
    """Return the source of a model.

    Args:
        model: The text that names it.
        revision: Used if ``model`` carries none.
        access: How registries are reached; its policy and certificates serve every source.
        progress: Receives what is read before anything moves.

    Raises:
        InvalidReference: No place that models are read from.
    """
    open_image = partial(_open_image, access, progress)
    return open_source(model, revision, Reach(access.retry, access.ca_file, open_image, progress))


def _open_image(
    access: Access, progress: Progress | None, ref: ImageRef | LayoutRef
) -> ImageSource:
    # What reads images takes longer to load than a plan of a model on the hub.
    from carferry.image.source import ImageSource

    return ImageSource(access.open(ref), retry=access.retry, progress=progress)
