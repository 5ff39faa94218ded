from __future__ import annotations

import pytest

from carferry.cluster.quantity import Quantity
from carferry.errors import InputError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", 2),
        ("500m", 0.5),
        ("1Ki", 1024),
        ("1.5Gi", 1610612736),
        ("1e3", 1000),
        (8, 8),
        ("2k", 2000),
        ("2E", 2e18),
        ("2Ei", 2 << 60),
        ("-1", -1),
        (" .5 ", 0.5),
    ],
)
def test_quantity_is_parsed(text: object, value: float) -> None:
    assert float(Quantity.of(text).amount) == value


@pytest.mark.parametrize("text", ["", "Gi", "1Zi", "1 Gi x", "NaN", "1e999"])
def test_text_that_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        Quantity.of(text)


@pytest.mark.parametrize(
    ("text", "reason"), [("-1Gi", "not a quantity"), ("+1", "not a quantity"), ("0Mi", "zero")]
)
def test_an_amount_to_ask_for_is_above_zero(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=f"read memory .*: {reason}"):
        Quantity.parse(text, what="memory")


def test_quantity_is_kept_as_written_and_counts_in_whole_units() -> None:
    quantity = Quantity.of("1500m")

    assert (str(quantity), int(quantity)) == ("1500m", 1)
