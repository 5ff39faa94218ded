"""Popular repositories, rebuilt small, through the hub into an OCI layout.

The image holds what a server loads, or the refusal says what to do, and what it says works.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest
from ferrying import access, from_hub, model_files, to_layout
from servers.hub import Hub
from servers.layouts import Layout, likeness, load, repositories

from carferry.assembly.build import build
from carferry.assembly.options import Options
from carferry.assembly.results import BuildResult
from carferry.errors import CarferryError, InputError
from carferry.selection.kinds import is_weights
from carferry.selection.patterns import Patterns
from carferry.selection.select import choose

SERVED = [repo for repo in repositories() if load(repo).refused is None]
REFUSED = [repo for repo in repositories() if load(repo).refused is not None]
_HINT = re.compile(r"--include ('[^']*')")
# What the refusal of each says: the file or the folder at fault, and why.
SAYS = {
    "BAAI/bge-m3": r"colbert_linear\.pt of BAAI/bge-m3: pickle-based weights run code",
    "Salesforce/codegen-350M-mono": r"pytorch_model\.bin of .*pickle-based weights run code",
    "facebook/opt-125m": r"pytorch_model\.bin of .*pickle-based weights run code",
    "meta-llama/Llama-2-7b": r"consolidated\.00\.pth of .*pickle-based weights run code",
    "TheBloke/Mistral-7B-Instruct-v0.2-GGUF": r"no safetensors, and .*Q4_K_M\.gguf",
    "microsoft/Phi-3-mini-4k-instruct-onnx": r"must lie at its root, and lie in cpu_and_mobile",
    "example/dense-head-as-pickle": r"names 2_Dense \(Dense\), whose weights are pickled",
    "stabilityai/sd-turbo": r"a diffusers pipeline \(model_index\.json\), which vLLM does not",
    "yard1/llama-2-7b-sql-lora-test": r"only a LoRA adapter, of meta-llama/Llama-2-7b-hf",
}


def package(hub: Hub, repo: str, place: Path, *include: str) -> BuildResult:
    """Build a likeness of a repository from the hub into a layout."""
    options = Options(base="scratch", patterns=Patterns.parse(include))
    return build(from_hub(hub, repo), to_layout(place), options, access=access())


def held(place: Path) -> list[str]:
    return sorted(model_files(to_layout(place)), key=str.encode)


def decided(layout: Layout, paths: list[str]) -> list[str]:
    """Return paths without those that no rule decides."""
    return [path for path in paths if path not in layout.open]


def test_there_are_enough_of_them() -> None:
    assert len(SERVED) >= 25
    assert SAYS.keys() == set(REFUSED)


@pytest.mark.parametrize("repo", SERVED)
def test_an_image_holds_what_its_server_loads(repo: str, hub: Hub, tmp_path: Path) -> None:
    layout, files = load(repo), likeness(repo)
    hub.add(repo, files)
    made = package(hub, repo, tmp_path / "layout")
    paths = held(tmp_path / "layout")
    assert decided(layout, paths) == decided(layout, list(layout.expected))
    loaded = [
        path for weights in layout.weights if weights.role == "weights" for path in weights.files
    ]
    assert sorted(made.selection.layout.files) == sorted(p for p in loaded if "/" not in p)


@pytest.mark.parametrize("repo", SERVED)
def test_what_a_server_must_be_told_and_what_stays_out_is_said(repo: str, hub: Hub) -> None:
    layout, files = load(repo), likeness(repo)
    hub.add(repo, files)
    selection = choose(from_hub(hub, repo), Patterns())
    notes = " ".join(selection.notes)
    assert selection.trust_remote_code == layout.trust_remote_code
    assert ("--trust-remote-code" in notes) == layout.trust_remote_code
    assert all(other in notes for other in layout.other_repositories)
    mistral = "config.json" not in layout.expected
    assert ("--load-format=mistral" in selection.arguments) == mistral
    missing = set(files) - {file.path for file in selection.files.files}
    hidden = {path for path in missing if path.rpartition("/")[2].startswith(".")}
    said = {each.path: each.size_bytes for each in selection.left_out if each.reason}
    assert said == {path: len(files[path]) for path in missing - hidden}
    assert len(said) == len(selection.left_out)


@pytest.mark.parametrize("repo", REFUSED)
def test_a_refusal_names_what_is_wrong_and_its_hint_works(
    repo: str, hub: Hub, tmp_path: Path
) -> None:
    hub.add(repo, likeness(repo))
    with pytest.raises(InputError, match=SAYS[repo]) as caught:
        package(hub, repo, tmp_path / "no")
    assert not (tmp_path / "no" / "index.json").exists()
    for hint in hints_of(caught.value):
        package(hub, repo, tmp_path / "layout", *hint)
        paths = held(tmp_path / "layout")
        assert any(is_weights(path) for path in paths)
        assert "README.md" in paths or "README.md" not in likeness(repo)


@pytest.mark.parametrize("pattern", ["*.gguf,*.json", "*.txt", "config.json", "*.onnx"])
@pytest.mark.parametrize("repo", repositories())
def test_no_pattern_makes_an_image_without_weights(repo: str, pattern: str, hub: Hub) -> None:
    """And if the refusal shows an --include, that one takes them."""
    hub.add(repo, likeness(repo))
    try:
        chosen = weights(hub, repo, pattern.split(","))
    except InputError as error:
        hints = hints_of(error)
        assert hints or re.search("LoRA|must lie at its root|no file of", str(error)), str(error)
        chosen = [weights(hub, repo, hint) for hint in hints]
        assert all(chosen)
    else:
        assert chosen


def weights(hub: Hub, repo: str, include: Sequence[str]) -> list[str]:
    """Return the weights that patterns take of a repository."""
    selection = choose(from_hub(hub, repo), Patterns.parse(include))
    return [file.path for file in selection.files.files if is_weights(file.path)]


def hints_of(error: CarferryError) -> list[list[str]]:
    """Return the globs of each --include that a one-line error shows for this repository."""
    assert "\n" not in str(error)
    shown = [] if "hf download" in str(error) else _HINT.findall(str(error))
    return [shlex.split(hint)[0].split(",") for hint in shown]
