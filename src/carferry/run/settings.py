"""The structured parameter ``settings`` of pipelines and components: what few runs have to say.

A dashboard shows every parameter of a pipeline in one alphabetical list, so only what many set
has a field of its own; the rest are entries of one JSON object, under these names. Each is read
once, by its parameter, and is a value of its type from then on.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypedDict, cast

from carferry.errors import InputError
from carferry.form.closest import did_you_mean
from carferry.form.open import read_share
from carferry.form.parameter import Parameter
from carferry.form.readers import (
    read_count,
    read_gpu_count,
    read_list,
    read_open_count,
    read_parallel,
    read_seconds,
    read_switch,
    read_tolerations,
    split_list,
)
from carferry.serve.form import PARAMETERS, DeploymentForm
from carferry.steps.defaults import GO_ON
from carferry.steps.settings import BuildahJob, BuildKeywords, BuildSettings

Settings = Mapping[str, Any]
"""Name to value, as JSON has them: numbers may come as 2.0, lists and objects are taken too."""

_BUILD = BuildSettings()
_JOB = BuildahJob("claim", Path("/"))  # for its defaults
_IN_SIGHT = {
    "gpu_plan",
    "image",
    "max_model_len",
    "model_size_bytes",
    "name",
    "runtime_image",
    "vllm_args",
}
"""Settings of a deployment that are parameters of their own."""


PACK = (
    Parameter(
        "allow_no_weights", "false", "Also make an image that no server could load", read_switch
    ),
    Parameter("base", _BUILD.base, "Base image; embedded: no registry; scratch: image volumes"),
    Parameter("exclude", "", "File patterns left out, by comma or line", read_list),
    Parameter("format", _BUILD.format, "modelcar, or modelpack for native image volumes"),
    Parameter(
        "mount_from", "", "Images of the same registry whose layers may be mounted", read_list
    ),
    Parameter(
        "parallel",
        str(_BUILD.parallel),
        "Layers a pod moves at once, 20 MiB of memory each",
        read_parallel,
    ),
    Parameter("plain_http", "", "Registry hosts spoken to without TLS", read_list),
    Parameter(
        "platforms",
        ",".join(_BUILD.platforms),
        "Platforms of the image, as in linux/amd64",
        read_list,
    ),
    Parameter(
        "reuse", _BUILD.reuse, "Believed unread: none; tag: the image's own; repository: any tag"
    ),
)
AGAIN = (
    Parameter(
        "if_changed",
        "false",
        "End in the first step if the tag names this very image, and it is served",
        read_switch,
    ),
)
BUILDER = (
    Parameter("builder_account", _JOB.account, "ServiceAccount that may run Buildah"),
    Parameter("builder_image", _JOB.image, "Image with Buildah, by tag or digest"),
    Parameter("builder_security", _JOB.security, "userns, or setfcap before 4.20"),
)
FIT = (
    Parameter("family", "", "gqa: plan an unknown architecture as a plain decoder"),
    Parameter("gpu_count", "", "GPUs per replica; empty: the plan's choice", read_gpu_count),
    Parameter("gpu_resource", "nvidia.com/gpu", "Resource to ask for if the fit is not checked"),
    Parameter("gpu_memory_utilization", "", "Share of a GPU that vLLM may take", read_share),
    Parameter("kv_cache_dtype", "", "fp8, or auto: never; empty: fp8 to make it fit"),
    Parameter("max_num_seqs", "", "Sequences at once; empty: vLLM's own", read_open_count),
    Parameter("nodes", "1", "Nodes that a replica spans, as stages of a pipeline", read_count),
    Parameter("on_unknown", GO_ON, "stop: refuse a model that the plan does not know"),
    Parameter(
        "tolerations",
        "",
        "JSON list; empty: the plan's choice, or the GPU's own taint",
        read_tolerations,
    ),
    Parameter("vllm", "", "Version of vLLM, or an image that says it; empty: the serving one"),
)
_PLANNED = {each.name for each in FIT}
SERVE = (
    *(each for each in PARAMETERS if each.name not in _IN_SIGHT | _PLANNED),
    Parameter(
        "test", "answer", "Once ready: answer: ask it once; load: measure some seconds; no: neither"
    ),
    Parameter(
        "warm", "false", "Pull the image on the nodes before the switch: true or false", read_switch
    ),
    Parameter(
        "rollback", "false", "If it does not come up, apply again what served before", read_switch
    ),
    Parameter(
        "wait_s", "", "Seconds to wait until it answers; empty: by size; 0: none", read_seconds
    ),
)
TESTS = ("no", "answer", "load")
"""What becomes of a deployment that is ready."""
_OBJECTS = {"env", "labels", "node_selector"}
_LISTS = {"base_refs", "env", "exclude", "mount_from", "plain_http", "platforms", "tolerations"}
SETTINGS: Mapping[str, Parameter] = {
    each.name: each for each in (*PACK, *AGAIN, *BUILDER, *FIT, *SERVE)
}


def given(settings: Settings) -> dict[str, Any]:
    """Return the entries that are not null or empty; those are left to their defaults.

    An empty list of tolerations is kept: it means none, and no list is the plan's choice.

    Raises:
        InputError: A name that no step reads, a value of another shape, or not an object.
    """
    if not isinstance(settings, Mapping):
        raise InputError("read settings", repr(settings)[:80], "not a JSON object")
    if unknown := sorted(settings.keys() - SETTINGS.keys()):
        names = sorted(SETTINGS)
        known = did_you_mean(str(unknown[0]), names, f"known: {', '.join(names)}")
        raise InputError("read settings", ", ".join(map(repr, unknown)), "no such setting", known)
    said = {name: value for name, value in settings.items() if _is_given(name, value)}
    for name, value in said.items():
        _check_shape(name, value)
    return said


def pick(settings: Settings, parameters: Iterable[Parameter]) -> dict[str, Any]:
    """Return those entries that are given, as values of their types.

    Raises:
        InputError: As ``given``, or a value that cannot be read.
    """
    entries = given(settings)
    asked = [each for each in parameters if each.name in entries]
    read = {each.name: each.value(entries[each.name]) for each in asked}
    return {name: value for name, value in read.items() if value != () or name == "tolerations"}


def entry(settings: Settings, name: str) -> Any:
    """Return one entry as a value of its type; None if it is not given.

    Raises:
        InputError: As ``pick``.
    """
    return pick(settings, (SETTINGS[name],)).get(name)


class PatternKeywords(TypedDict):
    """Which files of a model are taken."""

    include: tuple[str, ...]
    exclude: tuple[str, ...]
    allow_no_weights: bool


def patterns(settings: Settings, include: str) -> PatternKeywords:
    """Return which files of a model are taken.

    Args:
        settings: ``exclude``, ``allow_no_weights``; others are left alone.
        include: File patterns, by comma or line.
    """
    return {
        "include": split_list(include),
        "exclude": entry(settings, "exclude") or (),
        "allow_no_weights": bool(entry(settings, "allow_no_weights")),
    }


def build_settings(settings: Settings, *, include: str = "", engine: str = "") -> BuildKeywords:
    """Return what every step of a build takes alike.

    Args:
        settings: Entries of PACK; others are left alone.
        include: File patterns, by comma or line.
        engine: ``stream`` or ``buildah``; empty is the default.
    """
    made = {**pick(settings, PACK), "include": split_list(include)}
    return cast(BuildKeywords, made | ({"engine": engine} if engine else {}))


def buildah_job(settings: Settings, builder: str, claim: str, folder: str) -> BuildahJob | None:
    """Return where Buildah runs.

    Args:
        settings: Entries of BUILDER; others are left alone.
        builder: Empty: in this step; ``job``: in a Job of the cluster.
        claim: For a Job: the claim that holds the model and scratch space.
        folder: For a Job: where this step has that claim mounted.

    Raises:
        InputError: Another builder, or no claim for a Job.
    """
    if not builder:
        return None
    if builder != "job":
        raise InputError("use builder", repr(builder), "choose job, or leave it empty")
    more = {n.removeprefix("builder_"): text for n, text in pick(settings, BUILDER).items()}
    return BuildahJob(claim, Path(folder), **more)


def build_of(model: str, image: str, settings: Settings, *, include: str) -> dict[str, Any]:
    """Return what every worker of a build and its sealer take alike, as one value.

    Entries that concern no build stay out: Argo keeps five copies for every worker. The secret
    that lets the sealer believe its workers is made here, anew for every run.
    """
    names = {each.name for each in PACK}
    kept = {name: value for name, value in settings.items() if name in names}
    return {
        "model": model,
        "image": image,
        "include": include,
        "settings": kept,
        "run": secrets.token_urlsafe(16),
    }


def parts_of(build: Settings) -> tuple[str, str, BuildKeywords]:
    """Return model, image and settings of a build.

    Raises:
        InputError: Not what ``build_of`` made.
    """
    try:
        how = build_settings(build["settings"], include=build["include"])
        how["run"] = build.get("run", "")
        return str(build["model"]), str(build["image"]), how
    except (KeyError, TypeError) as error:
        remedy = "hand over plan_model's output build"
        raise InputError("read build", repr(build)[:80], "not a plan's", remedy) from error


def deployment(settings: Settings, sizing: Settings, **more: Any) -> DeploymentForm:
    """Return a deployment's form.

    Args:
        settings: Entries of SERVE and FIT; others are left alone.
        sizing: What the GPU plan decided: any of a deployment's settings; it wins.
        **more: Fields that are parameters of their own; they win over both.
    """
    known = {each.name for each in PARAMETERS}
    form = pick(settings, (each for each in (*SERVE, *FIT) if each.name in known))
    return cast(DeploymentForm, form | dict(sizing) | more)


def deploy_keywords(settings: Settings, sizing: Settings, **more: Any) -> dict[str, Any]:
    """Return a deployment's form, and how long to wait, as ``deploy`` takes them.

    Args:
        settings: As for ``deployment``.
        sizing: As for ``deployment``.
        **more: As for ``deployment``, and more keywords of ``deploy``.
    """
    form: dict[str, Any] = {**deployment(settings, sizing, **more)}
    gpus = form.pop("gpu_count", 1)
    switches = {name: bool(entry(settings, name)) for name in ("warm", "rollback")}
    return {**form, "gpus": gpus, "wait": wait_of(settings), **switches}


def warm_keywords(settings: Settings, sizing: Settings) -> dict[str, Any]:
    """Return where a deployment may run, as ``warm`` takes it.

    Args:
        settings: As for ``deployment``.
        sizing: As for ``deployment``.
    """
    names = ("gpu_resource", "gpu_count", "node_selector", "tolerations")
    form: dict[str, Any] = {**deployment(settings, sizing)}
    return {name: form[name] for name in (*names, "namespace", "pull_secret") if name in form}


def question_of(settings: Settings) -> str:
    """Return what is asked of an endpoint: ``no``, ``answer`` or ``load``.

    Raises:
        InputError: Something else.
    """
    wish = entry(settings, "test") or "answer"
    if wish not in TESTS:
        raise InputError("read test", repr(wish), f"none of {', '.join(TESTS)}")
    return str(wish)


def wait_of(settings: Settings) -> bool | float:
    """Return the seconds to wait for an endpoint; True if that follows the image's size."""
    seconds: float | None = entry(settings, "wait_s")
    return True if seconds is None else seconds


def _check_shape(name: str, value: Any) -> None:
    """Refuse a shape in every step, whichever of them would read the value."""
    is_wrong = isinstance(value, Mapping) and name not in _OBJECTS
    if isinstance(value, list):
        flat = all(isinstance(item, str) for item in value)
        is_wrong = name not in _LISTS or not (flat or name == "tolerations")
    if is_wrong:
        shape = "a list of texts, or text by comma" if name in _LISTS else "one value"
        raise InputError(f"read settings {name}", repr(value)[:80], f"not {shape}")


def _is_given(name: str, value: Any) -> bool:
    if isinstance(value, str):
        return bool(value.strip())
    return value is not None and (value != [] or name == "tolerations")
