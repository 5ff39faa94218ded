"""The components: small, self-describing, and carrying next to nothing."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from typing import Any

import pytest
from kfp.dsl.python_component import PythonComponent

from carferry import components
from carferry.bundle import closure, component, shrinking
from carferry.bundle.functions import carried, ours
from carferry.components import Runtime, on
from carferry.errors import InputError
from carferry.run.request import Run
from carferry.runtime.pins import PYTHON_BASE
from carferry.serve.form import DEFAULTS
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
    components.test_endpoint,
    components.warm_nodes,
]
IMAGE = "registry.example/team/carferry@sha256:" + "0" * 64
each = pytest.mark.parametrize("made", ALL, ids=lambda made: made.name)


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
def test_a_carried_component_holds_no_source_of_its_own(made: PythonComponent) -> None:
    """Argo keeps five copies of what a component carries."""
    there = container(made)
    name = made.python_func.__name__
    assert there.command == carried().command
    assert there.args == ["--executor_input", "{{$}}", "--function_to_execute", name]


@each
def test_what_travels_is_the_components_function(made: PythonComponent) -> None:
    step = ours()[made.python_func.__name__]
    tree = ast.parse(step.source)
    travels = next(n for n in tree.body if isinstance(n, ast.FunctionDef))
    assert bare(ast.unparse(travels)) == bare(without_decorators(function_of(made)))


def without_decorators(function: ast.FunctionDef) -> str:
    function.decorator_list = []
    return ast.unparse(function)


@each
def test_on_a_runtime_image_nothing_is_installed_or_carried(made: PythonComponent) -> None:
    there = container(on(Runtime.choose(IMAGE), made))
    assert there.image == IMAGE
    assert "pip install" not in " ".join(there.command)
    assert "/etc/carferry/library" not in " ".join(there.command)
    assert "carferry.cluster.pod.enter()" in there.command[-1]


def test_the_operators_variable_names_the_runtime_image() -> None:
    assert Runtime.choose("", {component.IMAGE_VARIABLE: IMAGE}) == Runtime(IMAGE, installed=True)
    assert Runtime.choose("", {}) == Runtime(PYTHON_BASE)


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
        (components.deploy_model, {"runtime_image": DEFAULTS["runtime_image"]}),
        (components.fit_model, a_run()),
    ]
    wrong = []
    for made, known in pairs:
        for name, given in inspect.signature(made.python_func).parameters.items():
            default = known.get(name, as_text(given.default))
            if given.default is not inspect.Parameter.empty and as_text(given.default) != default:
                wrong.append((made.name, name, given.default, default))
    assert wrong == []


def a_run() -> dict[str, str]:
    return {
        field.name: as_text(field.default)
        for field in dataclasses.fields(Run)
        if field.default is not dataclasses.MISSING
    }


def parameters(of: Any) -> dict[str, str]:
    known = inspect.signature(of).parameters.values()
    return {p.name: as_text(p.default) for p in known if p.name != "revision"}


def as_text(default: Any) -> str:
    if isinstance(default, tuple):
        return ",".join(default)
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
    shrunk = shrinking.shrink(source)
    scope: dict[str, Any] = {}
    exec(compile(shrunk, "shrunk", "exec"), scope)
    assert scope["f"](1) == "# 1 not a comment"
    assert issubclass(scope["Empty"], Exception)
    assert shrunk.split("\n")[7].strip() == 'return f"# {x} not a comment"'
    assert "Doc" not in shrunk
    assert "another" not in shrunk


@pytest.mark.parametrize("module", closure.everything())
def test_shrinking_changes_no_statement_of_the_library(module: str) -> None:
    source = closure.source_of(module)
    assert bare(shrinking.shrink(source)) == bare(source)


def bare(source: str) -> list[str]:
    """Return the statements of a module without the strings that stand alone."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = ""
    return [ast.dump(node, include_attributes=False) for node in tree.body]
