"""A model on a PersistentVolumeClaim, as KServe writes it: ``pvc://claim/path``.

A pipeline mounts the claim and names the mount's folder in ``CARFERRY_CLAIM``; nothing else can
read one. Source: KServe, storage initializer, "pvc://".
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from carferry.errors import InputError, InvalidReference, SourceNotFound
from carferry.io.show.progress import Progress
from carferry.source.folder import FolderSource
from carferry.source.paths import fault_of

SCHEME = "pvc://"
FOLDER = "CARFERRY_CLAIM"
"""Variable with the folder that a pipeline has the claim mounted at."""
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_NAMED = 5


@dataclass(frozen=True, slots=True)
class ClaimRef:
    """A folder of a claim.

    Attributes:
        claim: Name of the PersistentVolumeClaim.
        path: Relative; empty for the claim's root.
    """

    claim: str
    path: str

    @classmethod
    def parse(cls, model: str) -> ClaimRef:
        """Parse ``pvc://claim[/path]``.

        Raises:
            InvalidReference: No claim's name, or a path that leaves it.
        """
        claim, _, path = model.removeprefix(SCHEME).partition("/")
        path = path.strip("/")
        reason = "" if _NAME.fullmatch(claim) else f"{claim!a} is no claim's name"
        reason = reason or (path and fault_of(path))
        if reason:
            raise InvalidReference("parse model", ascii(model[:200]), reason, "pvc://claim/path")
        return cls(claim, path)

    def open(
        self, environ: Mapping[str, str] = os.environ, *, progress: Progress | None = None
    ) -> FolderSource:
        """Return the folder, as this pod has it mounted.

        Args:
            environ: Names where it is.
            progress: As for ``FolderSource``.

        Raises:
            InputError: This is no step of a pipeline that mounts a claim.
            SourceNotFound: No such folder; names those there are.
        """
        mounted = environ.get(FOLDER, "")
        if not mounted:
            remedy = "run the pipeline modelcar-pvc, or name the folder it is mounted at here"
            raise InputError("read", self, "a claim is mounted in a pipeline's pods only", remedy)
        root = Path(mounted) / self.path
        if not root.resolve().is_relative_to(Path(mounted).resolve()):
            raise InputError("read", self, "a link that leaves the claim", "name the folder itself")
        if not root.is_dir():
            raise SourceNotFound(
                "read", self, "no such folder in the claim", _beside(root, mounted)
            )
        return FolderSource(root, place=str(self), progress=progress)

    def __str__(self) -> str:
        """Return ``pvc://claim/path``."""
        return f"{SCHEME}{self.claim}/{self.path}".rstrip("/")


def _beside(root: Path, mounted: str) -> str:
    """Return the folders next to one that is not there."""
    above = next((each for each in root.parents if each.is_dir()), Path(mounted))
    try:
        names = sorted(each.name for each in above.iterdir() if each.is_dir())
    except OSError:
        names = []
    return f"there are: {', '.join(names[:_NAMED])}" if names else "check the path"
