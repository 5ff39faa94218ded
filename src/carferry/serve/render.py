"""Objects as YAML for GitOps: the same bytes for the same objects, on any machine."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path

import yaml

from carferry.cluster.kinds import Object
from carferry.errors import InputError
from carferry.io import named
from carferry.io.files import failed
from carferry.serve.objects import SERVICES

# Plain only if every YAML reader, 1.1 and 1.2, sees a string: a letter first, nothing that
# is an indicator, and none of the words some readers take for booleans, nulls or numbers.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_TYPED = re.compile(r"(?i)y|n|yes|no|on|off|true|false|null|nan|inf")


class _Dumper(yaml.SafeDumper):
    """Indented lists, no aliases, strings quoted wherever a reader could mistake them."""

    def ignore_aliases(self, data: object) -> bool:
        """Write equal values out each time: anchors are hard to review."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent lists under their key."""
        super().increase_indent(flow, False)


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = _PLAIN.fullmatch(text) and not _TYPED.fullmatch(text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Dumper.add_representer(str, _write_text)


def render(objects: Sequence[Object]) -> str:
    """Write objects as one ASCII YAML stream, a document each, in the order given.

    That order (Secret, ServingRuntime, service, the rest) is the one ``kubectl apply`` needs:
    admission refuses an InferenceService whose connection Secret is missing. A Secret is written
    as ``stringData``, which people can read and review; what ``deploy`` applies holds ``data``,
    since ``stringData`` is no field that a server-side apply could own.
    """
    return _heading(objects) + yaml.dump_all(
        [_readable(each) for each in objects],
        Dumper=_Dumper,
        explicit_start=True,
        sort_keys=False,
        allow_unicode=False,
        default_flow_style=False,
        width=2**31,  # never folded: a folded string differs between emitters
    )


def write(objects: Sequence[Object], path: Path) -> None:
    """Write the rendered objects to path, as ``carferry.io.named`` writes.

    Raises:
        InputError: The folder is missing or not writable.
        StorageFull: No space left there.
    """
    named.save(path, render(objects).encode("ascii"))


def write_folder(objects: Sequence[Object], folder: Path) -> None:
    """Write the rendered objects and the kustomization.yaml that names their file.

    A kustomization.yaml that is there stays as it is: it may hold patches.

    Args:
        objects: Of one deployment.
        folder: Is made if it is not there.

    Raises:
        InputError: The folder is not writable, or its kustomization.yaml is another's.
        StorageFull: No space left there.
    """
    service = next(each for each in objects if each["kind"] in SERVICES)
    file = f"{service['metadata']['name']}.yaml"
    kustomization = folder / "kustomization.yaml"
    if kustomization.exists() and not _names(kustomization, file):
        remedy = f"add '- {file}' to its resources, or name another folder"
        raise InputError("render to", kustomization, f"it is there and names no {file}", remedy)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        failure = failed("render to", folder, error)
        raise InputError("render to", folder, failure.reason, failure.remedy) from error
    write(objects, folder / file)
    if not kustomization.exists():
        named.save(kustomization, _kustomization(service, file).encode("ascii"))


def _heading(objects: Sequence[Object]) -> str:
    """Return what a reader of a repository asks: what is this, who made it, how is it applied."""
    service = next((each for each in objects if each.get("kind") in SERVICES), None)
    if service is None:
        return ""
    project = service["metadata"].get("namespace", "") or "PROJECT"
    lines = [
        f"Serves {image_of(service)}",
        "Written by carferry render; its settings, not this file, are what to change.",
        f"Apply it with: oc apply --server-side -n {project} -f FILE",
        "or commit it: kustomize and Argo CD take it as it is, in any order.",
    ]
    return "".join(f"# {line}\n" for line in lines)


def image_of(service: Object) -> str:
    """Return the address of the image that a service serves."""
    spec = service["spec"]
    model = (spec.get("predictor") or {}).get("model") or {}
    return str(model.get("storageUri") or (spec.get("model") or {}).get("uri") or "")


def _readable(obj: Object) -> Object:
    if obj.get("kind") != "Secret" or "data" not in obj:
        return obj
    texts = {name: base64.b64decode(value).decode() for name, value in obj["data"].items()}
    return {key: value for key, value in obj.items() if key != "data"} | {"stringData": texts}


def _names(kustomization: Path, file: str) -> bool:
    try:
        found = yaml.safe_load(kustomization.read_text(encoding="utf-8"))
        return file in (found.get("resources") or ())
    except (OSError, ValueError, AttributeError, TypeError, yaml.YAMLError):
        return False


def _kustomization(service: Object, file: str) -> str:
    place = service["metadata"].get("namespace", "")
    return (
        "# Written once by carferry render; yours from now on.\n"
        f"# Apply it with: oc apply --server-side -k FOLDER{'' if place else ' -n PROJECT'}\n"
        "apiVersion: kustomize.config.k8s.io/v1beta1\n"
        "kind: Kustomization\n"
        + (f"namespace: {place}\n" if place else "# namespace: PROJECT\n")
        + f"resources:\n  - {file}\n"
    )
