"""The rig itself: that it confines, refuses and passes on what the backend does, in small."""

from pathlib import Path
from typing import Any

import pytest
from kfp import compiler, dsl, kubernetes
from kfp.dsl.graph_component import GraphComponent

from backend import driver
from backend.conftest import Images
from backend.graph import BackendError, Pipeline, Task
from backend.kubelet import Mount, Pod, Refused, check
from backend.steps import Run
from backend.walk import Backend

SHELL = "registry.example/shell:1"


SEE = """\
mkdir -p "$(dirname "$0")"
exec > "$0" 2>&1
id
grep -E "Cap(Eff|Bnd)|NoNewPrivs|Seccomp:" /proc/self/status
touch /x /opt/app-root/x
touch /tmp/x && ls -lA /secret && cat /secret/word
"""
JOIN = 'printf "%s+%s" "$1" "$2" > "$0"'


@dsl.container_component
def look(secret: str, found: dsl.OutputPath(str)):  # type: ignore[valid-type]
    """Write what a step sees of its pod."""
    return dsl.ContainerSpec(SHELL, ["sh", "-c"], [SEE, found])


@dsl.container_component
def add(to: str, word: str, made: dsl.OutputPath(str)):  # type: ignore[valid-type]
    """Put two words together."""
    return dsl.ContainerSpec(SHELL, ["sh", "-ec"], [JOIN, made, to, word])


@dsl.container_component
def forget(made: dsl.OutputPath(str)):  # type: ignore[valid-type]
    """End well without the output that was promised."""
    return dsl.ContainerSpec(SHELL, ["sh", "-c"], [": $0", made])


@dsl.pipeline
def looking(secret: str = "words"):
    """Look at the pod."""
    kubernetes.use_secret_as_volume(look(secret=secret), secret, "/secret", optional=False)


@dsl.pipeline
def inner(word: str) -> str:
    """Add twice."""
    first = add(to=word, word="b")
    return add(to=first.output, word="c").output


@dsl.pipeline
def outer(words: list = ["x", "y"], say: str = "no"):  # noqa: B006 - kfp copies it
    """Loop, nest, branch."""
    with dsl.ParallelFor(words) as word:
        add(to=word, word=inner(word="a").output)
    with dsl.If(say == "yes"):
        add(to=say, word="said")


@dsl.pipeline
def forgetful():
    """Forget."""
    forget().set_retry(1)


def read(pipeline: GraphComponent, tmp_path: Path) -> Pipeline:
    file = tmp_path / "pipeline.yaml"
    compiler.Compiler().compile(pipeline, str(file))
    return Pipeline.read(file)


def outputs(backend: Backend, run: Run, task: str, name: str) -> list[str]:
    """Return what the executions of a task published, sorted."""
    found = backend.metadata.executions(run.id)
    ids = [e["id"] for e in found if e["custom_properties"]["task_name"]["string_value"] == task]
    return sorted(backend.metadata.outputs(int(each)).get(name, "") for each in ids)


def test_a_step_is_unprivileged_and_may_only_read_its_secret(
    backend: Backend, tmp_path: Path
) -> None:
    backend.cluster.secrets["words"] = {"word": b"open sesame"}
    run = backend.run(read(looking, tmp_path))
    assert not run.failed, run.problems()
    (seen,) = outputs(backend, run, "look", "found")
    for wanted in (
        "uid=1000650000(1000650000) gid=0(0)",
        "CapBnd:\t0000000000000000",
        "CapEff:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "'/x': Read-only file system",
        "'/opt/app-root/x': Read-only file system",
        "word -> ..data/word",
        "open sesame",
    ):
        assert wanted in seen


def test_loops_nested_outputs_and_conditions_are_followed(backend: Backend, tmp_path: Path) -> None:
    run = backend.run(read(outer, tmp_path), words=["p", "q", "r"])
    assert not run.failed, run.problems()
    assert outputs(backend, run, "add", "made") == sorted(
        ["a+b"] * 3 + [f"{w}+a+b+c" for w in "pqr"]
    )
    assert [step.state for step in run.named("condition-2")] == ["CANCELED"]


def test_a_condition_that_holds_runs_what_it_guards(backend: Backend, tmp_path: Path) -> None:
    run = backend.run(read(outer, tmp_path), words=[], say="yes")
    assert [(step.path, step.state) for step in run.steps] == [("condition-2/add-2", "COMPLETE")]


def test_an_output_that_was_not_written_fails_each_try(backend: Backend, tmp_path: Path) -> None:
    run = backend.run(read(forgetful, tmp_path))
    (step,) = run.steps
    assert (step.state, step.tries) == ("FAILED", 2)
    assert "failed to read output parameter" in step.message


def test_a_required_secret_that_is_missing_keeps_the_pod_from_starting(
    backend: Backend, tmp_path: Path
) -> None:
    run = backend.run(read(looking, tmp_path))
    assert run.problems().startswith('look: MountVolume.SetUp failed for volume "words"')


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"word": "a"}, r"\['word'\] are not in the pipeline"),
        ({"words": "p"}, "expect LIST, got str"),
        ({"words": 3}, "expect LIST, got int"),
    ],
)
def test_a_form_that_does_not_fit_is_refused(
    backend: Backend, tmp_path: Path, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(BackendError, match=said):
        backend.run(read(outer, tmp_path), **values)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("inputs.parameter_values['a'] == 'x'", True),
        ("inputs.parameter_values['a'] != 'x'", False),
        ("inputs.parameter_values['a'] == 'y'", False),
        ("inputs.parameter_values['b'] == true", True),
        ("inputs.parameter_values['b'] == false", False),
        ("inputs.parameter_values['a'] == 'x' && inputs.parameter_values['b'] == true", True),
        ("", True),
    ],
)
def test_conditions_compare_as_the_backend_does(condition: str, holds: bool) -> None:
    task = Task("t", {"triggerPolicy": {"condition": condition}})
    assert driver.triggers(task, {"a": "x", "b": True}) is holds


@pytest.mark.parametrize(
    "condition",
    ["inputs.parameter_values['a'] > 'x'", "int(inputs.parameter_values['a']) == 1", "a || b"],
)
def test_a_condition_of_another_shape_is_not_guessed(condition: str) -> None:
    with pytest.raises(BackendError, match="not understood"):
        driver.triggers(Task("t", {"triggerPolicy": {"condition": condition}}), {"a": "x"})


@pytest.mark.parametrize(
    ("mounts", "said"),
    [
        ([("a", "/a"), ("a", "/b")], 'Duplicate value: "a"'),
        ([("a", "/a"), ("b", "/a")], "must be unique"),
        ([("a.b", "/a")], 'Invalid value: "a.b"'),
        ([("s3-scratch", "/a")], "Duplicate value"),
        ([("a", "/s3")], "must be unique"),
        ([("a" * 64, "/a")], "Invalid value"),
    ],
)
def test_volumes_that_kubernetes_refuses_are_refused(mounts: list[Any], said: str) -> None:
    made = tuple(Mount("secret", name, path) for name, path in mounts)
    with pytest.raises(Refused, match=said):
        check(Pod("p", SHELL, {}, made))


def test_an_image_has_what_its_step_installs_and_nothing_else(images: Images) -> None:
    site = Path(images({"image": SHELL}).source[-1]) / "opt" / "app-root" / "lib"
    names = {path.name for path in site.glob("*/site-packages/[a-z]*")}
    assert {name.partition("-")[0] for name in names} == {"pip", "kfp"}
