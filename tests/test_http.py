"""The few facts about HTTP that are read from headers."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from carferry.io.http import retry_after


@pytest.mark.parametrize(
    ("text", "seconds"), [("7", 7.0), (" 0 ", 0.0), ("", 0.0), ("soon", 0.0), ("-3", 0.0)]
)
def test_a_number_of_seconds_is_taken_and_nonsense_is_not(text: str, seconds: float) -> None:
    assert retry_after({"Retry-After": text}) == seconds


def test_a_date_is_as_good_as_a_number() -> None:
    in_a_minute = formatdate(time.time() + 60, usegmt=True)
    assert 55 < retry_after({"Retry-After": in_a_minute}) <= 60


def test_a_date_in_the_past_asks_for_no_wait() -> None:
    assert retry_after({"Retry-After": formatdate(0, usegmt=True)}) == 0.0


def test_a_server_that_says_nothing_asks_for_no_wait() -> None:
    assert retry_after({}) == 0.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"RateLimit": '"resolvers";r=0;t=172'}, 172.0),
        ({"RateLimit": '"api";r=3;t=9, "resolvers"; r=0; t=55'}, 55.0),
        ({"RateLimit": '"resolvers";r=2999;t=172'}, 0.0),
        ({"RateLimit": '"resolvers";r=0;t=172', "Retry-After": "5"}, 5.0),
        ({"RateLimit": "nonsense"}, 0.0),
    ],
)
def test_the_hub_says_when_its_window_ends(headers: dict[str, str], seconds: float) -> None:
    assert retry_after(headers) == seconds
