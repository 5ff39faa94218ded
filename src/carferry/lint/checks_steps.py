"""Steps: caching, retries, images, and the names of what they mount."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from carferry.lint.checks_fields import takes_status
from carferry.lint.compiler import PLATFORM_IMAGES
from carferry.lint.document import CompiledPipeline
from carferry.lint.pods import ENVIRONMENT, VOLUMES
from carferry.lint.rules import Finding, error, warning
from carferry.lint.templates import Json

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)s")
_KFP_DURATION_S = 3600
_MOUNTS = ("pvcMount", *(key for key, _ in VOLUMES))
_OUTSIDE = ("secretAsVolume", "pvcMount")
"""Mounts by which a step reaches a registry, a cluster or a volume that outlives it."""
_PLACEHOLDER = "{{"
_Callers = Mapping[str, Mapping[str, tuple[str, Json]]]


def check_steps(document: CompiledPipeline) -> Iterator[Finding]:
    """Yield what is wrong with the steps on every release."""
    for owner, name, task in document.tasks():
        where = f"{owner}.{name}"
        reference = task["componentRef"]["name"]
        if "container" in document.executor(reference):
            yield from _caching(document, where, task, reference)
        yield from _retries(where, task.get("retryPolicy", {}))
    for label, executor in document.executors.items():
        if "container" in executor:
            yield from _image(label, executor["container"].get("image", ""))
    callers = _callers(document)
    for owner, name, task in document.tasks():
        config = document.kubernetes(task["componentRef"]["name"])
        yield from _names(document, callers, owner, f"{owner}.{name}", config)


def _caching(
    document: CompiledPipeline, where: str, task: Json, reference: str
) -> Iterator[Finding]:
    """Yield a step whose effect a cached result would skip; exit tasks are exempt."""
    if not task.get("cachingOptions", {}).get("enableCache") or takes_status(task):
        return
    component, config = document.component(reference), document.kubernetes(reference)
    image = document.executor(reference)["container"].get("image")
    outputs = component.get("outputDefinitions", {})
    certain = [key for key in _OUTSIDE if config.get(key)]
    perhaps = [key for key in (*_MOUNTS, *(k for k, _ in ENVIRONMENT)) if config.get(key)]
    if image in PLATFORM_IMAGES:
        made, why = error, "makes or deletes a volume"
    elif certain or perhaps:
        made, why = (error if certain else warning), f"has {[*certain, *perhaps][0]}"
    elif not outputs.get("parameters") and not outputs.get("artifacts"):
        made, why = warning, "gives no output, so it may be run for what it does"
    else:
        return
    remedy = "set_caching_options(False) on the task"
    yield made("cached-side-effect", where, f"is cached and {why}", remedy)


def _retries(where: str, policy: Json) -> Iterator[Finding]:
    if not policy.get("maxRetryCount"):
        return
    given = policy.get("backoffMaxDuration", "")
    found = _DURATION.fullmatch(given)
    seconds = float(found[1]) if found else 0.0
    remedy = "set_retry(backoff_max_duration='720h')"
    if not seconds:
        shown = repr(given) if given else "none"
        yield error("retry-duration", where, f"maximum duration {shown}: no retry", remedy)
    elif seconds <= _KFP_DURATION_S:
        why = f"no retry later than {seconds:.0f} s after the first start"
        yield warning("retry-duration", where, why, remedy)


def _image(label: str, image: str) -> Iterator[Finding]:
    if image in PLATFORM_IMAGES or _PLACEHOLDER in image or "@" in image:
        return
    _, _, tag = image.rsplit("/", 1)[-1].partition(":")
    if tag in ("", "latest"):
        yield error("image-unpinned", label, f"{image!r} is another image any day", "name a digest")
    else:
        yield warning("image-tag", label, f"{image!r} has a tag, which can move", "name a digest")


def _names(
    document: CompiledPipeline, callers: _Callers, owner: str, where: str, config: Json
) -> Iterator[Finding]:
    mounted = [
        _named(document, callers, owner, (kind, given)) for kind, given in _given(config, VOLUMES)
    ]
    for claim in config.get("pvcMount", ()):
        source = claim.get("pvcNameParameter", claim)
        named = "constant" in source
        mounted.append(
            str(source["constant"]) if named else _known(document, callers, owner, source)
        )
    for name, count in Counter(name for name in mounted if name).items():
        if not _LABEL.fullmatch(name):
            why = f"mounts {name!r}, and no volume may be named so"
            yield error("volume-name", where, why, "name it with a-z, 0-9 and -, without dots")
        if count > 1:
            why = f"mounts {name!r} {count} times, two volumes of one name"
            yield error("volume-name", where, why, "mount it once, or give another default")
    read = [
        _named(document, callers, owner, (kind, given))
        for kind, given in _given(config, ENVIRONMENT)
    ]
    if "" in (*mounted, *read):
        why = "takes a Secret, ConfigMap or claim whose name is empty"
        yield error("empty-name", where, why, "give a name as default, and optional=True")


def _given(config: Json, kinds: Iterable[tuple[str, str]]) -> Iterator[tuple[str, Json]]:
    for key, kind in kinds:
        for given in config.get(key, ()):
            yield kind, given


def _named(
    document: CompiledPipeline, callers: _Callers, owner: str, mount: tuple[str, Json]
) -> str | None:
    kind, given = mount
    source = given.get(f"{kind}NameParameter")
    if source is None:
        return str(given.get(f"{kind}Name", ""))
    return _known(document, callers, owner, source)


def _callers(document: CompiledPipeline) -> _Callers:
    """Return by component its tasks' arguments and places, in document order."""
    made: dict[str, dict[str, tuple[str, Json]]] = {}
    for owner, _, task in document.tasks():
        given = made.setdefault(task["componentRef"]["name"], {})
        for name, source in task.get("inputs", {}).get("parameters", {}).items():
            given.setdefault(name, (owner, source))
    return made


def _known(document: CompiledPipeline, callers: _Callers, owner: str, source: Json) -> str | None:
    """Return an argument of a component's task; None if only a run knows it."""
    if "runtimeValue" in source:
        return str(source["runtimeValue"].get("constant", ""))
    name = source.get("componentInputParameter", "")
    if name in callers.get(owner, {}):
        return _known(document, callers, *callers[owner][name])
    declared = document.component(owner).get("inputDefinitions", {}).get("parameters", {})
    default = declared.get(name, {}).get("defaultValue")
    return None if default is None else str(default)
