"""What Kubernetes does for a pod: refuse an invalid one, and lay out its volumes.

Sources: pkg/apis/core/validation/validation.go (ValidateVolumes, ValidateVolumeMounts),
pkg/volume/util/atomic_writer.go (a Secret's files are links through ``..data``).
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

USER = 1_000_650_000
"""The user that OpenShift gives a project's pods, and the group of their volumes."""
SCRATCH = ("/tmp", "/gcs", "/s3", "/minio", "/.local", "/.cache", "/.config")
"""Empty folders in each step's pod. All but /tmp are KFP's own (argocompiler/container.go); a pod
with a read-only root needs that one too: launcher and kfp write their parameters there."""
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_VOLUMES = ("kfp-launcher", "gcs-scratch", "s3-scratch", "minio-scratch")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_STAMP = "..2026_01_01_00_00_00.000000001"


class Refused(Exception):
    """What Kubernetes says of a pod that it does not start."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume named like the object that it comes from, as the driver names it.

    Attributes:
        kind: pvc, secret or configMap.
        name: Of the object, and so of the volume.
        path: In the container.
        optional: Whether the object may be missing.
    """

    kind: str
    name: str
    path: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Pod:
    """A step's pod.

    Attributes:
        name: Of the pod.
        image: What the step asks for.
        env: The container's variables.
        mounts: Its volumes.
    """

    name: str
    image: str
    env: Mapping[str, str]
    mounts: tuple[Mount, ...]


def check(pod: Pod) -> None:
    """Look at a pod as the API server does.

    Raises:
        Refused: A volume's name is no DNS label, or there are two of a name or at one path.
    """
    names = Counter([*_VOLUMES, *(mount.name for mount in pod.mounts)])
    paths = Counter([*SCRATCH, *(mount.path for mount in pod.mounts)])
    problems = [
        *(
            _invalid("name", name, "a lowercase RFC 1123 label")
            for name in names
            if not _is_label(name)
        ),
        *(f'spec.volumes.name: Duplicate value: "{n}"' for n, times in names.items() if times > 1),
        *(_invalid("mountPath", path, "must be unique") for path, n in paths.items() if n > 1),
    ]
    if problems:
        raise Refused(f'Pod "{pod.name}" is invalid: {"; ".join(problems)}')


def _is_label(name: str) -> bool:
    return bool(_LABEL.fullmatch(name))


def _invalid(field: str, value: str, why: str) -> str:
    return f'spec.volumes.{field}: Invalid value: "{value}": {why}'


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Lay files out as a Secret's or ConfigMap's volume: behind two links each.

    Returns:
        The folder to mount.
    """
    stamped = folder / _STAMP
    stamped.mkdir(parents=True)
    (folder / "..data").symlink_to(_STAMP)
    for name, data in files.items():
        (stamped / name).write_bytes(data)
        (folder / name).symlink_to(f"..data/{name}")
    return folder


def empty(folder: Path) -> Path:
    """Make an empty folder that anybody may write to."""
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    return folder


def claimed(folder: Path) -> Path:
    """Make a claim's folder: the pod's group owns what is written there (fsGroup)."""
    folder.mkdir(parents=True)
    os.chown(folder, 0, USER)
    folder.chmod(0o2775)
    return folder
