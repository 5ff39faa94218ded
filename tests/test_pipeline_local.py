"""The pipelines on this machine: real steps in processes, real hub, real registry, real buildah."""

import builtins
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from logging.handlers import BufferingHandler
from pathlib import Path
from typing import Any

import pytest
from kfp import components as kfp_components
from kfp import dsl
from servers import models
from servers.denying import denying
from servers.hub import Hub
from servers.images import write_layout
from servers.registry import Registry

from carferry.bundle.functions import carried
from carferry.bundle.library import ARCHIVE
from carferry.errors import CarferryError, DoesNotFit, InputError, PushDenied
from carferry.pipelines import command
from carferry.pipelines.local import processes, runner

SITE = "an environment with Python"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return models.write(models.tiny(), tmp_path / "model")


@dsl.component(base_image=SITE, install_kfp_package=False)
def double(number: int) -> int:
    """Return twice a number."""
    print(f"doubling {number}")
    return 2 * number


@dsl.component(base_image=SITE, install_kfp_package=False)
def divide(number: int) -> float:
    """Divide by a number."""
    return 1 / number


@dsl.component(base_image=SITE, install_kfp_package=False)
def refuse(reason: str) -> str:
    """Raise the library's own error."""
    from carferry.errors import SourceNotFound

    raise SourceNotFound("read", "org/name", reason, "check the name")


@dsl.component(base_image=SITE, install_kfp_package=False)
def carry(share: str) -> None:
    """Fail in the first share while the second goes on, and talks."""
    import logging
    import sys
    import time

    from carferry.cluster.pod import enter
    from carferry.errors import PushDenied

    enter()
    if share == "1/3":
        raise PushDenied("push", "quay.io/me/m:1", "DENIED: no rights (403)", "ask for them")
    for number in range(15):
        print(f"{number} MiB of 15 MiB", file=sys.stderr)
        logging.getLogger("urllib3").warning("Connection pool is full")
        logging.getLogger("carferry").info("still at it")
        time.sleep(0.1)
    if share == "3/3":
        raise PushDenied("push", "quay.io/me/m:1", "another cause", "")


@dsl.component(base_image=SITE, install_kfp_package=False)
def outgrow(model: str) -> None:
    """Find that a model does not fit, as the library says it."""
    from carferry.errors import DoesNotFit

    raise DoesNotFit("plan", model, "no GPU holds it", "take larger ones")


@dsl.pipeline
def shares():
    """Move three shares at once."""
    with dsl.ParallelFor(["1/3", "2/3", "3/3"]) as share:
        carry(share=share)


@dsl.pipeline
def too_large(model: str):
    """Plan."""
    outgrow(model=model)


@dsl.pipeline
def arithmetic(number: int):
    """Double, then divide."""
    divide(number=double(number=number).output)


@dsl.pipeline
def refusal(reason: str):
    """Fail as the library does."""
    refuse(reason=reason)


def ignore(line: str) -> None:
    """Take a line of progress."""


def main(*arguments: str, root: Path) -> int:
    return command.main(["--local", "--root", str(root), *arguments])


def test_a_folder_becomes_an_image_and_its_objects_are_written(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "image"
    arguments = [f"model={model}", f"image=oci:{image}:1", "settings.base=scratch", "serve=no"]
    assert main(*arguments, root=tmp_path / "root") == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    (entry,) = json.loads((image / "index.json").read_text())["manifests"]
    assert steps["seal-image"]["digest"] == entry["digest"]


def test_the_hubs_model_arrives_in_the_registry_by_digest(
    hub: Hub,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hub.add("team/tiny", models.tiny())
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    target = f"{registry.host}/models/tiny"
    arguments = [
        "model=team/tiny",
        f"image=docker://{target}:1",
        f"settings.plain_http={registry.host}",
    ]
    assert (
        main(
            *arguments,
            "settings.base=scratch",
            "serve_name=tiny",
            "settings.namespace=here",
            root=tmp_path,
        )
        == 0
    )
    done = json.loads(capsys.readouterr().out)
    digest = registry.tags("models/tiny")["1"]
    assert done["steps"]["seal-image"]["reference"] == f"{target}@{digest}"
    assert done["steps"]["deploy-model"] == {"name": "tiny", "namespace": "here", "url": ""}
    (manifests,) = Path(done["folder"]).glob("deploy-model/manifests")
    assert f"oci://{target}@{digest}" in manifests.read_text()


def test_lineage_names_the_image_by_digest_and_holds_no_bytes(model: Path, tmp_path: Path) -> None:
    image = f"oci:{tmp_path / 'image'}:1"
    arguments = [f"model={model}", f"image={image}", "settings.base=scratch", "serve=no"]
    assert main(*arguments, root=tmp_path / "root") == 0
    (written,) = (tmp_path / "root").rglob("seal-image/executor_output.json")
    (artifact,) = json.loads(written.read_text())["artifacts"]["modelcar"]["artifacts"]
    assert artifact["uri"] == image
    assert artifact["metadata"]["digest"].startswith("sha256:")
    assert not (written.parent / "modelcar").exists()


def test_buildah_builds_over_a_shared_folder_and_pushes(
    model: Path,
    registry: Registry,
    tools: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tools("buildah")
    image = f"docker://{registry.host}/models/tiny:1"
    arguments = [
        f"model={model}",
        f"image={image}",
        f"settings.plain_http={registry.host}",
        "settings.base=scratch",
    ]
    assert main("--engine", "buildah", *arguments, "serve=no", root=tmp_path) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    assert steps["build-image"]["digest"] == steps["push-image"]["digest"]
    assert registry.tags("models/tiny")["1"] == steps["push-image"]["digest"]


def test_wrong_input_found_by_a_step_is_one_line_and_exit_2(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    arguments = ["model=team/absent", f"image=oci:{tmp_path / 'image'}:1", "settings.base=scratch"]
    assert main(*arguments, root=tmp_path / "root") == 2
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith("carferry: run step fit-model: ")
    assert "team/absent" in said.splitlines()[-1]
    assert "Traceback" not in said


def test_a_failure_outside_carferry_is_one_line_and_exit_1(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        f"model={model}",
        "image=docker://127.0.0.1:1/team/m:1",
        "settings.plain_http=127.0.0.1:1",
    ]
    assert main(*arguments, "settings.base=scratch", root=tmp_path) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("carferry: run step plan-model: ")


def test_an_error_of_the_library_keeps_its_family_and_its_line(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        runner.run(refusal, {"reason": "it isn't there"}, root=tmp_path, say=ignore)
    line = "run step refuse: read org/name: it isn't there; check the name"
    assert str(caught.value) == line


def test_the_share_that_failed_first_says_why_while_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    with pytest.raises(PushDenied) as caught:
        runner.run(shares, {}, root=tmp_path, say=said.append)
    cause = "run step carry 1/3: push quay.io/me/m:1: DENIED: no rights (403); ask for them"
    assert str(caught.value) == cause
    other = "run step carry 3/3: push quay.io/me/m:1: another cause"
    assert caught.value.__notes__ == [other]
    assert "carry 2/3: 14 MiB of 15 MiB" in said
    assert "carry 2/3: still at it" in said
    assert {"carry 1/3: failed", "carry 2/3: done", "carry 3/3: failed"} <= {*said}
    assert [line for line in said if "pool" in line or "Traceback" in line] == []
    assert capsys.readouterr() == ("", "")


def test_an_error_of_a_step_keeps_its_exit_code(tmp_path: Path) -> None:
    with pytest.raises(DoesNotFit) as caught:
        runner.run(too_large, {"model": "m"}, root=tmp_path, say=ignore)
    assert caught.value.exit_code == DoesNotFit.exit_code


def test_a_function_that_prints_may_take_the_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the notebook does it."""
    runner.run(arithmetic, {"number": 3}, root=tmp_path, say=print)
    wanted = ["double: started", "double: doubling 3", "double: done"]
    wanted += ["divide: started", "divide: done"]
    assert capsys.readouterr().out.splitlines() == wanted


def test_an_unforeseen_failure_brings_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(CarferryError, match="run step divide: ZeroDivisionError") as caught:
        runner.run(arithmetic, {"number": 0}, root=tmp_path, say=ignore)
    (note,) = caught.value.__notes__
    assert note.startswith("Traceback (most recent call last):")
    assert "return 1 / number" in note or "in divide" in note


def test_progress_names_the_steps_in_order(tmp_path: Path) -> None:
    said: list[str] = []
    done = runner.run(arithmetic, {"number": 2}, root=tmp_path, say=said.append)
    wanted = ["double: started", "double: done", "divide: started", "divide: done"]
    assert [line for line in said if line in wanted] == wanted
    assert done.outputs["double"] == {"Output": 4}
    assert done.outputs["divide"] == {"Output": 0.25}


def test_a_run_leaves_print_logging_and_your_folders_as_they_were(tmp_path: Path) -> None:
    said, handlers = builtins.print, list(logging.getLogger().handlers)
    (tmp_path / "keep").write_text("mine")
    with pytest.raises(CarferryError):
        runner.run(arithmetic, {"number": 0}, root=tmp_path, say=ignore)
    runner.run(arithmetic, {"number": 1}, root=tmp_path, say=ignore)
    assert builtins.print is said
    assert logging.getLogger().handlers == handlers
    assert (tmp_path / "keep").read_text() == "mine"


def test_two_runs_at_once_do_not_share_a_configuration(tmp_path: Path) -> None:
    done: dict[int, Any] = {}

    def one(number: int) -> None:
        root = tmp_path / str(number)
        done[number] = runner.run(arithmetic, {"number": number}, root=root, say=ignore)

    threads = [threading.Thread(target=one, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: run.outputs["double"]["Output"] for n, run in done.items()} == {1: 2, 2: 4}
    assert {n: run.folder.parent.parent.name for n, run in done.items()} == {1: "1", 2: "2"}


def test_two_runs_at_once_in_one_folder_each_find_their_own(model: Path, tmp_path: Path) -> None:
    """As two terminals start them: processes, and one root."""
    root = ["--local", "--root", str(tmp_path / "root"), "settings.base=scratch", "serve=no"]
    images = [tmp_path / f"image{n}" for n in range(2)]
    runs = [
        started(*root, f"model={model}", f"image=oci:{image}:1", stdout=subprocess.PIPE)
        for image in images
    ]
    folders = set()
    for run, image in zip(runs, images, strict=True):
        out, err = run.communicate()
        assert run.returncode == 0, err
        done = json.loads(out)
        assert done["steps"]["seal-image"]["reference"].startswith(f"oci:{image}")
        folders.add(done["folder"])
    assert len(folders) == 2


def test_a_runs_folders_sort_by_time(tmp_path: Path) -> None:
    runs = [runner.run(arithmetic, {"number": n}, root=tmp_path, say=ignore) for n in (1, 2, 3)]
    assert sorted(run.folder for run in runs) == [run.folder for run in runs]


def test_a_shared_folder_is_one_runs_at_a_time(tmp_path: Path) -> None:
    with (
        runner.alone(tmp_path / "shared"),
        pytest.raises(InputError, match="another local run is using it; give another --root"),
        runner.alone(tmp_path / "shared"),
    ):
        pass
    with runner.alone(tmp_path / "shared"):
        pass


def test_a_loop_says_nothing_after_its_run_has_ended(tmp_path: Path) -> None:
    """Kfp runs a loop's steps in threads, which an interrupt of the run does not end."""
    said = BufferingHandler(100)
    root = logging.getLogger()
    root.addHandler(said)
    late = threading.Timer(0.2, root.error, ["Task 'stream-layers' finished with status FAILURE"])
    try:
        with pytest.raises(KeyboardInterrupt), runner._session(tmp_path):
            late.start()
            raise KeyboardInterrupt
    finally:
        root.removeHandler(said)
    assert not late.is_alive()
    assert said.buffer == []


STEPS = ["fit-model", "plan-model", "stream-layers", "seal-image"]


@pytest.mark.parametrize("alone", [True, False], ids=["process", "group"])
@pytest.mark.parametrize("step", STEPS)
def test_an_interrupt_in_any_step_is_one_line_and_leaves_no_process(
    step: str, alone: bool, model: Path, tmp_path: Path
) -> None:
    """A terminal sends it to the whole group, another program to the process."""
    options = ["--local", "--root", str(tmp_path / "root"), "settings.base=scratch", "serve=no"]
    with started(*options, f"model={model}", f"image=oci:{tmp_path / 'image'}:1") as process:
        assert process.stderr is not None
        while process.stderr.readline() != f"{step}: started\n":
            assert process.poll() is None
        (os.kill if alone else os.killpg)(process.pid, signal.SIGINT)
        said = process.stderr.read().splitlines()
    progress = re.compile(rf"({'|'.join(STEPS)}): .*")
    assert [line for line in said if not progress.fullmatch(line)] == ["interrupted"]
    assert process.returncode == 130
    assert running(str(tmp_path)) == []


@pytest.mark.parametrize("module", ["kfp.dsl", "carferry.pipelines.command"])
def test_an_interrupt_while_it_starts_is_one_line(module: str, tmp_path: Path) -> None:
    options = ["--compile", "--output", str(tmp_path)]
    with started(*options, python=("-X", "importtime")) as process:
        assert process.stderr is not None
        while process.stderr.readline().rpartition("|")[2].strip() != module:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said = [line for line in process.stderr if not line.startswith("import time:")]
    assert (process.returncode, said) == (130, ["interrupted\n"])


@pytest.mark.parametrize("heeds", [True, False])
def test_a_step_that_ignores_an_interrupt_is_killed(heeds: bool) -> None:
    said: list[str] = []
    steps = processes.Processes(said.append, grace_s=0.2)
    trap = "" if heeds else "trap '' INT; "
    ended: list[int] = []

    def one() -> None:
        ended.append(steps.run(["sh", "-c", f"{trap}echo ready; sleep 60; sleep 60"]))

    thread = threading.Thread(target=one)
    thread.start()
    while "step: ready" not in said:
        time.sleep(0.01)
    steps.stop()
    thread.join(20)
    assert ended == [-signal.SIGINT if heeds else -signal.SIGKILL]
    assert steps.run(["false"]) == 130  # a loop's next turn


def started(
    *arguments: str, python: tuple[str, ...] = (), stdout: int = subprocess.DEVNULL
) -> subprocess.Popen[str]:
    """Start the script in a group of its own, as a shell does."""
    script = Path(__file__).parent.parent / "pipelines" / "modelcar.py"
    return subprocess.Popen(
        [sys.executable, *python, str(script), *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def running(word: str) -> list[str]:
    """Return the command lines of processes that name a word."""
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    return [line.decode("utf-8", "replace") for line in lines if word.encode() in line]


def test_the_compiled_yaml_runs_here_too(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library comes from its ConfigMap; the packages are here already: nothing is fetched."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("CARFERRY_LIBRARY", str(unpacked(tmp_path / "library")))
    assert command.main(["--compile", "--output", str(tmp_path / "compiled")]) == 0
    text = (tmp_path / "compiled" / "modelcar.yaml").read_text()
    pipeline = kfp_components.load_component_from_text(text)
    image = f"oci:{tmp_path / 'image'}:1"
    values = {"model": str(model), "image": image, "serve": "no", "settings": {"base": "scratch"}}
    done = runner.run(pipeline, values, root=tmp_path / "root", say=ignore)
    assert done.outputs["seal-image"]["reference"].startswith(f"oci:{tmp_path / 'image'}")


def unpacked(folder: Path) -> Path:
    """Lay the library's ConfigMap out as files."""
    folder.mkdir()
    (folder / "start.py").write_text(carried().start)
    (folder / ARCHIVE).write_bytes(carried().archive)
    return folder


def test_a_run_leaves_a_report_and_numbers_beside_the_image(model: Path, tmp_path: Path) -> None:
    arguments = [f"model={model}", f"image=oci:{tmp_path / 'image'}:1", "settings.base=scratch"]
    assert main(*arguments, "serve=no", root=tmp_path / "root") == 0
    (planned,) = (tmp_path / "root").rglob("plan-model/report")
    (sealed,) = (tmp_path / "root").rglob("seal-image/report")
    assert "| move | 1 |" in planned.read_text()
    assert "model.safetensors" in sealed.read_text()
    assert re.search(r"\| several files \| \S+ \S+ \| [0-9a-f]{12} \|", sealed.read_text())
    (written,) = (tmp_path / "root").rglob("plan-model/executor_output.json")
    (artifact,) = json.loads(written.read_text())["artifacts"]["metrics"]["artifacts"]
    assert artifact["metadata"]["bytes_to_move"] > 0


def test_a_push_that_is_denied_stops_the_run_before_a_byte_moves(
    model: Path, registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with denying(registry.url) as front:
        image = f"image=docker://{front.host}/org/tiny:1"
        values = [
            f"model={model}",
            image,
            f"settings.plain_http={front.host}",
            "settings.base=scratch",
        ]
        assert main(*values, "serve=no", root=tmp_path / "root") == 1
    assert "needs push rights" in capsys.readouterr().err
    assert list((tmp_path / "root").rglob("stream-layers*")) == []


def test_an_image_that_kserve_could_not_run_ends_the_run(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A base without a shell: the sidecar could never link the model."""
    write_layout(tmp_path / "base", [b"\0" * 1024])
    values = [f"model={model}", f"image=oci:{tmp_path / 'image'}:1", "serve=no"]
    assert (
        main(*values, f"settings.base=oci:{tmp_path / 'base'}:latest", root=tmp_path / "root") == 2
    )
    assert "no sh, ls, ln, sleep, mkdir" in capsys.readouterr().err
