"""Working on several things at once, until all are done or one has failed for good."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from carferry.io.net.retry import Cancelled, Retry
from carferry.io.show.progress import Progress

SMALL_BYTES = 1024 * 1024
# What so many small items hold together is what one large one does: see assembly.layer_reader.
SMALL_AT_ONCE = 16
Item = TypeVar("Item")
Result = TypeVar("Result")


def run_parallel(
    work: Callable[[Item], Result], items: Sequence[Item], *, parallel: int, retry: Retry
) -> list[Result]:
    """Work on every item, ``parallel`` at once, and return the results in the items' order.

    Args:
        work: Called with one item, on a thread.
        items: What to work on.
        parallel: Threads; at least one.
        retry: The policy that ``work`` checks; its ``stop`` is set until all have stopped.

    Raises:
        CarferryError: The first failure; by then no other thread works any more.
    """

    def attempt(item: Item) -> Result:
        retry.check()
        try:
            return work(item)
        except BaseException:
            # On this thread, at once: it must not begin the next item.
            retry.stop.set()
            raise

    stopped_before = retry.stop.is_set()
    with ThreadPoolExecutor(max(1, parallel), thread_name_prefix="carferry") as pool:
        try:
            futures = [pool.submit(attempt, item) for item in items]
            wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:
            retry.stop.set()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    error = _first_error(futures)
    if error is None:
        return [future.result() for future in futures]
    if not stopped_before and not isinstance(error, Cancelled):
        # All have stopped; the policy goes on to govern what is saved of their work.
        retry.stop.clear()
    raise error


def run_by_size(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    small: Callable[[Item], bool],
    parallel: int,
    retry: Retry,
) -> list[Result]:
    """Work on the large items, ``parallel`` at once, then on the small ones, many at once.

    A small item takes a few round trips and next to no bytes or memory: it would be slow for
    nothing to let it wait its turn among streams.

    Args:
        work: As for ``run_parallel``.
        items: What to work on.
        small: Says of which items at most ``SMALL_BYTES`` are held.
        parallel: Large items at once.
        retry: As for ``run_parallel``.

    Returns:
        The results in the items' order.
    """
    order = sorted(range(len(items)), key=lambda index: small(items[index]))
    count = sum(not small(item) for item in items)
    at_once = max(parallel, SMALL_AT_ONCE)
    results = [
        *run_parallel(work, [items[i] for i in order[:count]], parallel=parallel, retry=retry),
        *run_parallel(work, [items[i] for i in order[count:]], parallel=at_once, retry=retry),
    ]
    return [result for _, result in sorted(zip(order, results, strict=True), key=_place)]


def _place(pair: tuple[int, object]) -> int:
    return pair[0]


def advance(progress: Progress, retry: Retry, name: str, size_bytes: int) -> None:
    """Report bytes of an item that have moved, unless the work was cancelled.

    Called for every chunk: an interrupt must not wait for the end of a file of many GiB.

    Raises:
        Cancelled: ``stop`` of the policy is set.
    """
    retry.check()
    progress.advance(name, size_bytes)


class Moved:
    """Counts the bytes of one item that have moved, and takes back those that must move again.

    Args:
        progress: Shows them.
        retry: The policy of the work; an item of many GiB stops at the next chunk.
        name: Of the item.
    """

    def __init__(self, progress: Progress, retry: Retry, name: str) -> None:
        self._progress, self._retry, self._name = progress, retry, name
        self._bytes = 0

    def __call__(self, size_bytes: int) -> None:
        """Count a chunk.

        Raises:
            Cancelled: ``stop`` of the policy is set.
        """
        advance(self._progress, self._retry, self._name, size_bytes)
        self._bytes += size_bytes

    def back(self, to_bytes: int = 0) -> None:
        """Count only the first so many bytes: those behind them will be sent once more."""
        if gone := self._bytes - to_bytes:
            self._progress.advance(self._name, -gone)
            self._bytes = to_bytes


Counting = AbstractContextManager[Moved]


@contextmanager
def counting(progress: Progress, retry: Retry, name: str) -> Iterator[Moved]:
    """Count the bytes of one item; if the block fails, none of them has moved."""
    moved = Moved(progress, retry, name)
    try:
        yield moved
    except BaseException:
        moved.back()
        raise


def _first_error(futures: Sequence[Future[Result]]) -> BaseException | None:
    """Return the failure that ended the work; those that stopped because of it only say so."""
    errors = [f.exception() for f in futures if not f.cancelled() and f.exception()]
    return min(errors, key=lambda error: isinstance(error, Cancelled), default=None)
