"""The structured parameter ``settings`` of pipelines and components: what few runs have to say.

A dashboard shows every parameter of a pipeline in one alphabetical list, so only what many set
has a field of its own; the rest are entries of one JSON object, under these names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from carferry.errors import InputError
from carferry.serve.form import PARAMETERS, Parameter
from carferry.steps.settings import BuildSettings

Settings = Mapping[str, Any]
"""Name to value, as JSON has them: numbers may come as 2.0, lists and objects are taken too."""


_BUILD = {f.name: str(f.default) for f in fields(BuildSettings)}
_IN_SIGHT = {"image", "max_model_len", "model_size_bytes", "name", "runtime_image", "vllm_args"}
"""Settings of a deployment that are parameters of their own."""

PACK = (
    Parameter("base", _BUILD["base"], "Base image; embedded: no registry; scratch: image volumes"),
    Parameter("exclude", "", "File patterns left out, by comma or line"),
    Parameter("format", _BUILD["form"], "modelcar, or modelpack for native image volumes"),
    Parameter("mount_from", "", "Images of the same registry whose layers may be mounted"),
    Parameter("parallel", _BUILD["parallel"], "Layers a pod moves at once, 20 MiB of memory each"),
    Parameter("plain_http", "", "Registry hosts spoken to without TLS"),
    Parameter("platforms", _BUILD["platforms"], "Platforms of the image, as in linux/amd64"),
)
BUILDER = (
    Parameter("builder_account", _BUILD["builder_account"], "ServiceAccount that may run Buildah"),
    Parameter("builder_image", _BUILD["builder_image"], "Image with Buildah, by tag or digest"),
    Parameter("builder_security", _BUILD["builder_security"], "userns, or setfcap before 4.20"),
)
FIT = (
    Parameter("family", "", "gqa: plan an unknown architecture as a plain decoder"),
    Parameter("gpu_count", "", "GPUs per replica; empty: the plan's choice"),
    Parameter("gpu_resource", "nvidia.com/gpu", "Resource to ask for where the fit is not checked"),
    Parameter("max_num_seqs", "", "Sequences at once; empty: vLLM's own"),
    Parameter("tolerations", "", "JSON list; empty: the plan's choice, or the GPU's own taint"),
    Parameter("vllm", "", "Version of vLLM; empty: from the serving image's tag"),
)
_PLANNED = {each.name for each in FIT}
SERVE = (
    *(each for each in PARAMETERS if each.name not in _IN_SIGHT | _PLANNED),
    Parameter("wait_s", "", "Seconds to wait until it answers; empty: by size; 0: none"),
)
SETTINGS: Mapping[str, Parameter] = {each.name: each for each in (*PACK, *BUILDER, *FIT, *SERVE)}
_FIELDS = {"format": "form"}
_OBJECTS = {"env", "node_selector"}
_LISTS = {"env", "exclude", "mount_from", "plain_http", "platforms", "tolerations"}
_COUNT = re.compile("[1-9][0-9]{0,2}")


def texts(settings: Settings) -> dict[str, str]:
    """Return settings as text by name; what is null or empty is left out, as not said.

    An empty list of tolerations says more: none, where none said would be the plan's choice.

    Raises:
        InputError: A name that nobody reads, a value of another shape, or not an object.
    """
    if not isinstance(settings, Mapping):
        raise InputError("read settings", repr(settings)[:80], "not a JSON object")
    if unknown := sorted(settings.keys() - SETTINGS.keys()):
        known = f"known: {', '.join(sorted(SETTINGS))}"
        raise InputError("read settings", ", ".join(map(repr, unknown)), "no such setting", known)
    said = {n: v for n, v in settings.items() if v != [] or n == "tolerations"}
    read = {n: _checked(n, value) for n, value in said.items() if value is not None}
    return {name: text for name, text in read.items() if text}


def build_settings(settings: Settings, *, include: str = "", **fixed: str) -> BuildSettings:
    """Return what every step of a build must be told alike.

    Args:
        settings: Entries of PACK and BUILDER; others are left alone.
        include: File patterns.
        **fixed: More fields, as the wiring decides them.
    """
    told = texts(settings)
    names = [each.name for each in (*PACK, *BUILDER)]
    chosen = {_FIELDS.get(name, name): told[name] for name in names if name in told}
    parallel = chosen.pop("parallel", _BUILD["parallel"])
    if not _COUNT.fullmatch(parallel):
        raise InputError("read parallel", repr(parallel[:20]), "not a whole number above 0")
    return BuildSettings(include=include, parallel=int(parallel), **(chosen | fixed))


def build_of(model: str, target: str, settings: Settings, *, include: str) -> dict[str, Any]:
    """Return what every worker of a build and its sealer must be told alike, as one value.

    Entries that concern no build stay out: Argo keeps five copies for every worker.
    """
    names = {each.name for each in PACK}
    kept = {name: value for name, value in settings.items() if name in names}
    return {"model": model, "target": target, "include": include, "settings": kept}


def told(build: Settings) -> tuple[str, str, BuildSettings]:
    """Return model, target and settings of a build.

    Raises:
        InputError: Not what ``build_of`` made.
    """
    try:
        how = build_settings(build["settings"], include=build["include"])
        return str(build["model"]), str(build["target"]), how
    except (KeyError, TypeError) as error:
        remedy = "hand over plan_model's output build"
        raise InputError("read build", repr(build)[:80], "not a plan's", remedy) from error


def deployment(settings: Settings, sizing: Settings, **told: str) -> dict[str, str]:
    """Return a deployment's form.

    Args:
        settings: Entries of SERVE; others are left alone.
        sizing: What the GPU plan decided: any of a deployment's settings; it wins.
        **told: Fields that are parameters of their own; they win over both.
    """
    given = texts(settings)
    known = {each.name for each in PARAMETERS}
    form = {name: text for name, text in given.items() if name in known}
    return form | {name: _text(value) for name, value in sizing.items()} | told


def _checked(name: str, value: Any) -> str:
    is_wrong = isinstance(value, Mapping) and name not in _OBJECTS
    if isinstance(value, list):
        flat = all(isinstance(item, str) for item in value)
        is_wrong = name not in _LISTS or not (flat or name == "tolerations")
    if is_wrong:
        what = "a list of texts, or text by comma" if name in _LISTS else "one value"
        raise InputError(f"read settings {name}", repr(value)[:80], f"not {what}")
    return _text(value)


def _text(value: Any) -> str:
    """A list of texts is a list by lines; what has more shape stays JSON."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    return json.dumps(_whole(value))


def _whole(value: Any) -> Any:
    """KFP hands every number over as a double."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value
