"""The CronJob of docs/how-to/recurring-runs.md, as it stands there, on a real node.

Its pods run the image that ``carferry runtime`` makes, in a namespace that enforces the standard
``restricted``; hub and Git repository are servers of this machine, which they reach by the node.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from servers import models
from servers.hub import Hub
from servers.runtimes import from_folder

from carferry.io.show.progress import Silent
from carferry.steps.push import push
from carferry.steps.runtime import RuntimeSettings, runtime
from cluster.doorway import doorway
from cluster.gitops import Repository, git_image, served
from cluster.projects import tolerate
from cluster.rig.node import Node

PAGE = Path(__file__).parents[2] / "docs/how-to/recurring-runs.md"
MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
TOKEN = "hf_" + "granted" * 5
WAIT_S = 60


@dataclass
class Night:
    """A CronJob on a node, and the servers that its pods talk to."""

    node: Node
    namespace: str
    hub: Hub
    git: Repository
    nights: int = 0

    def pass_(self) -> tuple[dict[str, Any], str, float]:
        """Run the job now; return what was built, what was promoted, and the seconds."""
        self.nights += 1
        name, began = f"smollm2-{self.nights}", time.monotonic()
        self._kubectl("create", "job", name, "--from=cronjob/smollm2")
        try:
            self._kubectl("wait", "--for=condition=complete", f"--timeout={WAIT_S}s", f"job/{name}")
        except Exception:
            print(self._kubectl("describe", "pods"))
            print(self._kubectl("logs", f"job/{name}", "--container", "build"))
            raise
        seconds = time.monotonic() - began
        log = self._kubectl("logs", f"job/{name}", "--container", "build")
        built = json.loads(log[log.index("{") :])
        said = self._kubectl("logs", f"job/{name}", "--container", "promote")
        return built, said.splitlines()[-1], seconds

    def _kubectl(self, *words: str) -> str:
        return self.node.kubectl("--namespace", self.namespace, *words)


@pytest.fixture(scope="session")
def images(
    node: Node, tmp_path_factory: pytest.TempPathFactory, python_layout: str, wheels: Path
) -> dict[str, str]:
    """The images that the page names, in the node's registry."""
    with pytest.MonkeyPatch.context() as patch:
        from_folder(wheels, patch)
        target = f"docker://{node.registry}/recurring/runtime:1"
        made = runtime(target, RuntimeSettings(base=python_layout), progress=Silent())
    layout = git_image(tmp_path_factory.mktemp("git") / "image")
    git = push(layout, f"docker://{node.registry}/recurring/git:1")
    return {"build": made.reference, "promote": git.reference}


@pytest.fixture
def night(node: Node, namespace: str, images: dict[str, str], tmp_path: Path) -> Iterator[Night]:
    node.kubectl("label", "ns", namespace, "pod-security.kubernetes.io/enforce=restricted")
    tolerate(node, namespace)
    for name, entry in (("hf", f"HF_TOKEN={TOKEN}"), ("git", "credentials=https://me:x@git")):
        words = ("create", "secret", "generic", f"carferry-{name}", f"--from-literal={entry}")
        node.kubectl("--namespace", namespace, *words)
    login = ("--docker-server=registry.example", "--docker-username=me", "--docker-password=x")
    words = ("create", "secret", "docker-registry", "carferry-registry", *login)
    node.kubectl("--namespace", namespace, *words)
    git = Repository(tmp_path)
    with ExitStack() as stack:
        hub = stack.enter_context(Hub(redirects=False))
        port = int(node.registry.rpartition(":")[2])
        doors = [
            stack.enter_context(doorway(node, each))
            for each in (urlsplit(hub.endpoint).port or 0, port, stack.enter_context(served(git)))
        ]
        hub.add(MODEL, models.tiny(), gated=True, token=TOKEN)
        node.kubectl(
            "--namespace", namespace, "apply", "-f", "-", stdin=manifest(images, namespace, *doors)
        )
        yield Night(node, namespace, hub, git)


def manifest(images: dict[str, str], team: str, hub: str, registry: str, git: str) -> str:
    """Return the page's manifest with this node's places in it, and room on a small one."""
    (text,) = re.findall(r'```yaml title="cronjob.yaml"\n(.*?)```', PAGE.read_text(), re.DOTALL)
    cronjob = yaml.safe_load(text)
    pod = cronjob["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    places = {
        "IMAGE": f"docker://{registry}/{team}/smollm2:1",
        "REPOSITORY": f"git://{git}/models.git",
    }
    more = {
        "HF_ENDPOINT": f"http://{hub}",
        "CARFERRY_PLAIN_HTTP": registry,
        "CARFERRY_BASE": "embedded",
    }
    for each in (*pod["initContainers"], *pod["containers"]):
        each["image"] = images[each["name"]]
        each["resources"]["requests"] = {"cpu": "10m", "memory": "32Mi"}
        for entry in each["env"]:
            entry["value"] = places.get(entry["name"], entry["value"])
        if each["name"] == "build":
            each["env"] += [{"name": name, "value": text} for name, text in more.items()]
    return json.dumps(cronjob)


def test_the_cronjob_builds_when_the_hub_moves_and_promotes_the_digest(night: Night) -> None:
    first, promoted, _ = night.pass_()
    assert (first["changed"], first["previous"]) == (True, "")
    assert promoted == f"promoted {first['reference']}"
    assert night.git.commits == [f"Serve {first['reference']}", "first"]
    assert first["reference"] in night.git.file("base/smollm2.yaml")
    assert "--max-model-len=8192" in night.git.file("base/smollm2.yaml")

    night.hub.clear_log()
    again, promoted, seconds = night.pass_()
    assert (again["changed"], again["digest"]) == (False, first["digest"])
    assert promoted == "promoted already"
    assert [
        each.path for each in night.hub.log if "safetensors" in each.path and each.method == "GET"
    ] == []
    assert again["seconds"] < 5
    assert seconds < 60

    night.hub.add(MODEL, models.tiny(1), gated=True, token=TOKEN)
    moved, promoted, _ = night.pass_()
    assert (moved["changed"], moved["previous"]) == (True, first["digest"])
    assert moved["commit"] != first["commit"]
    assert night.git.commits[0] == f"Serve {moved['reference']}"
    assert moved["reference"] in night.git.file("base/smollm2.yaml")
