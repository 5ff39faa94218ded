"""How a step opens a model, wherever it lies: as other sources, or in an image of a registry."""

from __future__ import annotations

from carferry.image.source import ImageSource
from carferry.refs import parse_image
from carferry.registry.access import Access
from carferry.source.open import check_model, is_image, open_source
from carferry.source.source import Source


def open_model(model: str, revision: str, access: Access) -> Source:
    """Return the source of a model.

    Args:
        model: The text that names it; ``oci://host/repository:tag`` and ``oci:path:tag`` are
            images that hold one.
        revision: Used if ``model`` carries none.
        access: How registries are reached; its policy and certificates serve every source.

    Raises:
        InvalidReference: No place that models are read from.
    """
    if is_image(model):
        check_model(model, revision)
        return ImageSource(access.open(parse_image(model)), retry=access.retry)
    return open_source(model, revision, retry=access.retry, ca_file=access.ca_file)
