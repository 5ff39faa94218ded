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
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from itertools import compress

from carferry.assembly.job import Job
from carferry.assembly.plan import Plan
from carferry.assembly.stream import send_again
from carferry.assembly.trust import Reuse, signed
from carferry.errors import AuthenticationFailed, CarferryError, InputError
from carferry.image.compose import CONTENT_KEY, LAYER_PATH, LAYER_SOURCE, LAYER_SOURCES
from carferry.image.kinds import SHARD as ARTIFACT
from carferry.io.net.retry import Cancelled, Retry
from carferry.io.parallel import run_parallel
from carferry.oci.documents import EMPTY, EMPTY_DATA, MANIFEST, Descriptor, Document, canonical
from carferry.refs import Digest
from carferry.registry.access import Access
from carferry.registry.blobs import put_blob, send_blob
from carferry.registry.place import place
from carferry.registry.refusals import TagImmutable
from carferry.registry.target import ListDenied, Target

PREFIX = "carferry-shard-"
SHARD = "dev.carferry.shard"
# Well inside the shortest time a registry keeps unnamed blobs, rare enough to cost nothing.
EVERY_S = 60.0
KEEPING_TRIES = 2
"""Whoever keeps what had arrived has failed or was stopped before."""
_KEY_DIGITS = 16
# Where no list may be read: pipelines have 32 workers at most.
_MOST_GUESSED = 64
_THREADS = 16
_KEPT = (CONTENT_KEY, LAYER_PATH)
_NOT_DELETED = "it deletes none, or not for this login; they take no room"
_IDS = (LAYER_SOURCE, LAYER_SOURCES)
_log = logging.getLogger("carferry")


def plan_prefix(plan: Plan) -> str:
    """Return what the tags of this plan's shards start with."""
    return prefix_of(plan.layers_key)


def prefix_of(key: Digest) -> str:
    """Return the same from the plan's ``layers_key`` alone."""
    return f"{PREFIX}{key.hex[:_KEY_DIGITS]}-"


def check_run(job: Job) -> None:
    """Refuse a build by shares whose sealer could not believe what the workers moved.

    Raises:
        InputError: The source names files by entity tags, and no secret signs the shards.
    """
    tagged = [each.layer.name for each in job.plan.layers if not each.layer.is_provable]
    if tagged and not job.options.run and job.options.reuse is not Reuse.REPOSITORY:
        raise InputError(
            "share the build of", job.source,
            f"only an entity tag names {tagged[0]}, so no sealer can prove what a worker moved",
            'give all of them one secret, as in --run "$(openssl rand -hex 16)", or run build',
        )  # fmt: skip


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
        layers = [each.layer for each in job.plan.layers]
        self._unprovable = {str(each.content_key) for each in layers if not each.is_provable}
        self._retry = job.retry
        self._send_layer = partial(send_again, job)
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
        """Tag the shard manifest with everything noted so far; what got lost is moved again."""
        with self._lock:
            self._publish(send=self._send)

    def keep(self, access: Access | None = None) -> None:
        """Tag what has arrived, after a failure; if that fails too, the next run moves it again.

        The registry may be what failed: it is not tried as long as that a second time.

        Args:
            access: Reaches the target anew, if the build's own policy has been stopped.
        """
        with self._lock:
            self._retry = replace(self._retry, attempts=KEEPING_TRIES, first_tries=KEEPING_TRIES)
            self._target = self._target.hurried(KEEPING_TRIES)
            if access:
                self._target = access.open(self._target.ref, write=True)
                self._retry = access.retry
            if self._layers:
                self._try_to_publish()

    def _try_to_publish(self) -> None:
        """Publish, or log the refusal: the registry may keep the layers without a tag."""
        self._published_at = self._clock()
        try:
            self._publish()
        except CarferryError as error:
            _log.debug("pin %s: %s", self._tag, error)

    def _publish(self, *, send: Callable[[Descriptor], None] | None = None) -> None:
        layers = [_claim(layer, self._unprovable) for layer in self._layers.values()]
        self._retry.call(lambda: put_blob(self._target, EMPTY_DATA))
        try:
            self._tag_with(layers, self._tag, send)
        except TagImmutable:
            # This worker has tagged fewer layers before, and no tag moves here.
            self._tag_with(layers, f"{self._tag}-{_key(layers)}", send)
        self._published_at = self._clock()
        self.published = True

    def _tag_with(
        self, layers: list[Descriptor], tag: str, send: Callable[[Descriptor], None] | None
    ) -> None:
        place(self._target, shard_manifest(layers, tag, self._run), tag, self._retry, send)

    def _send(self, blob: Descriptor) -> None:
        if blob.digest == Digest.of(EMPTY_DATA):
            self._retry.call(partial(send_blob, self._target, EMPTY_DATA))
        else:
            self._send_layer(blob)


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
        "layers": [layer.to_json() for layer in ordered] or [empty.to_json()],
        "annotations": {SHARD: tag},
    }
    return Document(MANIFEST, canonical(signed(manifest, run)))


def _claim(layer: Descriptor, unprovable: Collection[str]) -> Descriptor:
    """Keep what the sealer reads: ids of thousands of files would be sent once a minute.

    Those that were computed from the bytes, where the source has none, are known to nobody else.
    """
    is_new = layer.annotations[CONTENT_KEY] in unprovable
    names = (*_KEPT, *(_IDS if is_new else ()))
    kept = {key: layer.annotations[key] for key in names if key in layer.annotations}
    return replace(layer, annotations=kept)


def _key(layers: Sequence[Descriptor]) -> str:
    """Return what tells one list of layers from another in a tag's name."""
    keys = sorted(f"{layer.annotations[CONTENT_KEY]} {layer.digest}" for layer in layers)
    return Digest.of("\n".join(keys).encode()).hex[:_KEY_DIGITS]


def guessed_tags(target: Target, prefix: str, retry: Retry, *, shared: bool) -> list[str]:
    """Return shard tags where they may not be listed: those of as many workers as the first names.

    Args:
        target: Where the shards are.
        prefix: Of one plan's tags.
        retry: The target's own policy, which a signal stops.
        shared: Whether workers share the build; alone there is one shard.

    Raises:
        AuthenticationFailed: It is the login that is wrong.
    """

    def is_there(workers: int) -> bool:
        return target.get_manifest(f"{prefix}1of{workers}") is not None

    counts = range(2, _MOST_GUESSED + 1) if shared else ()
    try:
        # A login that is refused must not be sent as often as that: accounts get locked.
        found = [1] if is_there(1) else []
        there = run_parallel(is_there, counts, parallel=_THREADS, retry=retry)
        found += compress(counts, there)
    except CarferryError as error:
        if error.temporary or isinstance(error, AuthenticationFailed | Cancelled):
            raise
        return []
    return [f"{prefix}{worker}of{count}" for count in found for worker in range(1, count + 1)]


def remove(job: Job, *, shared: bool) -> int:
    """Delete this plan's shard tags and return how many could not be; never fails.

    The image is tagged by now, so nothing that happens here may look like a failed build. A
    registry that forbids deletion keeps the tags, which is said once; they are small and name only
    layers of the image. One that fails is not waited for.

    Args:
        job: A build whose image is tagged.
        shared: Whether workers shared it.
    """
    removed, tags, why = 0, list[str](), ""
    target, prefix = job.target.hurried(1), plan_prefix(job.plan)
    try:
        tags = _own_tags(target, prefix, job.retry, shared=shared)
        for tag in tags:
            removed += target.delete_manifest(tag)
    except CarferryError as error:
        why = error.reason
    left = len(tags) - removed
    if left or why:
        stay = f"{left} tags {prefix}* of workers stay" if tags else f"tags {prefix}* may stay"
        job.progress.note(f"{stay} at {target.ref}: {why or _NOT_DELETED}")
    return left


def _own_tags(target: Target, prefix: str, retry: Retry, *, shared: bool) -> list[str]:
    try:
        return target.tags(prefix)
    except ListDenied:
        return guessed_tags(target, prefix, retry, shared=shared)
