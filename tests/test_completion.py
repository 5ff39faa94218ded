"""Tab in a real bash completes commands, options and choices."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
export PATH={path}:$PATH
eval "$(register-python-argcomplete carferry)"
COMP_LINE={line!r}; COMP_POINT=${{#COMP_LINE}}; COMP_TYPE=9; COMP_KEY=9
read -ra COMP_WORDS <<< "$COMP_LINE"
[[ $COMP_LINE == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_python_argcomplete carferry
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def completed(line: str) -> list[str]:
    """Return what bash would offer behind a line."""
    here = Path(sys.executable).parent
    if not (here / "register-python-argcomplete").exists():
        pytest.skip("no argcomplete: pip install 'carferry[completion]'")
    bash = shutil.which("bash") or pytest.skip("no bash")
    done = subprocess.run(
        [bash, "--norc", "-c", SCRIPT.format(path=here, line=line)],
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return [word.strip() for word in done.stdout.splitlines() if word.strip()]


@pytest.mark.parametrize(
    ("line", "wanted", "unwanted"),
    [
        ("carferry ", ["build", "plan", "lint", "help"], ["--parallel"]),
        ("carferry bu", ["build"], ["plan"]),
        ("carferry build --pl", ["--plain-http", "--platform"], ["--parallel"]),
        ("carferry build --engine ", ["stream", "buildah"], []),
        ("carferry build a oci:b --parallel 3 --reu", ["--reuse"], []),
        ("carferry build a --reuse ", ["none", "tag", "repository"], []),
    ],
)
def test_tab_offers_what_may_follow(line: str, wanted: list[str], unwanted: list[str]) -> None:
    offered = completed(line)
    assert [word for word in wanted if word not in offered] == []
    assert [word for word in unwanted if word in offered] == []


def test_only_a_completing_shell_pays_for_it() -> None:
    code = "import sys; from carferry.cli import build_parser; build_parser(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert [name for name in ("argcomplete", "difflib", "kubernetes") if name in loaded] == []
