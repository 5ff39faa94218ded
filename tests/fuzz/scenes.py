"""Real servers behind proxies, and the commands that are run against them."""

from __future__ import annotations

import base64
import itertools
import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml
from gpu.api import node, pod, serving
from gpu.samples import LLAMA
from serve_samples import IMAGE, ready_pod, rollout
from servers.buckets import ACCESS, SECRET, make_bucket, s3_server
from servers.hub import Hub
from servers.images import tar_of, write_layout
from servers.kube import KubeServer
from servers.models import filled
from servers.personal import PersonalRegistry
from servers.proxy import Proxy
from servers.registry import Registry

MODEL = "org/model"
TAG = "v1"


@dataclass(frozen=True, slots=True)
class Command:
    """One run of the command line.

    Attributes:
        arguments: After ``carferry``.
        environ: Variables of this run.
        tagged: Returns the digest that the tag it writes has now; "" if there is none.
        folder: What it writes on disk; None if nothing.
    """

    arguments: tuple[str, ...]
    environ: dict[str, str]
    tagged: Callable[[], str] | None = None
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """A command and the servers that it talks to.

    Attributes:
        sides: Proxies' names, each with patterns of the requests to answer wrongly.
        command: Makes a run of its own.
    """

    sides: dict[str, tuple[tuple[str, str], ...]]
    command: Callable[[Stage], Command]


_HUB = (("GET|HEAD|POST", "^/api/"), ("GET|HEAD", "/resolve/"), (".*", ""))
_CDN = ((".*", ""),)
_PULL = (("GET", "/manifests/"), ("GET", "/blobs/"), ("HEAD", ""), (".*", "/v2/"), (".*", ""))
_PUSH = (("POST", ""), ("PATCH", ""), ("PUT", ""), ("GET", ""), ("HEAD", ""), (".*", ""))
_KUBE = ((".*", ""), ("GET", ""), ("PATCH", ""), ("POST", ""))
SCENES: dict[str, Scene] = {
    "build": Scene(
        {"hub": _HUB, "cdn": _CDN, "registry": _PUSH}, lambda stage: stage.build("registry")
    ),
    "bearer": Scene({"bearer": _PUSH, "tokens": _CDN}, lambda stage: stage.build("bearer")),
    "personal": Scene({"personal": _PUSH}, lambda stage: stage.build("personal")),
    "plan": Scene({"hub": _HUB, "cdn": _CDN}, lambda stage: stage.plan()),
    "tags": Scene({"registry": (("GET", "/tags/list"), *_PULL)}, lambda stage: stage.seal()),
    "inspect": Scene({"registry": _PULL}, lambda stage: stage.inspect()),
    "push": Scene({"registry": _PULL}, lambda stage: stage.push()),
    "image": Scene({"registry": _PULL}, lambda stage: stage.from_image()),
    "download": Scene({"hub": _HUB, "cdn": _CDN}, lambda stage: stage.download()),
    "s3": Scene({"s3": _CDN}, lambda stage: stage.from_bucket()),
    "deploy": Scene({"kube": _KUBE}, lambda stage: stage.deploy()),
    "rights": Scene({"kube": _KUBE}, lambda stage: stage.rights()),
    "cluster": Scene({"nodes": _KUBE}, lambda stage: stage.cluster()),
}


class Stage:
    """Every server of every scene, each behind a proxy; a context manager.

    Attributes:
        fronts: The proxies by side.
        root: A folder of its own.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.fronts: dict[str, Proxy] = {}
        self._hosts: dict[str, str] = {}
        self._auth: dict[str, Path] = {}
        self._stack = ExitStack()
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        self._add_hub()
        write_layout(
            self.root / "base",
            [tar_of({"etc/passwd": b"root"}), tar_of({"etc/group": b"x" * 70_000})],
        )
        self.base = f"oci:{self.root / 'base'}:latest"
        self._add_registry("registry", self._enter(Registry(self.root / "plain")))
        self._add_registry("bearer", self._enter(Registry(self.root / "bearer", auth="bearer")))
        self._add_registry("personal", self._enter(PersonalRegistry()))
        self._add_kube()
        self._add_bucket()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def calm(self) -> None:
        """Take every fault away."""
        for front in self.fronts.values():
            front.arm()

    def build(self, place: str) -> Command:
        repository = f"run/number-{next(self._numbers)}"
        image = f"docker://{self.fronts[place].host}/{repository}:{TAG}"
        arguments = ("build", MODEL, image, "--base", self.base, *self._plain(place))
        return self._command(
            *arguments, tagged=lambda: self._tagged(place, repository), place=place
        )

    def seal(self) -> Command:
        """A build over what another one left, with tags to list."""
        repository = f"run/number-{next(self._numbers)}"
        self._run_calmly("stream", repository, "--worker", "1/1")
        image = f"docker://{self.fronts['registry'].host}/{repository}:{TAG}"
        arguments = ("seal", MODEL, image, "--base", self.base)
        return self._command(
            *arguments,
            *self._plain("registry"),
            tagged=lambda: self._tagged("registry", repository),
        )

    def plan(self) -> Command:
        return self._command("plan", MODEL, "--gpu", "L4", "--json")

    def inspect(self) -> Command:
        image = f"docker://{self.fronts['registry'].host}/{self.fixed}"
        return self._command("inspect", image, "--verify", "--json", *self._plain("registry"))

    def push(self) -> Command:
        image = f"docker://{self.fronts['registry'].host}/{self.fixed}"
        folder = self._folder()
        return self._command(
            "push", image, f"oci:{folder}:{TAG}", *self._plain("registry"), folder=folder,
            tagged=lambda: layout_tag(folder),
        )  # fmt: skip

    def from_image(self) -> Command:
        model = f"oci://{self.fronts['registry'].host}/{self.fixed}"
        folder = self._folder()
        return self._command(
            "build", model, f"oci:{folder}:{TAG}", "--base", self.base, *self._plain("registry"),
            folder=folder, tagged=lambda: layout_tag(folder),
        )  # fmt: skip

    def download(self) -> Command:
        return self._command("download", MODEL, str(self._folder()), "--json")

    def from_bucket(self) -> Command:
        folder = self._folder()
        return self._command(
            "build", self.bucket, f"oci:{folder}:{TAG}", "--base", self.base,
            folder=folder, tagged=lambda: layout_tag(folder),
        )  # fmt: skip

    def deploy(self) -> Command:
        return self._command(
            "deploy", IMAGE, "--namespace", "demo", "--wait-s", "1", "--json",
            "--kubeconfig", str(self.root / "kube.yaml"),
        )  # fmt: skip

    def rights(self) -> Command:
        config = str(self.root / "kube.yaml")
        return self._command("rights", "--namespace", "demo", "--json", "--kubeconfig", config)

    def cluster(self) -> Command:
        config = str(self.root / "nodes.yaml")
        return self._command(
            "plan", MODEL, "--cluster", "--namespace", "demo", "--json", KUBECONFIG=config
        )

    def _command(
        self,
        *arguments: str,
        tagged: Callable[[], str] | None = None,
        folder: Path | None = None,
        place: str = "registry",
        **environ: str,
    ) -> Command:
        given = {
            "HF_ENDPOINT": self.fronts["hub"].endpoint,
            "REGISTRY_AUTH_FILE": str(self._auth[place]),
            "AWS_S3_ENDPOINT": self.fronts["s3"].endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return Command(arguments, given | environ, tagged, folder)

    def _plain(self, place: str) -> tuple[str, ...]:
        return ("--plain-http", self.fronts[place].host)

    def _folder(self) -> Path:
        return self.root / "out" / str(next(self._numbers))

    def _enter(self, server: Any) -> Any:
        return self._stack.enter_context(server)

    def _front(self, side: str, upstream: str) -> Proxy:
        self.fronts[side] = self._stack.enter_context(Proxy(upstream))
        return self.fronts[side]

    def _add_hub(self) -> None:
        hub = self._enter(Hub())
        self._front("hub", hub.endpoint)
        hub.cdn_endpoint = self._front("cdn", hub.cdn_endpoint).endpoint
        hub.add(
            MODEL,
            {
                "config.json": json.dumps(LLAMA).encode(),
                "tokenizer.json": b'{"a": [1, 2, 3]}' + b" " * 20_000,
                "README.md": b"# model",
                "model-00001-of-00002.safetensors": filled(200_000, 1),
                "model-00002-of-00002.safetensors": filled(150_000, 2),
            },
        )

    def _add_registry(self, side: str, registry: Registry | PersonalRegistry) -> None:
        front = self._front(side, registry.url)
        self._hosts[side] = registry.host
        auths = {}
        if isinstance(registry, Registry) and registry.tokens:
            pair = base64.b64encode(f"{registry.login.user}:{registry.login.password}".encode())
            auths = {host: {"auth": pair.decode()} for host in (registry.host, front.host)}
            self._front("tokens", registry.tokens.endpoint)
        self._auth[side] = self.root / f"{side}.json"
        self._auth[side].write_text(json.dumps({"auths": auths}))

    def _add_kube(self) -> None:
        self.kube = self._enter(KubeServer())
        front = self._front("kube", self.kube.url)
        (self.root / "kube.yaml").write_text(_kubeconfig(front.endpoint))
        held = {
            "/api/v1/nodes": [node("a", count=2), node("b", count=1)],
            "/api/v1/pods": [pod("a", 1)],
        }
        front = self._front("nodes", self._enter(serving(held)))
        (self.root / "nodes.yaml").write_text(_kubeconfig(front.endpoint))

    def _add_bucket(self) -> None:
        endpoint = self._enter(s3_server())
        self._front("s3", endpoint)
        self.bucket = make_bucket(endpoint).fill(
            {"config.json": json.dumps(LLAMA).encode(), "model.safetensors": filled(100_000, 5)}
        )

    def ready(self) -> None:
        """Put the cluster back to a deployment that serves at once."""
        self.kube.store.objects.clear()
        self.kube.store.owners.clear()
        self.kube.store._steps.clear()
        ready = {
            "kind": "InferenceService",
            "metadata": {"name": "granite-31-2b"},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "url": "http://granite",
                "address": {"url": "http://granite.demo.svc.cluster.local:8080"},
            },
        }
        self.kube.store.script_once_applied([ready, rollout(1), ready_pod()])

    @property
    def fixed(self) -> str:
        """An image that is in the registry, built at first use."""
        if not hasattr(self, "_fixed"):
            self._run_calmly("build", "fixed/image")
            self._fixed = f"fixed/image:{TAG}"
        return self._fixed

    def _run_calmly(self, verb: str, repository: str, *options: str) -> None:
        from fuzz.runs import run_command

        self.calm()
        image = f"docker://{self._hosts['registry']}/{repository}:{TAG}"
        base = "embedded" if verb == "build" else self.base
        arguments = (verb, MODEL, image, "--base", base, "--plain-http", self._hosts["registry"])
        done = run_command(self._command(*arguments, *options), patient=True)
        assert done.code == 0, done.err

    def _tagged(self, place: str, repository: str) -> str:
        from ferrying import access

        from carferry.refs import ImageRef

        reach = access(self._hosts[place], auth_file=self._auth[place])
        found = reach.open(ImageRef(self._hosts[place], repository, TAG)).get_manifest(TAG)
        return str(found.digest) if found else ""


def layout_tag(folder: Path) -> str:
    """Return the digest that the tag of a layout names; "" if there is none."""
    index = folder / "index.json"
    if not index.exists():
        return ""
    named = json.loads(index.read_bytes())["manifests"]
    return next((each["digest"] for each in named), "")


def _kubeconfig(url: str) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [
                {"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "demo"}}
            ],
        }
    )


def environment(environ: dict[str, str]) -> dict[str, str]:
    """Return this process's environment without logins, and with these variables."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HF_TOKEN", "AWS_", "KUBE", "REGISTRY_", "CARFERRY_"))
        and "proxy" not in name.lower()
    }
    return kept | environ
