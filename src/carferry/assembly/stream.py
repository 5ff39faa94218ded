"""The stream engine: layers go from source to target in one pass, several at once, no disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing

from carferry.assembly.job import Job
from carferry.assembly.layer_reader import LayerReader
from carferry.assembly.plan import Claim, How, LayerPlan, is_same_home
from carferry.assembly.prove import flaw_at_target
from carferry.assembly.results import LayerResult
from carferry.assembly.small_blobs import is_small_blob, send_small_blob
from carferry.errors import CarferryError, SourceChanged, TargetError, Unreachable
from carferry.image.compose import CONTENT_KEY, model_descriptor
from carferry.image.layers import Layer
from carferry.io.parallel import Moved, counting, run_by_size, run_parallel
from carferry.io.show.progress import either
from carferry.oci.documents import Descriptor
from carferry.registry.blobs import open_upload
from carferry.registry.mounts import Mounts
from carferry.registry.target import Upload

# A byte may be wrong by a fault on the way, so it is read once more; a wrong file stays wrong.
_CORRUPT_TRIES = 2


def stream(
    job: Job, layer_plans: Sequence[LayerPlan], *, arrived: Callable[[Descriptor], None]
) -> list[LayerResult]:
    """Move layers to the target, ``options.parallel`` at once; each holds about 20 MiB.

    Of equal files that are blobs of their own one is moved. Small blobs come last, more of them
    at once.

    Args:
        job: The build; what stops its ``retry`` also stops every layer.
        layer_plans: All of its plan, or one worker's share.
        arrived: Called with every layer that is at the target now.

    Returns:
        One result per layer, in the order given.

    Raises:
        CarferryError: The first failure; the others have stopped and cancelled their uploads.
    """
    blobs = {layer_plan.layer.blob_key: layer_plan for layer_plan in reversed(layer_plans)}
    different = [each for each in layer_plans if blobs[each.layer.blob_key] is each]
    _expect(job, different)
    mover = _Mover(job, arrived)
    with job.progress.phase("moving layers", either(job.source.host, job.target.ref.host)):
        results = run_by_size(
            mover.take,
            different,
            small=lambda layer_plan: is_small_blob(layer_plan.layer),
            parallel=job.options.parallel,
            retry=job.retry,
        )
    taken = {result.layer.blob_key: result for result in results}
    return [mover.repeat(each, taken[each.layer.blob_key]) for each in layer_plans]


def gather(job: Job, layer_plans: Sequence[LayerPlan]) -> list[LayerResult | None]:
    """Find layers at the target, as ``stream`` does; what is not there is not moved.

    Args:
        job: As for ``stream``.
        layer_plans: Of its plan.

    Returns:
        One result per layer, in the order given; None for a layer that is not proved to be there.
    """
    _expect(job, layer_plans)
    mover = _Mover(job, lambda _: None)
    parallel, retry = job.options.parallel, job.retry
    with job.progress.phase("reading layers back", job.target.ref.host):
        return run_parallel(mover.seek, layer_plans, parallel=parallel, retry=retry)


def send_again(job: Job, blob: Descriptor) -> None:
    """Move one layer of the image anew, whatever the target says it holds.

    Args:
        job: The build; its engine is ``stream``.
        blob: As the image names it.

    Raises:
        TargetError: The source makes other bytes of it than the target lost.
        CarferryError: The source or the target failed.
    """
    key = blob.annotations.get(CONTENT_KEY)
    layers = (each.layer for each in job.plan.layers)
    layer = next((layer for layer in layers if str(layer.content_key) == key), None)
    if layer is None or job.options.engine != "stream":
        reason = f"the registry has lost {blob.digest}, which it said it holds"
        raise TargetError("seal", job.target.ref, reason, "ask the registry's operator")
    job.progress.note(f"{job.target.ref} has lost {layer.name}; sending it again")
    job.progress.expect(layer.size_bytes)
    found = _Mover(job, lambda _: None).move_anew(layer)
    if found.digest != blob.digest:
        reason = f"it has lost {blob.digest}, and {layer.name} is {found.digest} now"
        raise TargetError("seal", job.target.ref, reason, "build again with --reuse none")


def _expect(job: Job, layer_plans: Sequence[LayerPlan]) -> None:
    size = sum(each.bytes_to_move + each.bytes_to_check for each in layer_plans)
    job.progress.expect(size, len(layer_plans))


class _Mover:
    """Moves one layer at a time; shared by the pool's threads."""

    def __init__(self, job: Job, arrived: Callable[[Descriptor], None]) -> None:
        self._job = job
        self._source = job.source
        self._target = job.target
        self._retry = job.retry
        self._progress = job.progress
        self._arrived = arrived
        self._mounts = Mounts(job.target, job.progress.note)

    def take(self, layer_plan: LayerPlan) -> LayerResult:
        result = self.find(layer_plan) or self._moved(layer_plan)
        self._arrived(result.descriptor)
        return result

    def repeat(self, layer_plan: LayerPlan, taken: LayerResult) -> LayerResult:
        """Return the result of a layer whose blob was taken, perhaps for another file."""
        layer = layer_plan.layer
        if layer is taken.layer:
            return taken
        self._progress.begin(layer.name, layer.size_bytes)
        descriptor = model_descriptor(layer, taken.descriptor.digest)
        self._arrived(descriptor)
        how = How.REUSE if layer_plan.how is How.MOVE else layer_plan.how
        self._progress.end(layer.name, how.value)
        return LayerResult(layer, descriptor, how)

    def seek(self, layer_plan: LayerPlan) -> LayerResult | None:
        found = self.find(layer_plan)
        if found is None:
            self._progress.end(layer_plan.layer.name, "missing")
        return found

    def find(self, layer_plan: LayerPlan) -> LayerResult | None:
        layer = layer_plan.layer
        self._progress.begin(layer.name, layer.size_bytes)
        for claim in layer_plan.claims:
            if self._is_here(claim) and (claim.believed or self._is_proved(layer, claim)):
                how = layer_plan.how
                self._progress.end(layer.name, how.value)
                return LayerResult(layer, model_descriptor(layer, claim.digest, claim.ids), how)
        return None

    def _moved(self, layer_plan: LayerPlan) -> LayerResult:
        layer = layer_plan.layer
        if layer_plan.how is not How.MOVE:
            if layer_plan.how is not How.CHECK:
                # What was not mounted after all counts towards what is to be moved.
                self._progress.expect(layer.size_bytes)
            self._progress.begin(layer.name, layer.size_bytes)
        descriptor, retries = self._move(layer)
        self._progress.end(layer.name, How.MOVE.value)
        return LayerResult(layer, descriptor, How.MOVE, retries)

    def move_anew(self, layer: Layer) -> Descriptor:
        """Move a layer without looking for it."""
        self._progress.begin(layer.name, layer.size_bytes)
        descriptor, _ = self._move(layer)
        self._progress.end(layer.name, How.MOVE.value)
        return descriptor

    def _is_proved(self, layer: Layer, claim: Claim) -> bool:
        flaw = flaw_at_target(self._job, layer, claim.digest)
        if flaw:
            place = f"{claim.by} of {claim.home}" if claim.by else str(claim.home)
            self._progress.note(
                f"{layer.name}: not reused, {place} says {claim.digest} is it, but {flaw}"
            )
        return not flaw

    def _is_here(self, claim: Claim) -> bool:
        if is_same_home(claim.home, self._target.ref):
            return True
        return self._mounts.mount(claim.digest, claim.home)

    def _move(self, layer: Layer) -> tuple[Descriptor, int]:
        retries = corrupt = 0
        tries = self._retry.tries(about=layer.name)
        while True:
            self._retry.check()
            try:
                return self._once(layer), retries + corrupt
            except SourceChanged as error:
                corrupt += 1
                if corrupt >= _CORRUPT_TRIES:
                    raise
                self._progress.note(f"{error}; reading it once more")
            except CarferryError as error:
                tries.again(error)
                retries += 1

    def _once(self, layer: Layer) -> Descriptor:
        with counting(self._progress, self._retry, layer.name) as moved:
            if is_small_blob(layer):
                digest = send_small_blob(layer, self._source, self._target, moved=moved)
                return model_descriptor(layer, digest)
            with (
                LayerReader(layer, self._source, moved=moved) as reader,
                open_upload(self._target, layer.size_bytes) as upload,
            ):
                self._send(reader, upload, moved)
                digest = reader.digest()
                # A registry may copy and hash all of it before it answers.
                with self._progress.phase(f"committing {layer.name}", self._target.ref.host):
                    upload.commit(digest)
        return model_descriptor(layer, digest, reader.ids)

    def _send(self, reader: LayerReader, upload: Upload, moved: Moved) -> None:
        """Send the layer; after a break go on at the offset that the target proves."""
        start, tries = 0, self._retry.tries(about=reader.name)
        while True:
            try:
                # Closed here: an error's traceback may keep the reader and its connection alive.
                with closing(reader.chunks(start)) as chunks:
                    upload.send(chunks, start)
                return
            except (TargetError, Unreachable) as error:
                if not error.temporary:
                    raise
                offset = upload.offset()
                # Only an offset within what was sent can be true; anything else: start over.
                if offset is None or not 0 < offset <= reader.hashed_bytes:
                    error.tries += tries.count
                    raise
                if offset > start:
                    tries.progressed()
                start = offset
                moved.back(start)
                tries.again(error)
                self._progress.note(f"{reader.name}: going on at byte {start}")
