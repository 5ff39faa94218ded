"""Whose word on a layer is believed: what a manifest says its digests hold is only a claim.

Whoever may push once may write any claim. So a claim counts unread only if it comes from where
the caller says it may, or if a secret of the run that the seal belongs to signs it.
Source: docs/adr/0023-reuse-and-trust.md; RFC 2104 for HMAC.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from carferry.errors import CarferryError
from carferry.oci.documents import Document, canonical

MAC = "dev.carferry.shard.mac"
SHORTEST_RUN = 16
"""Characters; who reads a shard may try secrets on it at leisure."""


class Reuse(StrEnum):
    """Whose claims are believed: nobody's, the target's own tag's, or any tag's there."""

    NONE = "none"
    TAG = "tag"
    REPOSITORY = "repository"


@dataclass(frozen=True, slots=True)
class Trust:
    """Which claims of one place are used without being read back.

    Attributes:
        named: Those of the manifest that the place's reference names.
        others: Those of every other tag there.
        run: Secret whose signature makes a shard of this plan believed; empty: no shard is.
        prefix: What tags of this plan's shards start with.
    """

    named: bool
    others: bool
    run: str
    prefix: str

    def of_shard(self, document: Document, tag: str, tag_annotation: str) -> bool:
        """Return whether a shard of this plan is believed.

        Args:
            document: What the tag names.
            tag: As it was found.
            tag_annotation: Annotation with which a shard names its own tag.
        """
        if self.others:
            return True
        own = document.annotations.get(tag_annotation) == tag
        return own and is_signed(document, self.run)


def signed(manifest: Mapping[str, Any], run: str) -> dict[str, Any]:
    """Return a manifest with its signature among its annotations; as it is without a secret.

    Args:
        manifest: Without a signature.
        run: The run's secret; nothing of it can be read from the result.
    """
    if not run:
        return dict(manifest)
    return {**manifest, "annotations": {**manifest["annotations"], MAC: _mac(manifest, run)}}


def is_signed(document: Document, run: str) -> bool:
    """Return whether ``signed`` made this document, with the same secret."""
    try:
        manifest = document.json
        annotations = dict(document.annotations)
    except CarferryError:
        return False
    said = annotations.pop(MAC, None)
    if not run or not isinstance(said, str):
        return False
    expected = _mac({**manifest, "annotations": annotations}, run)
    return hmac.compare_digest(said.encode(), expected.encode())


def _mac(manifest: Mapping[str, Any], run: str) -> str:
    return hmac.new(run.encode(), canonical(manifest), hashlib.sha256).hexdigest()
