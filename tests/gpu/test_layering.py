from __future__ import annotations

import ast
import sys
from pathlib import Path

import carferry.gpu

BELOW = (
    "carferry.errors",
    "carferry.io.markup",
    "carferry.cluster.quantity",
    "carferry.cluster.tolerations",
    "carferry.form.closest",
    "carferry.shown",
    "carferry.weights",
)
FOLDER = Path(carferry.gpu.__file__).parent


def test_package_imports_only_itself_errors_markup_kubernetes_words_and_stdlib() -> None:
    foreign = {
        (path.name, name)
        for path in FOLDER.rglob("*.py")
        for name in imported(path)
        if not name.startswith(("carferry.gpu", *BELOW))
        and name.partition(".")[0] not in sys.stdlib_module_names
    }

    assert foreign == set()


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    names = {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    return names | {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
