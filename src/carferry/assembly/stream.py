"""The stream engine: layers go from source to target in one pass, several at once, no disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass

from carferry.assembly.layer_reader import LayerPass
from carferry.assembly.plan import How, Plan, Step
from carferry.errors import CarferryError, SourceChanged, TargetError, Unreachable
from carferry.image.compose import model_descriptor
from carferry.image.layers import Layer
from carferry.io.progress import Progress
from carferry.io.retry import Cancelled, Retry
from carferry.oci.documents import Descriptor
from carferry.refs import Digest
from carferry.registry.target import Target, Upload
from carferry.source import Source

# A wrong byte on the wire deserves one more try; a wrong file does not get better.
_CORRUPT_TRIES = 2


@dataclass(frozen=True, slots=True)
class Moved:
    """What happened to one layer.

    Attributes:
        layer: The layer.
        descriptor: How the image will refer to it.
        how: What it took.
        retries: Times it had to be sent again.
    """

    layer: Layer
    descriptor: Descriptor
    how: How
    retries: int = 0


def stream(
    steps: Sequence[Step],
    source: Source,
    target: Target,
    *,
    parallel: int,
    retry: Retry,
    progress: Progress,
    arrived: Callable[[Descriptor], None] = lambda _: None,
) -> list[Moved]:
    """Bring every layer of the steps to the target.

    Args:
        steps: A plan's steps, or one worker's share of them.
        source: Where files are read.
        target: Where blobs are written.
        parallel: Layers on their way at once; each holds about 20 MiB.
        retry: Policy; its ``stop`` is set when one layer fails for good.
        progress: Told about every chunk.
        arrived: Told about every layer that is at the target now.

    Returns:
        One entry per step, in the order given.

    Raises:
        CarferryError: The first failure; the others have stopped and cancelled their uploads.
    """
    progress.expect(sum(step.bytes_to_move for step in steps))
    mover = _Mover(source, target, retry, progress, arrived)
    with ThreadPoolExecutor(max(1, parallel), thread_name_prefix="carferry") as pool:
        try:
            futures = [pool.submit(mover.take, step) for step in steps]
            wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:
            retry.stop.set()
            raise
        _raise_first(futures, retry)
    return [future.result() for future in futures]


def _raise_first(futures: Sequence[Future[Moved]], retry: Retry) -> None:
    if any(future.done() and future.exception() for future in futures):
        stopped_before = retry.stop.is_set()
        retry.stop.set()
        for future in futures:
            future.cancel()
        wait([future for future in futures if not future.cancelled()])
        if not stopped_before:
            # All have stopped; the policy goes on to govern what is saved of their work.
            retry.stop.clear()
    errors = [f.exception() for f in futures if not f.cancelled() and f.exception()]
    # Those that stopped because of the first failure only say so.
    for error in sorted(errors, key=lambda error: isinstance(error, Cancelled)):
        if error is not None:
            raise error


class _Mover:
    """Moves one step at a time; shared by the pool's threads."""

    def __init__(
        self,
        source: Source,
        target: Target,
        retry: Retry,
        progress: Progress,
        arrived: Callable[[Descriptor], None],
    ) -> None:
        self._source = source
        self._target = target
        self._retry = retry
        self._progress = progress
        self._arrived = arrived

    def take(self, step: Step) -> Moved:
        result = self._take(step)
        self._arrived(result.descriptor)
        return result

    def _take(self, step: Step) -> Moved:
        layer = step.layer
        self._progress.begin(layer.name, layer.size_bytes)
        if step.held and self._there(step):
            self._progress.end(layer.name, step.how.value)
            return Moved(layer, model_descriptor(layer, step.held.digest), step.how)
        digest, retries = self._move(layer)
        self._progress.end(layer.name, How.MOVE.value)
        return Moved(layer, model_descriptor(layer, digest), How.MOVE, retries)

    def _there(self, step: Step) -> bool:
        if step.held is None or step.how is How.REUSE:
            return step.held is not None
        return self._target.mount(step.held.digest, step.held.home)

    def _move(self, layer: Layer) -> tuple[Digest, int]:
        attempt = corrupt = 0
        while True:
            self._retry.check()
            try:
                return self._once(layer), attempt + corrupt
            except SourceChanged as error:
                corrupt += 1
                if corrupt >= _CORRUPT_TRIES:
                    raise
                self._progress.note(f"{error}; reading it once more")
            except CarferryError as error:
                attempt += 1
                self._retry.pause(attempt, error)
                self._progress.note(f"{error}; sending it again")

    def _once(self, layer: Layer) -> Digest:
        name = layer.name
        with LayerPass(layer, self._source, moved=lambda size: self._moved(name, size)) as body:
            upload = self._target.start_upload(layer.size_bytes)
            try:
                self._send(body, upload)
                digest = body.digest()
                upload.commit(digest)
            except BaseException:
                upload.cancel()
                raise
        return digest

    def _moved(self, name: str, size_bytes: int) -> None:
        # An interrupt must not wait for the end of a file of many GiB.
        self._retry.check()
        self._progress.advance(name, size_bytes)

    def _send(self, body: LayerPass, upload: Upload) -> None:
        """Send the layer; after a break go on where the target proves that it stands."""
        start, attempt = 0, 0
        while True:
            try:
                # Closed here: an error's traceback may keep the reader and its connection alive.
                with closing(body.chunks(start)) as chunks:
                    upload.send(chunks, start)
                return
            except (TargetError, Unreachable) as error:
                if not error.temporary:
                    raise
                offset = upload.offset()
                # Only an offset within what was sent can be true; anything else: start over.
                if offset is None or not 0 < offset <= body.hashed_bytes:
                    raise
                attempt = attempt + 1 if offset <= start else 1
                start = offset
                self._retry.pause(attempt, error)
                self._progress.note(f"{error}; going on at byte {start}")


def arrived_already(step: Step) -> Moved:
    """Return the record of a layer that another worker moved.

    Raises:
        ValueError: The step is not held anywhere.
    """
    if step.held is None:
        raise ValueError(f"{step.layer.name} has not arrived")
    return Moved(step.layer, model_descriptor(step.layer, step.held.digest), How.REUSE)


def moved_bytes(results: Sequence[Moved]) -> int:
    """Return how many layer bytes crossed the network, retries not counted."""
    return sum(r.layer.size_bytes for r in results if r.how is How.MOVE)


def by_position(plan: Plan, results: Sequence[Moved]) -> list[Descriptor]:
    """Return the descriptors in image order, whatever order they were moved in."""
    found = {result.layer.content_key: result.descriptor for result in results}
    return [found[step.layer.content_key] for step in plan.steps]
