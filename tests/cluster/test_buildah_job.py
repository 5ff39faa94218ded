"""The Buildah engine's Job, run by the real kubelet, under what its SCC would admit.

This process is the pipeline's step: it has the claim's folder under the path that the Job mounts
it at, and the rights of the pipeline's account, which are those of `manifests/buildah`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ferrying import ferry, from_folder, hashes, model_files, to_layout
from servers.models import sharded, write
from servers.tools import need

from carferry.errors import ToolFailed
from carferry.steps.build import build
from carferry.steps.settings import BuildahJob
from cluster.builder import push_builder
from cluster.projects import tolerate
from cluster.rig.node import Node
from cluster.runner import claim_folder, grant, login

FILES = sharded(2)
CLAIM = "run-1"


@pytest.fixture(scope="module")
def builder(node: Node) -> str:
    """The image that the Job runs."""
    need("buildah")
    return push_builder(node.registry)


@pytest.fixture
def volume(
    node: Node, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A claim's folder with a model in it; the caller's login is the pipeline's account."""
    folder = tmp_path / "volume"
    write(FILES, folder / "model")
    folder.chmod(0o777)
    tolerate(node, namespace)
    grant(node, namespace, "buildah/account.yaml", "buildah/runner.yaml")
    claim_folder(node, namespace, CLAIM, folder)
    monkeypatch.setenv("KUBECONFIG", str(login(node, namespace, tmp_path / "kubeconfig")))
    yield folder
    node.kubectl("delete", "persistentvolume", f"{namespace}-{CLAIM}", "--wait=false")


@pytest.mark.parametrize("security", ["userns", "setfcap"])
def test_the_job_makes_the_image_that_buildah_makes_here(
    node: Node,
    namespace: str,
    builder: str,
    volume: Path,
    tmp_path: Path,
    security: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By either way to a user namespace; nothing of it is left."""
    caplog.set_level(logging.INFO, logger="carferry")
    job = BuildahJob(CLAIM, volume, security=security, image=builder)
    options = {"engine": "buildah", "base": "scratch"}
    done = build(volume / "model", f"oci:{volume}/image:v1", buildah_job=job, **options)  # type: ignore[arg-type]
    local = ferry(from_folder(volume / "model"), to_layout(tmp_path / "local"), engine="buildah")
    assert done.digest == str(local.document.digest)
    assert model_files(to_layout(volume / "image")) == hashes(FILES)
    assert "created job" in caplog.text
    assert not (volume / "carferry-buildah").exists()
    _is_gone(node, namespace)


def test_a_job_that_fails_says_what_buildah_said(
    node: Node, namespace: str, builder: str, volume: Path
) -> None:
    """Its log is read from the kubelet before the Job is deleted."""
    (volume / "model/model-00001-of-00002.safetensors").chmod(0o000)
    job = BuildahJob(CLAIM, volume, security="userns", image=builder)
    with pytest.raises(ToolFailed, match=r"it said: .*permission denied"):
        build(
            volume / "model",
            f"oci:{volume}/image:v1",
            buildah_job=job,
            engine="buildah",
            base="scratch",
        )
    _is_gone(node, namespace)


def _is_gone(node: Node, namespace: str) -> None:
    """Check that the Job is deleted, with its pod."""
    until = time.monotonic() + 30
    while node.get("-n", namespace, "jobs,pods")["items"]:
        assert time.monotonic() < until
        time.sleep(0.5)
