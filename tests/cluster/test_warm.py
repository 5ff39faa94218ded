"""An image is pulled by the real kubelet before anything is served, and the pods are gone."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from servers import models
from servers.busybox import busybox_base

from cluster.accounts import TOLERATED, small
from cluster.conftest import Carferry
from cluster.rig.node import Node


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base image."""
    place = tmp_path_factory.mktemp("warm")
    busybox_base(place / "base")
    return place


def pushed(node: Node, folder: Path, base: str) -> str:
    """Push a model that no kubelet has seen, and return it by digest."""
    seed = secrets.randbelow(2**32)
    model = models.write(models.tiny(seed), folder / f"model-{seed}")
    target = f"docker://{node.registry}/models/warm:{seed}"
    words = [sys.executable, "-m", "carferry", "build", str(model), target, "--base", base]
    words += ["--plain-http", node.registry, "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["reference"])


def pods(node: Node, namespace: str) -> str:
    return node.kubectl("get", "pods", "-n", namespace, "-l", "carferry/warm", "-o", "name")


def test_an_image_is_pulled_once_and_then_served(
    node: Node, namespace: str, folder: Path, vllm: str, carferry: Carferry
) -> None:
    """Also in a project of the strictest Pod Security; nothing is left there."""
    strict = "pod-security.kubernetes.io/enforce=restricted"
    node.kubectl("label", "namespace", namespace, strict)
    image = pushed(node, folder, f"oci:{folder / 'base'}:latest")
    words = ("warm", image, "--namespace", namespace, "--tolerations", TOLERATED)
    first = carferry(*words)
    assert first.code == 0, first.err
    assert ": pulled in " in first.err
    assert f"1 of 1 node that fits has {image}, 1 pulled it now" in first.out
    again = carferry(*words, "--json")
    (one,) = json.loads(again.out)["nodes"]
    assert (one["state"], one["seconds"]) == ("there", 0)
    assert pods(node, namespace) == ""
    node.kubectl("label", "namespace", namespace, f"{strict.partition('=')[0]}-")
    done = carferry(*small(image, vllm, namespace, "tiny", "--warm", "--wait-s", "90"))
    assert done.code == 0, done.err
    assert ": already there\n" in done.err


def test_an_image_without_a_shell_is_pulled_too(
    node: Node, namespace: str, folder: Path, carferry: Carferry
) -> None:
    image = pushed(node, folder, "scratch")
    done = carferry("warm", image, "--namespace", namespace, "--tolerations", TOLERATED)
    assert done.code == 0, done.err
    assert ": pulled in " in done.err
    assert pods(node, namespace) == ""


def test_what_cannot_be_pulled_is_said_with_the_kubelets_words(
    node: Node, namespace: str, vllm: str, carferry: Carferry
) -> None:
    """A deployment that is to be warmed first changes nothing then."""
    image = f"{node.registry}/models/warm@sha256:{'0' * 64}"
    place = ("--namespace", namespace, "--tolerations", TOLERATED)
    done = carferry("warm", image, *place)
    assert done.code == 1
    assert ": failed: ErrImagePull: " in done.out
    assert "not found" in done.out
    assert done.seconds < 30
    assert pods(node, namespace) == ""
    kept = carferry(*small(image, vllm, namespace, "tiny", "--warm", "--wait-s", "60"))
    assert kept.code == 1
    assert "no node could pull it" in kept.err
    assert "nothing was changed: what serves goes on" in kept.err
    assert node.kubectl("get", "inferenceservices", "-n", namespace, "-o", "name") == ""


def test_nodes_that_do_not_fit_are_counted_by_reason(namespace: str, carferry: Carferry) -> None:
    image = f"quay.io/team/granite@sha256:{'0' * 64}"
    place = ("--namespace", namespace, "--tolerations", TOLERATED)
    none = carferry("warm", image, *place, "--gpu-count", "999")
    assert none.code == 1
    assert "no node fits: " in none.err
    assert "without 999 nvidia.com/gpu" in none.err
    labels = carferry("warm", image, *place, "--nodes", "zone in (a,")
    assert (labels.code, "no labels the cluster can read" in labels.err) == (2, True)
