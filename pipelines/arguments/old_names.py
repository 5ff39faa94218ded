"""Parameter names of the previous release, accepted on the command line for one more.

They were one list of 35; today's names give dashboards, which sort them, a form in order.
"""

from __future__ import annotations

from collections.abc import Iterable

from carferry.errors import InputError

RENAMED = {
    "gpu": "serve_gpu",
    "hub_secret": "secret_hub",
    "image_format": "settings.format",
    "include": "pack_include",
    "max_model_len": "serve_max_model_len",
    "name": "serve_name",
    "registry_secret": "secret_registry",
    "serving_image": "serve_image",
    "storage_class": "model_storage_class",
    "vllm_args": "serve_args",
    "volume_size": "model_storage_size",
    "workers": "pack_workers",
}
SETTINGS = (
    "auth", "base", "builder_account", "builder_image", "builder_security", "cpu",
    "deployment_mode", "display_name", "exclude", "external_route", "family", "gpu_count",
    "gpu_resource", "hardware_profile", "memory", "mount_from", "namespace", "parallel",
    "plain_http", "pull_secret", "tolerations", "vllm", "wait_s",
)  # fmt: skip
"""Entries of ``settings`` by the same name."""
_NAMES = RENAMED | {name: f"settings.{name}" for name in SETTINGS}
_SERVE = {"deploy": "no", "apply": "render"}
"""Switches that became one word, by what they meant when they were false."""


def renamed(given: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return NAME=VALUE texts under today's names, and a note for each that had another.

    Raises:
        InputError: ``deploy`` or ``apply`` is neither true nor false, or a revision has no model.
    """
    texts, said, serve = [], [], ""
    for text in given:
        name, equals, value = text.partition("=")
        if name in _SERVE and equals:
            serve = serve if serve == "no" else _switched(name, value, serve)
            said.append(f"{name} became a value of serve: deploy, render or no")
        elif name in _NAMES and equals:
            texts.append(f"{_NAMES[name]}={value}")
            said.append(f"{name} is now {_NAMES[name]}")
        else:
            texts.append(text)
    texts, moved = _revised(texts)
    named = [text for text in texts if text.startswith("serve=")]
    if named and any(switch in line for switch in _SERVE for line in said):
        switches = " and ".join(f"{name}=..." for name in _SERVE)
        raise InputError("read parameters", named[0], f"{switches} say it too", "say it once")
    return [*texts, *([f"serve={serve}"] if serve else [])], [*said, *moved]


def _switched(name: str, value: str, serve: str) -> str:
    if value.lower() in {"false", "no", "0"}:
        return _SERVE[name]
    if value.lower() in {"true", "yes", "1"}:
        return serve
    raise InputError("read parameter", f"{name}={value}", "not true or false")


def _revised(texts: list[str]) -> tuple[list[str], list[str]]:
    """Move a revision behind the model it belongs to."""
    values = dict(text.split("=", 1) for text in texts if "=" in text)
    if "revision" not in values:
        return texts, []
    if values["revision"] and "model" not in values:
        raise InputError("read parameter", "revision", "no model given", "write model=org/name@rev")
    said = ["revision is now part of model: org/name@revision"]
    kept = [text for text in texts if text.partition("=")[0] != "revision"]
    if not values["revision"]:  # its default, main
        return kept, said
    kept = [text for text in kept if text.partition("=")[0] != "model"]
    return [f"model={values['model']}@{values['revision']}", *kept], said
