"""The pushed image, run the way KServe runs a modelcar: its own shell, no privilege, another user.

Source: kserve pkg/utils/storage.go: the init container checks ``/models``, the sidecar links
``/proc/$$/root/models`` into a shared volume and sleeps; the server reads through the link.
"""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from ferrying import ferry, from_folder, to_registry
from safetensors import deserialize
from servers.busybox import busybox_base
from servers.models import sharded, write
from servers.pods import confined, podman
from servers.registry import Registry
from servers.tools import need
from tokenizers import Tokenizer

FILES = sharded(2) | {"1_Pooling/config.json": b'{"pooling": "mean"}'}
CHECK = (
    'echo "Pre-fetching modelcar" && [ -d /models ] && [ "$(ls -A /models)" ] '
    "&& echo OK || (echo NOK && exit 1)"
)
LINK = "ln -sf /proc/$$/root/models /mnt/models && sleep 60"


@dataclass(frozen=True, slots=True)
class Car:
    """A pushed image and the name podman pulled it under."""

    registry: Registry
    image: str
    engine: str


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One registry for all images here."""
    with Registry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A base with a shell, in a layout."""
    return busybox_base(tmp_path_factory.mktemp("base") / "busybox")


@pytest.fixture(scope="module", params=["stream", "buildah"])
def car(
    request: pytest.FixtureRequest,
    fleet: Registry,
    base: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Car]:
    """The model as an image, built by each engine, pushed, and pulled by podman."""
    engine = str(request.param)
    if engine == "buildah":
        need("buildah")
    folder = write(FILES, tmp_path_factory.mktemp("model"))
    target = to_registry(fleet, f"org/{engine}")
    done = ferry(from_folder(folder), target, engine=engine, base=base)
    image = target.location(done.document.digest)
    pulled = podman("pull", "--quiet", "--tls-verify=false", image)
    assert pulled.returncode == 0, pulled.stderr
    yield Car(fleet, image, engine)
    podman("rmi", "--force", image)


@pytest.fixture
def user() -> int:
    """A user that no image knows, as OpenShift gives one to each namespace."""
    return random.randrange(1_000_000_000, 1_000_700_000)


def test_the_init_check_passes(car: Car, user: int) -> None:
    done = podman("run", "--rm", *confined(user), car.image, "sh", "-c", CHECK)
    assert (done.returncode, done.stdout.split()[-1]) == (0, "OK"), done.stderr


@pytest.fixture
def mnt(tmp_path: Path) -> Path:
    """The shared volume of a pod, writable by every user."""
    folder = tmp_path / "mnt"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


@pytest.fixture
def sidecar(car: Car, user: int, mnt: Path) -> Iterator[str]:
    """The modelcar container, running, its link made."""
    started = podman(
        *("run", "--detach", *confined(user), "-v", f"{mnt}:/mnt"), car.image, "sh", "-c", LINK
    )
    assert started.returncode == 0, started.stderr
    container = started.stdout.strip()
    try:
        yield container
    finally:
        podman("rm", "--force", "--time", "0", container)


READ = (
    "until [ -e /mnt/models/config.json ]; do :; done; "
    "cp -rL /mnt/models /out/models && cd /mnt/models && find . -type f -exec sha256sum {} +"
)


def test_the_server_reads_the_model_through_the_link(
    car: Car, sidecar: str, user: int, mnt: Path, tmp_path: Path
) -> None:
    """A second container of the same user sees every byte; real readers open what it copied."""
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o777)
    done = podman(
        *("run", "--rm", *confined(user), "--pid", f"container:{sidecar}"),
        *("-v", f"{mnt}:/mnt", "-v", f"{out}:/out", car.image, "sh", "-c", READ),
    )
    assert done.returncode == 0, done.stderr
    lines = (line.split("  ./") for line in done.stdout.splitlines())
    assert {path: digest for digest, path in lines} == sha256(FILES)
    assert_served(out / "models")


def test_no_user_can_write_into_the_model(car: Car, user: int) -> None:
    script = "touch /models/x; rm /models/config.json; ls -ln /models/config.json"
    done = podman("run", "--rm", *confined(user), car.image, "sh", "-c", script)
    assert done.stdout.split()[:4] == ["-rw-r--r--", "1", "0", "0"]


def test_the_image_runs_as_a_user_that_is_not_root(car: Car) -> None:
    done = podman("image", "inspect", car.image)
    (found,) = json.loads(done.stdout)
    assert (found["Config"]["User"], found["Config"].get("Entrypoint")) == ("1001", None)


def test_the_embedded_base_links_by_itself(
    fleet: Registry, user: int, mnt: Path, tmp_path: Path
) -> None:
    """Its entrypoint takes KServe's arguments and does the sidecar's work without a shell."""
    pytest.importorskip("modelcar_base_image", reason="pip install modelcar-base-image")
    folder = write(FILES, tmp_path / "model")
    target = to_registry(fleet, "org/embedded")
    done = ferry(from_folder(folder), target, base="embedded")
    image = target.location(done.document.digest)
    pulled = podman("pull", "--quiet", "--tls-verify=false", image)
    assert pulled.returncode == 0, pulled.stderr
    check = podman("run", "--rm", *confined(user), image, "sh", "-c", CHECK)
    started = podman(
        *("run", "--detach", *confined(user), "-v", f"{mnt}:/mnt", image, "sh", "-c", LINK)
    )
    try:
        assert check.returncode == 0, check.stderr
        assert started.returncode == 0, started.stderr
        assert _linked(mnt) == "models"
        shown = podman("inspect", "--format", "{{.State.Pid}}", started.stdout.strip())
        root = Path("/proc", shown.stdout.strip(), "root", "models")
        assert {path: (root / path).read_bytes() for path in FILES} == FILES
    finally:
        podman("rm", "--force", "--time", "0", started.stdout.strip())
        podman("rmi", "--force", image)


def assert_served(folder: Path) -> None:
    """Open config, tokenizer and weights with the libraries that servers use."""
    assert json.loads((folder / "config.json").read_text())["model_type"] == "llama"
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.encode("a ferry carries models").tokens == ["a", "ferry", "carries", "models"]
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    for tensor, shard in index["weight_map"].items():
        assert tensor in dict(deserialize((folder / shard).read_bytes()))


def sha256(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return each file's digest."""
    return {path: hashlib.sha256(body).hexdigest() for path, body in files.items()}


def _linked(mnt: Path) -> str:
    """Wait for the container to make its link."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for path in mnt.iterdir():
            if path.is_symlink():
                return path.name
        threading.Event().wait(0.02)
    return "nothing"
