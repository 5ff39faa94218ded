"""Several things at once: results in order, the first failure raised, the others stopped."""

from __future__ import annotations

import threading

import pytest

from carferry.errors import SourceError
from carferry.io.net.retry import Cancelled, Retry
from carferry.io.parallel import advance, run_parallel
from carferry.io.show.progress import Silent


def test_results_come_in_the_order_of_the_items() -> None:
    second = threading.Event()

    def work(item: int) -> int:
        if item == 1:
            assert second.wait(10)
        second.set()
        return item * 10

    assert run_parallel(work, [1, 2], parallel=2, retry=Retry()) == [10, 20]


def test_a_failure_is_not_hidden_by_an_earlier_item_that_stopped_because_of_it() -> None:
    retry = Retry()

    def work(item: str) -> None:
        if item == "broken":
            raise SourceError("read", item, "it broke")
        while True:
            advance(Silent(), retry, item, 1)

    with pytest.raises(SourceError, match="it broke"):
        run_parallel(work, ["endless", "broken"], parallel=2, retry=retry)
    assert not retry.stop.is_set()


def test_after_a_failure_nothing_new_is_begun() -> None:
    begun = []

    def work(item: int) -> None:
        begun.append(item)
        if item == 1:
            raise SourceError("read", item, "it broke")
        retry.check()

    retry = Retry()
    with pytest.raises(SourceError):
        run_parallel(work, range(1, 1000), parallel=1, retry=retry)
    assert len(begun) < 999


def test_what_was_stopped_from_outside_stays_stopped() -> None:
    retry = Retry()
    retry.stop.set()
    with pytest.raises(Cancelled):
        run_parallel(lambda _: retry.check(), [1, 2], parallel=2, retry=retry)
    assert retry.stop.is_set()


def test_nothing_to_do_is_done() -> None:
    assert run_parallel(str, [], parallel=4, retry=Retry()) == []
