from __future__ import annotations

from typing import Any

import pytest

from carferry.cluster.tolerations import Toleration
from carferry.errors import InputError


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
        (Toleration(operator="Exists"), "*:*"),
        (
            Toleration(key="a", operator="Exists", effect="NoExecute", seconds=60),
            "a:NoExecute for 60 s",
        ),
    ],
)
def test_text_is_the_form_kubectl_takes(toleration: Toleration, text: str) -> None:
    assert str(toleration) == text


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"key": "a", "seconds": 60}, "seconds need effect NoExecute"),
        ({"key": "a", "operator": "Exists", "value": "b"}, "a value needs operator Equal"),
        ({}, "an empty key needs operator Exists"),
    ],
)
def test_what_the_api_server_would_refuse_is_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=why):
        Toleration(**given)
