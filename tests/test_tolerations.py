from __future__ import annotations

from typing import Any

import pytest

from carferry.cluster.tolerations import Toleration


@pytest.mark.parametrize(
    ("toleration", "made"),
    [
        (Toleration(key="gpu", value="L4"), {"key": "gpu", "operator": "Equal", "value": "L4"}),
        (Toleration(operator="Exists"), {"operator": "Exists"}),
        (
            Toleration(key="a/b", operator="Exists", effect="NoExecute", seconds=0),
            {"key": "a/b", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0},
        ),
    ],
)
def test_empty_parts_are_left_out_of_the_object(
    toleration: Toleration, made: dict[str, Any]
) -> None:
    assert toleration.object == made


@pytest.mark.parametrize(
    ("toleration", "text"),
    [
        (Toleration(key="gpu", value="L4", effect="NoSchedule"), "gpu=L4:NoSchedule"),
        (Toleration(key="gpu", effect="NoSchedule"), "gpu:NoSchedule"),
    ],
)
def test_text_is_the_form_kubectl_takes(toleration: Toleration, text: str) -> None:
    assert str(toleration) == text
