"""The components: small, self-describing, and carrying a library that runs anywhere."""

from __future__ import annotations

import ast
import inspect
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from carferry.components import Runtime, embed, on, runtime
from kfp.dsl.python_component import PythonComponent

from carferry import components, serve
from carferry.errors import InputError
from carferry.steps.download import download
from carferry.steps.push import push
from carferry.steps.settings import BuildSettings

ALL = [
    components.build_image,
    components.deploy_model,
    components.download_model,
    components.fit_model,
    components.plan_model,
    components.push_image,
    components.seal_image,
    components.stream_layers,
]
IMAGE = "registry.example/team/carferry@sha256:" + "0" * 64
LIBRARY = embed.closure(tuple(f"carferry.steps.{step}" for step in ("build", "deploy", "push")))
each = pytest.mark.parametrize("made", ALL, ids=lambda made: made.name)

# Imports every module a component carries, and says where each came from.
REPORT = """
import importlib, json, sys
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
print(json.dumps([m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "carferry"]))
"""


def container(made: PythonComponent) -> Any:
    return made.component_spec.implementation.container


def function_of(made: PythonComponent) -> ast.FunctionDef:
    (function,) = ast.parse(textwrap.dedent(inspect.getsource(made.python_func))).body
    assert isinstance(function, ast.FunctionDef)
    return function


@each
def test_a_body_has_at_most_15_lines(made: PythonComponent) -> None:
    statements = function_of(made).body[1:]  # after the docstring
    assert statements[-1].end_lineno - statements[0].lineno + 1 <= 15


@each
def test_a_body_decides_nothing(made: PythonComponent) -> None:
    kinds = ast.If | ast.For | ast.While | ast.Try | ast.IfExp
    assert [node for node in ast.walk(function_of(made)) if isinstance(node, kinds)] == []


@each
def test_every_input_and_output_is_described(made: PythonComponent) -> None:
    spec = made.component_spec
    named = {**(spec.inputs or {}), **(spec.outputs or {})}
    assert [name for name, about in named.items() if not about.description] == []


@each
def test_a_module_is_named_unlike_its_component(made: PythonComponent) -> None:
    """Otherwise the package could not export the component without hiding the module."""
    module = inspect.getmodule(made.python_func)
    assert module is not None
    assert module.__name__.rpartition(".")[2] != made.python_func.__name__


@each
def test_the_carried_library_is_complete_and_comes_first(
    made: PythonComponent, tmp_path: Path
) -> None:
    """Every module it carries imports from the unpacked copy, though carferry is installed too."""
    script = tmp_path / "component.py"
    script.write_text(container(made).command[-1].partition("\nimport kfp\n")[0] + REPORT)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    modules = [*runtime.needs(made.python_func).sources]
    files = json.loads(run_alone(script, scratch, json.dumps(modules)))
    assert len(files) == len(modules)
    assert [file for file in files if not file.startswith(f"{scratch}{os.sep}carferry-")] == []
    assert list(scratch.iterdir()) == []  # removed when the step ends


def test_a_root_file_system_without_tmp_is_enough(tmp_path: Path) -> None:
    """The library then unpacks in the home folder, as a random user's TMPDIR may not exist."""
    script = tmp_path / "component.py"
    archive = embed.pack({"carferry": embed.source_of("carferry")})
    source = embed.bootstrap(archive).replace("tempfile.mkdtemp(prefix", "mkdtemp(prefix")
    deny = "def mkdtemp(prefix, dir=None):\n    if dir is None: raise OSError(30, 'read-only')\n"
    real = "    import tempfile\n    return tempfile.mkdtemp(prefix=prefix, dir=dir)\n"
    script.write_text(deny + real + source + "import carferry; print(carferry.__file__)")
    home = tmp_path / "home"
    home.mkdir()
    assert run_alone(script, home).startswith(f"{home}{os.sep}carferry-")


def run_alone(script: Path, home: Path, *arguments: str) -> str:
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(home), "HOME": str(home)}
    command = [sys.executable, "-s", "-W", "error", str(script), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout


@each
def test_a_carried_component_stays_within_its_budget(made: PythonComponent) -> None:
    source = container(made).command[-1]
    assert len(source) <= embed.MAX_SOURCE
    assert source.isascii()


def test_a_library_too_large_to_carry_fails_the_compilation(monkeypatch: Any) -> None:
    monkeypatch.setattr(embed, "MAX_ARCHIVE", 1000)
    with pytest.raises(InputError, match="at most 1000; compile with --image"):
        on(Runtime(), components.build_image)


def test_a_package_without_a_pin_fails_the_compilation(monkeypatch: Any) -> None:
    monkeypatch.setattr(runtime, "PACKAGES", {})
    with pytest.raises(InputError, match="no version known for"):
        on(Runtime(), components.build_image)


@each
def test_every_package_is_pinned_to_what_the_tests_run_with(made: PythonComponent) -> None:
    locked = Path("constraints.txt").read_text().lower().replace("_", "-").split("\n")
    packages = runtime.needs(made.python_func).packages
    pins = [runtime.PACKAGES[name].lower().replace("_", "-") for name in packages]
    assert [pin for pin in pins if pin not in locked] == []


@each
def test_on_a_runtime_image_nothing_is_installed_or_carried(made: PythonComponent) -> None:
    there = container(on(Runtime.choose(IMAGE), made))
    assert there.image == IMAGE
    assert "pip install" not in " ".join(there.command)
    assert "_carferry_library" not in " ".join(there.command)


def test_the_operators_variable_names_the_runtime_image() -> None:
    assert Runtime.choose("", {runtime.IMAGE_VARIABLE: IMAGE}) == Runtime(IMAGE, installed=True)
    assert Runtime.choose("", {}) == Runtime(runtime.PYTHON_IMAGE)


@pytest.mark.parametrize("image", ["quay.io/team/carferry", "host:5000/carferry:latest"])
def test_a_runtime_image_that_moves_is_refused(image: str) -> None:
    with pytest.raises(InputError, match="no digest and no fixed tag"):
        Runtime.choose(image, {})


def test_defaults_are_the_librarys() -> None:
    """A default said twice is the same default: in a component, and in the step it calls."""
    pairs = [
        (components.build_image, parameters(BuildSettings)),
        (components.download_model, parameters(download)),
        (components.push_image, parameters(push)),
        (components.deploy_model, dict(serve.DEFAULTS)),
    ]
    wrong = []
    for made, known in pairs:
        for name, given in inspect.signature(made.python_func).parameters.items():
            default = known.get(name, as_text(given.default))
            if given.default is not inspect.Parameter.empty and as_text(given.default) != default:
                wrong.append((made.name, name, given.default, default))
    assert wrong == []


def parameters(of: Any) -> dict[str, str]:
    known = inspect.signature(of).parameters.values()
    return {p.name: as_text(p.default) for p in known if p.name != "revision"}


def as_text(default: Any) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)


def test_shrinking_keeps_line_numbers_and_meaning() -> None:
    source = textwrap.dedent(
        '''\
        """Module."""

        # a comment
        def f(x: int) -> str:  # another
            """Doc

            of three lines."""
            return f"# {x} not a comment"  # but this is


        class Empty(Exception):
            """Only a docstring."""
        '''
    )
    shrunk = embed.shrink(source)
    scope: dict[str, Any] = {}
    exec(compile(shrunk, "shrunk", "exec"), scope)
    assert scope["f"](1) == "# 1 not a comment"
    assert issubclass(scope["Empty"], Exception)
    assert shrunk.split("\n")[7].strip() == 'return f"# {x} not a comment"'
    assert "Doc" not in shrunk
    assert "another" not in shrunk


@pytest.mark.parametrize("module", LIBRARY.sources)
def test_shrinking_changes_no_statement_of_the_library(module: str) -> None:
    source = embed.source_of(module)
    assert bare(embed.shrink(source)) == bare(source)


def bare(source: str) -> list[str]:
    """Return the statements of a module without the strings that stand alone."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = ""
    return [ast.dump(node, include_attributes=False) for node in tree.body]
