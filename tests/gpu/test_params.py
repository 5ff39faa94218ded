"""Counts are those of the models instantiated on torch's meta device from their configs."""

from __future__ import annotations

import pytest
from gpu.samples import shape_of

from carferry.gpu.loaded.params import parameter_count

COUNTS = [
    ("ibm-granite/granite-3.1-2b-instruct", 2_533_531_648),
    ("ibm-granite/granite-3.1-8b-instruct", 8_170_848_256),
    ("ibm-granite/granite-4.0-h-small", 32_207_337_984),
    ("meta-llama/Llama-3.1-8B-Instruct", 8_030_261_248),
    ("meta-llama/Llama-3.1-70B-Instruct", 70_553_706_496),
    ("meta-llama/Llama-3.1-405B", 405_853_388_800),
    ("Qwen/Qwen2.5-7B-Instruct", 7_615_616_512),
    ("Qwen/Qwen2.5-32B-Instruct", 32_763_876_352),
    ("Qwen/Qwen2.5-72B-Instruct", 72_706_203_648),
    ("Qwen/Qwen3-8B", 8_190_735_360),
    ("Qwen/Qwen3-32B", 32_762_123_264),
    ("Qwen/Qwen3-30B-A3B", 30_532_122_624),
    ("Qwen/Qwen3-235B-A22B", 235_093_634_560),
    ("Qwen/Qwen3-Next-80B-A3B-Instruct", 79_674_391_296),
    ("mistralai/Mixtral-8x7B-v0.1", 46_702_792_704),
    ("mistralai/Mixtral-8x22B-v0.1", 140_620_634_112),
    ("google/gemma-2-27b-it", 27_227_128_320),
    ("google/gemma-3-27b-it", 27_447_644_992),
    ("deepseek-ai/DeepSeek-V3", 671_026_404_352),
    ("openai/gpt-oss-20b", 20_914_757_184),
    ("openai/gpt-oss-120b", 116_829_156_672),
    ("microsoft/phi-4", 14_659_507_200),
    ("llava-hf/llava-v1.6-mistral-7b-hf", 7_566_747_648),
    ("openai/whisper-large-v3", 1_543_490_560),
    ("sentence-transformers/all-MiniLM-L6-v2", 22_713_216),
    ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", 31_577_937_344),
    ("nvidia/Nemotron-H-56B-Base-8K", 56_324_350_464),
    ("Qwen/Qwen3.5-35B-A3B", 35_107_181_936),
    ("google/gemma-4-E4B-it", 7_941_100_832),
]


@pytest.mark.parametrize(("model", "count"), COUNTS)
def test_counted_weights_match_the_instantiated_model(model: str, count: int) -> None:
    assert parameter_count(shape_of(model)) == pytest.approx(count, rel=0.005)
