"""A pipelines API server that answers with anything: a run is started and followed, or one line."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from servers.argo import Look
from servers.chaos import Rewrite, Rule
from servers.dsp import PipelineServer
from servers.proxy import Proxy

from carferry.errors import CarferryError
from carferry.pipelines.runs import follow
from carferry.pipelines.server import requests, submit
from carferry.pipelines.server.endpoint import Endpoint
from fuzz.mutations import Broken, names

SEEDS = 80
LONGEST_S = 15.0
TYPED = {"model": "org/name", "image": "docker://registry.example/team/model:1"}
LOOKS = [Look("RUNNING", at="fit-model"), Look("SUCCEEDED")]


def rule_of(seed: int) -> Rule:
    """Return what goes wrong in the run of a seed."""
    rng = random.Random(f"pipelines {seed}")
    broken = Broken(rng.choice(names()), rng.randrange(1 << 30))
    method, path = rng.choice((("GET", ""), ("POST", ""), ("GET", "/runs/"), (".*", "")))
    first, times = rng.choice((1, 1, 2, 3, 5)), rng.choice((1, 1, 2, None))
    return Rule(Rewrite(broken.wire), method, path, first, times)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_run_is_there_and_followed_or_one_line_says_why(
    seed: int, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "_TIMEOUT_S", (1, 0.4))
    started = time.monotonic()
    lines: list[str] = []
    with PipelineServer(LOOKS) as server, Proxy(server.url, [rule_of(seed)]) as proxy:
        endpoint = Endpoint(proxy.endpoint, "models")
        try:
            made = submit.start(endpoint, package, TYPED)
            follow.wait(endpoint, made.id, say=lines.append, poll_s=0, timeout_s=5)
        except CarferryError as error:
            lines.append(str(error))
    assert time.monotonic() - started < LONGEST_S
    assert all(line.isprintable() and len(line) < 2100 for line in lines)
