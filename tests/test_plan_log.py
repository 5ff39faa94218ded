"""``carferry plan MODEL --log LOG``: a log of a start becomes a calibration that plans use."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ferrying import Outcome, carferry
from gpu.samples import LLAMA, llama_file
from gpu.vllm_logs import Start, lines, messages
from servers.kube import KubeServer
from servers.models import write

from carferry.cluster.api import connect
from carferry.cluster.kinds import Permission
from carferry.errors import ClusterError, InputError
from carferry.steps.fit import fit
from carferry.steps.logged import compare_log

Run = Callable[..., Outcome]
SMALL = Start(model="/mnt/models", length=4096, seqs=256, weights=0.01, activation=1.1, kv=69.9,
              tokens=1_000, graphs=0.3)  # fmt: skip


@pytest.fixture(autouse=True)
def _own_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("CARFERRY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return lambda *arguments: carferry(capsys, *arguments)


@pytest.fixture
def model(tmp_path: Path) -> str:
    files = {"config.json": json.dumps(LLAMA).encode(), "model.safetensors": llama_file(LLAMA)}
    return str(write(files, tmp_path / "m"))


@pytest.fixture
def log(tmp_path: Path) -> str:
    path = tmp_path / "vllm.log"
    path.write_bytes(lines(messages(SMALL, debug=True)))
    return str(path)


def test_terms_stand_side_by_side_and_the_one_that_is_off_is_named(
    run: Run, model: str, log: str
) -> None:
    outcome = run("plan", model, "--log", log, "--gpu", "H100")

    assert outcome.code == 0, outcome.err
    assert re.search(r"^Term +Predicted +Logged +Off +Band", outcome.out, re.MULTILINE)
    assert re.search(r"^activations GiB +\d\.\d\d +1\.10 +-\d\.\d\d", outcome.out, re.MULTILINE)
    assert "vLLM 0.11.0, 1 x H100-80GB of 79.18 GiB" in outcome.out
    assert re.search(r"^\[(off|within)\] ", outcome.out, re.MULTILINE)


def test_round_trip_a_later_plan_uses_the_calibration_and_names_it(
    run: Run, model: str, log: str, tmp_path: Path
) -> None:
    """``plan`` knew no ``--log``, and nothing it was told came back."""
    wanted = ("plan", model, "--gpu", "H100", "--vllm", "0.11.0", "--json")
    before = json.loads(run(*wanted).out)["fit"]

    kept = run("plan", model, "--log", log, "--gpu", "H100")
    after = json.loads(run(*wanted).out)["fit"]

    file = tmp_path / "data" / "carferry" / "calibration.json"
    assert f"note: kept for later plans in {file}: " in kept.out
    assert json.loads(file.read_bytes())["calibrations"][0]["image"] == "vLLM 0.11.0"
    (note,) = [note for note in after["notes"] if note.startswith("calibrated for")]
    assert "calibrated for vLLM 0.11.0 on H100-80GB from the log of " in note
    assert not [note for note in before["notes"] if note.startswith("calibrated for")]
    assert (
        abs(69.9 - _kv(after)) < abs(69.9 - _kv(before))
        or after["kv_tokens"] != (before["kv_tokens"])
    )


def _kv(fit: dict[str, Any]) -> float:
    (found,) = re.findall(r"([\d.]+) GiB are left for the KV cache", " ".join(fit["reasons"]))
    return float(found)


@pytest.mark.parametrize("other", [("--vllm", "0.12.0"), ("--gpu", "L40S")])
def test_a_calibration_is_for_its_version_and_gpu_alone(
    run: Run, model: str, log: str, other: tuple[str, str]
) -> None:
    run("plan", model, "--log", log, "--gpu", "H100")

    given = {"--gpu": "H100", "--vllm": "0.11.0"} | dict([other])
    outcome = run("plan", model, *(word for pair in given.items() for word in pair))

    assert (outcome.code, "calibrated" in outcome.out) == (0, False)


@pytest.mark.parametrize("off", ["none", "-"])
def test_none_turns_calibrations_off(
    run: Run, model: str, log: str, tmp_path: Path, off: str
) -> None:
    compared = run("plan", model, "--log", log, "--gpu", "H100", "--calibration", off)
    assert "nothing kept: calibrations are off" in compared.out
    assert not (tmp_path / "data").exists()
    run("plan", model, "--log", log, "--gpu", "H100")

    outcome = run("plan", model, "--gpu", "H100", "--vllm", "0.11.0", "--calibration", off)

    assert (outcome.code, "calibrated" in outcome.out) == (0, False)


def test_a_file_of_calibrations_can_be_named(
    run: Run, model: str, log: str, tmp_path: Path
) -> None:
    file = str(tmp_path / "team" / "c.json")
    run("plan", model, "--log", log, "--gpu", "H100", "--calibration", file)

    found = fit(model, gpus="H100", vllm="0.11.0", calibration=file)

    assert any(note.startswith("calibrated for") for note in found.plan.notes)
    plain = fit(model, gpus="H100", vllm="0.11.0")
    assert not any(note.startswith("calibrated for") for note in plain.plan.notes)


def test_an_image_is_what_a_calibration_is_for_if_one_is_named(
    run: Run, model: str, log: str, tmp_path: Path
) -> None:
    image = "127.0.0.1:1/rhaiis/vllm:0.11.0"

    run("plan", model, "--log", log, "--gpu", "H100", "--vllm", image)

    (kept,) = json.loads((tmp_path / "data/carferry/calibration.json").read_bytes())["calibrations"]
    assert kept["image"] == image
    same = run("plan", model, "--gpu", "H100", "--vllm", image)
    assert f"calibrated for {image} on H100-80GB" in same.out
    assert "calibrated" not in run("plan", model, "--gpu", "H100", "--vllm", "0.11.0").out


def test_log_comes_from_stdin(
    run: Run, model: str, log: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path(log).read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))

    outcome = run("plan", model, "--log", "-", "--gpu", "H100", "--json")

    found = json.loads(outcome.out)
    assert found["compared"]["lines"][0]["term"] == "weights"
    assert (found["fit"], found["move"]) == (None, None)


def test_gpu_is_the_logs_if_it_names_one_and_asked_for_if_not(
    run: Run, model: str, log: str
) -> None:
    without = run("plan", model, "--log", log)
    assert (without.code, without.out) == (2, "")
    assert "the log names no GPU; name it: --gpu H100" in without.err
    with Path(log).open("ab") as stream:
        stream.write(b"at /x/E=8,N=64,device_name=NVIDIA_H100_80GB_HBM3.json\n")

    assert "1 x H100-80GB" in run("plan", model, "--log", log).out


@pytest.mark.parametrize(("words", "said"), [
    (("--log", "missing.log"), "No such file or directory; name a file, - or pod/NAME"),
    (("--log", "."), "read the log .: Is a directory"),
    (("--log", "EMPTY"), "no line of a start of vLLM in it; take the log from its first line on"),
    (("--log", "LOG", "--html", "x.html"), "--log with --html: a log is compared, nothing is"),
    (("--log", "LOG", "--cluster"), "--log with --cluster: a log is compared"),
    (("--log", "LOG", "--workers", "3"), "--log with --workers: a log is compared"),
    (("oci:x:1", "--log", "LOG"), "--log with IMAGE: a log is compared"),
    (("--log", "LOG", "--gpu", "H100", "--calibration", "LOG"), "read the calibration"),
    (("--log", "LOG", "--gpu", "banana"), "no such product"),
    (("--log", "pod/"), "no name of a pod"),
    (("--gpu", "H100", "--calibration", "missing.json"), "No such file or directory"),
    (("--calibration", "x.json"), "plan --calibration: without --gpu or --cluster"),
])  # fmt: skip
def test_what_cannot_be_meant_is_refused_in_one_line(
    run: Run, model: str, log: str, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "empty").write_bytes(b"nothing\n" * 9)
    named = {"LOG": log, "EMPTY": str(tmp_path / "empty")}

    outcome = run("plan", model, *(named.get(word, word) for word in words))

    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1), outcome.err
    assert said in outcome.err


class Cluster:
    """An API server that knows one pod and maybe its node."""

    namespace = "demo"

    def __init__(self, log: str, *, node: bool) -> None:
        self.log, self.node, self.asked = log, node, list[tuple[str, str, str]]()

    def call(self, permission: Permission, name: str = "") -> dict[str, Any]:
        self.asked.append((permission.kind.plural, permission.namespace, name))
        if permission.kind.plural == "nodes":
            if not self.node:
                raise ClusterError("get", "nodes", "forbidden", status=403)
            return {"metadata": {"labels": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}}}
        containers = [{"name": "queue"}, {"name": "kserve-container", "image": "quay.io/x/vllm:7"}]
        return {"spec": {"nodeName": "n1", "containers": containers}}

    def text(self, permission: Permission, name: str, query: dict[str, str]) -> str:
        self.asked.append((permission.subresource, permission.namespace, query["container"]))
        return self.log


def test_log_of_a_pod_brings_its_image_and_its_nodes_gpu(
    model: str, log: str, tmp_path: Path
) -> None:
    cluster = Cluster(Path(log).read_text(), node=True)
    file = tmp_path / "c.json"

    found = compare_log(model, "pod/llama-0", calibration=file, connect=lambda: cluster)

    assert (found.image, found.gpu) == ("quay.io/x/vllm:7", "H100-80GB")
    assert json.loads(file.read_bytes())["calibrations"][0]["image"] == "quay.io/x/vllm:7"
    assert cluster.asked[:2] == [("pods", "demo", "llama-0"), ("log", "demo", "kserve-container")]


def test_log_of_a_pod_whose_node_may_not_be_read_takes_the_gpu_from_the_caller(
    model: str, log: str
) -> None:
    cluster = Cluster(Path(log).read_text(), node=False)

    found = compare_log(
        model, "pod/llama-0", gpus="L40S", namespace="other", connect=lambda: cluster
    )

    assert (found.gpu, found.not_kept) == ("L40S", "calibrations are off")
    assert cluster.asked[0] == ("pods", "other", "llama-0")
    with pytest.raises(InputError, match="the log names no GPU"):
        compare_log(model, "pod/llama-0", connect=lambda: cluster)


def test_log_of_a_pod_is_read_from_an_api_server(model: str, log: str) -> None:
    container = {"name": "kserve-container", "image": "quay.io/x/vllm:7"}
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "llama-0", "namespace": "demo"},
        "spec": {"containers": [container]},
    }  # fmt: skip
    with KubeServer() as server:
        server.store.put(pod)
        server.logs["llama-0", "kserve-container", False] = Path(log).read_text()

        reach = partial(connect, host=server.url, token="t")
        found = compare_log(model, "pod/llama-0", gpus="H100", namespace="demo", connect=reach)
        with pytest.raises(ClusterError, match="gone"):
            compare_log(model, "pod/gone", gpus="H100", namespace="demo", connect=reach)

    assert (found.image, found.gpu) == ("quay.io/x/vllm:7", "H100-80GB")
    asked = [request.path for request in server.requests if "log" in request.path]
    assert asked


@pytest.mark.parametrize(("said", "planned"), [
    ("0.1.dev11+g123", "vLLM 0.1.dev11+g123"), ("0.34.1", "planned as vLLM 0.33.0, the nearest"),
    ("0.11.2+rhai5", "a build of vLLM 0.11.2"),
])  # fmt: skip
def test_version_of_a_build_is_told_with_what_it_is_planned_as(
    run: Run, model: str, tmp_path: Path, said: str, planned: str
) -> None:
    path = tmp_path / "v.log"
    path.write_bytes(lines(messages(SMALL)).replace(b"0.11.0", said.encode()))

    outcome = run("plan", model, "--log", str(path), "--gpu", "H100", "--vllm", "0.24.0")

    assert (outcome.code, planned in outcome.out) == (0, True)
    assert "0.6.6" not in outcome.out


def test_a_start_that_failed_teaches_nothing(run: Run, model: str, tmp_path: Path) -> None:
    path = tmp_path / "failed.log"
    texts: Iterator[str] = messages(SMALL, debug=True)
    path.write_bytes(lines([*texts, "torch.OutOfMemoryError: CUDA out of memory. Tried to"]))

    outcome = run("plan", model, "--log", str(path), "--gpu", "H100")

    assert outcome.code == 0
    assert "note: nothing kept: vLLM did not start: out of memory" in outcome.out
