from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import pytest
from gpu.class_rules import class_violations
from gpu.matrix import CARDS, MODELS, Card, Command, Facts, violations
from gpu.samples import config_of

from carferry.errors import InputError
from carferry.gpu.inventory.nodes import named
from carferry.gpu.search.decide import decide
from carferry.gpu.search.plan import Goal, GpuPlan, Option
from carferry.gpu.sizing.estimate import Verdict

sys.path.insert(0, str(Path(__file__).parents[1] / "cluster" / "images" / "vllm"))
from vllm.standin.arguments import parser  # what each vLLM takes, from its sources

VERSIONS = ("0.11.0", "0.20.2", "0.24.0", "0.33.0")
_ROOMY = 0.75


PARSERS = {version: parser(version) for version in ("0.12.0", *VERSIONS)}


@cache
def plan_of(facts: Facts, card: Card, version: str) -> GpuPlan:
    goal = Goal(vllm=version)
    return decide(config_of(facts.name), gpus=named(card.text), goal=goal, subject=facts.name)


def command(arguments: Sequence[str], version: str) -> Command:
    major, minor = version.split(".")[:2]
    given = vars(PARSERS[version].parse_args(list(arguments)))
    return Command(given, (int(major), int(minor)))


def broken(facts: Facts, card: Card, version: str) -> list[str]:
    """Return what is wrong with a plan: of every option it says starts, not the chosen alone."""
    plan, config = plan_of(facts, card, version), config_of(facts.name)
    if tuple(map(int, version.split(".")[:2])) < facts.since:
        return [f"{facts.name} on {version}, which has no such model"] if plan.is_fit else []
    if not plan.is_fit:
        roomy = facts.weights_gib < _ROOMY * card.memory_gib - 6 and card.capability >= 80
        said = f"{facts.name} on {card.text}: {plan.verdict.value}, {plan.binding}"
        classless = "came with" in plan.binding  # an older vLLM has no class for the model
        return [said] if (roomy and not classless) or not plan.binding else []
    starts = [option for option in plan.options if option.verdict is not Verdict.NO]
    return [
        f"{facts.name} on {option.tp * option.pp} of {card.text}: {what}"
        for option in starts
        for what in violations(facts, config, card, printed(plan, option, version))
    ]


def packed(facts: Facts, plan: GpuPlan) -> Facts:
    """Return a model as the change has it: a revision of four bits holds less."""
    if plan.change is None or plan.change.model is plan.model:
        return facts
    share = 0.6 if plan.model.shape.quantization else 0.32
    return replace(facts, weights_gib=share * facts.weights_gib)


def printed(plan: GpuPlan, option: Option, version: str) -> Command:
    return command(replace(plan, chosen=option).arguments, version)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.text)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_printed_command_obeys_every_rule(card: Card, version: str) -> None:
    assert [line for facts in MODELS for line in broken(facts, card, version)] == []


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.text)
def test_every_smallest_change_obeys_every_rule(card: Card) -> None:
    """What a change leads to is a command too, on whatever GPUs it names."""
    wrong = []
    for facts in MODELS:
        plan = plan_of(facts, card, "0.24.0")
        if plan.change is None:
            continue
        option = plan.change.option
        gpu = option.group.gpu
        told = Card(
            gpu.name, gpu.memory_gib * 1.01, gpu.capability, option.group.total,
            option.group.nodes, joined=not gpu.slices,
        )  # fmt: skip
        read, revision = printed(plan, option, "0.24.0"), packed(facts, plan)
        found = violations(revision, config_of(facts.name), told, read)
        wrong += [f"{facts.name} on {card.text}: {plan.change.what}: {what}" for what in found]
    assert wrong == []


CLASSES = (
    "google/gemma-3-27b-it", "google/gemma-3n-E4B-it", "microsoft/Phi-4-multimodal-instruct",
    "tiiuae/falcon-7b", "openai/gpt-oss-20b", "Qwen/Qwen3-8B-FP8", "Qwen/Qwen2.5-7B-Instruct-AWQ",
    "nvidia/Llama-3.1-70B-Instruct-FP8", "nvidia/Qwen3-235B-A22B-NVFP4",
    "deepseek-ai/DeepSeek-V3.2", "deepseek-ai/DeepSeek-V4-Flash", "zai-org/GLM-5-FP8",
    "bigcode/starcoder2-7b", "sentence-transformers/all-MiniLM-L6-v2", "moonshotai/Kimi-K2.5",
)  # fmt: skip
WISHES = (
    Goal(), Goal(lora_rank=8), Goal(nodes=2), Goal(dtype="float32"), Goal(dtype="float16"),
    Goal(quantization="fp8"),
)  # fmt: skip
PLACES = (
    *(card for card in CARDS if card.text in ("L4 x4", "2 nodes of H100 x8")),
    Card("T4 x8", 14.8, 75, 8),
    Card("A100-80GB x8", 79.4, 80, 8),
    Card("RTX PRO 6000 x8", 95.0, 120, 8),
)


def refused_by_classes(card: Card, version: str) -> list[str]:
    """Return every command that a plan prints as starting, and a class of vLLM refuses."""
    wrong, minor = [], int(version.split(".")[1])
    for model, wish in product(CLASSES, WISHES):
        config, goal = config_of(model), replace(wish, vllm=version)
        with suppress(InputError):  # packed already
            plan = decide(config, gpus=named(card.text), goal=goal, subject=model)
            change = [plan.change.option] if plan.change and plan.change.model is plan.model else []
            for option in (*plan.options, *change):
                if option.verdict is not Verdict.NO:
                    given = printed(plan, option, version).given
                    found = class_violations(config, option.group.gpu.capability, given, minor)
                    wrong += [f"{model} on {card.text}, {goal}: {what}" for what in found]
    return wrong


@pytest.mark.parametrize("card", PLACES, ids=lambda card: card.text)
@pytest.mark.parametrize("version", ["0.12.0", "0.24.0"])
def test_no_printed_command_is_refused_by_a_class(card: Card, version: str) -> None:
    assert refused_by_classes(card, version) == []


def test_the_matrix_is_wide() -> None:
    assert (len(MODELS), len(CARDS)) == (30, 22)


@pytest.mark.parametrize(
    ("model", "card", "arguments", "rule"),
    [
        ("Qwen/Qwen3.5-27B", "H100", ["--max-num-seqs=1024"], "1024 sequences for at most"),
        ("Qwen/Qwen3-235B-A22B-FP8", "H100 x8", ["--tensor-parallel-size=8"], "width 1536 by 8"),
        ("microsoft/phi-4", "L40S x8", ["--tensor-parallel-size=4"], "10 KV heads by 4"),
        ("meta-llama/Llama-3.1-70B-Instruct", "H100", [], "one request of"),
        ("meta-llama/Llama-3.1-8B-Instruct", "T4", ["--dtype=bfloat16"], "bfloat16 below"),
        ("meta-llama/Llama-3.1-8B-Instruct", "H100", ["--max-num-seqs=9000"], "9000 sequences"),
    ],
)
def test_the_rules_see_what_cannot_start(
    model: str, card: str, arguments: list[str], rule: str
) -> None:
    usual = ["--max-model-len=8192", "--max-num-batched-tokens=8192", "--max-num-seqs=256"]
    facts = next(each for each in MODELS if each.name == model)
    gpus = next(each for each in CARDS if each.text == card)
    read = command([*usual, *arguments], "0.24.0")

    found = list(violations(facts, config_of(model), gpus, read))

    assert [each for each in found if each.startswith(rule)]
