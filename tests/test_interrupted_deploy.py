"""Ctrl-C in a deployment: the cluster goes on with what was applied, and the command says so."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from serve_samples import DIGEST
from servers.kube import KubeServer
from test_cluster_connect import kubeconfig

from carferry.cluster.client import Cluster
from carferry.serve.form import make_deployment
from carferry.serve.step import deploy

IMAGE = f"quay.io/team/granite-3.1-2b@{DIGEST}"
NAMES = "ServingRuntime granite-31-2b, InferenceService granite-31-2b"


def test_a_real_interrupt_says_what_stays_and_how_to_go_on(tmp_path: Path) -> None:
    with KubeServer() as server:
        config = kubeconfig(tmp_path / "config", server.url)
        command = [sys.executable, "-m", "carferry", "deploy", IMAGE, "--kubeconfig", str(config)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            while "waiting" not in (line := process.stderr.readline()):
                assert line
            process.send_signal(signal.SIGINT)
            *_, note, last = process.stderr.read().splitlines()
        kept = {name for _, _, name in server.store.objects}
    assert (process.returncode, last) == (130, "carferry: interrupted")
    assert note.startswith("carferry: demo keeps what was applied of ")
    assert NAMES in note
    assert note.endswith(
        "; run the same command to go on, "
        "or take it away: carferry delete granite-31-2b --namespace demo"
    )
    assert "granite-31-2b" in kept


def test_an_interrupt_before_anything_is_written_says_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("carferry.serve.step.try_all", interrupted)
    with KubeServer() as server, pytest.raises(KeyboardInterrupt) as stopped:
        settings = make_deployment(image=IMAGE, namespace="demo")
        deploy(settings, Cluster.connect(host=server.url))
    assert not hasattr(stopped.value, "__notes__")
