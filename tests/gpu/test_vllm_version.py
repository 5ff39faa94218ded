from __future__ import annotations

import pytest

from carferry.errors import InputError
from carferry.gpu.inventory.catalogue import find
from carferry.gpu.vllm.releases import READ
from carferry.gpu.vllm.version import find_version


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


@pytest.mark.parametrize(
    ("version", "dated", "guessed", "words"),
    [
        ("0.33.0", "0.33.0", False, ""),
        ("v0.11.2", "0.11.2", False, ""),
        ("0.11.2+rhai5", "0.11.2", False, "a build of vLLM 0.11.2, planned as the release"),
        ("0.18.0+rhaiv.14", "0.18.0", False, "a build of vLLM 0.18.0"),
        ("0.11.7", "0.11.2", True, "planned as vLLM 0.11.2, the nearest known to 0.11.7"),
        ("0.34.1", "0.33.0", True, "planned as vLLM 0.33.0, the nearest known to 0.34.1"),
        ("1.0", "0.33.0", True, "the nearest known to 1.0.0"),
        ("0.3.2", "0.6.6", True, "the nearest known to 0.3.2"),
        ("rhoai-3.4", "0.18.0", False, "rhoai-3.4 serves with vLLM 0.18.0"),
        ("rhoai-2.25", "0.10.1", False, "serves with vLLM 0.10.1"),
        ("RHOAI-3.4-ea.1", "0.14.1", False, "serves with vLLM 0.14.1"),
        ("openshift-ai-3.5", "0.24.0", False, "serves with vLLM 0.24.0"),
        ("rhoai-3.9", "0.24.0", True, "of OpenShift AI 3.5, the nearest known to rhoai-3.9"),
        ("rhoai-2.8", "0.9.1", True, "of OpenShift AI 2.22, the nearest known to rhoai-2.8"),
    ],
)
def test_a_version_is_found_by_release_build_or_platform(
    version: str, dated: str, guessed: bool, words: str
) -> None:
    """Main took the first two numbers, said nothing of a guess and knew no OpenShift AI."""
    found = find_version(version)

    assert (found.dated, found.is_guessed) == (dated, guessed)
    assert words in found.note and bool(words) == bool(found.note)


@pytest.mark.parametrize(
    ("name", "first", "before", "after"),
    [
        ("utilization", "0.20.0", 0.9, 0.92),
        ("graphs_budgeted", "0.20.0", False, True),
        ("states_checked", "0.20.0", False, True),
        ("tokens_by_concurrency", "0.20.1", False, True),
        ("sliding_as_full", "0.9.1", True, False),
        ("sampler_bytes", "0.11.0", 16.0, 38.4),
        ("sampler_bytes", "0.17.0", 38.4, 15.0),
        ("sampler_bytes", "0.21.0", 15.0, 16.0),
        ("padding_ratio", "0.12.0", 1.0, 1.25),
        ("padding_ratio", "0.18.0", 1.25, 1.5),
        ("fused_reduce", "0.17.0", False, True),
        ("space_kept", "0.18.0", False, True),
        ("exact_states", "0.13.0", False, True),
        ("more_context_gib", "0.18.0", 0.0, 0.12),
        ("expert_chunk", "0.12.0", 32768, 16384),
        ("expert_chunk", "0.18.0", 16384, 0),
        ("second_runner", "0.25.0", "named", "dense"),
        ("second_runner", "0.29.0", "dense", "all"),
        ("second_reserves", "0.29.0", False, True),
        ("second_encodes", "0.27.0", False, True),
        ("second_models", "0.22.0", (), ("Qwen3ForCausalLM",)),
        ("lora_graphs", "0.11.1", 1, 2),
        ("blackwell_graphs", "0.28.0", 512, 1024),
        ("batches_in_flight", "0.26.0", 1, 2),
        ("aligned_states", "0.28.0", False, True),
        ("huge_tier", "0.28.0", False, True),
        ("second_sampler_bytes", "0.33.0", 2.0, 16.0),
        ("lowest_capability", "0.33.0", 70, 75),
    ],
)
def test_what_changes_changes_at_one_release(
    name: str, first: str, before: object, after: object
) -> None:
    known = sorted(READ)
    at = known.index(tuple(map(int, first.split("."))))  # type: ignore[arg-type]
    older = ".".join(map(str, known[at - 1]))

    found = getattr(find_version(older), name), getattr(find_version(first), name)

    assert found == (before, after)


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
