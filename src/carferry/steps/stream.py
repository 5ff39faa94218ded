"""Steps: one worker's share of a build, and the seal that completes it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Unpack

from carferry.assembly.build import seal_shares, stream_share
from carferry.assembly.results import checked_bytes, moved_bytes
from carferry.errors import InputError
from carferry.form.readers import read_image, read_model, read_text
from carferry.io.show.progress import Progress
from carferry.refs import parse_image
from carferry.steps.access import shown
from carferry.steps.describe import describe
from carferry.steps.models import open_model
from carferry.steps.results import Built, Streamed
from carferry.steps.settings import BUILD_DEFAULTS, BuildKeywords, BuildSettings
from carferry.steps.signature import takes

_SHARE = re.compile(r"([0-9]{1,20})/([0-9]{1,20})")


@takes(BuildKeywords, BUILD_DEFAULTS)
def stream(
    model: str | Path,
    image: str,
    share: str,
    *,
    progress: Progress | bool = False,
    **settings: Unpack[BuildKeywords],
) -> Streamed:
    """Move one worker's share of a build; ``seal`` completes it.

    Workers on different machines need nothing but the registry in common; each is safe to kill
    and to run again.

    Args:
        model: Model or folder; the same commit for every worker.
        image: ``docker://host/repository:tag`` or ``oci:path:tag``.
        share: ``I/N``: worker I of N.
        progress: True shows bars on a terminal and lines elsewhere, on stderr.
        **settings: The fields of ``carferry.BuildSettings``, the same for every worker.

    Returns:
        Layers of this share, and the bytes that moved.

    Raises:
        InputError: What was asked cannot be done; nothing was moved.
        SourceError: The hub or the folder failed; what had arrived is kept for the next try.
        TargetError: The registry or the layout failed; likewise.

    Example:
        >>> import carferry
        >>> carferry.stream("./model", "oci:out:latest", "1/2", base="embedded").workers
        2
    """
    worker, workers = _share(read_text("share", share))
    how = BuildSettings(**settings)
    display = shown(progress)
    access = how.access().reporting(display)
    plan, moved = stream_share(
        open_model(read_model(model), how.revision, access, display),
        access.open(parse_image(read_image(image)), write=True),
        how.options(),
        worker,
        workers,
        access=access,
        progress=display,
    )
    size = sum(result.descriptor.size_bytes for result in moved)
    crossed = moved_bytes(moved)
    return Streamed(
        worker, workers, plan.snapshot.commit, len(moved), crossed, size - crossed,
        sum(result.retries for result in moved), checked_bytes(moved),
    )  # fmt: skip


def _share(text: str) -> tuple[int, int]:
    if not (found := _SHARE.fullmatch(text)):
        asked = ascii(text[:40])
        raise InputError("take share", asked, "not I/N", "write 1/4 for the first of four")
    return int(found[1]), int(found[2])


@takes(BuildKeywords, BUILD_DEFAULTS)
def seal(
    model: str | Path,
    image: str,
    *,
    progress: Progress | bool = False,
    **settings: Unpack[BuildKeywords],
) -> Built:
    """Complete and tag an image whose layers the workers have moved.

    Args:
        model: As for every worker.
        image: As for every worker.
        progress: True shows bars on a terminal and lines elsewhere, on stderr.
        **settings: The fields of ``carferry.BuildSettings``, as for every worker.

    Returns:
        The image by digest, with its size in bytes.

    Raises:
        InputError: What was asked cannot be done.
        TargetError: A layer has not arrived, or the registry failed; nothing was tagged.

    Example:
        >>> import carferry
        >>> for share in ("1/2", "2/2"):
        ...     streamed = carferry.stream("./model", "oci:out:latest", share, base="embedded")
        >>> carferry.seal("./model", "oci:out:latest", base="embedded").moved_bytes
        0
    """
    how = BuildSettings(**settings)
    display = shown(progress)
    access = how.access().reporting(display)
    target = access.open(parse_image(read_image(image)), write=True)
    result = seal_shares(
        open_model(read_model(model), how.revision, access, display),
        target,
        how.options(),
        access=access,
        progress=display,
    )
    return describe(target, result)
