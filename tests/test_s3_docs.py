"""The how-to on leaving S3: what its blocks cannot show; they run in ``tests/docs``."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from docs.blocks import read

from carferry.cli import build_parser

PAGE = Path(__file__).parents[1] / "docs/how-to/leave-s3-behind.md"
URI = "oci://quay.io/team/smollm2@sha256:" + "0" * 64


def command(*start: str) -> list[str]:
    """Return the words after those of the page's only such command, its variables filled in."""
    text = "".join(block.text for block in read(PAGE) if block.language == "sh")
    text = text.replace("\\\n", " ").replace("'$URI'", URI).replace("${URI#oci://}", URI[6:])
    commands = [shlex.split(line) for line in text.splitlines()]
    (found,) = [words for words in commands if words[: len(start)] == [*start]]
    return found[len(start) :]


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
    "before", [{"storage": {"key": "my-s3-connection", "path": "models/smollm2"}},
               {"storageUri": "s3://bucket/models/smollm2"}],
)  # fmt: skip
def test_the_patch_swaps_the_storage_and_nothing_else(before: dict[str, Any]) -> None:
    patch = command("oc", "patch", "inferenceservice")
    assert "--type=merge" in patch
    kept = {"runtime": "smollm2", "args": ["--max-model-len=4096"], "modelFormat": {"name": "vLLM"}}
    live = {"spec": {"predictor": {"minReplicas": 1, "model": kept | before}}}
    after = merged(live, json.loads(patch[-1]))
    assert after == {"spec": {"predictor": {"minReplicas": 1, "model": kept | {"storageUri": URI}}}}


def test_the_second_deployment_is_a_command_that_is_there() -> None:
    deploy = command("carferry", "deploy")
    options = build_parser().parse_args(["deploy", *deploy])
    assert (options.name, options.image) == ("smollm2-oci", URI.removeprefix("oci://"))
