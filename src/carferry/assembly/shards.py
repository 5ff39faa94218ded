"""Shard manifests: how workers know, from the registry alone, what each of them moved.

A worker tags a small manifest that lists its layers. That keeps a registry from collecting
blobs no image names yet (Quay and zot do so after an hour) and carries the descriptors to the
sealer and to the next run after a crash. The tag's name holds the plan's key, so that shards
of two commits or formats never mix. The run's secret signs it: whoever else may push here cannot
make a sealer believe him.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from carferry.assembly.job import Job
from carferry.assembly.plan import Plan
from carferry.assembly.trust import signed
from carferry.errors import CarferryError
from carferry.image.compose import CONTENT_KEY, LAYER_PATH
from carferry.image.kinds import SHARD as ARTIFACT
from carferry.oci.documents import EMPTY, EMPTY_DATA, MANIFEST, Descriptor, Document, canonical
from carferry.refs import Digest
from carferry.registry.blobs import put_blob
from carferry.registry.target import Target

PREFIX = "carferry-shard-"
SHARD = "dev.carferry.shard"
# Well inside the shortest time a registry keeps unnamed blobs, rare enough to cost nothing.
EVERY_S = 60.0
_KEY_DIGITS = 16
_KEPT = (CONTENT_KEY, LAYER_PATH)
_log = logging.getLogger("carferry")


def plan_prefix(plan: Plan) -> str:
    """Return what the tags of this plan's shards start with."""
    return prefix_of(plan.layers_key)


def prefix_of(key: Digest) -> str:
    """Return the same from the plan's ``layers_key`` alone."""
    return f"{PREFIX}{key.hex[:_KEY_DIGITS]}-"


class ShardPublisher:
    """Publishes one worker's shard manifest while its layers arrive.

    Args:
        job: The build; layers and shards live at its target.
        worker: From 1 to ``workers``.
        workers: How many share the plan.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        job: Job,
        worker: int,
        workers: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target = job.target
        self._tag = f"{plan_prefix(job.plan)}{worker}of{workers}"
        self._run = job.options.run
        self._retry = job.retry
        self._clock = clock
        self._lock = threading.Lock()
        self._layers: dict[str, Descriptor] = {}
        self._published_at = clock()
        self.published = False

    def add(self, layer: Descriptor) -> None:
        """Note an arrived layer; publish if the last time is long enough ago."""
        with self._lock:
            # Not by digest: two equal files are two layers of the image.
            self._layers[layer.annotations[CONTENT_KEY]] = layer
            if self._clock() - self._published_at >= EVERY_S:
                self._try_to_publish()

    def publish(self) -> None:
        """Tag the shard manifest with everything noted so far."""
        with self._lock:
            self._publish()

    def keep(self) -> None:
        """Tag what has arrived, after a failure; if that fails too, the next run moves it again."""
        with self._lock:
            if self._layers:
                self._try_to_publish()

    def _try_to_publish(self) -> None:
        """Publish, or log the refusal: the registry may keep the layers without a tag."""
        self._published_at = self._clock()
        try:
            self._publish()
        except CarferryError as error:
            _log.debug("pin %s: %s", self._tag, error)

    def _publish(self) -> None:
        document = shard_manifest(list(self._layers.values()), self._tag, self._run)
        self._retry.call(lambda: put_blob(self._target, EMPTY_DATA))
        self._retry.call(lambda: self._target.put_manifest(document, self._tag))
        self._published_at = self._clock()
        self.published = True


def shard_manifest(layers: list[Descriptor], tag: str, run: str = "") -> Document:
    """Return the manifest that pins these layers, signed with the run's secret if it has one.

    It names its tag, so that no two shards are one manifest: in a registry that deletes only
    manifests, removing one plan's shard would remove another's.
    """
    ordered = sorted(layers, key=lambda layer: (layer.digest, layer.annotations[CONTENT_KEY]))
    empty = Descriptor(EMPTY, Digest.of(EMPTY_DATA), len(EMPTY_DATA))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": ARTIFACT,
        "config": empty.to_json(),
        # A manifest must list something; a worker without work lists the empty blob.
        "layers": [_claim(layer).to_json() for layer in ordered] or [empty.to_json()],
        "annotations": {SHARD: tag},
    }
    return Document(MANIFEST, canonical(signed(manifest, run)))


def _claim(layer: Descriptor) -> Descriptor:
    """Keep what the sealer reads: ids of thousands of files would be sent once a minute."""
    kept = {key: layer.annotations[key] for key in _KEPT if key in layer.annotations}
    return replace(layer, annotations=kept)


def remove(target: Target, plan: Plan) -> int:
    """Delete this plan's shard tags and return how many could not be; never fails.

    The image is tagged by now, so nothing that happens here may look like a failed build. A
    registry that forbids deletion keeps the tags; they are small and name only layers of the
    image.
    """
    try:
        tags = target.tags(plan_prefix(plan))
        return sum(not _deleted(target, tag) for tag in tags)
    except CarferryError as error:
        _log.debug("list the shards of %s: %s", target.ref, error)
        return 0


def _deleted(target: Target, tag: str) -> bool:
    try:
        return target.delete_manifest(tag)
    except CarferryError as error:
        _log.debug("delete %s: %s", tag, error)
        return False
