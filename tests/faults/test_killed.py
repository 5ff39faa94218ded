"""SIGKILL of any worker and of the sealer, at any step: the next run goes on and ends right."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from ferrying import access, ferry, from_hub
from servers.chaos import Rule, Throttle
from servers.hub import Hub
from servers.models import filled
from servers.personal import PersonalRegistry
from servers.proxy import Proxy

from carferry.refs import ImageRef

REPO = "org/tiny"
WORKERS = 2
KILLS = 2
# The rate makes a file last long enough to be killed in the middle of.
BYTES_PER_S = 1_500_000
DEADLINE_S = 60.0


@dataclass
class Pods:
    """Processes that share one registry.

    Attributes:
        hub: Where the model is.
        registry: Where the image goes, in memory.
        front: The slow way there.
        format: ``modelcar`` or ``modelpack``.
    """

    hub: Hub
    registry: PersonalRegistry
    front: Proxy
    format: str

    def start(self, command: str, *options: str) -> subprocess.Popen[str]:
        """Start one pod's process."""
        words = [
            sys.executable,
            "-m",
            "carferry",
            command,
            REPO,
            f"docker://{self.front.host}/{REPO}:v1",
        ]
        words += ["--base", "scratch", "--format", self.format, "--plain-http", self.front.host]
        environment = {**os.environ, "HF_ENDPOINT": self.hub.endpoint}
        return subprocess.Popen(
            [*words, *options], env=environment, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip

    def kill_after(self, requests: int, command: str, *options: str) -> None:
        """Kill a process with its n-th request to the registry on the way, or let it end."""
        self.front.arm(self.front.rules)
        deadline = time.monotonic() + DEADLINE_S
        with self.start(command, *options) as process:
            while process.poll() is None and len(self.front.exchanges) < requests:
                assert time.monotonic() < deadline
                time.sleep(0.002)
            time.sleep(random.Random(requests).uniform(0, 0.1))
            process.kill()

    def finish(self, command: str, *options: str) -> None:
        """Run a process to its end, which must be a good one."""
        with self.start(command, *options) as process:
            _, said = process.communicate(timeout=DEADLINE_S)
        assert (process.returncode, said.count("Traceback")) == (0, 0), said

    def tags(self) -> dict[str, str]:
        """Return the tags of the repository, shards left out."""
        held = self.registry.repository(REPO).tags
        return {tag: held[tag] for tag in held if not tag.startswith("carferry-shard-")}


@pytest.fixture(params=["modelcar", "modelpack"])
def pods(request: pytest.FixtureRequest) -> Iterator[Pods]:
    """A hub with a model of some files, and a registry behind a slow link."""
    slow = Rule(Throttle(BYTES_PER_S), "PATCH", times=None)
    with Hub() as hub, PersonalRegistry() as registry, Proxy(registry.url, [slow]) as front:
        files = {f"m-{n}.safetensors": filled(200_000, n) for n in range(4)}
        hub.add(REPO, {**files, "config.json": b"{}", "a/config.json": b"{}"})
        yield Pods(hub, registry, front, request.param)


def expected(pods: Pods) -> str:
    """Return the digest of an undisturbed build elsewhere."""
    host = pods.registry.host
    target = access(host).open(ImageRef(host, "calm/tiny", "v1"), write=True)
    from carferry.image.layers import Format

    return str(ferry(from_hub(pods.hub), target, format=Format(pods.format)).document.digest)


@pytest.mark.timeout(4 * DEADLINE_S)
@pytest.mark.parametrize("seed", range(2))
def test_workers_and_sealers_that_are_killed_converge(pods: Pods, seed: int) -> None:
    rng, digest = random.Random(seed), expected(pods)
    for worker in (f"{number}/{WORKERS}" for number in range(1, WORKERS + 1)):
        for _ in range(KILLS if worker.startswith("1") else 1):
            pods.kill_after(rng.randint(1, 14), "stream", "--worker", worker)
        pods.finish("stream", "--worker", worker)
        assert pods.tags() == {}
    for _ in range(KILLS):
        pods.kill_after(rng.randint(1, 24), "seal")
        assert pods.tags() in ({}, {"v1": digest})
    pods.finish("seal")
    assert pods.registry.repository(REPO).tags == {"v1": digest}
