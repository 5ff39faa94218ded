"""The generated reference: complete, current, and said so when it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from carferry.pipelines import reference

ROOT = Path(__file__).parent.parent


def test_the_committed_reference_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert reference.main(["--check"], root=ROOT) == 0, capsys.readouterr().err


def test_every_component_and_pipeline_has_a_section() -> None:
    titles = [line for line in reference.page().splitlines() if line.startswith("## ")]
    assert titles == [
        "## `fit_model`",
        "## `plan_model`",
        "## `stream_layers`",
        "## `seal_image`",
        "## `deploy_model`",
        "## `download_model`",
        "## `build_image`",
        "## `push_image`",
        "## Pipeline `modelcar`",
        "## Pipeline `modelcar-buildah`",
    ]


def test_a_stale_page_fails_the_check_until_it_is_written_again(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(f"# x\n\n{reference.BEGIN}\nold\n{reference.END}\nrest\n")
    assert reference.main(["--check"], root=tmp_path) == 1
    assert reference.main([], root=tmp_path) == 0
    assert reference.main(["--check"], root=tmp_path) == 0
    readme = (tmp_path / "README.md").read_text()
    assert readme.startswith("# x\n\n")
    assert readme.endswith(f"{reference.END}\nrest\n")
    assert "| `build_image` |" in readme
