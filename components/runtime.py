"""What a step's pod runs on: the image, and how the library and its packages get into it.

Two ways, one component source:

- carried (the default): any Python image; kfp and a few pinned packages are installed when the
  step starts, the library travels inside the component (embed.py). Nothing has to be built.
- installed: an image that holds carferry and kfp, named by digest; nothing is installed or
  embedded, so it works on a disconnected cluster.
"""

from __future__ import annotations

import ast
import inspect
import os
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import docstring_parser
from carferry.components import embed
from kfp import dsl
from kfp.dsl.python_component import PythonComponent

from carferry.errors import InputError

PYTHON_IMAGE = (
    "registry.access.redhat.com/ubi9/python-312"
    "@sha256:21739f35258f21e23a7e02e79c763f2a69e605416fedd54b6ec9c5ef68fd1f43"
)
IMAGE_VARIABLE = "RELATED_IMAGE_CARFERRY_RUNTIME"
"""Environment variable naming an image with carferry in it, as operators name mirrored images."""

PACKAGES: Mapping[str, str] = {
    "httpx2": "httpx2==2.16.2",
    "huggingface_hub": "huggingface-hub==2.4.0",
    "kubernetes": "kubernetes==30.1.0",
    "modelcar_base_image": "modelcar-base-image==0.1.0",
    "urllib3": "urllib3==2.7.0",
    "yaml": "PyYAML==6.0.3",
}
"""Import name to pinned requirement: all that the library may import besides itself."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """An image and whether carferry is installed in it.

    Attributes:
        image: Image reference, by digest.
        installed: True: the image holds carferry and kfp; False: components carry the library.
    """

    image: str = PYTHON_IMAGE
    installed: bool = False

    @classmethod
    def choose(cls, image: str = "", environ: Mapping[str, str] = os.environ) -> Runtime:
        """Return the runtime for an image name, the environment's, or the carried default.

        Raises:
            InputError: The tag is ``latest`` or missing: every pod would ask the registry again.
        """
        chosen = image or environ.get(IMAGE_VARIABLE, "")
        if not chosen:
            return cls()
        tag = chosen.rpartition("/")[2].partition(":")[2]
        if "@sha256:" not in chosen and tag in {"", "latest"}:
            raise InputError("choose runtime image", chosen, "no digest and no fixed tag")
        return cls(chosen, installed=True)


CARRIED = Runtime()


def component(function: Callable[..., Any]) -> PythonComponent:
    """Make a KFP component of a function that carries the library (decorator)."""
    return on(CARRIED, function)


def on(runtime: Runtime, source: PythonComponent | Callable[..., Any]) -> PythonComponent:
    """Return a component, or a plain function as one, bound to a runtime.

    Args:
        runtime: Where it will run.
        source: A component of this package, or the function of a new one.

    Raises:
        InputError: The library needs a package without a pin, or is too large to be carried.
    """
    function = source.python_func if isinstance(source, PythonComponent) else source
    if runtime.installed:
        made = dsl.component(function, base_image=runtime.image, install_kfp_package=False)
        return _describe_artifacts(made)
    closure = needs(function)
    made = dsl.component(
        function, base_image=runtime.image, packages_to_install=_pins(function, closure.packages)
    )
    return _carry(_describe_artifacts(made), embed.bootstrap(embed.pack(closure.sources)))


def needs(function: Callable[..., Any]) -> embed.Closure:
    """Return the library modules and packages that a component's body can reach."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return embed.closure(tuple(embed.imported(tree)))


def _describe_artifacts(made: PythonComponent) -> PythonComponent:
    """Copy what the docstring says of output artifacts; kfp reads Args for inputs only."""
    texts = docstring_parser.parse(inspect.getdoc(made.python_func) or "").params
    for text in texts:
        if text.arg_name in (made.component_spec.outputs or {}):
            made.component_spec.outputs[text.arg_name].description = text.description
    return made


def _pins(function: Callable[..., Any], packages: tuple[str, ...]) -> list[str]:
    if missing := [name for name in packages if name not in PACKAGES]:
        raise InputError("pin packages", function.__name__, f"no version known for {missing}")
    return [PACKAGES[name] for name in packages]


def _carry(made: PythonComponent, bootstrap: str) -> PythonComponent:
    """Put the bootstrap before a component's source; the source is its command's last part."""
    command = made.component_spec.implementation.container.command
    command[-1] = f"\n{bootstrap}{command[-1].lstrip()}"
    if len(command[-1]) > embed.MAX_SOURCE:
        raise InputError(
            "embed library",
            made.name,
            f"{len(command[-1])} bytes of source, at most {embed.MAX_SOURCE}",
            "compile with --image",
        )
    return made
