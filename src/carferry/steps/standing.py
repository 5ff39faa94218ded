"""Step: is the image there already, told by its manifest alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack

from carferry.assembly.standing import find_standing
from carferry.form.readers import read_image
from carferry.io.net.retry import Retry
from carferry.refs import parse_image
from carferry.source.pieces import Pieces
from carferry.steps.describe import describe
from carferry.steps.results import Built
from carferry.steps.settings import BUILD_DEFAULTS, BuildKeywords, BuildSettings
from carferry.steps.signature import takes


@takes(BuildKeywords, BUILD_DEFAULTS)
def standing(
    opened: Pieces, image: str, *, retry: Retry | None = None, **settings: Unpack[BuildKeywords]
) -> Built | None:
    """Return the image at a tag if a build would make that one; else None.

    Args:
        opened: The model; what is read of it is not read again.
        image: ``docker://host/repository:tag`` or ``oci:path:tag``.
        retry: How often what fails for the moment is tried again.
        **settings: The fields of ``carferry.BuildSettings``, as for the build.

    Raises:
        InputError: What was asked cannot be done.
        CarferryError: Source or registry failed.
    """
    how = BuildSettings(**settings)
    access = how.access()
    if retry:
        access = replace(access, retry=retry)
    target = access.open(parse_image(read_image(image)))
    found = find_standing(opened, target, how.options(), access)
    return describe(target, found) if found else None
