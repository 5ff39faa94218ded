"""Trying again is bounded, polite, and stops at once when another part has failed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from ferrying import quick
from waiting import Flaky, Waits, failure

from carferry.errors import CarferryError, DeadlineExceeded, Unreachable
from carferry.io.net.retry import Cancelled, Retry


def patient(waits: Waits, **changes: object) -> Retry:
    """Return the default policy on a clock of its own."""
    settings = {"stop": waits, "clock": waits.clock, "jitter": lambda: 1.0, "started": 0.0}
    return Retry(**(settings | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("failures", [0, 1, 5])
def test_a_temporary_failure_is_tried_again(failures: int) -> None:
    work = Flaky(failures, failure())
    assert (quick().call(work), work.calls) == ("done", failures + 1)


def test_a_final_failure_is_not_tried_again() -> None:
    work = Flaky(1, failure(temporary=False))
    with pytest.raises(CarferryError):
        quick().call(work)
    assert work.calls == 1


def test_the_tries_are_bounded_and_the_last_error_comes_out() -> None:
    work = Flaky(100, failure())
    with pytest.raises(CarferryError, match="busy"):
        quick(attempts=3).call(work)
    assert work.calls == 3


def test_first_contact_gives_up_soon_if_nothing_answers() -> None:
    work = Flaky(100, Unreachable("reach", "host", "refused"))
    with pytest.raises(Unreachable):
        quick().call(work, first=lambda: True)
    assert work.calls == 2


def test_more_first_tries_wait_longer_for_an_answer() -> None:
    work = Flaky(4, Unreachable("reach", "host", "no such name yet"))
    assert quick(first_tries=5).call(work, first=lambda: True) == "done"


def test_first_contact_is_over_as_soon_as_any_request_got_through() -> None:
    """Several requests start at once: one that is reset twice is no sign of a wrong host name."""
    work = Flaky(3, Unreachable("reach", "host", "reset"))
    assert quick().call(work, first=lambda: work.calls < 2) == "done"


def test_first_contact_is_patient_with_a_server_that_asks_for_it() -> None:
    work = Flaky(4, failure())
    assert quick().call(work, first=lambda: True) == "done"


@pytest.mark.parametrize(
    ("asked_s", "temporary", "calls"), [(2.0, True, 4), (11.0, True, 1), (2.0, False, 1)]
)
def test_a_few_short_pauses_are_no_tries_where_they_are_granted(
    asked_s: float, temporary: bool, calls: int
) -> None:
    waits, work = Waits(), Flaky(100, failure(temporary=temporary, after_s=asked_s))
    with pytest.raises(CarferryError, match="busy"):
        patient(waits, attempts=1, granted=3).call(work)
    assert work.calls == calls
    assert waits.waited == [asked_s] * (calls - 1)


def test_pauses_double_up_to_a_cap() -> None:
    waits = Waits()
    patient(waits, attempts=9, cap_s=10.0).call(Flaky(7, failure()))
    assert waits.waited == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_jitter_takes_away_half_at_the_most() -> None:
    waits = Waits()
    patient(waits, jitter=lambda: 0.0).call(Flaky(2, failure()))
    assert waits.waited == [0.25, 0.5]


def test_a_server_that_asks_to_wait_is_heard_up_to_a_window_of_the_hub() -> None:
    waits = Waits()
    for asked_s in (7.0, 172.0, 300.0):
        patient(waits, cap_s=20.0).call(Flaky(1, failure(after_s=asked_s)))
    assert waits.waited == [7.0, 172.0, 300.0]


def test_a_server_that_asks_for_longer_is_not_asked_again_and_that_is_said() -> None:
    """It was tried six times more, after the usual pauses, and refused each time."""
    waits, work = Waits(), Flaky(1, failure(after_s=21_600.0))
    with pytest.raises(CarferryError, match=r"busy; it asks to wait 6 h, longer than .* again"):
        patient(waits).call(lambda: patient(waits).call(work))
    assert (waits.waited, work.calls) == ([], 1)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_loops_around_loops_share_one_count(depth: int) -> None:
    """It was 6, 36, 216, 1296."""
    work: Callable[[], str] = (flaky := Flaky(10_000, failure()))
    for _ in range(depth):
        work = partial(quick(attempts=6).call, work)
    with pytest.raises(CarferryError, match="busy"):
        work()
    assert flaky.calls == 6


def test_first_contact_gives_up_soon_whatever_tries_around_it() -> None:
    work = Flaky(100, Unreachable("reach", "host", "refused"))
    with pytest.raises(Unreachable):
        quick().call(lambda: quick().call(work, first=lambda: True))
    assert work.calls == 2


def test_a_loop_of_fewer_tries_leaves_the_rest_to_the_one_around_it() -> None:
    flaky = Flaky(100, failure())

    def inner() -> str:
        tries = quick(attempts=6).tries(most=3)
        while True:
            try:
                return flaky()
            except CarferryError as error:
                tries.again(error)

    with pytest.raises(CarferryError, match="busy"):
        quick(attempts=6).call(inner)
    assert flaky.calls == 6


def test_progress_begins_the_count_anew() -> None:
    tries = quick(attempts=3).tries()
    for _ in range(5):
        tries.again(failure())
        tries.again(failure())
        tries.progressed()
    tries.again(failure())
    tries.again(failure())
    with pytest.raises(CarferryError, match="busy"):
        tries.again(failure())


def test_every_try_but_the_first_says_a_line() -> None:
    """Nothing was said: a build that waited looked like one that hung."""
    waits, said = Waits(), list[str]()
    patient(waits, report=said.append).call(Flaky(3, failure(after_s=2.0)))
    assert said == [
        "push x: busy; trying again in 2.0 s, try 2 of 6",
        "push x: busy; trying again in 2.0 s, try 3 of 6",
        "push x: busy; trying again in 2.0 s, try 4 of 6",
    ]


def test_nothing_is_tried_after_the_deadline() -> None:
    waits = Waits()
    with pytest.raises(DeadlineExceeded, match="last: busy") as caught:
        patient(waits, deadline_s=2.0).call(Flaky(100, failure()))
    assert waits.now <= 2.0
    assert isinstance(caught.value, TimeoutError)


def test_a_stop_ends_the_waiting_at_once() -> None:
    retry = Retry(base_s=3600.0, cap_s=3600.0)

    def work() -> None:
        retry.stop.set()
        raise failure()

    with pytest.raises(Cancelled):
        retry.call(work)


def test_a_stop_set_before_starts_nothing() -> None:
    retry, work = quick(), Flaky(0, failure())
    retry.stop.set()
    with pytest.raises(Cancelled):
        retry.call(work)
    assert work.calls == 0
