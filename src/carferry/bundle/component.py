"""KFP components bound to a runtime: the image, and how the library gets into it.

The same source works in two ways:

- carried (the default): any Python image; kfp and a few pinned packages are installed when the
  step starts, the library is mounted from a ConfigMap (library.py). No image is built.
- installed: an image that holds carferry and kfp, named by digest; nothing is installed or
  mounted, so it works on a disconnected cluster (``carferry runtime`` makes one).
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any

import docstring_parser
from kfp import dsl, kubernetes
from kfp.dsl import PipelineTask
from kfp.dsl.python_component import PythonComponent

from carferry.bundle import shrinking
from carferry.bundle.functions import carried, ours, step_of
from carferry.bundle.library import ENTER, FOLDER
from carferry.errors import InputError
from carferry.refs import ImageRef
from carferry.runtime.pins import PYTHON_BASE

IMAGE_VARIABLE = "RELATED_IMAGE_CARFERRY_RUNTIME"
"""Environment variable naming an image with carferry in it, as operators name mirrored images."""

MAX_SOURCE = 8 * 1024
"""Characters of a component's source: Argo keeps several copies of each."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """An image and whether carferry is installed in it.

    Attributes:
        image: Image reference, by digest.
        installed: True: the image holds carferry and kfp; False: steps mount the library.
    """

    image: str = PYTHON_BASE
    installed: bool = False

    @classmethod
    def choose(cls, image: str = "", environ: Mapping[str, str] = os.environ) -> Runtime:
        """Return the runtime for an image name, the environment's, or the carried default.

        Raises:
            InputError: No reference, or the tag is ``latest`` or missing: every pod would ask
                the registry again.
        """
        chosen = image or environ.get(IMAGE_VARIABLE, "")
        if not chosen:
            return cls()
        ref = ImageRef.parse(chosen)
        if ref.digest is None and ref.tag in {None, "latest"}:
            remedy = "write host/repository@sha256:..."
            raise InputError("choose runtime image", chosen, "no digest and no fixed tag", remedy)
        return cls(str(ref), installed=True)


CARRIED = Runtime()


def component(function: Callable[..., Any]) -> PythonComponent:
    """Make a KFP component of a function that uses the library (decorator)."""
    return on(CARRIED, function)


def on(runtime: Runtime, source: PythonComponent | Callable[..., Any]) -> PythonComponent:
    """Return a component, or a plain function as one, bound to a runtime.

    Unless the runtime has the library installed, its tasks need ``mount_library``.

    Args:
        runtime: What it will run on.
        source: A component of this package, or the function of a new one.

    Raises:
        InputError: It needs a package without a pin, a module that does not travel, or is too long.
    """
    function = source.python_func if isinstance(source, PythonComponent) else source
    made = dsl.component(function, base_image=runtime.image, install_kfp_package=False)
    _describe_artifacts(made)
    container = made.component_spec.implementation.container
    if runtime.installed:
        container.command[-1] = f"\n{ENTER}{shrinking.compact(container.command[-1])}"
    else:
        brought = [] if function.__name__ in _names_of(function) else _brought(function)
        container.command, container.args = carried().command, [*brought, *container.args]
    return made


def mount_library(task: PipelineTask, runtime: Runtime = CARRIED) -> PipelineTask:
    """Mount the library into a task, unless the runtime has it installed.

    In a pipeline of your own, every task of a component from this package needs it, and the
    project needs ``oc apply --server-side -f compiled/carferry-library.yaml``.
    """
    if runtime.installed:
        return task
    mounted: PipelineTask = kubernetes.use_config_map_as_volume(
        task, carried().name, FOLDER, optional=True
    )
    return mounted


def _describe_artifacts(made: PythonComponent) -> None:
    """Copy what the docstring says of output artifacts; kfp reads Args for inputs only."""
    texts = docstring_parser.parse(inspect.getdoc(made.python_func) or "").params
    for text in texts:
        if text.arg_name in (made.component_spec.outputs or {}):
            made.component_spec.outputs[text.arg_name].description = text.description


def _names_of(function: Callable[..., Any]) -> Container[str]:
    """Return the components that travel with the library, if the function is in its package."""
    return ours() if function.__module__.startswith("carferry.components.") else ()


def _brought(function: Callable[..., Any]) -> list[str]:
    step = step_of(function)
    if len(step.source) > MAX_SOURCE:
        reason = f"{len(step.source)} characters of source, at most {MAX_SOURCE}"
        remedy = "move its work into a module"
        raise InputError("make component", function.__name__, reason, remedy)
    return ["--step", json.dumps(step.json, sort_keys=True)]
