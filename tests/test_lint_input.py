"""Whatever file is given, lint ends with findings or with one line; never with a traceback."""

from __future__ import annotations

import copy
import json
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ferrying import Outcome, carferry

from carferry.errors import InputError
from carferry.lint.report import lint
from carferry.lint.targets import TARGETS

DATA = Path(__file__).parent / "data" / "lint"
CLEAN = (DATA / "clean.yaml").read_text()
SMALL = (DATA / "volume-name-twice.yaml").read_text()
IR, PLATFORM = SMALL.split("---\n")
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
)
MERGE = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i + 1}: &a{i + 1} {{<<: [{', '.join([f'*a{i}'] * 9)}]}}\n" for i in range(8)
)
Run = Callable[..., Outcome]

FILES: dict[str, tuple[bytes | str, str]] = {
    "empty": (
        "",
        "empty",
    ),
    "only a comment": (
        "# PIPELINE DEFINITION\n",
        "empty",
    ),
    "an empty document": (
        "---\n",
        "empty",
    ),
    "a text": (
        "hello\n",
        "0 documents with",
    ),
    "a list": (
        "- pipelineInfo\n",
        "0 documents with",
    ),
    "binary": (
        bytes(range(256)) * 10,
        "not UTF-8 at byte 128",
    ),
    "not UTF-8": (
        "name: caf\xe9\n".encode("latin-1"),
        "not UTF-8 at byte 9",
    ),
    "NUL": (
        "pipelineInfo: \0\n",
        "not YAML",
    ),
    "not YAML": (
        "a: [1, 2\nb: }\n",
        "in line 2",
    ),
    "a tab": (
        "pipelineInfo:\n\tname: x\n",
        "in line 2",
    ),
    "a Python object": (
        "!!python/object/apply:os.system ['true']\n",
        "in line 1",
    ),
    "bytes": (
        IR.replace("name: fixture", "name: !!binary aGVsbG8="),
        "a tag ('tag:yaml.org,2002:binary')",
    ),
    "a set": (
        IR.replace("name: fixture", "name: !!set {a, b}"),
        "a tag ('tag:yaml.org,2002:set')",
    ),
    "a map as key": (
        "? {a: b}\n: c\n",
        "in line 1",
    ),
    "an Argo Workflow": (
        "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nspec: {}\n",
        "an Argo Workflow",
    ),
    "a Deployment": (
        "apiVersion: apps/v1\nkind: Deployment\n",
        "0 documents with",
    ),
    "a platform document alone": (
        PLATFORM,
        "0 documents with",
    ),
    "two pipelines": (
        IR + "---\n" + IR,
        "2 documents with",
    ),
    "two platform documents": (
        SMALL + "---\n" + PLATFORM,
        "3 documents;",
    ),
    "three documents": (
        SMALL + "---\nkind: ConfigMap\n",
        "3 documents;",
    ),
    "an alias bomb": (
        BOMB,
        "more values",
    ),
    "an alias bomb in a pipeline": (
        IR + BOMB,
        "more values",
    ),
    "a merge bomb": (
        MERGE,
        "a merge key (<<) in line 2",
    ),
    "a merge bomb in a pipeline": (
        IR + MERGE,
        "a merge key (<<) in line",
    ),
    "a merge of one map": (
        IR.replace("cachingOptions: {}", "<<: {cachingOptions: {}}"),
        "a merge key (<<) in line",
    ),
    "directives that are compared with each other": (
        "".join(f"%TAG !{i}! x\n" for i in range(200_000)),
        "a YAML directive",
    ),
    "a number of a million digits": (
        IR.replace("cachingOptions: {}", f"retryPolicy: {{maxRetryCount: {'9' * 10**6}}}"),
        "a number of 1000000 characters in line",
    ),
    "a hexadecimal number of a million digits": (
        IR.replace("defaultValue: hello", f"defaultValue: 0x{'f' * 10**6}"),
        "a number of 1000002 characters in line",
    ),
    "a number to the base of sixty": (
        IR.replace("defaultValue: hello", f"defaultValue: 1{':1' * 10**6}"),
        "a number of 2000001 characters in line",
    ),
    "keys that collide": (
        "\n".join(f"{i * (2**61 - 1)}: x" for i in range(50_000)),
        "0 documents with",
    ),
    "more values than memory holds": (
        f"[{'1,' * 5 * 10**6}]",
        "more values",
    ),
    "a number that is none": (
        IR.replace("name: fixture", "name: !!int ''"),
        "a tag ('tag:yaml.org,2002:int')",
    ),
    "a date that is none": (
        IR.replace("name: fixture", "name: !!timestamp x"),
        "a tag ('tag:yaml.org,2002:timestamp')",
    ),
    "an alias to itself": (
        "pipelineInfo: &a [*a]\n",
        "deeper",
    ),
    "a deep list": (
        "pipelineInfo: " + "[" * 100_000,
        "nested deeper",
    ),
    "a deep map": (
        "\n".join(" " * i + "a:" for i in range(2_000)),
        "nested deeper",
    ),
    "another schema": (
        IR.replace("2.1.0", "2.0.0"),
        "'2.0.0'",
    ),
    "no schema": (
        IR.replace("schemaVersion: 2.1.0\n", ""),
        "''",
    ),
    "no name": (
        IR.replace("name: fixture", "name: ''"),
        "no pipelineInfo.name",
    ),
    "no root": (
        IR.replace("root:", "roots:"),
        "or no root",
    ),
    "a component that is missing": (
        IR.replace("name: comp-work", "name: comp-rest"),
        "task work of root refers",
    ),
    "an executor that is missing": (
        IR.replace("executorLabel: exec-work", "executorLabel: other"),
        "comp-work has neither",
    ),
    "a dependency that is missing": (
        IR.replace("cachingOptions: {}", "cachingOptions: {}\n        dependentTasks: [other]"),
        "waits for other",
    ),
    "an output of no task": (
        IR.replace(
            "componentInputParameter: message",
            "taskOutputParameter: {producerTask: other, outputParameterKey: answer}",
        ),
        "waits for other",
    ),
    "a task named as a driver": (
        IR.replace(
            "      work:\n", "      work-driver: {componentRef: {name: comp-work}}\n      work:\n"
        ),
        "task work-driver of root",
    ),
    "a component in itself": (
        IR.replace(
            "    executorLabel: exec-work\n",
            "    dag: {tasks: {again: {componentRef: {name: comp-work}}}}\n",
        ),
        "component comp-work contains itself",
    ),
    "a type of its own": (
        IR.replace("parameterType: STRING", "parameterType: TEXT", 1),
        "'TEXT' is no parameter type",
    ),
    "a number as a text of a million digits": (
        IR.replace("cachingOptions: {}", f"retryPolicy: {{maxRetryCount: '{'9' * 10**6}'}}"),
        "a text where a number belongs",
    ),
    "an endless number as a text": (
        IR.replace("cachingOptions: {}", "retryPolicy: {maxRetryCount: '1e999'}"),
        "a text where a number belongs",
    ),
    "not a number": (
        IR.replace("cachingOptions: {}", "retryPolicy: {maxRetryCount: .nan}"),
        "nan",
    ),
    "an endless number": (
        IR.replace("cachingOptions: {}", "retryPolicy: {maxRetryCount: .inf}"),
        "inf",
    ),
}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process."""
    return lambda *arguments: carferry(capsys, *arguments)


def write(folder: Path, content: bytes | str) -> Path:
    file = folder / "pipeline.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


@pytest.mark.parametrize(("content", "reason"), FILES.values(), ids=FILES)
def test_what_is_no_pipeline_ends_with_one_line_that_says_why_and_exit_2(
    content: bytes | str, reason: str, run: Run, tmp_path: Path
) -> None:
    started = time.monotonic()
    file = write(tmp_path, content)
    outcome = run("lint", file)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert re.match(rf"carferry: read {re.escape(str(file))}: .*{re.escape(reason)}", outcome.err)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("name", ["missing.yaml", ".", "a\0b", "x" * 300])
def test_a_file_that_cannot_be_read_ends_with_one_line(name: str, run: Run, tmp_path: Path) -> None:
    outcome = run("lint", f"{tmp_path}{os.sep}{name}")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)


def test_a_file_beyond_what_the_server_reads_is_not_parsed(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "huge.yaml"
    with file.open("wb") as opened:
        opened.truncate(32 * 1024 * 1024 + 1)
    assert "32 MiB" in run("lint", file).err


def test_a_ring_of_dependencies_is_refused_and_not_followed(run: Run, tmp_path: Path) -> None:
    pipeline = yaml.safe_load(IR)
    tasks = pipeline["root"]["dag"]["tasks"]
    for name, other in (("work", "rest"), ("rest", "work")):
        tasks[name] = {**tasks["work"], "dependentTasks": [other]}
    outcome = run("lint", write(tmp_path, json.dumps(pipeline)))
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)


def grown(kind: str, count: int) -> str:
    """Return a pipeline with one part of it many times over."""
    pipeline = yaml.safe_load(IR)
    tasks, components = pipeline["root"]["dag"]["tasks"], pipeline["components"]
    executors = pipeline["deploymentSpec"]["executors"]
    work = tasks["work"]
    if kind == "tasks":
        tasks.update({f"t{n}": work for n in range(count)})
    elif kind == "components":
        components.update({f"c{n}": components["comp-work"] for n in range(count)})
    elif kind == "executors":
        executors.update({f"e{n}": executors["exec-work"] for n in range(count)})
    elif kind == "dependencies":
        tasks.update({f"t{n}": {**work, "dependentTasks": ["work"] * count} for n in range(30)})
    elif kind == "nested":
        for n in range(count):
            inner = {"componentRef": {"name": f"c{n + 1}" if n + 1 < count else "comp-work"}}
            components[f"c{n}"] = {"dag": {"tasks": {"t": {**work, **inner}}}}
        tasks["work"] = {**work, "componentRef": {"name": "c0"}}
    elif kind == "name":
        pipeline["pipelineInfo"]["name"] = "n" * count
    else:
        executors["exec-work"]["container"]["args"].append("x" * count)
    return json.dumps(pipeline)


@pytest.mark.parametrize(
    ("kind", "count", "reason"),
    [
        ("tasks", 1000, "1,001 tasks"),
        ("components", 1000, "1,002 components"),
        ("executors", 1000, "1,001 executors"),
        ("dependencies", 1000, "30,000 dependencies"),
        ("nested", 60, "components nested 61 deep"),
        ("nested", 900, "components nested 901 deep"),
        ("name", 1001, "a name of 1,001 characters"),
        ("bytes", 5 * 1024 * 1024, "bytes of components and executors"),
    ],
)
def test_more_than_a_workflow_holds_is_refused_and_not_simulated(
    kind: str, count: int, reason: str, run: Run, tmp_path: Path
) -> None:
    started = time.monotonic()
    outcome = run("lint", write(tmp_path, grown(kind, count)))
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert f"{reason}, more than any Workflow holds" in outcome.err
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("workers", ["0", "-1", "1001", "9" * 30, "x", "1e3", ""])
def test_workers_beyond_reason_end_with_exit_2(workers: str, run: Run) -> None:
    outcome = run("lint", DATA / "loop.yaml", f"--workers={workers}")
    assert (outcome.code, outcome.out) == (2, "")
    assert "Traceback" not in outcome.err


HOSTILE = [
    *("<<", "<<: *a", "&a", "*a", "!!int", "!!python/name:os.system", "!", "%YAML 9.9", "%TAG ! x"),
    *("---\n", "...\n", "? ", "- ", "[" * 200, "{" * 200, "{a: " * 50, "]", "}", "|\n", ">-\n"),
    *(".nan", "-.inf", "1e999", "9" * 5000, "0x" + "f" * 5000, "1" + ":59" * 2000, "~", "=", "0b_"),
    *("\0", "\x85", "\ufeff", "\U0001f600", "'", '"', '"\\ud800"', "{{$.x}}", "x" * 100_000, "\t"),
    *(
        "root",
        "comp-work",
        "exec-work",
        "work-driver",
        "null",
        "true",
        "2026-01-01",
        "''",
        "[]",
        "{}",
    ),
]


def test_hostile_text_anywhere_is_a_finding_or_one_line(run: Run, tmp_path: Path) -> None:
    """Each turn puts one to three of the table between words of a pipeline, or in their place."""
    source = random.Random(20)
    started = time.monotonic()
    refused = 0
    for _ in range(150):
        words = re.split(r"(\s+)", SMALL)
        for _ in range(source.randint(1, 3)):
            at = source.randrange(len(words))
            words[at] = source.choice(["", words[at] + " "]) + source.choice(HOSTILE)
        outcome = run("lint", write(tmp_path, "".join(words)), "--target", "rhoai-3.4")
        shown = outcome.err.count("\n") == 1 if outcome.code == 2 and outcome.err else outcome.out
        assert outcome.code in (0, 2) and shown, "".join(words)
        refused += bool(outcome.err)
    assert 0 < refused < 150
    assert time.monotonic() - started < 60


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every value in a document."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*path, index))


def put(documents: list[Any], path: tuple[Any, ...], value: Any) -> None:
    holder: Any = documents
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value


WRONG: list[Any] = [None, 0, -1, 1.5, True, "", "x", "{{x}}", [], [[]], {}, {"x": {}}]


@pytest.mark.parametrize("name", ["clean", "compile-refused-final-status", "volume-name-twice"])
@pytest.mark.parametrize("turn", range(3))
def test_a_wrong_value_anywhere_is_a_finding_or_one_line(
    name: str, turn: int, tmp_path: Path
) -> None:
    """Each value of the document in turn, replaced by another: whole maps and single texts."""
    documents = list(yaml.safe_load_all((DATA / f"{name}.yaml").read_text()))
    for number, path in enumerate(places(documents)):
        if not path:
            continue
        changed = copy.deepcopy(documents)
        put(changed, path, WRONG[(number + turn * 5) % len(WRONG)])
        file = write(tmp_path, "\n---\n".join(json.dumps(one) for one in changed))
        try:
            lint(str(file), [TARGETS["rhoai-2.22"]], workers=2)
        except InputError as error:
            assert str(error)


def test_names_with_underscores_are_what_they_are_in_camel_case(tmp_path: Path) -> None:
    """Protobuf's JSON takes both."""
    changed = SMALL.replace("secretNameParameter", "secret_name_parameter")
    (report,) = lint(str(write(tmp_path, changed)), [TARGETS["rhoai-3.4"]]).checked
    assert {found.rule for found in report.findings} == {"volume-name"}


def test_a_date_is_a_text_and_null_is_nothing(tmp_path: Path) -> None:
    changed = IR.replace("defaultValue: hello", "defaultValue: 2026-01-01\n        description: ~")
    assert lint(str(write(tmp_path, changed)), TARGETS.values()).is_clean
