"""The buildah engine: real Buildah packs, carferry checks it and leaves nothing behind."""

from __future__ import annotations

import glob
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest
from ferrying import (
    REPO,
    blob,
    ferry,
    from_folder,
    from_hub,
    hashes,
    left_behind,
    model_files,
    to_layout,
)
from servers.hub import Hub
from servers.models import ODD, tiny, write

from carferry import inspect
from carferry.assembly.build import build
from carferry.assembly.buildah import LocalBuildah, run_locally
from carferry.assembly.options import Options
from carferry.assembly.pack import pack_layers
from carferry.errors import SourceChanged, ToolFailed
from carferry.image.layers import Layer, arrange
from carferry.io.show.progress import Silent
from carferry.selection.patterns import Patterns
from carferry.selection.select import take

FILES = tiny() | {"a/b/c.json": b"{}"} | dict.fromkeys(ODD.values(), b"odd")
GLOBS = {"[a].json": b"1", "a.json": b"2", "st*r.json": b"3", "star.json": b"4", "q?.json": b"5"}


@pytest.fixture(autouse=True)
def installed(tools: Callable[..., str]) -> str:
    """Nothing here runs without Buildah."""
    return tools("buildah")


def containers() -> list[str]:
    """Return Buildah's working containers that are ours."""
    listed = subprocess.run(
        ["buildah", "containers", "--format", "{{.ContainerName}}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.split() if name.startswith("carferry-")]


@pytest.mark.parametrize("name", ["[a].json", "st*r.json"])
def test_names_that_buildah_takes_for_patterns_are_refused_and_never_mixed_up(
    name: str, tmp_path: Path
) -> None:
    """Buildah 1.28 expands the names it has expanded once more; the stream engine takes them."""
    folder = write(GLOBS, tmp_path / "model")
    target = to_layout(tmp_path / "layout")
    ferry(from_folder(folder), target)
    assert model_files(target) == hashes(GLOBS)
    with pytest.raises((SourceChanged, ToolFailed), match="json"):
        ferry(from_folder(folder), target, engine="buildah", include=[glob.escape(name)])


def test_a_name_with_a_question_mark_is_packed(tmp_path: Path) -> None:
    folder = write({"q?.json": b"5"}, tmp_path / "model")
    target = to_layout(tmp_path / "layout")
    ferry(from_folder(folder), target, engine="buildah")
    assert model_files(target) == hashes({"q?.json": b"5"})


def test_the_packed_layer_keeps_the_contract(tmp_path: Path) -> None:
    """No gzip, times at zero, root's files, readable by all, every parent there."""
    folder = write(FILES, tmp_path / "model")
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    target = to_layout(tmp_path / "layout")
    done = ferry(from_folder(folder), target, engine="buildah").document
    (layer,) = done.layers
    (tmp_path / "layer.tar").write_bytes(blob(target, layer.digest))
    with tarfile.open(tmp_path / "layer.tar") as tar:
        facts = {(m.isdir(), oct(m.mode & 0o7777), m.uid, m.gid, int(m.mtime)) for m in tar}
        names = set(tar.getnames())
    assert facts == {(True, "0o755", 0, 0, 0), (False, "0o644", 0, 0, 0)}
    assert {"models", "models/a", "models/a/b"} <= names


def test_what_buildah_packed_can_be_compared_file_by_file(hub: Hub, tmp_path: Path) -> None:
    """Its order of files is its own: a folder comes before what is named like it and longer."""
    hub.add(REPO, FILES | {"a-b.json": b"1", "a.json": b"2", "a/x.json": b"3", "ab.json": b"4"})
    target = to_layout(tmp_path / "layout")
    ferry(from_hub(hub), target, engine="buildah")
    found = inspect(str(target.ref), verify=True)
    assert found.flaws == ()
    assert [ok for name, ok, _ in found.rules if name == "files"] == [True]


def test_a_model_on_the_hub_is_downloaded_first_and_the_copy_is_gone_afterwards(
    hub: Hub, tmp_path: Path
) -> None:
    hub.add(REPO, FILES)
    work = tmp_path / "work"
    work.mkdir()
    target = to_layout(tmp_path / "layout")
    ferry(from_hub(hub), target, engine="buildah", workdir=work)
    assert model_files(target) == hashes(FILES)
    assert list(work.iterdir()) == []


class Recorder:
    """Runs Buildah and remembers the containers it was asked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __call__(self, command: Sequence[str]) -> None:
        self.names |= {word for word in command if word.startswith("carferry-")}
        run_locally(command)


class Vandal(Silent):
    """Removes a file as soon as its layer is begun."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, name: str, size_bytes: int) -> None:
        self._path.unlink()


def layers_of(folder: Path) -> Sequence[Layer]:
    """Return a folder's files as layers."""
    snapshot = take(from_folder(folder), Patterns())
    return arrange(snapshot.files, base_layers=0)


@pytest.mark.parametrize("fails", [False, True])
def test_no_container_and_no_scratch_is_left(fails: bool, tmp_path: Path) -> None:
    folder = write(tiny(), tmp_path / "model")
    layers, run, work = layers_of(folder), Recorder(), tmp_path / "work"
    progress = Vandal(folder / "config.json") if fails else Silent()
    work.mkdir()
    with pytest.raises(ToolFailed) if fails else nullcontext():
        pack_layers(
            layers,
            folder,
            to_layout(tmp_path / "l"),
            scratch=work,
            progress=progress,
            runner=LocalBuildah(run),
        )
    assert len(run.names) == 1
    assert run.names & set(containers()) == set()
    assert list(work.iterdir()) == []


def test_a_failed_pack_says_what_buildah_said_and_tags_nothing(tmp_path: Path) -> None:
    folder = write(tiny(), tmp_path / "model")
    options = Options(engine="buildah", base="scratch")
    with pytest.raises(ToolFailed, match=r"run buildah copy: exit \d+: .*config\.json"):
        build(
            from_folder(folder),
            to_layout(tmp_path / "layout"),
            options,
            progress=Vandal(folder / "config.json"),
        )
    assert left_behind(tmp_path / "layout") == []


def test_a_file_that_buildah_packed_too_much_is_found(tmp_path: Path) -> None:
    """Whatever the tool did, the layer holds exactly what the snapshot promised."""
    folder = write(tiny() | {"smuggled.json": b"!"}, tmp_path / "model")
    snapshot = take(from_folder(folder), Patterns(exclude=("smuggled.json",)))
    layers = arrange(snapshot.files, base_layers=0)

    def too_much(command: Sequence[str]) -> None:
        extra = [str(folder / "smuggled.json")] if command[1] == "copy" else []
        run_locally([*command[:-1], *extra, command[-1]])

    with pytest.raises(SourceChanged, match=r"smuggled\.json: the snapshot has no such file"):
        pack_layers(
            layers,
            folder,
            to_layout(tmp_path / "layout"),
            scratch=tmp_path,
            progress=Silent(),
            runner=LocalBuildah(too_much),
        )


def test_a_missing_buildah_is_named_with_the_way_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolFailed, match=r"run buildah: it is not installed; install buildah, or"):
        ferry(
            from_folder(write(tiny(), tmp_path / "model")),
            to_layout(tmp_path / "layout"),
            engine="buildah",
        )
    assert left_behind(tmp_path / "layout") == []


def test_the_end_of_a_programs_output_is_kept_short_and_on_one_line() -> None:
    script = "for i in $(seq 1000); do echo line $i of the log >&2; done; exit 3"
    with pytest.raises(ToolFailed, match=r"run sh -c: exit 3: .*line 1000 of the log") as caught:
        run_locally(["sh", "-c", script])
    assert len(str(caught.value)) < 600
