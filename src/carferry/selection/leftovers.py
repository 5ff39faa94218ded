"""What must not travel by accident: leftovers of training, credentials, other tools' folders."""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum

from carferry.selection.credentials import is_credential_name


class Leftover(StrEnum):
    """Why a file stays out unless a user names it."""

    TRAINING = "left over from training"
    CREDENTIAL = "looks like a credential"
    LAYOUT = "part of an OCI layout"
    CACHE = "a cache"
    HIDDEN = "hidden"


_FOLDERS = re.compile(r"checkpoint-[^/]*|global_step\d*|runs|wandb|mlruns|lightning_logs")
_TRAINING = re.compile(
    r"trainer_state\.json|trainer_log\.jsonl?|training_args\..+|(?:all|train|eval)_results\.json"
    r"|(?:optimizer|scheduler|scaler)(?:[_.-].*)?\.(?:pt|pth|bin|safetensors)"
    r"|rng_state.*\.pth|.*optim_states\.pt|.*tfevents.*|zero_to_fp32\.py"
)
_CACHES = re.compile(r"__pycache__|\.ipynb_checkpoints|thumbs\.db|.*\.pyc")
_PRIVATE_FOLDERS = {".ssh", ".aws", ".gnupg", ".kube", ".docker", ".huggingface"}


def leftovers(paths: Collection[str]) -> dict[str, Leftover]:
    """Return every path that stays out unless a user names it, and why."""
    layouts = _layouts(paths)
    found = {path: _why(path, layouts) for path in paths}
    return {path: why for path, why in found.items() if why}


def _why(path: str, layouts: Collection[str]) -> Leftover | None:
    *folders, name = path.lower().split("/")
    if "" in folders:
        return None  # an absolute path, which is refused by name
    if is_credential_name(name) or not _PRIVATE_FOLDERS.isdisjoint(folders):
        return Leftover.CREDENTIAL
    if any(path.startswith(layout) for layout in layouts):
        return Leftover.LAYOUT
    if any(_CACHES.fullmatch(part) for part in (*folders, name)):
        return Leftover.CACHE
    if any(_FOLDERS.fullmatch(part) for part in folders) or _TRAINING.fullmatch(name):
        return Leftover.TRAINING
    if any(part.startswith(".") and not _hostile(part) for part in (*folders, name)):
        return Leftover.HIDDEN
    return None


def _layouts(paths: Collection[str]) -> list[str]:
    """Return the folders that hold an OCI layout; the root counts as one too.

    Source: OCI image-spec v1.1 image-layout.md: ``oci-layout``, ``index.json`` and ``blobs``.
    """
    marked = [path.removesuffix("oci-layout") for path in paths if _is_mark(path)]
    return [folder for folder in marked if f"{folder}index.json" in paths]


def _is_mark(path: str) -> bool:
    return path == "oci-layout" or path.endswith("/oci-layout")


def _hostile(part: str) -> bool:
    # Kept, so that it is refused by name later: no repository has such a file by accident.
    return part in {".", ".."} or part.startswith(".wh.")
