"""The simulation against what was measured on a live backend of OpenShift AI 3.4.

The two measured pipelines stand in tests/data/lint with what they carried cut out; it is put back
as text of the same length that compresses as little.
"""

from __future__ import annotations

import json
import random
import re
import string
from pathlib import Path
from typing import Any

import pytest
import yaml

from carferry.lint.checks_limits import STRING_BYTES, WORKFLOW_BYTES
from carferry.lint.document import CompiledPipeline, read
from carferry.lint.sizes import Row, Sizes, measure
from carferry.lint.targets import TARGETS

DATA = Path(__file__).parent / "data" / "lint"
BAND = 0.03
"""How far the simulation may be from a live run; the lint warns from as far below the limit."""
BASE64 = string.ascii_letters + string.digits + "+/"
LIVE = TARGETS["rhoai-3.4"]
OLD = TARGETS["rhoai-2.22"]


def measured(name: str, tmp_path: Path, *, scale: float = 1.0) -> CompiledPipeline:
    """Return a pipeline that was measured, carrying what it carried, or a part of that."""
    source = random.Random(0)

    def carried(found: re.Match[str]) -> str:
        return "".join(source.choices(BASE64, k=int(int(found[1]) * scale)))

    text = (DATA / f"measured-{name}.yaml").read_text()
    file = tmp_path / "pipeline.yaml"
    file.write_text(re.sub(r"@ARCHIVE-(\d+)@", carried, text))
    return read(str(file))


def near(live: float) -> object:
    return pytest.approx(live, rel=BAND)


def test_a_run_of_one_worker_weighs_what_it_weighed_live(tmp_path: Path) -> None:
    document = measured("artifact", tmp_path)
    assert measure(document, LIVE, 1, conditions=False).unpacked_bytes == near(1_031_172)


def test_a_worker_that_carries_nothing_costs_what_it_cost_live(tmp_path: Path) -> None:
    """Compiled for an image, a step has neither kfp's pip script nor the archive's unpacking."""
    document = measured("embedded", tmp_path, scale=0)
    for executor in document.executors.values():
        command = executor["container"]["command"]
        _, bootstrap, source = command[-1].partition('_carferry_library("""')
        command[:] = [*command[3:-1], source if bootstrap else command[-1]]
    two, one = (measure(document, LIVE, workers).unpacked_bytes for workers in (2, 1))
    assert two - one == near(51_000)  # reported as "about 51 KB"


def test_the_environment_string_is_as_long_as_it_was_live(tmp_path: Path) -> None:
    sizes = measure(measured("embedded", tmp_path), OLD, 1)
    assert sizes.environment_at == "root.fit-model.executor(0)"
    assert sizes.environment_bytes == near(148.5 * 1024)
    assert sizes.environment_bytes > STRING_BYTES


@pytest.mark.parametrize("name", TARGETS)
def test_what_argo_refused_live_is_over_its_limit_everywhere(name: str, tmp_path: Path) -> None:
    sizes = measure(measured("embedded", tmp_path), TARGETS[name], 1)
    assert sizes.packed_bytes > WORKFLOW_BYTES


def container_copies(sizes: Sizes, task: str) -> dict[str, int]:
    """Return how often a step's container stands in the object, by place."""
    held = ("inputs.container", "inputs.pod-spec-patch", "outputs.pod-spec-patch")
    rows: list[Row] = [
        r for r in sizes.rows if r.part in held and r.task in (task, f"{task}-driver")
    ]
    return {f"{row.node} {row.part}": row.copies for row in rows}


def test_a_retried_container_stands_five_times_in_the_nodes(tmp_path: Path) -> None:
    sizes = measure(measured("embedded", tmp_path, scale=0), LIVE, 1)
    assert container_copies(sizes, "fit-model") == {
        "Pod inputs.container": 1,
        "Pod outputs.pod-spec-patch": 1,
        "DAG inputs.pod-spec-patch": 1,
        "Retry inputs.pod-spec-patch": 1,
        "Pod inputs.pod-spec-patch": 1,
    }


def test_a_container_without_retries_stands_four_times(tmp_path: Path) -> None:
    sizes = measure(measured("artifact", tmp_path, scale=0), LIVE, 1)
    assert sum(container_copies(sizes, "library-1").values()) == 4


@pytest.mark.parametrize(("task", "copies"), [("exec-fit-model", 6), ("exec-deploy-model", 5)])
def test_a_carried_character_costs_a_byte_for_every_copy(
    task: str, copies: int, tmp_path: Path
) -> None:
    """One in the spec, four in the nodes, a fifth with retries."""
    document = measured("embedded", tmp_path, scale=0)
    before = measure(document, LIVE, 1).unpacked_bytes
    document.executors[task]["container"]["command"][-1] += "x" * 1000
    assert measure(document, LIVE, 1).unpacked_bytes - before == copies * 1000


def test_the_rows_add_up_to_the_object(tmp_path: Path) -> None:
    sizes = measure(measured("embedded", tmp_path), LIVE, 3)
    rows = sum(row.size_bytes for row in sizes.rows)
    assert rows == pytest.approx(sizes.unpacked_bytes, rel=0.01)
    assert [row.size_bytes for row in sizes.rows] == sorted(
        (row.size_bytes for row in sizes.rows), reverse=True
    )


def test_measuring_changes_nothing_and_repeats() -> None:
    document = read(str(DATA / "clean.yaml"))
    before = json.dumps(document.pipeline)
    assert measure(document, LIVE) == measure(document, LIVE)
    assert json.dumps(document.pipeline) == before


def node_count(text: str, tmp_path: Path, workers: int = 16) -> int:
    file = tmp_path / "loop.yaml"
    file.write_text(text)
    return measure(read(str(file)), LIVE, workers).node_count


def test_a_constant_list_counts_as_long_as_it_is_and_another_as_the_workers(tmp_path: Path) -> None:
    of_run = (DATA / "loop.yaml").read_text()
    constant = of_run.replace("inputParameter: message", "raw: '[1, 2, 3]'")
    assert node_count(of_run, tmp_path, 3) == node_count(constant, tmp_path, 16)
    assert node_count(of_run, tmp_path, 4) > node_count(of_run, tmp_path, 3)


def nested(pipeline: dict[str, Any], depth: int, *, width: int = 1, loop: bool = False) -> None:
    """Put the pipeline's one task into components that each hold the next, or several of it."""
    (key, task), *_ = pipeline["root"]["dag"]["tasks"].items()
    inner = json.loads(json.dumps(task))
    for level in range(depth):
        names = [f"{key}-{number}" for number in range(width)]
        pipeline["components"][f"comp-{level}"] = {
            "dag": {"tasks": {name: json.loads(json.dumps(inner)) for name in names}},
            "inputDefinitions": {"parameters": {"message": {"parameterType": "STRING"}}},
        }
        inner = inner if loop else {k: v for k, v in task.items() if k != "parameterIterator"}
        inner["componentRef"] = {"name": f"comp-{level}"}
    pipeline["root"]["dag"]["tasks"] = {key: inner}


@pytest.mark.parametrize("shape", [{"loop": True}, {"width": 10}], ids=["loops", "components"])
def test_a_run_without_end_is_cut_and_says_so(shape: dict[str, Any], tmp_path: Path) -> None:
    """What multiplies ends far above any limit, and not far away in time or in memory."""
    pipeline = yaml.safe_load((DATA / "loop.yaml").read_text())
    nested(pipeline, 9, **shape)
    file = tmp_path / "deep.yaml"
    file.write_text(yaml.safe_dump(pipeline))
    sizes = measure(read(str(file)), LIVE)
    assert not sizes.complete
    assert 8 * WORKFLOW_BYTES < sizes.unpacked_bytes < 16 * WORKFLOW_BYTES
