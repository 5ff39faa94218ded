"""A compiled pipeline: the IR document, and at most one platform document beside it.

Source: NewV2SpecTemplate in backend/src/apiserver/template/v2_template.go, which takes the same
documents and refuses the same others.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from carferry.errors import InputError
from carferry.lint.bounds import check_bounds
from carferry.lint.driver import guess
from carferry.lint.references import COMPILE, check_references
from carferry.lint.shape import clean
from carferry.lint.templates import Json

MOST_BYTES = 32 * 1024 * 1024
"""What the API server reads of an upload (MaxFileLength in backend/src/apiserver/common)."""
_MOST_VALUES = 250_000
_DEEPEST = 100
_LONGEST_NUMBER = 64
"""Digits; the YAML reader's time grows with their square."""
_Loaded = int | float | str | bool | None | list[Any] | dict[str, Any]


@dataclass(frozen=True, slots=True)
class CompiledPipeline:
    """A compiled pipeline; what it refers to exists, and every value has its type.

    Attributes:
        name: What to call it: the file's name as given.
        text: The file.
        pipeline: The IR (PipelineSpec).
        platforms: The platform document (PlatformSpec); empty without one.
    """

    name: str
    text: str
    pipeline: Json
    platforms: Json

    @property
    def pipeline_name(self) -> str:
        """The pipeline's name."""
        return str(self.pipeline["pipelineInfo"]["name"])

    @property
    def root(self) -> Json:
        """The component that is the pipeline itself."""
        root: Json = self.pipeline["root"]
        return root

    @property
    def executors(self) -> dict[str, Json]:
        """Executors by label."""
        made: dict[str, Json] = self.pipeline.get("deploymentSpec", {}).get("executors", {})
        return made

    @property
    def platform(self) -> Json:
        """The Kubernetes part of the platform document."""
        made: Json = self.platforms.get("platforms", {}).get("kubernetes", {})
        return made

    @property
    def configured(self) -> dict[str, Json]:
        """Kubernetes configurations by executor label."""
        made: dict[str, Json] = self.platform.get("deploymentSpec", {}).get("executors", {})
        return made

    @property
    def components(self) -> dict[str, Json]:
        """Components by name, the root as ``root``."""
        return {**self.pipeline.get("components", {}), "root": self.root}

    def component(self, name: str) -> Json:
        """Return a component."""
        made: Json = self.root if name == "root" else self.pipeline["components"][name]
        return made

    def executor(self, component: str) -> Json:
        """Return the executor of a component; empty for one that holds tasks."""
        return self.executors.get(self.component(component).get("executorLabel", ""), {})

    def kubernetes(self, component: str) -> Json:
        """Return the Kubernetes configuration of a component; empty without one."""
        return self.configured.get(self.component(component).get("executorLabel", ""), {})

    def tasks(self) -> Iterator[tuple[str, str, Json]]:
        """Yield component, name and task of every task."""
        for component, spec in self.components.items():
            for name, task in spec.get("dag", {}).get("tasks", {}).items():
                yield component, name, task

    def run_values(self) -> Json:
        """Return the parameters of a run that changes no default."""
        declared = self.root.get("inputDefinitions", {}).get("parameters", {})
        return {name: guess(spec) for name, spec in declared.items()}


def read(path: str) -> CompiledPipeline:
    """Read a compiled pipeline.

    Raises:
        InputError: No such file, not UTF-8, not YAML, not from kfp, or larger than any run.
    """
    text = _text(path)
    pipeline, platforms = _sort(path, _documents(path, text))
    try:
        document = CompiledPipeline(
            path, text, clean(pipeline, "PipelineSpec", ""), clean(platforms, "PlatformSpec", "")
        )
    except InputError as error:
        subject = f"{path}: {error.subject}"
        raise InputError("read", subject, error.reason, error.remedy) from error
    check_references(path, document.pipeline)
    check_bounds(path, document.pipeline)
    return document


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:  # noqa: PTH123, a path as given, "-" and all
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise InputError("read", path, reason, "name a compiled pipeline") from error
    except ValueError as error:
        raise InputError("read", path, str(error), "name a compiled pipeline") from error
    if len(data) > MOST_BYTES:
        raise InputError("read", path, "over 32 MiB, which the API server ends at", COMPILE)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError("read", path, f"not UTF-8 at byte {error.start}", COMPILE) from error


_TEXT, _TYPES = "tag:yaml.org,2002:str", ("int", "float", "bool", "null")
_SCALARS = {f"tag:yaml.org,2002:{name}" for name in _TYPES}
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML read as JSON: dates and keys are texts, and the length of a number is limited."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Return a map by texts: numbers as keys can be chosen to collide in a dict."""
        for key, _ in node.value:
            key.tag = _TEXT if key.tag in _SCALARS else key.tag
        return super().construct_mapping(node, deep)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """Return a value; a number of a million digits would be read for hours."""
        if node.tag in _NUMBERS and len(node.value) > _LONGEST_NUMBER:
            reason = f"a number of {len(node.value)} characters"
            raise yaml.constructor.ConstructorError(None, None, reason, node.start_mark)
        return super().construct_object(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [entry for entry in entries if entry[0] != "tag:yaml.org,2002:timestamp"]
    for first, entries in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _documents(path: str, text: str) -> list[_Loaded]:
    try:
        _check_events(path, text)
        loaded = list(yaml.load_all(text, _Loader))  # derived from the safe one
    except InputError:
        raise  # a ValueError as well
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f" in line {mark.line + 1}" if mark else ""
        raise InputError("read", path, f"not YAML: {error.problem}{line}", COMPILE) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = str(error).split("\n", 1)[0] or type(error).__name__
        raise InputError("read", path, f"not YAML: {reason}", COMPILE) from error
    budget = [_MOST_VALUES, MOST_BYTES]
    return [_plain(path, value, budget, 0) for value in loaded if value is not None]


def _check_events(path: str, text: str) -> None:
    """Raise InputError for what would keep the reader for hours, before it builds a value.

    libyaml's composer recurses until it crashes, merges multiply before anything can be counted,
    and directives are compared with each other.
    """
    if text.startswith("%") or "\n%" in text:
        raise InputError("read", path, "a YAML directive (%), which kfp never writes", COMPILE)
    depth = 0
    for count, event in enumerate(yaml.parse(text, _Loader)):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise InputError("read", path, f"nested deeper than {_DEEPEST}", COMPILE)
        if count > _MOST_VALUES:
            raise InputError("read", path, "more values than a pipeline has", COMPILE)
        if reason := _never_written(event):
            raise InputError("read", path, f"{reason}, which kfp never writes", COMPILE)


def _never_written(event: Any) -> str:
    """Return what YAML has beyond JSON, and its line; aliases apart, which are counted later."""
    if getattr(event, "tag", None):
        found = f"a tag ({event.tag[:_LONGEST_NUMBER]!r})"
    elif isinstance(event, yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]:
        found = "a merge key (<<)"
    else:
        return ""
    return f"{found} in line {event.start_mark.line + 1}"


def _plain(path: str, value: Any, budget: list[int], depth: int) -> _Loaded:
    """Return a value as JSON has them: whole floats as integers, as Go prints them.

    Aliases let a small file stand for a huge one: values and characters are counted as written
    out, and more than any pipeline has ends the reading.
    """
    budget[0] -= 1
    budget[1] -= len(value) if isinstance(value, str) else 8
    if min(budget) < 0 or depth > _DEEPEST:
        raise InputError("read", path, "more values, or deeper, than a pipeline has", COMPILE)
    if isinstance(value, dict):
        return {str(k): _plain(path, v, budget, depth + 1) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(path, item, budget, depth + 1) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError("read", path, f"{value}, which JSON cannot hold", COMPILE)
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise InputError("read", path, f"a {type(value).__name__}, which JSON cannot hold", COMPILE)


def _sort(path: str, documents: list[_Loaded]) -> tuple[Json, Json]:
    """Return the IR and the platform document."""
    pipelines = [d for d in documents if isinstance(d, dict) and "pipelineInfo" in d]
    platforms = [d for d in documents if isinstance(d, dict) and "platforms" in d]
    if any(isinstance(d, dict) and d.get("kind") == "Workflow" for d in documents):
        reason = "an Argo Workflow, which the v2 API does not take"
    elif not documents:
        reason = "empty"
    elif len(pipelines) != 1:
        reason = f"{len(pipelines)} documents with pipelineInfo, where one belongs"
    elif len(documents) != 1 + len(platforms) or len(platforms) > 1:
        reason = (
            f"{len(documents)} documents; a pipeline and at most one with platforms belong here"
        )
    else:
        return pipelines[0], platforms[0] if platforms else {"platforms": {}}
    raise InputError("read", path, reason, COMPILE)
