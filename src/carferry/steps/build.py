"""Step: a model as a tagged image, by one process."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from carferry.assembly.build import build as assemble
from carferry.form.readers import read_image, read_model, read_switch
from carferry.io.show.progress import Progress
from carferry.refs import parse_image
from carferry.steps.access import shown
from carferry.steps.builder import open_runner
from carferry.steps.describe import describe
from carferry.steps.models import open_model
from carferry.steps.results import Built
from carferry.steps.settings import BUILD_DEFAULTS, BuildKeywords, BuildSettings
from carferry.steps.signature import takes


@takes(BuildKeywords, BUILD_DEFAULTS)
def build(
    model: str | Path,
    image: str,
    *,
    if_changed: bool = False,
    progress: Progress | bool = False,
    **settings: Unpack[BuildKeywords],
) -> Built:
    """Package a model as an image and tag it.

    Streams from the hub into the registry: no disk, no container engine, no privilege. Layers
    that are there already do not move; run it again to complete what was interrupted.

    Args:
        model: ``org/name[@revision]`` on the hub, a folder as ``./path``, or an image that holds
            it, as ``oci://host/repository:tag``.
        image: ``docker://host/repository:tag`` or, for an OCI layout on disk, ``oci:path:tag``.
        if_changed: Do nothing if the tag names this very image: this commit, files, base and
            platforms. Its manifest is believed; without it layers are read back, see ``reuse``.
        progress: True shows bars on a terminal and lines elsewhere, on stderr.
        **settings: The fields of ``carferry.BuildSettings``.

    Returns:
        The image by digest, with its size in bytes and what moved; ``changed`` says whether the
        tag names another one now, ``previous`` what it named before.

    Raises:
        InputError: What was asked cannot be done; nothing was moved.
        SourceError: The hub or the folder failed.
        TargetError: The registry or the layout refused or failed; nothing was tagged.

    Example:
        >>> import carferry
        >>> built = carferry.build("./model", "oci:out:latest", base="embedded")
        >>> built.layers
        3
    """
    how, once = BuildSettings(**settings), read_switch("if_changed", if_changed)
    display = shown(progress)
    access = how.access().reporting(display)
    target = access.open(parse_image(read_image(image)), write=True)
    result = assemble(
        open_model(read_model(model), how.revision, access, display),
        target,
        how.options(),
        access=access,
        progress=display,
        runner=open_runner(how.buildah_job),
        if_changed=once,
    )
    return describe(target, result)
