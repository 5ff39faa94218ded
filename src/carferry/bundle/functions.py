"""Components' functions as text, which kfp's executor loads in a pod."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from carferry.bundle import closure, shrinking
from carferry.bundle.library import ENTER, Library, StepSource, pack
from carferry.errors import InputError
from carferry.runtime.pins import pins

_DISTRIBUTIONS = {
    "backports": "backports.zstd",
    "botocore": "botocore",
    "httpx2": "httpx2",
    "huggingface_hub": "huggingface_hub",
    "kubernetes": "kubernetes",
    "modelcar_base_image": "modelcar-base-image",
    "urllib3": "urllib3",
    "yaml": "PyYAML",
}
_PINS = {pin.partition("==")[0]: pin for pin in pins()}
PACKAGES: Mapping[str, str] = {module: _PINS[name] for module, name in _DISTRIBUTIONS.items()}
"""Import name to pinned requirement: all that the library may import besides itself."""
OPTIONAL: Mapping[str, str] = {"botocore": "s3://"}
"""Import name to the text in a step's inputs without which nothing imports it: botocore is 17 MB,
which a step that reads from the hub should not install."""
_PRELUDE = f"{ENTER}import kfp\nfrom kfp import dsl\nfrom kfp.dsl import *\nfrom typing import *\n"


@cache
def carried() -> Library:
    """Return the library as installed here, with every component of this package."""
    return pack(closure.everything(), ours())


@cache
def ours() -> Mapping[str, StepSource]:
    """Return carferry's own components by name, read as text: none of them is imported."""
    found: dict[str, StepSource] = {}
    for path in sorted(closure.root().joinpath("components").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        found |= {each.name: _step(each, text) for each in _components(ast.parse(text))}
    return found


def step_of(function: Callable[..., Any]) -> StepSource:
    """Return a function as text, and the packages it imports.

    Raises:
        InputError: A package without a pin, or a library module that does not travel.
    """
    text = textwrap.dedent(inspect.getsource(function))
    (node,) = ast.parse(text).body
    return _step(node, text)


def _components(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            names = [d.id for d in node.decorator_list if isinstance(d, ast.Name)]
            if "component" in names:
                yield node


def _step(node: ast.stmt, text: str) -> StepSource:
    if not isinstance(node, ast.FunctionDef):
        raise InputError("make component", type(node).__name__, "not a function")
    lines = text.splitlines(keepends=True)[node.lineno - 1 : node.end_lineno]
    needed = _needs(node)
    always = [package for package in needed.packages if package not in OPTIONAL]
    texts = {OPTIONAL[name]: (name,) for name in needed.packages if name in OPTIONAL}
    optional = {text: tuple(_pins(node.name, names)) for text, names in texts.items()}
    if left := sorted(needed.sources.keys() - closure.everything().keys()):
        reason = f"these stay here: {left}"
        raise InputError("carry library", node.name, reason, "do without them in a step")
    source = _PRELUDE + shrinking.compact("".join(lines))
    return StepSource(source, tuple(_pins(node.name, always)), optional)


def _needs(tree: ast.AST) -> closure.Closure:
    return closure.closure((*closure.imported(tree), "carferry.cluster.pod"))


def _pins(name: str, packages: Sequence[str]) -> list[str]:
    if missing := [package for package in packages if package not in PACKAGES]:
        reason, remedy = f"no version known for {missing}", "use on(), with an image that has it"
        raise InputError("pin packages", name, reason, remedy)
    return [PACKAGES[package] for package in packages]
