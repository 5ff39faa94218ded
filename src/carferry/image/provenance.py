"""What an image says of where its model came from: written as annotations, and read again.

What is read is a stranger's word: it names the origin of a copy, and proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from carferry.errors import InvalidReference
from carferry.image.base import SCRATCH, Base
from carferry.refs import ModelRef
from carferry.source.snapshot import PUBLIC_HUB, Snapshot

SOURCE = "dev.carferry.source"
COMMIT = "dev.carferry.commit"
ENGINE = "dev.carferry.engine"
_PREFIX = "org.opencontainers.image."
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ENDPOINT = re.compile(r"https?://[!-?A-~]{1,255}")
_PLACE = re.compile(r"(?:s3|pvc)://[!-~]{1,1024}")
# The hub's licence ids as SPDX ids; any other becomes a LicenseRef.
_SPDX = {
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "bsd-3-clause": "BSD-3-Clause",
    "cc-by-4.0": "CC-BY-4.0",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
    "gpl-3.0": "GPL-3.0-only",
}


def provenance(base: Base | None, snapshot: Snapshot, engine: str) -> dict[str, str]:
    """Return the image's annotations; no time and nothing of this machine, so they repeat."""
    facts = {
        ENGINE: engine,
        SOURCE: snapshot.place or (f"hf://{snapshot.repo}" if snapshot.repo else ""),
        COMMIT: snapshot.commit,
        f"{_PREFIX}title": snapshot.repo,
        f"{_PREFIX}source": snapshot.url,
        f"{_PREFIX}revision": snapshot.commit,
        f"{_PREFIX}licenses": _licence(snapshot.license),
    }
    if base is not None:
        facts[f"{_PREFIX}base.name"] = base.name or SCRATCH
        facts[f"{_PREFIX}base.digest"] = str(base.digest or "")
    return {key: value for key, value in facts.items() if value}


def read_provenance(annotations: Mapping[str, str]) -> Snapshot:
    """Return what ``provenance`` wrote, without files; what a stranger wrote otherwise is empty.

    Args:
        annotations: Of an image's manifest.
    """
    said, url = annotations.get(SOURCE, ""), annotations.get(f"{_PREFIX}source", "")
    license = _hub_licence(annotations.get(f"{_PREFIX}licenses", ""))
    if not said.startswith("hf://"):
        return Snapshot("", "", (), license, place=said if _PLACE.fullmatch(said) else "")
    repo, commit = said.removeprefix("hf://"), annotations.get(COMMIT, "")
    endpoint = url.removesuffix(f"/{repo}")
    try:
        known = ModelRef.parse(repo).repo == repo and bool(_COMMIT.fullmatch(commit))
    except InvalidReference:
        known = False
    if not known or not _ENDPOINT.fullmatch(endpoint):
        return Snapshot("", "", ())
    return Snapshot(repo, commit, (), license, "" if endpoint == PUBLIC_HUB else endpoint)


def _hub_licence(spdx: str) -> str:
    """Return the hub's licence id that ``_licence`` made this of."""
    names = {name: hub_id for hub_id, name in _SPDX.items()}
    return names.get(spdx, spdx.removeprefix("LicenseRef-"))


def _licence(hub_id: str) -> str:
    if not hub_id:
        return ""
    return _SPDX.get(hub_id.lower(), f"LicenseRef-{hub_id}")
