from __future__ import annotations

import pytest

from carferry.errors import InputError
from carferry.gpu.inventory.quantity import parse_quantity


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
    ],
)
def test_quantity_is_parsed(text: object, value: float) -> None:
    assert float(parse_quantity(text)) == value


@pytest.mark.parametrize("text", ["", "Gi", "1Zi", "1 Gi x", "NaN", "1e999"])
def test_text_that_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_quantity(text)
