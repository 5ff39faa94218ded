from __future__ import annotations

import pytest

from carferry.errors import InputError
from carferry.gpu.inventory.catalogue import find
from carferry.gpu.memory.vllm_version import find_version


@pytest.mark.parametrize(
    ("version", "utilization", "by_concurrency"),
    [
        ("0.8.5", 0.9, False),
        ("v0.15.1", 0.9, False),
        ("0.22.1+rhai1", 0.92, True),
        ("1.0", 0.92, True),
    ],
)
def test_version_decides_the_default_share_and_the_log_line(
    version: str, utilization: float, by_concurrency: bool
) -> None:
    chosen = find_version(version)

    assert (chosen.utilization, chosen.tokens_by_concurrency) == (utilization, by_concurrency)


@pytest.mark.parametrize("text", ["", "latest", "0", "x.y"])
def test_text_that_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a version"):
        find_version(text)


@pytest.mark.parametrize(
    ("version", "gpu", "batching"),
    [
        ("0.33.0", "H100", (8192, 1024)),
        ("0.33.0", "A100-80GB", (2048, 256)),
        ("0.33.0", "L40S", (2048, 256)),
        ("0.33.0", "B200", (16384, 1024)),
        ("0.11.0", "B200", (8192, 1024)),
        ("0.33.0", "GB10", (2048, 256)),
    ],
)
def test_memory_and_name_decide_the_batching_tier(
    version: str, gpu: str, batching: tuple[int, int]
) -> None:
    assert find_version(version).batching(find(gpu)) == batching
