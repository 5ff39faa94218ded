"""SIGINT and SIGTERM of what uploads: uploads are cancelled, soon, and what is there stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ferrying import ferry, from_folder, left_behind, to_layout
from servers.chaos import Answer, Rule, StallReply, StallUpload, Throttle
from servers.images import write_layout
from servers.models import filled, write
from servers.personal import PersonalRegistry
from servers.proxy import Proxy
from servers.registry import Registry

REPO = "org/tiny"
LARGE_BYTES = 3_000_000
# Leaving in order takes a moment; who has to be ended is after 4 s, and 3 s for the uploads.
IN_ORDER_S, BOUND_S = 4.0, 10.0


@dataclass
class Place:
    """A registry behind a slow link, a model and an image on disk.

    Attributes:
        registry: In memory; it cancels a broken upload, which Debian's refuses (404).
        front: The way there.
        folder: With a model, a base and an image in layouts.
    """

    registry: PersonalRegistry
    front: Proxy
    folder: Path

    def command(self, name: str) -> list[str]:
        """Return a command line that uploads something large."""
        image = f"docker://{self.front.host}/{REPO}:v1"
        how = ["--plain-http", self.front.host, "--progress", "lines"]
        if name == "push":
            return [name, f"oci:{self.folder / 'built'}:v1", image, *how]
        how += ["--base", f"oci:{self.folder / 'base'}:latest", "--allow-no-weights"]
        share = ["--worker", "1/1"] if name == "stream" else []
        return [name, str(self.folder / "model"), image, *how, *share]

    def uploads(self) -> list[str]:
        """Return the uploads that are open in the registry."""
        return [*self.registry.uploads]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place of its own for each test: uploads are counted."""
    files = {"model.safetensors": filled(LARGE_BYTES, 1), "config.json": b"{}"}
    ferry(from_folder(write(files, tmp_path / "model")), to_layout(tmp_path / "built"))
    write_layout(tmp_path / "base", [filled(LARGE_BYTES, 2)])
    with PersonalRegistry() as registry, Proxy(registry.url) as front:
        yield Place(registry, front, tmp_path)


def start(words: list[str], **environment: str) -> subprocess.Popen[str]:
    """Start a command as a terminal does: a shell's background jobs ignore SIGINT."""
    return subprocess.Popen(
        [sys.executable, "-m", "carferry", *words],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def run(words: list[str]) -> None:
    """Run a command to its good end."""
    with start(words) as process:
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said


def wait_for_upload(place: Place, process: subprocess.Popen[str], bytes_sent: int = 1) -> None:
    """Wait until a PATCH is on its way."""
    deadline = time.monotonic() + 30
    while not patched(place.front, bytes_sent):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


def patched(front: Proxy, bytes_sent: int = 1) -> list[str]:
    """Return the uploads that have got so many bytes."""
    patches = [each for each in list(front.exchanges) if each.method == "PATCH"]
    return [each.path.partition("?")[0] for each in patches if each.received >= bytes_sent]


def ended_by(front: Proxy, *methods: str) -> set[str]:
    """Return the uploads that were asked to be forgotten (DELETE), or closed (PUT)."""
    every = list(front.exchanges)
    return {each.path.partition("?")[0] for each in every if each.method in methods}


def ended(process: subprocess.Popen[str], number: int) -> tuple[int, list[str], float]:
    """Send a signal and return exit code, last lines, and the seconds it took."""
    started = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    return process.returncode, said.splitlines(), time.monotonic() - started


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("name", ["build", "stream", "push", "seal"])
def test_an_upload_is_cancelled_in_order(place: Place, name: str, number: int) -> None:
    """SIGTERM killed at once: the upload stayed open, and nothing was said."""
    if name == "seal":
        run(place.command("stream"))
    place.front.arm([Rule(Throttle(400_000), "PATCH", times=None)])
    with start(place.command(name)) as process:
        wait_for_upload(place, process)
        assert place.uploads()
        code, said, seconds = ended(process, number)
    how = "interrupted" if number == signal.SIGINT else "terminated"
    assert said[-1] == f"carferry: {how}", said
    assert "Traceback" not in "".join(said)
    assert (code, place.uploads()) == (128 + number, [])
    assert seconds < BOUND_S
    place.front.arm()
    run(place.command(name))


@pytest.mark.parametrize(
    ("method", "action"),
    [
        ("PATCH", StallUpload(60.0, 1_000_000)),
        ("PATCH", StallReply(60.0)),
        ("PUT", StallReply(60.0)),
    ],
    ids=str,
)
def test_a_registry_that_does_not_answer_holds_nobody_up(
    place: Place, method: str, action: object
) -> None:
    """A thread that waits for it cannot be told to stop: Ctrl-C took a minute, or half an hour."""
    place.front.arm([Rule(action, method, "/blobs/uploads/")])  # type: ignore[arg-type]
    with start(place.command("build")) as process:
        wait_for_upload(place, process)
        time.sleep(1)
        code, said, seconds = ended(process, signal.SIGTERM)
    assert (code, place.uploads()) == (143, [])
    assert said[-1] == "carferry: terminated"
    assert seconds < BOUND_S


def test_a_second_signal_leaves_at_once(place: Place) -> None:
    place.front.arm([Rule(StallReply(60.0), "PATCH")])
    with start(place.command("build")) as process:
        wait_for_upload(place, process)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        code, said, seconds = ended(process, signal.SIGINT)
    assert (code, said[-1]) == (130, "carferry: interrupted")
    assert seconds < 1


def test_whoever_waits_for_the_next_try_leaves_at_once(place: Place) -> None:
    place.front.arm([Rule(Answer(503), "HEAD", times=None)])
    with start(place.command("push")) as process:
        while len(place.front.exchanges) < 12:
            assert process.poll() is None
            time.sleep(0.01)
        code, _, seconds = ended(process, signal.SIGTERM)
    assert (code, seconds < IN_ORDER_S) == (143, True)


def test_debians_registry_is_asked_to_cancel_too(place: Place, tmp_path: Path) -> None:
    """It refuses, as the upload is not where its address says, and purges it after a week."""
    with Registry(tmp_path / "registry") as registry, Proxy(registry.url) as front:
        place.front = front
        front.arm([Rule(Throttle(400_000), "PATCH", times=None)])
        with start(place.command("build")) as process:
            wait_for_upload(place, process)
            code, _, _ = ended(process, signal.SIGTERM)
        assert code == 143
        # The small layer may have been closed; and what the process sent last is noted later.
        deadline = time.monotonic() + 10
        while not set(patched(front)) <= ended_by(front, "DELETE", "PUT"):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_layout_keeps_no_parts(place: Place) -> None:
    run(place.command("push"))
    place.front.arm([Rule(Throttle(400_000), "GET", "/blobs/", times=None)])
    where = f"oci:{place.folder / 'out'}:v1"
    words = ["push", f"docker://{place.front.host}/{REPO}:v1", where, "--plain-http"]
    with start([*words, place.front.host]) as process:
        while not any("/blobs/" in each.path for each in list(place.front.exchanges)):
            assert process.poll() is None
            time.sleep(0.01)
        code, _, seconds = ended(process, signal.SIGTERM)
    assert (code, left_behind(place.folder / "out")) == (143, [])
    assert seconds < BOUND_S


def test_a_step_in_a_pod_heeds_sigterm(place: Place) -> None:
    """Kubernetes sends it when a pod is deleted or evicted, half a minute before SIGKILL."""
    code = (
        "import carferry.cluster.pod; carferry.cluster.pod.enter()\n"
        "import carferry, sys\n"
        "carferry.build(sys.argv[1], sys.argv[2], base='scratch', allow_no_weights=True,\n"
        "               plain_http=[sys.argv[3]])\n"
    )
    image = f"docker://{place.front.host}/{REPO}:v1"
    place.front.arm([Rule(Throttle(400_000), "PATCH", times=None)])
    with subprocess.Popen(
        [sys.executable, "-c", code, str(place.folder / "model"), image, place.front.host],
        env={**os.environ, "KFP_POD_NAME": "some-pod"}, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        wait_for_upload(place, process)
        exit_code, said, seconds = ended(process, signal.SIGTERM)
    assert (exit_code, place.uploads()) == (143, [])
    assert said == ["carferry: error: terminated; what had arrived is kept, run it again to go on"]
    assert seconds < BOUND_S


def test_the_library_leaves_signals_alone() -> None:
    """A notebook's kernel has handlers of its own."""
    code = (
        "import signal, carferry, carferry.cli, carferry.cluster.pod\n"
        "before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]\n"
        "carferry.cluster.pod.enter()\n"
        "carferry.cli.main(['inspect', 'oci:missing:v1'])\n"
        "print(before == [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)])\n"
    )
    environment = {name: text for name, text in os.environ.items() if name != "KFP_POD_NAME"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
