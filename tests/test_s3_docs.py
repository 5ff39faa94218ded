"""The how-to on leaving S3: its commands are run here as they stand, on a real S3 server."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ferrying import carferry, hashes, model_files, to_layout
from servers.buckets import Bucket, connect, make_bucket, s3_server
from servers.models import tiny

from carferry.cli import build_parser
from carferry.pipelines import command
from carferry.pipelines.arguments import form
from carferry.pipelines.pods import HERE, Site

PAGE = (Path(__file__).parents[1] / "docs/how-to/leave-s3-behind.md").read_text(encoding="ascii")
BLOCKS = [
    re.sub(r"\\\n\s+", "", block) for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S)
]
COMMANDS = [shlex.split(line) for block in BLOCKS for line in block.strip().splitlines()]


def commands(*start: str) -> list[list[str]]:
    """Return the page's commands that start so, without those words."""
    return [each[len(start) :] for each in COMMANDS if each[: len(start)] == [*start]]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, own_home: Path) -> Iterator[Bucket]:
    """A workbench with a connection attached."""
    with s3_server() as endpoint:
        connect(monkeypatch, own_home, endpoint)
        made = make_bucket(endpoint)
        monkeypatch.setenv("AWS_S3_BUCKET", made.name)
        yield made


def test_the_one_command_makes_the_image_and_prints_its_address_first(
    bucket: Bucket, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (build,) = commands("carferry", "build")
    bucket.fill(tiny(), build[0].removeprefix("s3:///"))
    layout = tmp_path / "out"
    here = [f"oci:{layout}:v1" if each.startswith("docker://") else each for each in build]
    done = carferry(capsys, "build", *here, "--base", "scratch")
    assert done.code == 0, done.err
    assert done.out.splitlines()[0].startswith("oci:")
    assert model_files(to_layout(layout)) == hashes(tiny())


def test_the_pipelines_take_what_the_page_gives_them() -> None:
    for given in commands("python", "pipelines/modelcar.py"):
        options = command._parser().parse_args(given)
        engine = command._engine(options)
        known = form.fields(command.ENGINES[engine](Site(HERE, folder=".")))
        values = form.arguments(known, options.parameters, {})
        assert (engine == "pvc") == str(values["model"]).startswith("pvc://")


def merged(value: Any, patch: Any) -> Any:
    """Apply a JSON merge patch, as RFC 7396 defines it."""
    if not isinstance(patch, dict):
        return patch
    found = dict(value) if isinstance(value, dict) else {}
    for name, each in patch.items():
        if each is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), each)
    return found


@pytest.mark.parametrize(
    "before", [{"storage": {"key": "my-s3-connection", "path": "models/granite"}},
               {"storageUri": "s3://bucket/models/granite"}],
)  # fmt: skip
def test_the_patch_swaps_the_storage_and_nothing_else(before: dict[str, Any]) -> None:
    (patch,) = commands("oc", "patch", "inferenceservice")
    assert "--type=merge" in patch
    kept = {"runtime": "granite", "args": ["--max-model-len=4096"], "modelFormat": {"name": "vLLM"}}
    live = {"spec": {"predictor": {"minReplicas": 1, "model": kept | before}}}
    after = merged(live, json.loads(patch[-1]))
    uri = "oci://quay.io/me/granite@sha256:..."
    assert after == {"spec": {"predictor": {"minReplicas": 1, "model": kept | {"storageUri": uri}}}}


def test_the_second_deployment_is_a_command_that_is_there() -> None:
    (deploy,) = commands("carferry", "deploy")
    assert build_parser().parse_args(["deploy", *deploy]).name == "granite-oci"
