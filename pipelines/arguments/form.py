"""A pipeline's parameters as fields, and NAME=VALUE texts as typed values of them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kfp.dsl.graph_component import GraphComponent

from carferry.errors import InputError
from carferry.form.closest import did_you_mean
from carferry.io.show.cells import folded
from carferry.pipelines.pods import ENVIRONMENT
from carferry.run.request import Run
from carferry.source.open import is_folder
from carferry.steps.deploy import check
from carferry.steps.plan import MAX_WORKERS

Value = str | int | bool | dict[str, Any]
MAX_BYTES = 10_000
"""Of all parameters together (kubeflow/pipelines, MaxParameterBytes)."""
_NUMBER = re.compile("-?[0-9]{1,9}")
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_KINDS = {"Integer": "a whole number", "Boolean": "true or false", "Dict": "a JSON object"}
_NEVER_EMPTY = ("image", "model", "model_claim", "model_storage_class", "model_storage_size")
_OF_A_RUN = {
    "model": "model",
    "model_claim": "claim",
    "image": "image",
    "pack_include": "include",
    "serve": "serve",
    "serve_args": "vllm_args",
    "serve_gpu": "gpus",
    "serve_image": "runtime_image",
    "serve_name": "name",
}
"""Parameters by what a run calls them."""
_VOLUME_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter of a pipeline.

    Attributes:
        name: As the pipeline calls it.
        kind: KFP's name for its type: String, Integer, Boolean or Dict.
        default: Its default; None: it must be given.
        help: One line.
    """

    name: str
    kind: str
    default: Value | None
    help: str

    def parse(self, text: str) -> Value:
        """Return text as this parameter's type.

        Raises:
            InputError: Not a whole number, not true or false, or not a JSON object.
        """
        try:
            if self.kind == "Integer":
                return _whole(text)
            if self.kind == "Dict":
                return _object(text)
            return _BOOLEANS[text.lower()] if self.kind == "Boolean" else text
        except (ValueError, KeyError, RecursionError):
            wanted, said = _KINDS[self.kind], f"{self.name}={text[:80]}"
            raise InputError("read parameter", said, f"not {wanted}") from None


def _whole(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError
    return int(text)


def _object(text: str) -> dict[str, Any]:
    found = json.loads(text or "{}")
    if not isinstance(found, dict):
        raise ValueError
    return found


def fields(pipeline: GraphComponent) -> dict[str, Field]:
    """Return a pipeline's parameters by name, in the order of its signature."""
    inputs = pipeline.component_spec.inputs or {}
    found = {}
    for name, spec in inputs.items():
        default = spec.default if spec.optional else None
        found[name] = Field(name, spec.type, default, spec.description or "")
    return found


def arguments(
    known: Mapping[str, Field],
    given: Iterable[str],
    defaults: Mapping[str, Value],
    *,
    remote: bool = True,
) -> dict[str, Value]:
    """Parse NAME=VALUE texts against a pipeline's parameters.

    Args:
        known: The parameters.
        given: Texts from the command line; ``settings.NAME=VALUE`` is one entry of settings.
        defaults: Values for this run if none is given; names the pipeline lacks are left out.
        remote: In pods, which see no folder of this machine.

    Returns:
        Only what differs from the pipeline's own defaults by being named here or there.

    Raises:
        InputError: No '=', an unknown name, a wrong type, a missing parameter, or a value that
            a step would refuse later.
    """
    texts = _once(given, known)
    entries = {n.partition(".")[2]: text for n, text in texts.items() if "." in n}
    values = {name: value for name, value in defaults.items() if name in known}
    values |= {name: known[name].parse(text) for name, text in texts.items() if "." not in name}
    if entries:
        before = values.get("settings")
        values["settings"] = {**(before if isinstance(before, dict) else {}), **entries}
    if isinstance(settings := values.get("settings"), dict):
        values["settings"] = {n: value for n, value in settings.items() if value is not None}
    needed = [name for name in known if known[name].default is None and name not in values]
    if missing := needed + [name for name in _NEVER_EMPTY if values.get(name) == ""]:
        raise InputError("read parameters", " ".join(missing), "missing", "write NAME=VALUE")
    _check(known, values, remote=remote)
    return values


def _once(given: Iterable[str], known: Mapping[str, Field]) -> dict[str, str]:
    """Return texts by name, each given once."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        group, _, entry = name.partition(".")
        is_entry = group == "settings" and group in known and bool(entry)
        if not equals or not (name in known or is_entry):
            raise _unknown(name, equals, text, known)
        if name in found:
            raise InputError("read parameter", name, "given twice", "say it once")
        found[name] = value
    return found


def _unknown(name: str, equals: str, text: str, known: Mapping[str, Field]) -> InputError:
    if not equals and name in known:
        return InputError("read parameters", name, "no value", f"write {name}=VALUE")
    meant = did_you_mean(name, known, f"known: {', '.join(known)}")
    return InputError("read parameters", repr(text[:200]), "no such parameter", meant)


def described(known: Mapping[str, Field]) -> str:
    """Return the parameters as lines for a help text, as wide as the terminal."""
    width, columns = max(map(len, known)), shutil.get_terminal_size().columns
    lines = (f"  {field.name:{width}}  {field.help}{_default(field)}" for field in known.values())
    return "\n".join(row for line in lines for row in folded(line, columns - 2, width + 4))


def _check(known: Mapping[str, Field], values: Mapping[str, Value], *, remote: bool) -> None:
    run = _run(values)
    run.check()
    if remote and (is_folder(run.model) or run.image.startswith("oci:")):
        what = run.model if is_folder(run.model) else run.image
        raise InputError("submit", what, "pods see no folder of this machine", "or use --local")
    if not remote and run.claim:
        reason, remedy = "a claim is mounted in pods only", "name a folder that holds the same"
        raise InputError("run here", run.model, reason, remedy)
    if run.is_served:
        check(run.image, run.form({}))
        run.check_plan()
    size = len(json.dumps(values))
    if size > MAX_BYTES:
        raise InputError("read parameters", "all", f"{size} bytes, at most {MAX_BYTES}", "shorten")
    workers = values.get("pack_workers", 1)
    if not isinstance(workers, int) or not 1 <= workers <= MAX_WORKERS:
        raise InputError("read parameter", f"pack_workers={workers}", f"not 1 to {MAX_WORKERS}")
    _check_secrets(known, values)


def _run(values: Mapping[str, Value]) -> Run:
    settings, length = values.get("settings", {}), values.get("serve_max_model_len", 0)
    texts = {name: str(values[name]) for name in _OF_A_RUN if values.get(name)}
    return Run(
        max_model_len=length if isinstance(length, int) else 0,
        settings=settings if isinstance(settings, dict) else {},
        **{_OF_A_RUN[name]: text for name, text in texts.items()},  # type: ignore[arg-type]
    )


def _check_secrets(known: Mapping[str, Field], values: Mapping[str, Value]) -> None:
    secrets = {
        name: str(values.get(name, field.default))
        for name, field in known.items()
        if name.startswith("secret_") or name == "model_claim"
    }
    for name, value in secrets.items():
        if not _VOLUME_NAME.fullmatch(value):
            what = "a claim's" if name == "model_claim" else "a Secret's"
            reason = f"{what} name becomes a volume's: a-z, 0-9 and dashes, 1 to 63 of them"
            remedy = "use another claim" if name == "model_claim" else "it need not exist"
            raise InputError("read parameter", f"{name}={value}", reason, remedy)
        if value == ENVIRONMENT or value.startswith("carferry-library-"):
            reason = "a ConfigMap of carferry's has it"
            raise InputError("read parameter", f"{name}={value}", reason, "choose another name")
    if len({*secrets.values()}) < len(secrets):
        reason = "the same name twice makes a pod that Kubernetes refuses"
        raise InputError("read parameters", " ".join(secrets), reason, "name two; need not exist")


def _default(field: Field) -> str:
    if field.default is None:
        return " (required)"
    return f" [{field.default}]" if field.default not in ("", {}) else ""
